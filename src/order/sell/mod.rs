//! Selling: read the book, take copies off its stock, begin again when somebody else was faster.
//!
//! Customers who want the same book at the same moment are served together, by one read and one
//! update that takes a copy for each (the combining of Hendler, Incze, Shavit and Tzafrir, SPAA
//! 2010). Books do not wait for each other.
//!
//! Every update carries the orders' ids, and every read shows them, so that whatever failed on the
//! way may be tried again, and is truthful: "purchased" only if the book says so, "out of stock"
//! only of a book that was read with none left. A customer whose time is up while an update of its
//! order is not settled hears that nobody can tell.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::{Order, OrderId};
use crate::order::catalog_client::{Catalog, Read, ReadRequest, Snapshot, Write, WriteRequest};
use crate::order::metrics::Tally;
use crate::order::queue::{Call, Customer, Lines, Sold};

/// At most so many customers are served together: their orders must fit into the headers of one
/// read.
pub const BATCH_MAX: usize = 64;

/// The pause before a retry is random, up to this after the first conflict, and doubles with each,
/// up to `PAUSE_MAX`.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// Sells the books of one catalog.
#[derive(Debug)]
pub struct Seller<C> {
    pub(super) catalog: C,
    lines: Lines,
    pub tally: Tally,
}

/// What to do after a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    GoOn,
    /// Begin again after a pause.
    Pause,
}

impl<C: Catalog> Seller<C> {
    pub fn new(catalog: C) -> Seller<C> {
        Seller {
            catalog,
            lines: Lines::default(),
            tally: Tally::default(),
        }
    }

    /// Sells one copy, after all who came before for the same book, alone like this one.
    ///
    /// Fails with [`Error::NoSuchBook`]; [`Error::Busy`] after 3 s of competition;
    /// [`Error::Unreachable`] when the catalog cannot be asked; [`Error::Closed`]; and with
    /// [`Error::TimedOut`] or [`Error::DiskRefuses`] when a copy may have been sold.
    pub fn buy(&self, id: BookId, order: Order, request: Arc<str>) -> Result<Sold> {
        let customer = Arc::new(Customer::new(order, request, Instant::now()));
        let outcome = self.stand_in_line(id, &customer);
        self.tally.sale(&outcome);
        outcome
    }

    fn stand_in_line(&self, id: BookId, customer: &Arc<Customer>) -> Result<Sold> {
        if self.lines.join(id, customer) {
            return self.lead(id, customer);
        }
        match self.lines.wait(id, customer) {
            Call::Lead => self.lead(id, customer),
            Call::Done(outcome) => outcome,
        }
    }

    /// Serves the line until its first customer is done.
    fn lead(&self, id: BookId, leader: &Arc<Customer>) -> Result<Sold> {
        let _leading = Leading {
            lines: &self.lines,
            id,
            leader,
        };
        let mut pause = Pause::default();
        loop {
            let batch = self.lines.first(id, BATCH_MAX, Instant::now());
            if let Some(outcome) = leader.outcome() {
                return outcome;
            }
            let next = self.round(id, &batch);
            if let Some(outcome) = leader.outcome() {
                return outcome;
            }
            if next == Next::Pause {
                self.tally.conflicts.inc();
                pause.take();
            }
        }
    }

    /// One read, and one update if there is something to sell.
    fn round(&self, id: BookId, batch: &[Arc<Customer>]) -> Next {
        match self.catalog.read(&look(id, batch)) {
            Read::Book(seen) => match offer(batch, &seen) {
                Some(deal) => {
                    self.tally.updates.inc();
                    let write = self.catalog.write(&deal.take(id));
                    deal.conclude(write)
                }
                None => Next::GoOn,
            },
            Read::Refused(error) => fail(batch, &error),
            Read::Again(error) => retry(batch, Some(&error)),
        }
    }
}

/// The pauses of one sale that begins again and again.
pub(super) struct Pause {
    most: Duration,
}

impl Default for Pause {
    fn default() -> Pause {
        Pause { most: PAUSE_FIRST }
    }
}

impl Pause {
    pub(super) fn take(&mut self) {
        thread::sleep(self.most.mul_f64(fastrand::f64()));
        self.most = PAUSE_MAX.min(self.most * 2);
    }
}

/// What is to be asked for a batch.
pub(super) fn look(id: BookId, batch: &[Arc<Customer>]) -> ReadRequest {
    ReadRequest {
        id,
        orders: orders(batch),
        request: batch[0].request.clone(),
    }
}

/// Serves a batch from a book that was read, as far as that needs no update. `None`: nobody is
/// left.
pub(super) fn offer(batch: &[Arc<Customer>], seen: &Snapshot) -> Option<Allocation> {
    let (served, waiting) = split(batch, &seen.applied);
    purchased(&served, true);
    for customer in &waiting {
        customer.seen(&seen.version);
    }
    if seen.quantity == 0 {
        out_of_stock(&waiting);
        return None;
    }
    let mut buyers = distinct(&waiting);
    let copies = buyers.len().min(seen.quantity as usize);
    let later = buyers.split_off(copies);
    (!buyers.is_empty()).then(|| Allocation {
        version: seen.version.clone(),
        left: seen.quantity - copies as u32,
        buyers,
        later,
    })
}

/// Copies of one book that are to be taken with one update.
pub(super) struct Allocation {
    version: String,
    /// Copies that are left then.
    left: u32,
    /// Get one each.
    buyers: Vec<Arc<Customer>>,
    /// Came later than there are copies.
    later: Vec<Arc<Customer>>,
}

impl Allocation {
    pub(super) fn take(&self, id: BookId) -> WriteRequest {
        WriteRequest {
            id,
            version: self.version.clone(),
            quantity: self.left,
            orders: orders(&self.buyers),
            request: self.buyers[0].request.clone(),
        }
    }

    /// What came of the update, for everybody.
    pub(super) fn conclude(&self, write: Write) -> Next {
        let buyers = self.buyers.as_slice();
        match write {
            Write::Done { replayed } => {
                if !replayed && self.left == 0 {
                    out_of_stock(&self.later);
                }
                purchased(buyers, replayed)
            }
            Write::Applied(ids) => {
                let (served, _) = split(buyers, &ids);
                purchased(&served, true);
                again_unless(!served.is_empty())
            }
            Write::Closed(ids) => {
                let (closed, _) = split(buyers, &ids);
                for customer in &closed {
                    customer.fail(Error::Closed(vec![customer.order.id]));
                }
                again_unless(!closed.is_empty())
            }
            Write::Conflict => retry(buyers, None),
            Write::Unknown(error) => {
                for customer in buyers {
                    customer.unsettle(&self.version);
                }
                retry(buyers, Some(&error))
            }
            Write::Refused(error) => fail(buyers, &error),
        }
    }
}

/// Leadership of a line: handed over when dropped, even by a panic.
struct Leading<'a> {
    lines: &'a Lines,
    id: BookId,
    leader: &'a Arc<Customer>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.lines.hand_over(self.id, self.leader);
    }
}

fn orders(customers: &[Arc<Customer>]) -> Vec<Order> {
    customers
        .iter()
        .map(|customer| customer.order.clone())
        .collect()
}

/// Those whose orders are among `ids`, and the others.
fn split(customers: &[Arc<Customer>], ids: &[OrderId]) -> (Vec<Arc<Customer>>, Vec<Arc<Customer>>) {
    let among = |customer: &Arc<Customer>| ids.contains(&customer.order.id);
    customers.iter().cloned().partition(among)
}

/// Without those whose order or key stands further to the front: they are one purchase, so these
/// wait for the next round, where the book says that it was made.
fn distinct(customers: &[Arc<Customer>]) -> Vec<Arc<Customer>> {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    let first = |customer: &&Arc<Customer>| {
        let order = &customer.order;
        ids.insert(order.id)
            && order
                .key
                .as_ref()
                .is_none_or(|key| keys.insert(key.clone()))
    };
    customers.iter().filter(first).cloned().collect()
}

fn purchased(customers: &[Arc<Customer>], replayed: bool) -> Next {
    for customer in customers {
        customer.sold(Sold::Purchased { replayed });
    }
    Next::GoOn
}

fn out_of_stock(customers: &[Arc<Customer>]) -> Next {
    for customer in customers {
        customer.sold(Sold::OutOfStock);
    }
    Next::GoOn
}

pub(super) fn fail(customers: &[Arc<Customer>], error: &Error) -> Next {
    for customer in customers {
        customer.fail(error.clone());
    }
    Next::GoOn
}

/// They begin again; if their time is up before, they hear this, or that there is too much
/// competition.
fn retry(customers: &[Arc<Customer>], trouble: Option<&Error>) -> Next {
    for customer in customers {
        customer.trouble(trouble.cloned());
    }
    Next::Pause
}

fn again_unless(progress: bool) -> Next {
    if progress { Next::GoOn } else { Next::Pause }
}

//! The allocation of copies to buys: from the book as it was read, over the one update that sells
//! to many, to an outcome for each buy. First come, first served; each gets all its copies or none,
//! and who wants more than is left does not keep the next one from the rest.
//!
//! Of a book that was heard of before, the update is tried without a read. If it is refused, for
//! whatever reason, nothing has changed, and a read begins as ever.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::book::BookId;
use crate::model::error::{Error, OTHER_PURCHASE};
use crate::model::order::{Order, OrderId};
use crate::order::catalog_client::{
    Condition, KnownOrders, ReadRequest, Snapshot, WriteOutcome, WriteRequest,
};
use crate::order::queue::{BuyOutcome, Waiter};

const REPLAYED: BuyOutcome = BuyOutcome::Purchased {
    replayed: true,
    sold_as: None,
};

/// Copies of one book that one update is to take.
pub(super) struct Allocation {
    condition: Condition,
    /// Get their copies.
    buyers: Vec<Arc<Waiter>>,
    /// Want more than was left for them.
    too_late: Vec<Arc<Waiter>>,
}

/// The read that a round for these begins with.
pub(super) fn read_request(id: BookId, waiters: &[Arc<Waiter>]) -> ReadRequest {
    ReadRequest {
        id,
        orders: orders(waiters),
        trace: waiters[0].trace.clone(),
    }
}

impl Allocation {
    /// Gives the copies of a book that was read to the first waiters. Ends the waiters that need no
    /// update: they have their copies already, are refused or closed, or want more than there is.
    /// `None`: no waiter needs one.
    pub(super) fn new(waiters: &[Arc<Waiter>], book: &Snapshot) -> Option<Allocation> {
        let mut waiting = conclude_known(waiters, &book.orders);
        let saw = |waiter: &Arc<Waiter>| waiter.saw(&book.version, book.quantity);
        waiting.iter().for_each(saw);
        waiting.retain(|waiter| {
            let fits = waiter.order.copies <= book.quantity;
            if !fits {
                waiter.succeed(BuyOutcome::OutOfStock);
            }
            fits
        });
        let (mut left, mut too_late) = (book.quantity, Vec::new());
        let mut buyers = distinct(&waiting);
        buyers.retain(|waiter| match left.checked_sub(waiter.order.copies) {
            Some(after) => {
                left = after;
                true
            }
            None => {
                too_late.push(waiter.clone());
                false
            }
        });
        let version = book.version.clone();
        (!buyers.is_empty()).then_some(Allocation {
            condition: Condition::Version { version, left },
            buyers,
            too_late,
        })
    }

    /// Gives copies of a book that was not read to the waiters, if none came in since that version.
    /// `None`: it must be read, because an update that may have served one of them is still open.
    pub(super) fn unread(waiters: &[Arc<Waiter>], since: u64) -> Option<Allocation> {
        let is_open = waiters.iter().any(|waiter| waiter.is_unknown());
        (!is_open).then(|| Allocation {
            condition: Condition::NotRestocked { since },
            buyers: distinct(waiters),
            too_late: Vec::new(),
        })
    }

    /// Whether it has sold nothing, and the book must be read to know why.
    pub(super) fn needs_read(&self, outcome: &WriteOutcome) -> bool {
        let sold = matches!(
            outcome,
            WriteOutcome::Done {
                replayed: false,
                ..
            }
        );
        let unknown = matches!(outcome, WriteOutcome::Unknown(_));
        matches!(self.condition, Condition::NotRestocked { .. }) && !sold && !unknown
    }

    pub(super) fn write_request(&self, id: BookId) -> WriteRequest {
        WriteRequest {
            id,
            condition: self.condition.clone(),
            orders: orders(&self.buyers),
            trace: self.buyers[0].trace.clone(),
        }
    }

    /// Gives all waiters the outcome of the update. Returns whether there was progress; without it,
    /// the next round begins after a pause.
    pub(super) fn conclude(&self, outcome: WriteOutcome) -> bool {
        let buyers = self.buyers.as_slice();
        match outcome {
            WriteOutcome::Done { replayed, .. } => {
                if !replayed {
                    succeed(&self.too_late, BuyOutcome::OutOfStock);
                }
                let sold_as = None;
                succeed(buyers, BuyOutcome::Purchased { replayed, sold_as });
                true
            }
            WriteOutcome::Applied(ids) => {
                let (served, _) = split(buyers, &ids);
                succeed(&served, REPLAYED);
                !served.is_empty()
            }
            WriteOutcome::Differing(ids) => {
                let (differing, _) = split(buyers, &ids);
                refuse(&differing);
                !differing.is_empty()
            }
            WriteOutcome::KeysInUse(ids) => {
                let (in_use, _) = split(buyers, &ids);
                for waiter in &in_use {
                    waiter.fail(Error::KeyInUse(vec![waiter.order.id]));
                }
                !in_use.is_empty()
            }
            WriteOutcome::Closed { orders, forgotten } => {
                let (closed, _) = split(buyers, &orders);
                close(&closed, forgotten);
                !closed.is_empty()
            }
            WriteOutcome::Conflict => retry(buyers, None),
            WriteOutcome::Unknown(error) => {
                for waiter in buyers {
                    waiter.update_unknown(&self.condition);
                }
                retry(buyers, Some(&error))
            }
            WriteOutcome::Refused(error) => fail(buyers, &error),
        }
    }
}

/// Ends all of them: the book was removed, and has sold to some of them before. Progress.
pub(super) fn conclude_removed(waiters: &[Arc<Waiter>], orders: &KnownOrders) -> bool {
    for waiter in conclude_known(waiters, orders) {
        // What is left of a book sells nothing, whatever is on its way to it.
        waiter.saw("", 0);
        waiter.fail(Error::NoSuchBook);
    }
    true
}

/// Ends those that need no update whatever is left of the book. Returns the others.
fn conclude_known(waiters: &[Arc<Waiter>], orders: &KnownOrders) -> Vec<Arc<Waiter>> {
    let (served, waiting) = split(waiters, &orders.applied);
    for waiter in served {
        let mut sold = orders.sold_as.iter();
        let sold = sold.find(|(order, _)| *order == waiter.order.id);
        waiter.succeed(BuyOutcome::Purchased {
            replayed: true,
            sold_as: sold.map(|(_, sold)| *sold),
        });
    }
    let waiting = without_differing(waiting, &orders.differing);
    let (closed, waiting) = split(&waiting, &orders.closed);
    close(&closed, orders.forgotten);
    waiting
}

fn without_differing(waiters: Vec<Arc<Waiter>>, differing: &[OrderId]) -> Vec<Arc<Waiter>> {
    if differing.is_empty() {
        return waiters;
    }
    let (differing, others) = split(&waiters, differing);
    refuse(&differing);
    others
}

/// These are not the purchases that their ids or keys were used for.
fn refuse(waiters: &[Arc<Waiter>]) {
    for waiter in waiters {
        waiter.fail(Error::Invalid(OTHER_PURCHASE.into()));
    }
}

/// Nobody can tell whether these were applied.
fn close(waiters: &[Arc<Waiter>], forgotten: u64) {
    for waiter in waiters {
        let orders = vec![waiter.order.id];
        waiter.fail(Error::Closed { orders, forgotten });
    }
}

/// Ends all of them in this failure: progress.
pub(super) fn fail(waiters: &[Arc<Waiter>], error: &Error) -> bool {
    waiters.iter().for_each(|waiter| waiter.fail(error.clone()));
    true
}

/// No progress: all of them try again. If their time is up before they are served, they fail with
/// this error or, without one, because of conflicts.
pub(super) fn retry(waiters: &[Arc<Waiter>], error: Option<&Error>) -> bool {
    let not_served = |waiter: &Arc<Waiter>| waiter.not_served(error.cloned());
    waiters.iter().for_each(not_served);
    false
}

fn succeed(waiters: &[Arc<Waiter>], outcome: BuyOutcome) {
    waiters.iter().for_each(|waiter| waiter.succeed(outcome));
}

fn orders(waiters: &[Arc<Waiter>]) -> Vec<Order> {
    waiters.iter().map(|waiter| waiter.order.clone()).collect()
}

/// Those whose orders are among `ids`, and the others.
fn split(waiters: &[Arc<Waiter>], ids: &[OrderId]) -> (Vec<Arc<Waiter>>, Vec<Arc<Waiter>>) {
    let among = |waiter: &Arc<Waiter>| ids.contains(&waiter.order.id);
    waiters.iter().cloned().partition(among)
}

/// Without those whose order or key an earlier one has too. They are the same purchase, so they
/// wait for the next round, whose read shows that it was made.
fn distinct(waiters: &[Arc<Waiter>]) -> Vec<Arc<Waiter>> {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    let mut is_new = |order: &Order| {
        let key = order.key.as_ref();
        ids.insert(order.id) && key.is_none_or(|key| keys.insert(key.clone()))
    };
    let first = waiters.iter().filter(|waiter| is_new(&waiter.order));
    first.cloned().collect()
}

//! Selling: read the book, take copies off its stock with a conditional update, and begin again
//! after a conflict.
//!
//! Buys of the same book that wait at the same moment are served by one read and one update that
//! takes the copies for each: flat combining (Hendler, Incze, Shavit and Tzafrir, SPAA 2010). Books
//! do not wait for each other.
//!
//! A book that was heard of before is sold without a read ([`crate::order::heard`]).
//!
//! Every update carries the orders' ids, and every read shows which of them have their copies. So
//! whatever failed on the way may be retried, and the answer is true: "purchased" only if the
//! catalog says so, "out of stock" only of a book that was read with no copy left. A buy whose time
//! is up while an update's outcome is unknown fails with an unknown outcome.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::model::book::BookId;
use crate::model::order::Order;
use crate::model::trace::Trace;
use crate::order::allocation::{Allocation, conclude_removed, fail, read_request, retry};
use crate::order::catalog_client::{Catalog, READ_ORDERS_MAX, ReadOutcome, WriteOutcome};
use crate::order::heard::Heard;
use crate::order::metrics::Metrics;
use crate::order::queue::{BuyQueues, BuyResult, Signal, Waiter};
use crate::runtime::span;

/// The longest pause before the first retry. It doubles with each retry, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// Sells the books of one catalog.
pub(super) struct Seller<C> {
    pub(super) catalog: C,
    queues: BuyQueues,
    pub(super) heard: Heard,
    pub(super) metrics: Metrics,
}

impl<C: Catalog> Seller<C> {
    pub(super) fn new(catalog: C) -> Seller<C> {
        Seller {
            catalog,
            queues: BuyQueues::default(),
            heard: Heard::default(),
            metrics: Metrics::default(),
        }
    }

    /// Sells the order's copies, all or none, after all buys of the same book that came before.
    ///
    /// Fails with `NoSuchBook`; with `Busy` after 3 s of conflicts; with `Unreachable` when the
    /// catalog is; with `Closed`; with `Invalid` for an order that was applied for another
    /// number of copies; and with `TimedOut` or `DiskRefuses` when a copy may have been sold.
    pub(super) fn buy(&self, id: BookId, order: Order, trace: Trace) -> BuyResult {
        let waiter = Arc::new(Waiter::new(order, trace, Instant::now()));
        let signal = if self.queues.join(id, &waiter) {
            Signal::Lead
        } else {
            self.queues.wait(id, &waiter)
        };
        let outcome = match signal {
            Signal::Lead => self.lead(id, &waiter),
            Signal::Done(outcome) => outcome,
        };
        self.metrics.buy(&outcome);
        outcome
    }

    /// Serves the book's queue until its leader has an outcome.
    fn lead(&self, id: BookId, leader: &Arc<Waiter>) -> BuyResult {
        let _leadership = Leadership {
            queues: &self.queues,
            id,
            leader,
        };
        let mut retries = 0;
        loop {
            let batch = self.queues.first(id, READ_ORDERS_MAX, Instant::now());
            if let Some(outcome) = leader.outcome() {
                return outcome;
            }
            let progress = self.round(id, &batch);
            if let Some(outcome) = leader.outcome() {
                return outcome;
            }
            if !progress {
                self.back_off(retries);
                retries += 1;
            }
        }
    }

    /// One read, unless the book was heard of, and one update if there is something to sell. Returns
    /// whether there was progress.
    fn round(&self, id: BookId, batch: &[Arc<Waiter>]) -> bool {
        let _entered = span::enter(batch.iter().map(|waiter| waiter.span));
        if let Some(sale) = self.unread(id, batch) {
            let outcome = self.write(id, &sale);
            if !sale.needs_read(&outcome) {
                return sale.conclude(outcome);
            }
        }
        let book = match self.catalog.read(&read_request(id, batch)) {
            ReadOutcome::Book(book) => book,
            ReadOutcome::Removed(orders) => return conclude_removed(batch, &orders),
            ReadOutcome::Refused(error) => return fail(batch, &error),
            ReadOutcome::Retry(error) => return retry(batch, Some(&error)),
        };
        let Some(allocation) = Allocation::new(batch, &book) else {
            return true;
        };
        allocation.conclude(self.write(id, &allocation))
    }

    /// What may be sold of a book without reading it.
    pub(super) fn unread(&self, id: BookId, waiters: &[Arc<Waiter>]) -> Option<Allocation> {
        let since = self.heard.since(id).filter(|_| !waiters.is_empty())?;
        let sale = Allocation::unread(waiters, since)?;
        self.metrics.unread.inc();
        Some(sale)
    }

    fn write(&self, id: BookId, allocation: &Allocation) -> WriteOutcome {
        self.metrics.updates.inc();
        let outcome = self.catalog.write(&allocation.write_request(id));
        self.hear(id, Some(&outcome));
        outcome
    }

    /// Notes what an update's outcome tells of a book. `None`: it is not known what came of it.
    pub(super) fn hear(&self, id: BookId, outcome: Option<&WriteOutcome>) {
        let at = match outcome {
            Some(WriteOutcome::Done { left_at, .. }) => *left_at,
            _ => None,
        };
        self.heard.hear(id, at);
    }

    /// A random pause before the next retry, after `retries` others.
    pub(super) fn back_off(&self, retries: u32) {
        self.metrics.conflicts.inc();
        let pause_max = PAUSE_MAX.min(PAUSE_FIRST.saturating_mul(1 << retries.min(31)));
        thread::sleep(pause_max.mul_f64(fastrand::f64()));
    }
}

/// The leadership of a queue. It is handed over when dropped, even by a panic.
struct Leadership<'a> {
    queues: &'a BuyQueues,
    id: BookId,
    leader: &'a Arc<Waiter>,
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        self.queues.hand_over(self.id, self.leader);
    }
}

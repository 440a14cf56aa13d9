//! Buys of several books that come in one request from a front-end: one read, of those that were not
//! heard of, and one update for all of them.
//!
//! They join no queue, because nothing here waits for one book only. A buy that is not served (the
//! catalog must be asked about its book alone, or others were faster again and again) has no
//! outcome. The front-end sends it again alone, with the same order, and it waits in the queue: see
//! [`crate::order::sell`].

use std::sync::Arc;
use std::time::Instant;

use crate::model::book::BookId;
use crate::model::validation::BatchBuy;
use crate::order::allocation::{Allocation, conclude_removed, fail, read_request};
use crate::order::catalog_client::{Catalog, ReadOutcome, ReadRequest, WriteOutcome, WriteRequest};
use crate::order::queue::{BUY_RETRY_MAX, BuyResult, Waiter};
use crate::order::sell::Seller;

/// Rounds of read and update, the first included. Then what still conflicts has no outcome.
const ROUNDS_MAX: u32 = 8;

/// Those that want the same book, first come first.
type BookWaiters = (BookId, Vec<Arc<Waiter>>);

impl<C: Catalog> Seller<C> {
    /// Sells each its copies, as [`Seller::buy`] does, in competition with the queues. `None`:
    /// nothing happened, and this buy must come alone. Begins no round later than [`BUY_RETRY_MAX`]
    /// after `began`.
    pub(super) fn batch_sell(&self, buys: &[BatchBuy], began: Instant) -> Vec<Option<BuyResult>> {
        let waiters = buys.iter().map(|buy| {
            let waiter = Waiter::new(buy.order.clone(), buy.trace.clone(), began);
            (buy.id, Arc::new(waiter))
        });
        let waiters: Vec<_> = waiters.collect();
        let mut left = by_book(&waiters);
        for round in 0..ROUNDS_MAX {
            if left.is_empty() || BUY_RETRY_MAX <= began.elapsed() {
                break;
            }
            if 0 < round {
                self.back_off(round - 1);
            }
            left = self.batch_round(left);
        }
        let outcomes = waiters.iter().map(|(_, waiter)| {
            // It must not come alone as if nothing had happened.
            if waiter.is_unknown() {
                waiter.expire();
            }
            waiter.outcome()
        });
        let outcomes: Vec<_> = outcomes.collect();
        for outcome in outcomes.iter().flatten() {
            self.metrics.buy(outcome);
        }
        outcomes
    }

    /// One read and one update for all of them. Returns those that conflicted, or must be read.
    fn batch_round(&self, books: Vec<BookWaiters>) -> Vec<BookWaiters> {
        let mut sales: Vec<(BookWaiters, Allocation)> = Vec::new();
        let mut to_read = Vec::new();
        for book in books {
            match self.unread(book.0, &book.1) {
                Some(sale) => sales.push((book, sale)),
                None => to_read.push(book),
            }
        }
        self.read_into(&mut sales, to_read);
        if sales.is_empty() {
            return Vec::new();
        }
        let writes = sales.iter().map(|((id, _), sale)| sale.write_request(*id));
        let writes: Vec<WriteRequest> = writes.collect();
        self.metrics.updates.add(writes.len() as u64);
        let mut conflicted = Vec::new();
        for (sale, outcome) in sales.into_iter().zip(self.catalog.write_batch(&writes)) {
            let ((id, mut waiters), allocation) = sale;
            self.hear(id, outcome.as_ref());
            let again = match outcome {
                None => true,
                Some(outcome) if allocation.needs_read(&outcome) => true,
                Some(outcome) => {
                    let conflict = outcome == WriteOutcome::Conflict;
                    allocation.conclude(outcome);
                    conflict
                }
            };
            waiters.retain(|waiter| waiter.outcome().is_none());
            if again && !waiters.is_empty() {
                conflicted.push((id, waiters));
            }
        }
        conflicted
    }

    /// Reads these books, and adds what is to be sold of them.
    fn read_into(&self, sales: &mut Vec<(BookWaiters, Allocation)>, books: Vec<BookWaiters>) {
        if books.is_empty() {
            return;
        }
        let reads = books.iter().map(|(id, waiters)| read_request(*id, waiters));
        let reads: Vec<ReadRequest> = reads.collect();
        for (book, outcome) in books.into_iter().zip(self.catalog.read_batch(&reads)) {
            match outcome {
                Some(ReadOutcome::Book(snapshot)) => {
                    let allocation = Allocation::new(&book.1, &snapshot);
                    sales.extend(allocation.map(|allocation| (book, allocation)));
                }
                Some(ReadOutcome::Removed(orders)) => {
                    conclude_removed(&book.1, &orders);
                }
                Some(ReadOutcome::Refused(error)) => drop(fail(&book.1, &error)),
                Some(ReadOutcome::Retry(_)) | None => {}
            }
        }
    }
}

fn by_book(waiters: &[(BookId, Arc<Waiter>)]) -> Vec<BookWaiters> {
    let mut books: Vec<BookWaiters> = Vec::new();
    for (id, waiter) in waiters {
        match books.iter_mut().find(|(other, _)| other == id) {
            Some((_, waiters)) => waiters.push(waiter.clone()),
            None => books.push((*id, vec![waiter.clone()])),
        }
    }
    books
}

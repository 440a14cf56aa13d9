//! How an order id is made: a start number and a count.
//!
//! The first server that a buy reaches issues the id: a front-end, or an order server for clients
//! that call it directly. All retries carry the same id, so that a catalog can tell them from new
//! buys: see [`crate::model::applied_orders`]. A catalog issues ids for changes that serve no
//! order. Nothing is kept on disk: a server that starts again takes another start number.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::model::book::STAMP_MAX;
use crate::model::number;
use crate::model::order::{Order, OrderId};

/// Issues order ids, and knows which orders are not answered yet.
#[derive(Debug)]
pub(crate) struct OrderIds {
    start: u64,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    next: u64,
    /// When the last order was issued, or later.
    at: u64,
    /// Issued and not answered yet.
    open: BTreeSet<u64>,
}

/// An order that is not answered yet. Drop it once it is.
#[derive(Debug)]
pub(crate) struct OpenOrder {
    counts: Arc<Mutex<Counts>>,
    pub(crate) order: Order,
}

impl OrderIds {
    /// Starts to count, with a start number that no other server has: 53 random bits, because
    /// nothing numbers the servers.
    pub(crate) fn new() -> OrderIds {
        OrderIds::of_start(fastrand::u64(1..=STAMP_MAX))
    }

    /// As [`OrderIds::new`], with the start number that this server already has.
    pub(crate) fn of_start(start: u64) -> OrderIds {
        let counts = Arc::default();
        OrderIds { start, counts }
    }

    /// A new order of one copy, with the client's own `Idempotency-Key` if there is one.
    pub(crate) fn open(&self, key: Option<Arc<str>>) -> OpenOrder {
        self.open_at(unix_ms(), key)
    }

    /// As [`OrderIds::open`], issued at `now`.
    pub(crate) fn open_at(&self, now: u64, key: Option<Arc<str>>) -> OpenOrder {
        let mut counts = lock(&self.counts);
        let count = counts.next;
        counts.next += 1;
        counts.at = counts.at.max(now);
        let at = counts.at;
        counts.open.insert(count);
        let open = *counts.open.first().expect("it has this count at least");
        let id = OrderId {
            start: self.start,
            count,
        };
        OpenOrder {
            counts: self.counts.clone(),
            order: Order {
                id,
                open,
                at,
                copies: 1,
                key,
            },
        }
    }

    /// A book has orders up to this time, and may have forgotten one of this server, so orders from
    /// now on are issued later. Only clocks that are minutes apart make this necessary: a logical
    /// clock (Lamport, 1978).
    pub(crate) fn catch_up_with(&self, newest: u64) {
        let mut counts = lock(&self.counts);
        counts.at = counts
            .at
            .max(newest.saturating_add(1).min(number::EXACT_MAX));
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().expect("no thread panics under this lock")
}

/// The time in ms since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

impl Drop for OpenOrder {
    fn drop(&mut self) {
        lock(&self.counts).open.remove(&self.order.id.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_is_the_lowest_order_that_is_not_answered() {
        let ids = OrderIds::new();
        let (first, second) = (ids.open(None), ids.open(None));
        assert_eq!((second.order.id.count, second.order.open), (1, 0));
        drop(first);
        assert_eq!(ids.open(None).order.open, 1);
        drop(second);
        assert_eq!(ids.open(None).order.open, 3);
    }

    #[test]
    fn time_never_goes_back_from_one_order_to_the_next() {
        let ids = OrderIds::new();
        assert_eq!(ids.open_at(2000, None).order.at, 2000);
        assert_eq!(ids.open_at(1000, None).order.at, 2000);
        ids.catch_up_with(5000);
        assert_eq!(ids.open_at(3000, None).order.at, 5001);
    }

    #[test]
    fn two_servers_never_issue_the_same_id() {
        let ids = [OrderIds::new(), OrderIds::new()].map(|ids| ids.open(None).order.id);
        assert_ne!(ids[0], ids[1]);
    }
}

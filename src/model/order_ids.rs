//! The order_ids: gives each buy its order id, and knows which are not answered yet.
//!
//! Whoever sees a buy first has one: a front-end, and an order server for customers who call it
//! directly. See [`crate::model::applied_orders`] for what the ids are for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::model::book::STAMP_MAX;
use crate::model::order::{Order, OrderId};

/// Gives ids to orders: a start number of its own and a count.
#[derive(Debug)]
pub struct OrderIds {
    start: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    next: u64,
    /// Those given and not answered yet.
    open: BTreeSet<u64>,
}

/// An order that is not answered yet; dropping the slip says that it is.
#[derive(Debug)]
pub struct OpenOrder<'a> {
    order_ids: &'a OrderIds,
    pub order: Order,
}

impl OrderIds {
    /// A ids with a start number that no other has: 53 random bits, since there is nobody to number
    /// the tills.
    pub fn new() -> OrderIds {
        OrderIds {
            start: fastrand::u64(1..=STAMP_MAX),
            counts: Mutex::default(),
        }
    }

    /// A new order, with its customer's own key if there is one.
    pub fn open(&self, key: Option<Arc<str>>) -> OpenOrder<'_> {
        let mut counts = self.counts.lock().expect("no holder panics");
        let count = counts.next;
        counts.next += 1;
        counts.open.insert(count);
        let open = *counts.open.first().expect("it has this count at least");
        let id = OrderId {
            start: self.start,
            count,
        };
        OpenOrder {
            order_ids: self,
            order: Order { id, open, key },
        }
    }
}

impl Default for OrderIds {
    fn default() -> OrderIds {
        OrderIds::new()
    }
}

impl Drop for OpenOrder<'_> {
    fn drop(&mut self) {
        let mut counts = self.order_ids.counts.lock().expect("no holder panics");
        counts.open.remove(&self.order.id.count);
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
    fn two_tills_never_give_the_same_id() {
        let ids = [OrderIds::new(), OrderIds::new()].map(|ids| ids.open(None).order.id);
        assert_ne!(ids[0], ids[1]);
    }
}

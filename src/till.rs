//! The till: gives each buy its order id, and knows which are not answered yet.
//!
//! Whoever sees a buy first has one: a front-end, and an order server for customers who call it directly. See
//! [`crate::orders`] for what the ids are for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::book::STAMP_MAX;
use crate::orders::{Order, OrderId};

/// Gives ids to orders: a start number of its own and a count.
#[derive(Debug)]
pub struct Till {
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
pub struct Slip<'a> {
    till: &'a Till,
    pub order: Order,
}

impl Till {
    /// A till with a start number that no other has: 53 random bits, since there is nobody to number the tills.
    pub fn new() -> Till {
        Till {
            start: fastrand::u64(1..=STAMP_MAX),
            counts: Mutex::default(),
        }
    }

    /// A new order, with its customer's own key if there is one.
    pub fn slip(&self, key: Option<Arc<str>>) -> Slip<'_> {
        let mut counts = self.counts.lock().expect("no holder panics");
        let count = counts.next;
        counts.next += 1;
        counts.open.insert(count);
        let open = *counts.open.first().expect("it has this count at least");
        let id = OrderId {
            start: self.start,
            count,
        };
        Slip {
            till: self,
            order: Order { id, open, key },
        }
    }
}

impl Default for Till {
    fn default() -> Till {
        Till::new()
    }
}

impl Drop for Slip<'_> {
    fn drop(&mut self) {
        let mut counts = self.till.counts.lock().expect("no holder panics");
        counts.open.remove(&self.order.id.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_is_the_lowest_order_that_is_not_answered() {
        let till = Till::new();
        let (first, second) = (till.slip(None), till.slip(None));
        assert_eq!((second.order.id.count, second.order.open), (1, 0));
        drop(first);
        assert_eq!(till.slip(None).order.open, 1);
        drop(second);
        assert_eq!(till.slip(None).order.open, 3);
    }

    #[test]
    fn two_tills_never_give_the_same_id() {
        let ids = [Till::new(), Till::new()].map(|till| till.slip(None).order.id);
        assert_ne!(ids[0], ids[1]);
    }
}

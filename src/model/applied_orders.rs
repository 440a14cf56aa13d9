//! AppliedOrders: how a sale is told from the same sale sent again.
//!
//! Whoever sees a buy first gives it an [`OrderId`]: its own start number and a count. With it
//! travels `open`, the lowest count that is not answered yet: nobody will send a lower one again,
//! so a book may forget those. A customer's own `Idempotency-Key` travels beside it. A book keeps
//! both in its own record ([`AppliedOrders`]), so that stock and order are replicated, and on disk,
//! together. REPLICATION.md, "AppliedOrders", is the rule; the idea of the window is TCP's.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::order::Order;

/// How many starts' orders a book remembers; beyond, the start that sold longest ago is forgotten.
pub const STARTS_MAX: usize = 8;

/// How many customers' keys a book remembers; beyond, the oldest is forgotten.
pub const KEYS_MAX: usize = 1000;

/// What a book remembers of the orders that took copies off its stock. Most books remember nothing,
/// and pay a pointer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppliedOrders(Option<Arc<Memory>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// The start that sold last stands last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    starts: Vec<Start>,
    /// The newest key stands last.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    keys: VecDeque<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Start {
    start: u64,
    open: u64,
    /// All at or above `open`.
    applied: BTreeSet<u64>,
}

impl AppliedOrders {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this order, by its id or by its customer's key, has taken its copy already.
    pub fn contains(&self, order: &Order) -> bool {
        self.0.as_ref().is_some_and(|memory| memory.contains(order))
    }

    /// Whether this very order has taken its copy, rather than another one of its customer's with
    /// the same key.
    pub fn contains_id(&self, order: &Order) -> bool {
        self.0
            .as_ref()
            .is_some_and(|memory| memory.contains_id(order))
    }

    /// Whether this order's id is below what its giver still waits for, so that nobody can tell any
    /// more.
    pub fn is_closed(&self, order: &Order) -> bool {
        let start = self
            .0
            .as_ref()
            .and_then(|memory| memory.start(order.id.start));
        start.is_some_and(|start| order.id.count < start.open)
    }

    /// These orders take their copies; what is closed or too old is forgotten.
    pub fn apply(&mut self, orders: &[Order]) {
        if orders.is_empty() {
            return;
        }
        let memory = Arc::make_mut(self.0.get_or_insert_default());
        for order in orders {
            memory.apply(order);
        }
    }
}

impl Memory {
    fn start(&self, start: u64) -> Option<&Start> {
        self.starts.iter().find(|known| known.start == start)
    }

    fn contains_id(&self, order: &Order) -> bool {
        let start = self.start(order.id.start);
        start.is_some_and(|start| start.applied.contains(&order.id.count))
    }

    fn contains(&self, order: &Order) -> bool {
        self.contains_id(order)
            || order
                .key
                .as_ref()
                .is_some_and(|key| self.keys.contains(key))
    }

    fn apply(&mut self, order: &Order) {
        let at = self
            .starts
            .iter()
            .position(|known| known.start == order.id.start);
        let fresh = Start {
            start: order.id.start,
            open: 0,
            applied: BTreeSet::new(),
        };
        let mut start = at.map_or(fresh, |at| self.starts.remove(at));
        start.open = start.open.max(order.open);
        start.applied.insert(order.id.count);
        start.applied = start.applied.split_off(&start.open);
        self.starts.push(start);
        if STARTS_MAX < self.starts.len() {
            self.starts.remove(0);
        }
        if let Some(key) = &order.key {
            self.keys.push_back(key.clone());
            if KEYS_MAX < self.keys.len() {
                self.keys.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::OrderId;

    fn order(count: u64, open: u64) -> Order {
        Order {
            id: OrderId { start: 7, count },
            open,
            key: None,
        }
    }

    #[test]
    fn an_order_reads_what_it_prints() {
        let keyed = Order {
            key: Some("a;b=c".into()),
            ..order(5, 3)
        };
        assert_eq!(keyed.to_string(), "7.5; open=3; key=a;b=c");
        assert_eq!(Order::parse_with_key(&keyed.to_string()), Some(keyed));
        assert_eq!(Order::parse("7.5;open=3"), Some(order(5, 3)));
        for text in [
            "",
            "7.5",
            "7.5; open=6",
            "7; open=1",
            "x.5; open=1",
            "7.5; open=3; more",
        ] {
            assert_eq!(Order::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_order_is_known_by_its_id_and_by_its_key() {
        let mut orders = AppliedOrders::default();
        orders.apply(&[Order {
            key: Some("k".into()),
            ..order(1, 1)
        }]);
        assert!(orders.contains(&order(1, 1)));
        assert!(!orders.contains(&order(2, 1)));
        let again = Order {
            key: Some("k".into()),
            ..order(3, 1)
        };
        assert!(orders.contains(&again) && !orders.contains_id(&again));
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten_and_closed() {
        let mut orders = AppliedOrders::default();
        orders.apply(&[order(1, 1), order(2, 2)]);
        assert!(!orders.contains(&order(1, 1)) && orders.is_closed(&order(1, 1)));
        assert!(orders.contains(&order(2, 2)) && !orders.is_closed(&order(2, 2)));
    }

    #[test]
    fn starts_and_keys_are_bounded() {
        let mut orders = AppliedOrders::default();
        for n in 0..2000 {
            let id = OrderId { start: n, count: 0 };
            orders.apply(&[Order {
                id,
                open: 0,
                key: Some(n.to_string().into()),
            }]);
        }
        let memory = orders.0.unwrap();
        assert_eq!(
            (memory.starts.len(), memory.keys.len()),
            (STARTS_MAX, KEYS_MAX)
        );
    }
}

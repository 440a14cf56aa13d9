//! The orders that a book has applied: how a buy that is sent again is told from a new one.
//!
//! Each buy has an `OrderId`, and perhaps the client's own `Idempotency-Key`. A book keeps both in
//! its own record, so that stock and orders are replicated, and written to disk, together.
//!
//! A book need not remember every id: with each order travels `open`, the lowest count that its
//! issuer has not answered yet. The issuer never sends a lower count again, so the book forgets
//! those, and refuses one that arrives all the same as *closed*. The idea of the window is TCP's.
//! `catalog/replication/PROTOCOL.md` says why this is enough: "Orders are applied at most once".

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::order::Order;

/// How many issuers' orders a book remembers. Beyond, it forgets the issuer that sold longest ago.
const ISSUERS_MAX: usize = 8;

/// How many `Idempotency-Key`s a book remembers. Beyond, it forgets the oldest.
const KEYS_MAX: usize = 1000;

/// The orders that took copies off a book's stock. Most books have none, and pay for a pointer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AppliedOrders(Option<Arc<Inner>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Inner {
    /// By the time of their last sale, the last one at the end.
    #[serde(default, alias = "starts", skip_serializing_if = "Vec::is_empty")]
    issuers: Vec<Issuer>,
    /// By age, the newest at the end.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    keys: VecDeque<Arc<str>>,
}

/// The orders of one server's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Issuer {
    start: u64,
    open: u64,
    /// All at or above `open`.
    applied: BTreeSet<u64>,
}

impl AppliedOrders {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this order has taken its copy already, as its id or its client's key tells.
    pub(crate) fn contains(&self, order: &Order) -> bool {
        let has_key = |inner: &Arc<Inner>| {
            let key = order.key.as_ref();
            key.is_some_and(|key| inner.keys.contains(key))
        };
        self.contains_id(order) || self.0.as_ref().is_some_and(has_key)
    }

    /// Whether this very order has taken its copy, not another one with the same key.
    pub(crate) fn contains_id(&self, order: &Order) -> bool {
        self.issuer(order)
            .is_some_and(|issuer| issuer.applied.contains(&order.id.count))
    }

    /// Whether this order is below its issuer's window, so that nothing is known of it any more.
    pub(crate) fn is_closed(&self, order: &Order) -> bool {
        self.issuer(order)
            .is_some_and(|issuer| order.id.count < issuer.open)
    }

    /// Adds these orders, and forgets what is closed or too old.
    pub(crate) fn apply(&mut self, orders: &[Order]) {
        if orders.is_empty() {
            return;
        }
        let inner = Arc::make_mut(self.0.get_or_insert_default());
        for order in orders {
            inner.apply(order);
        }
    }

    fn issuer(&self, order: &Order) -> Option<&Issuer> {
        let mut issuers = self.0.as_ref()?.issuers.iter();
        issuers.find(|issuer| issuer.start == order.id.start)
    }
}

impl Inner {
    fn apply(&mut self, order: &Order) {
        let start = order.id.start;
        let known = self.issuers.iter().position(|known| known.start == start);
        let new = Issuer {
            start,
            open: 0,
            applied: BTreeSet::new(),
        };
        let mut issuer = known.map_or(new, |at| self.issuers.remove(at));
        issuer.open = issuer.open.max(order.open);
        issuer.applied.insert(order.id.count);
        issuer.applied = issuer.applied.split_off(&issuer.open);
        self.issuers.push(issuer);
        if ISSUERS_MAX < self.issuers.len() {
            self.issuers.remove(0);
        }
        self.keys.extend(order.key.clone());
        if KEYS_MAX < self.keys.len() {
            self.keys.pop_front();
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
    fn an_order_below_the_window_is_forgotten_and_closed() {
        let mut orders = AppliedOrders::default();
        orders.apply(&[order(1, 1), order(2, 2)]);
        assert!(!orders.contains(&order(1, 1)) && orders.is_closed(&order(1, 1)));
        assert!(orders.contains(&order(2, 2)) && !orders.is_closed(&order(2, 2)));
    }

    #[test]
    fn issuers_and_keys_are_bounded() {
        let mut orders = AppliedOrders::default();
        for n in 0..2000 {
            let id = OrderId { start: n, count: 0 };
            orders.apply(&[Order {
                id,
                open: 0,
                key: Some(n.to_string().into()),
            }]);
        }
        let inner = orders.0.unwrap();
        assert_eq!(
            (inner.issuers.len(), inner.keys.len()),
            (ISSUERS_MAX, KEYS_MAX)
        );
    }
}

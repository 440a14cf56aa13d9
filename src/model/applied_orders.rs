//! The orders that a book has applied: how a buy that is sent again is told from a new one.
//!
//! Each buy has an `OrderId`, and perhaps the client's own `Idempotency-Key`. A book keeps both in
//! its own record, so that stock and orders are replicated, and written to disk, together.
//!
//! A book need not remember every id: with each order travels `open`, the lowest count that its
//! issuer has not answered yet. The issuer never sends a lower count again, so the book forgets
//! those, and refuses one that arrives all the same as *closed*. The idea of the window is TCP's.
//!
//! Nor are issuers remembered for ever, since each start of a server is one. A book forgets an
//! issuer 10 minutes after its last order, and notes when that order was issued. Whatever was
//! issued up to then, by an issuer that the book does not know, is closed as well. So a book whose
//! memory is bounded answers "cannot tell", and never takes an old order for a new one, whatever
//! the clocks do. `catalog/replication/PROTOCOL.md`, "Orders".

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::number;
use crate::model::order::Order;

/// How many issuers' orders a book remembers. Beyond, it forgets the one whose last order is
/// oldest.
const ISSUERS_MAX: usize = 64;

/// How long an issuer is remembered after its last order, in ms. No request takes so long, and no
/// two clocks of a shop should be so far apart.
const ISSUER_MEMORY_MS: u64 = 10 * 60 * 1000;

/// How many `Idempotency-Key`s a book's record has, of so many characters in all. Beyond, it forgets
/// the oldest: the ledger does not.
const KEYS_MAX: usize = 1000;
const KEYS_CHARS_MAX: usize = 64_000;

/// The orders that changed a book. Most books have none, and pay for a pointer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AppliedOrders(Option<Arc<Inner>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(default, alias = "starts", skip_serializing_if = "Vec::is_empty")]
    issuers: Vec<Issuer>,
    /// When the newest forgotten order was issued, in ms since 1970.
    #[serde(default, skip_serializing_if = "number::is_zero")]
    forgotten: u64,
    /// The stamp of the book's first version, if it was added and not in the first stock.
    #[serde(default, skip_serializing_if = "number::is_zero")]
    created: u64,
    /// By age, the newest at the end.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    keys: VecDeque<Arc<str>>,
    /// How many copies the orders of those keys took that did not take one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    key_copies: BTreeMap<Arc<str>, u32>,
}

/// The orders of one server's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Issuer {
    start: u64,
    open: u64,
    /// When its newest applied order was issued, in ms since 1970.
    #[serde(default)]
    last: u64,
    /// The book's `forgotten` when it first had an order of this issuer. It may have forgotten this
    /// issuer's orders up to then.
    #[serde(default, skip_serializing_if = "number::is_zero")]
    since: u64,
    /// All at or above `open`.
    applied: BTreeSet<u64>,
    /// How many copies those took that did not take one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    copies: BTreeMap<u64, u32>,
}

impl AppliedOrders {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this order was applied already, as its id or its client's key tells.
    pub(crate) fn contains(&self, order: &Order) -> bool {
        self.copies_of(order).is_some()
    }

    /// Whether an order of this id, or of its client's key, was applied that took another number of
    /// copies: this one is not the same purchase.
    pub(crate) fn differs(&self, order: &Order) -> bool {
        let copies = self.copies_of(order);
        copies.is_some_and(|copies| copies != order.copies)
    }

    /// Whether this very order was applied for another number of copies.
    pub(crate) fn differs_by_id(&self, order: &Order) -> bool {
        let by_id = Order {
            key: None,
            ..order.clone()
        };
        self.differs(&by_id)
    }

    /// How many copies this order took, or the one with its client's key.
    fn copies_of(&self, order: &Order) -> Option<u32> {
        if let Some(issuer) = self.issuer(order)
            && issuer.applied.contains(&order.id.count)
        {
            return Some(
                issuer
                    .copies
                    .get(&order.id.count)
                    .map_or(1, |copies| *copies),
            );
        }
        let (inner, key) = (self.0.as_ref()?, order.key.as_ref()?);
        let copies = || inner.key_copies.get(key).map_or(1, |copies| *copies);
        inner.keys.contains(key).then(copies)
    }

    /// Whether this very order was applied, not another one with the same key.
    pub(crate) fn contains_id(&self, order: &Order) -> bool {
        self.issuer(order)
            .is_some_and(|issuer| issuer.applied.contains(&order.id.count))
    }

    /// Whether it may be that this order was applied and forgotten, if it is not here.
    pub(crate) fn is_closed(&self, order: &Order) -> bool {
        let is_answered = |issuer: &Issuer| order.id.count < issuer.open;
        self.issuer(order).is_some_and(is_answered) || self.is_forgotten(order)
    }

    /// Whether it was issued so long ago that its issuer's orders may have been forgotten.
    pub(crate) fn is_forgotten(&self, order: &Order) -> bool {
        let issuer = self.issuer(order);
        let forgotten = issuer.map_or(self.forgotten(), |issuer| issuer.since);
        forgotten != 0 && order.at <= forgotten
    }

    /// Orders of unknown issuers that were issued up to then are closed: ms since 1970, 0 if none
    /// was forgotten.
    pub(crate) fn forgotten(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.forgotten)
    }

    /// The time from which on orders must be issued by a server whose order was closed: 0 if none
    /// was forgotten. That is when the newest order here was issued. Up to when orders are
    /// forgotten would not do: after a clock that was ahead, an issuer whose order is just later
    /// than that is forgotten at once, and each order that follows is closed again.
    pub(crate) fn catch_up_to(&self) -> u64 {
        let newest = self.0.as_ref().map_or(0, |inner| inner.newest());
        match self.forgotten() {
            0 => 0,
            forgotten => forgotten.max(newest),
        }
    }

    /// Adds these orders, and forgets what is closed or too old.
    pub(crate) fn apply<'a>(&mut self, orders: impl IntoIterator<Item = &'a Order>) {
        let mut orders = orders.into_iter().peekable();
        if orders.peek().is_none() {
            return;
        }
        let inner = Arc::make_mut(self.0.get_or_insert_default());
        orders.for_each(|order| inner.apply(order));
        inner.forget();
    }

    /// Notes that the book was added with this stamp, in its first version.
    pub(crate) fn set_created(&mut self, stamp: u64) {
        Arc::make_mut(self.0.get_or_insert_default()).created = stamp;
    }

    /// The stamp of the book's first version, if it was noted.
    pub(crate) fn created(&self) -> Option<u64> {
        let created = self.0.as_ref()?.created;
        (created != 0).then_some(created)
    }

    /// Whether all that `other` has is here, or may have been here and is forgotten.
    pub(crate) fn may_include(&self, other: &AppliedOrders) -> bool {
        let issuers = other.0.iter().flat_map(|inner| &inner.issuers);
        let known = || self.0.iter().flat_map(|inner| &inner.issuers);
        let includes = |theirs: &Issuer| match known().find(|ours| ours.start == theirs.start) {
            Some(ours) => {
                let is_here = |count: &u64| *count < ours.open || ours.applied.contains(count);
                theirs.applied.iter().all(is_here)
            }
            None => theirs.applied.is_empty() || theirs.last <= self.forgotten(),
        };
        let same_book = other.created().is_none() || self.created() == other.created();
        same_book && issuers.into_iter().all(includes)
    }

    fn issuer(&self, order: &Order) -> Option<&Issuer> {
        let mut issuers = self.0.as_ref()?.issuers.iter();
        issuers.find(|issuer| issuer.start == order.id.start)
    }
}

impl Inner {
    fn apply(&mut self, order: &Order) {
        let start = order.id.start;
        // An order without a time is as old as the newest.
        let issued = if order.at == 0 {
            self.newest()
        } else {
            order.at
        };
        let known = self.issuers.iter().position(|known| known.start == start);
        let at = known.unwrap_or_else(|| {
            self.issuers.push(Issuer {
                start,
                open: 0,
                last: 0,
                since: self.forgotten,
                applied: BTreeSet::new(),
                copies: BTreeMap::new(),
            });
            self.issuers.len() - 1
        });
        let issuer = &mut self.issuers[at];
        issuer.open = issuer.open.max(order.open);
        issuer.last = issuer.last.max(issued);
        issuer.applied.insert(order.id.count);
        issuer.applied = issuer.applied.split_off(&issuer.open);
        if order.copies != 1 {
            issuer.copies.insert(order.id.count, order.copies);
            let key = order.key.clone();
            self.key_copies.extend(key.map(|key| (key, order.copies)));
        }
        issuer.copies = issuer.copies.split_off(&issuer.open);
        self.keys.extend(order.key.clone());
    }

    /// When the newest order that is remembered was issued.
    fn newest(&self) -> u64 {
        let issued = self.issuers.iter().map(|issuer| issuer.last);
        issued.max().unwrap_or(0)
    }

    fn forget(&mut self) {
        let oldest = self.newest().saturating_sub(ISSUER_MEMORY_MS);
        self.issuers.sort_by_key(|issuer| issuer.last);
        let too_many = self.issuers.len().saturating_sub(ISSUERS_MAX);
        let too_old = self.issuers.partition_point(|issuer| issuer.last < oldest);
        for forgotten in self.issuers.drain(..too_many.max(too_old)) {
            // An issuer without times, of an older data folder, is closed from the beginning.
            self.forgotten = self.forgotten.max(forgotten.last).max(1);
        }
        let mut chars: usize = self.keys.iter().map(|key| key.len()).sum();
        while KEYS_MAX < self.keys.len() || KEYS_CHARS_MAX < chars {
            let key = self.keys.pop_front().expect("there are some");
            chars -= key.len();
            self.key_copies.remove(&key);
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
            at: 0,
            copies: 1,
            key: None,
        }
    }

    /// The first order of a start, issued at this minute.
    fn first_order(start: u64, minute: u64) -> Order {
        Order {
            id: OrderId { start, count: 0 },
            at: minute * 60_000,
            ..order(0, 0)
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
        let timed = Order {
            at: 90,
            ..order(5, 3)
        };
        assert_eq!(timed.header(), "7.5; open=3; at=90");
        assert_eq!(Order::parse(&timed.header()), Some(timed));
        let several = Order {
            copies: 3,
            key: Some("k".into()),
            ..order(5, 3)
        };
        assert_eq!(several.to_string(), "7.5; open=3; copies=3; key=k");
        assert_eq!(Order::parse_with_key(&several.to_string()), Some(several));
        for text in [
            "",
            "7.5",
            "7.5; open=6",
            "7; open=1",
            "x.5; open=1",
            "7.5; open=3; more",
            "7.5; open=3; at=x",
            "7.5; open=3; at=9; more",
            "7.5; open=3; copies=0",
            "7.5; open=3; copies=1001",
            "7.5; open=3; copies=2; at=9",
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
    fn an_order_or_a_key_with_another_number_of_copies_is_another_purchase() {
        let mut orders = AppliedOrders::default();
        let of = |copies, count, key: &str| Order {
            copies,
            key: Some(key.into()),
            ..order(count, 1)
        };
        orders.apply(&[of(3, 1, "three"), of(1, 2, "one")]);
        assert!(!orders.differs(&of(3, 1, "three")) && !orders.differs(&of(3, 9, "three")));
        assert!(orders.differs(&of(1, 9, "three")) && orders.differs(&of(2, 9, "one")));
        assert!(orders.differs(&of(1, 1, "other")), "its id was used");
        assert!(!orders.differs(&of(1, 9, "other")));
        let json = serde_json::to_string(&orders).unwrap();
        assert_eq!(
            serde_json::from_str::<AppliedOrders>(&json).unwrap(),
            orders
        );
    }

    #[test]
    fn an_order_below_the_window_is_forgotten_and_closed() {
        let mut orders = AppliedOrders::default();
        orders.apply(&[order(1, 1), order(2, 2)]);
        assert!(!orders.contains(&order(1, 1)) && orders.is_closed(&order(1, 1)));
        assert!(orders.contains(&order(2, 2)) && !orders.is_closed(&order(2, 2)));
    }

    #[test]
    fn an_order_that_waited_while_its_front_end_started_twelve_times_is_closed() {
        let mut orders = AppliedOrders::default();
        let waited = first_order(1, 100);
        orders.apply(std::slice::from_ref(&waited));
        for start in 2..=13 {
            orders.apply(&[first_order(start, 100)]);
        }
        assert!(orders.contains(&waited), "twelve starts are remembered");
        orders.apply(&[first_order(14, 111)]);
        assert!(!orders.contains(&waited) && orders.is_closed(&waited));
        let new = first_order(15, 101);
        assert!(
            !orders.is_closed(&new),
            "it is newer than what was forgotten"
        );
    }

    #[test]
    fn an_issuer_that_was_forgotten_and_sells_again_opens_no_older_order() {
        let mut orders = AppliedOrders::default();
        let first = first_order(1, 100);
        orders.apply(&[first.clone(), first_order(2, 120)]);
        let second = Order {
            id: OrderId { start: 1, count: 1 },
            ..first_order(1, 121)
        };
        orders.apply(&[second]);
        assert!(!orders.contains(&first) && orders.is_closed(&first));
    }

    #[test]
    fn an_issuer_whose_clock_is_behind_is_closed_until_it_catches_up() {
        let mut orders = AppliedOrders::default();
        orders.apply(&[first_order(1, 100), first_order(2, 120)]);
        assert!(orders.is_closed(&first_order(3, 90)));
        let ids = crate::model::order_ids::OrderIds::new();
        ids.catch_up_with(orders.catch_up_to());
        assert!(!orders.is_closed(&ids.open_at(90 * 60_000, None).order));
    }

    #[test]
    fn while_another_clock_was_a_day_ahead_a_server_is_refused_one_order() {
        let mut orders = AppliedOrders::default();
        let day = 24 * 60;
        orders.apply(&[first_order(1, 90 + day), first_order(2, 101 + day)]);
        let ids = crate::model::order_ids::OrderIds::new();
        let issue = || ids.open_at(91 * 60_000, None).order.clone();
        assert!(orders.is_closed(&issue()));
        ids.catch_up_with(orders.catch_up_to());
        for _ in 0..3 {
            let order = issue();
            assert!(!orders.is_closed(&order), "{order}");
            orders.apply(&[order]);
        }
    }

    #[test]
    fn issuers_and_keys_are_bounded() {
        let mut orders = AppliedOrders::default();
        for n in 0..2000 {
            orders.apply(&[Order {
                key: Some(n.to_string().into()),
                ..first_order(n, 1)
            }]);
        }
        let inner = orders.0.unwrap();
        assert_eq!(
            (inner.issuers.len(), inner.keys.len()),
            (ISSUERS_MAX, KEYS_MAX)
        );
    }
}

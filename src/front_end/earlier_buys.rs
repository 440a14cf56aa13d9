//! Buys of an `Idempotency-Key` that an order server may still be at.
//!
//! A buyer who was told "unknown" sends the buy again with its key, as a new order. An order server
//! that has not answered may still be at the former one, and sell it a copy as soon as there is
//! one, after a restock. While that may be, "out of stock" is no promise to this buyer.
//!
//! A request that was answered has ended. One that was not answered in time, or whose connection
//! broke, is late: its order server may still have it. It has ended once nobody listens at that
//! server's address, or once the server has gone on answering health checks for longer than it goes
//! on with an order. One that is stopped goes on with it when it is continued, be that hours later.
//! So nothing is forgotten because of its age. What there is no room for is remembered as if it
//! might be of any key.
//!
//! An earlier order may end, and have sold a copy, after this buy was told that none is left. So a
//! buy that began before that asks once more.
//!
//! Nobody else knows of this: neither another front-end, nor this one after a restart.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::membership::health_check::HealthCheck;
use crate::model::order::Order;
use crate::model::validation::BatchBuy;
use crate::runtime::sync;

/// An order server begins no round of an order later than this. By its clock it is 3 s
/// (`crate::order`, "Retries"); one that has hung first has to come to the order.
const ROUNDS_MAX: Duration = Duration::from_secs(5);

/// Buys are noted by key of so many keys. While one beyond may be sold a copy, any key is in doubt.
const KEYS_MAX: usize = 10_000;

pub(super) struct EarlierBuys {
    /// An order server ends its last round of an order within this time.
    late_max: Duration,
    /// Held for moments only.
    noted: Mutex<Noted>,
    ended: Condvar,
}

#[derive(Default)]
struct Noted {
    by_key: HashMap<Arc<str>, Vec<Begun>>,
    /// Those of keys that there was no room for.
    others: Vec<Begun>,
}

/// One order that was begun; or several, the first of which has this count, once only late requests
/// of theirs are left.
struct Begun {
    count: u64,
    /// Its buyer waits for the answer.
    is_open: bool,
    /// Requests to order servers that have not ended.
    under_way: usize,
    /// Order servers with late requests, and when the last one was found to be.
    late: Vec<(Arc<HealthCheck>, Instant)>,
}

/// A buy that waits for its answer. Drop it once it has one.
pub(super) struct OpenBuy {
    earlier_buys: Arc<EarlierBuys>,
    key: Option<Arc<str>>,
    count: u64,
    /// When it began, an earlier one of the same key might have been sold a copy yet.
    pub(super) had_earlier: bool,
    /// No order of this key can take a copy any more.
    pub(super) is_settled: bool,
}

impl EarlierBuys {
    /// `round_max`: how long an order server's last round of an order may take.
    pub(super) fn new(round_max: Duration) -> EarlierBuys {
        EarlierBuys {
            late_max: ROUNDS_MAX + round_max,
            noted: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Notes an order, if it has a key.
    pub(super) fn begin(self: &Arc<Self>, order: &Order) -> OpenBuy {
        let mut open = OpenBuy {
            earlier_buys: self.clone(),
            key: order.key.clone(),
            count: order.id.count,
            had_earlier: false,
            is_settled: false,
        };
        let Some(key) = &order.key else { return open };
        let mut noted = sync::lock(&self.noted);
        let Noted { by_key, others } = &mut *noted;
        others.retain(|one| self.may_sell(one));
        if KEYS_MAX <= by_key.len() {
            by_key.retain(|_, begun| begun.iter().any(|one| self.may_sell(one)));
        }
        let has_room = by_key.len() < KEYS_MAX || by_key.contains_key(key);
        let list = if has_room {
            by_key.entry(key.clone()).or_default()
        } else {
            others
        };
        list.push(Begun {
            count: open.count,
            is_open: true,
            under_way: 0,
            late: Vec::new(),
        });
        open.had_earlier = self.earlier_may_sell(&noted, key, open.count);
        open
    }

    #[cfg(test)]
    pub(super) fn count(&self, key: &str) -> usize {
        let noted = sync::lock(&self.noted);
        noted.by_key.get(key).map_or(0, Vec::len)
    }

    /// These are about to be sent to an order server.
    pub(super) fn sent(&self, buys: &[BatchBuy]) {
        self.each(buys, |begun| begun.under_way += 1);
    }

    /// A request with these has ended. `late`: not at this order server, as far as one knows.
    pub(super) fn answered(&self, buys: &[BatchBuy], late: Option<&Arc<HealthCheck>>) {
        let now = Instant::now();
        self.each(buys, |begun| {
            begun.under_way -= 1;
            begun.add_late(late.map(|server| (server.clone(), now)));
        });
        self.ended.notify_all();
    }

    fn each(&self, buys: &[BatchBuy], note: impl Fn(&mut Begun)) {
        let keyed = |buy: &BatchBuy| Some((buy.order.key.clone()?, buy.order.id.count));
        let keyed: Vec<(Arc<str>, u64)> = buys.iter().filter_map(keyed).collect();
        if keyed.is_empty() {
            return;
        }
        let mut noted = sync::lock(&self.noted);
        let Noted { by_key, others } = &mut *noted;
        for (key, count) in keyed {
            let of_key = by_key.get_mut(&key).into_iter().flatten();
            of_key
                .chain(others.iter_mut())
                .filter(|begun| begun.count == count)
                .for_each(&note);
        }
    }

    /// Whether an order server may still sell a copy for an earlier buy of this key than the one
    /// with this count.
    fn earlier_may_sell(&self, noted: &Noted, key: &str, count: u64) -> bool {
        let of_key = noted.by_key.get(key).into_iter().flatten();
        let mut earlier = of_key
            .chain(&noted.others)
            .filter(|begun| begun.count < count);
        earlier.any(|begun| self.may_sell(begun))
    }

    /// Whether an order server may still sell a copy for this.
    fn may_sell(&self, begun: &Begun) -> bool {
        let has_ended = |(server, since): &(Arc<HealthCheck>, Instant)| {
            let was_heard = || server.was_heard_for(self.late_max);
            server.was_gone_since(*since) || self.late_max <= since.elapsed() && was_heard()
        };
        !begun.is_over() || !begun.late.iter().all(has_ended)
    }

    /// Forgets those that can take no copy any more, and makes one of those that are over.
    fn tidy(&self, list: &mut Vec<Begun>) {
        let (over, mut tidied): (Vec<Begun>, Vec<Begun>) = std::mem::take(list)
            .into_iter()
            .filter(|begun| self.may_sell(begun))
            .partition(Begun::is_over);
        tidied.extend(over.into_iter().reduce(Begun::and));
        *list = tidied;
    }
}

impl Begun {
    /// Whether only late requests of it are left.
    fn is_over(&self) -> bool {
        !self.is_open && self.under_way == 0
    }

    fn add_late(&mut self, late: impl IntoIterator<Item = (Arc<HealthCheck>, Instant)>) {
        for (server, since) in late {
            let mut known = self.late.iter_mut();
            match known.find(|(other, _)| Arc::ptr_eq(other, &server)) {
                Some((_, last)) => *last = since.max(*last),
                None => self.late.push((server, since)),
            }
        }
    }

    fn and(mut self, other: Begun) -> Begun {
        self.count = self.count.min(other.count);
        self.add_late(other.late);
        self
    }
}

impl OpenBuy {
    /// Whether [`OpenBuy::earlier_may_sell`] may have to wait.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether an order server may still sell a copy for an earlier buy of the same key. Waits for
    /// at most this long until none may.
    pub(super) fn earlier_may_sell(&self, timeout: Duration) -> bool {
        let Some(key) = &self.key else { return false };
        let all = &self.earlier_buys;
        let may_sell = |noted: &mut Noted| all.earlier_may_sell(noted, key, self.count);
        let noted = sync::lock(&all.noted);
        let mut noted = sync::wait_timeout_while(&all.ended, noted, timeout, may_sell);
        may_sell(&mut noted)
    }
}

impl Drop for OpenBuy {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        let all = &self.earlier_buys;
        let mut noted = sync::lock(&all.noted);
        let Noted { by_key, others } = &mut *noted;
        let of_key = by_key.get_mut(key).into_iter().flatten();
        let mut both = of_key.chain(others.iter_mut());
        if let Some(own) = both.find(|one| one.count == self.count) {
            own.is_open = false;
        }
        all.tidy(others);
        if let Some(list) = by_key.get_mut(key) {
            list.retain(|one| !self.is_settled || self.count < one.count);
            all.tidy(list);
            if list.is_empty() {
                by_key.remove(key);
            }
        }
        all.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_end::ORDER_SERVER;
    use crate::model::address::Address;
    use crate::model::book::BookId;

    fn all() -> Arc<EarlierBuys> {
        Arc::new(EarlierBuys::new(Duration::from_secs(1)))
    }

    fn begin(all: &Arc<EarlierBuys>, text: &str) -> OpenBuy {
        all.begin(&Order::parse_with_key(text).unwrap())
    }

    fn server() -> Arc<HealthCheck> {
        let address = Address::of("127.0.0.1", 1);
        Arc::new(HealthCheck::new(address, ORDER_SERVER))
    }

    /// An order whose buyer has his answer, although this server may still have it.
    fn late(all: &Arc<EarlierBuys>, text: &str, server: &Arc<HealthCheck>) {
        let buy = BatchBuy {
            id: BookId(1),
            order: Order::parse_with_key(text).unwrap(),
            trace: "r".into(),
        };
        let _open = all.begin(&buy.order);
        all.sent(std::slice::from_ref(&buy));
        all.answered(std::slice::from_ref(&buy), Some(server));
    }

    /// Makes all that is late so much older.
    fn age(all: &EarlierBuys, by: Duration) {
        let mut noted = sync::lock(&all.noted);
        let Noted { by_key, others } = &mut *noted;
        let begun = by_key.values_mut().flatten().chain(others);
        for (_, since) in begun.flat_map(|one| &mut one.late) {
            *since = since.checked_sub(by).expect("this machine runs that long");
        }
    }

    fn may_sell(buy: &OpenBuy) -> bool {
        buy.earlier_may_sell(Duration::ZERO)
    }

    #[test]
    fn a_click_in_the_hands_of_a_stopped_order_server_is_remembered_until_that_goes_on() {
        let (all, server) = (all(), server());
        late(&all, "7.1; open=0; key=k", &server);
        server.report_silent(Instant::now());
        age(&all, Duration::from_secs(1000));
        assert!(may_sell(&begin(&all, "7.2; open=0; key=k")));
        assert!(!may_sell(&begin(&all, "7.3; open=0; key=other")));
        server.report_silent(Instant::now() - Duration::from_secs(60));
        assert!(!may_sell(&begin(&all, "7.4; open=0; key=k")));
    }

    #[test]
    fn a_click_ends_with_the_order_server_that_had_it() {
        let (all, server) = (all(), server());
        server.report_gone(Instant::now());
        late(&all, "7.1; open=0; key=k", &server);
        let again = begin(&all, "7.2; open=0; key=k");
        assert!(may_sell(&again));
        server.report_gone(Instant::now());
        assert!(!may_sell(&again) && again.had_earlier);
        drop(again);
        assert!(!begin(&all, "7.3; open=0; key=k").had_earlier);
    }

    #[test]
    fn however_often_a_click_comes_while_an_order_server_is_stopped_it_is_noted_once() {
        let (all, server) = (all(), server());
        for n in 0..100 {
            late(&all, &format!("7.{n}; open=0; key=k"), &server);
        }
        let noted = sync::lock(&all.noted);
        let list = &noted.by_key["k"];
        assert_eq!((list.len(), list[0].late.len()), (1, 1));
    }

    #[test]
    fn beyond_the_keys_that_are_noted_out_of_stock_is_no_promise_to_anybody_with_a_key() {
        let (all, server) = (all(), server());
        let mut noted = Vec::new();
        for n in 0..KEYS_MAX {
            noted.push(begin(&all, &format!("7.{n}; open=0; key=k{n}")));
        }
        late(&all, "7.20000; open=0; key=x", &server);
        late(&all, "7.20001; open=0; key=y", &server);
        drop(noted);
        age(&all, Duration::from_secs(1000));
        server.report_silent(Instant::now());
        for key in ["x", "y", "z"] {
            assert!(may_sell(&begin(
                &all,
                &format!("7.30000; open=0; key={key}")
            )));
        }
        assert!(!may_sell(&begin(&all, "7.30001; open=0")));
        server.report_gone(Instant::now());
        assert!(!may_sell(&begin(&all, "7.30002; open=0; key=x")));
        assert!(sync::lock(&all.noted).others.is_empty());
    }
}

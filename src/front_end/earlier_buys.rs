//! Buys of an `Idempotency-Key` that an order server may still be at.
//!
//! A buyer who was told "unknown" sends the buy again with its key, as a new order. An order server
//! that has not answered may still be at the former one, and sell it a copy as soon as there is
//! one, after a restock. While that may be, "out of stock" is no promise to this buyer.
//!
//! A request that was answered has ended, and so has one whose connection broke. One that was not
//! answered in time has ended once its order server has gone on answering health checks for longer
//! than it goes on with an order. One that is stopped goes on with it when it is continued.
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

/// An order server that stays silent for so long is given up.
const MEMORY_MAX: Duration = Duration::from_secs(600);

/// Buys are noted of so many keys. Beyond, and for [`MEMORY_MAX`] after, any key may be in doubt.
const KEYS_MAX: usize = 10_000;

pub(super) struct EarlierBuys {
    /// An order server ends its last round of an order within this time.
    late_max: Duration,
    /// By key. Held for moments only.
    buys: Mutex<HashMap<Arc<str>, Vec<Begun>>>,
    ended: Condvar,
    /// When a buy was last not noted, for lack of room.
    unnoted: Mutex<Option<Instant>>,
}

/// One order that was begun.
struct Begun {
    count: u64,
    at: Instant,
    /// Its buyer waits for the answer.
    is_open: bool,
    /// Requests to order servers that have not ended.
    under_way: usize,
    /// Order servers that have not answered in time, and when that was found.
    late: Vec<(Arc<HealthCheck>, Instant)>,
}

/// A buy that waits for its answer. Drop it once it has one.
pub(super) struct OpenBuy {
    earlier_buys: Arc<EarlierBuys>,
    has_key: bool,
    /// If the buy is noted.
    key: Option<Arc<str>>,
    count: u64,
    /// No order of this key can take a copy any more.
    pub(super) is_settled: bool,
}

impl EarlierBuys {
    /// `round_max`: how long an order server's last round of an order may take.
    pub(super) fn new(round_max: Duration) -> EarlierBuys {
        EarlierBuys {
            late_max: ROUNDS_MAX + round_max,
            buys: Mutex::default(),
            ended: Condvar::new(),
            unnoted: Mutex::default(),
        }
    }

    /// Notes an order, if it has a key.
    pub(super) fn begin(self: &Arc<Self>, order: &Order) -> OpenBuy {
        let mut open = OpenBuy {
            earlier_buys: self.clone(),
            has_key: order.key.is_some(),
            key: order.key.clone(),
            count: order.id.count,
            is_settled: false,
        };
        let Some(key) = order.key.clone() else {
            return open;
        };
        let mut buys = sync::lock(&self.buys);
        if KEYS_MAX <= buys.len() {
            buys.retain(|_, begun| begun.iter().any(|one| self.may_sell(one)));
        }
        if KEYS_MAX <= buys.len() {
            open.key = None;
            *sync::lock(&self.unnoted) = Some(Instant::now());
            return open;
        }
        buys.entry(key).or_default().push(Begun {
            count: open.count,
            at: Instant::now(),
            is_open: true,
            under_way: 0,
            late: Vec::new(),
        });
        open
    }

    /// These are about to be sent to an order server.
    pub(super) fn sent(&self, buys: &[BatchBuy]) {
        self.each(buys, |begun| begun.under_way += 1);
    }

    /// A request with these has ended. `late`: the order server has not answered in time.
    pub(super) fn answered(&self, buys: &[BatchBuy], late: Option<&Arc<HealthCheck>>) {
        let now = Instant::now();
        self.each(buys, |begun| {
            begun.under_way -= 1;
            begun.late.extend(late.map(|server| (server.clone(), now)));
        });
        self.ended.notify_all();
    }

    fn each(&self, buys: &[BatchBuy], note: impl Fn(&mut Begun)) {
        let keyed = |buy: &BatchBuy| Some((buy.order.key.clone()?, buy.order.id.count));
        let keyed: Vec<(Arc<str>, u64)> = buys.iter().filter_map(keyed).collect();
        if keyed.is_empty() {
            return;
        }
        let mut buys = sync::lock(&self.buys);
        for (key, count) in keyed {
            let begun = buys.get_mut(&key).map(|begun| begun.iter_mut());
            begun
                .into_iter()
                .flatten()
                .filter(|begun| begun.count == count)
                .for_each(&note);
        }
    }

    /// Whether an order server may still sell a copy for this.
    fn may_sell(&self, begun: &Begun) -> bool {
        let has_ended = |(server, since): &(Arc<HealthCheck>, Instant)| {
            self.late_max <= since.elapsed() && server.was_heard_for(self.late_max)
        };
        let is_under_way = begun.is_open || 0 < begun.under_way;
        (is_under_way || !begun.late.iter().all(has_ended)) && begun.at.elapsed() < MEMORY_MAX
    }
}

impl OpenBuy {
    /// Whether [`OpenBuy::earlier_may_sell`] may have to wait.
    pub(super) fn has_key(&self) -> bool {
        self.has_key
    }

    /// Whether an order server may still sell a copy for an earlier buy of the same key. Waits for
    /// at most this long until none may.
    pub(super) fn earlier_may_sell(&self, timeout: Duration) -> bool {
        let all = &self.earlier_buys;
        let is_recent = |at: Instant| at.elapsed() < MEMORY_MAX;
        if self.has_key && sync::lock(&all.unnoted).is_some_and(is_recent) {
            return true;
        }
        let Some(key) = &self.key else { return false };
        let may_sell = |buys: &mut HashMap<Arc<str>, Vec<Begun>>| {
            let begun = buys.get(key).map_or(&[][..], Vec::as_slice);
            let mut earlier = begun.iter().filter(|one| one.count < self.count);
            earlier.any(|one| all.may_sell(one))
        };
        let buys = sync::lock(&all.buys);
        let mut buys = sync::wait_timeout_while(&all.ended, buys, timeout, may_sell);
        may_sell(&mut buys)
    }
}

impl Drop for OpenBuy {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        let all = &self.earlier_buys;
        let mut buys = sync::lock(&all.buys);
        let Some(begun) = buys.get_mut(key) else {
            return;
        };
        for one in begun.iter_mut().filter(|one| one.count == self.count) {
            one.is_open = false;
        }
        begun.retain(|one| {
            let is_settled = self.is_settled && one.count <= self.count;
            !is_settled && all.may_sell(one)
        });
        if begun.is_empty() {
            buys.remove(key);
        }
        all.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_keys_that_are_noted_out_of_stock_is_no_promise_to_anybody_with_a_key() {
        let all = Arc::new(EarlierBuys::new(Duration::from_secs(1)));
        let buy = |text: &str| all.begin(&Order::parse_with_key(text).unwrap());
        let mut noted = Vec::new();
        for n in 0..KEYS_MAX {
            noted.push(buy(&format!("7.{n}; open=0; key=k{n}")));
        }
        let may_sell = |buy: &OpenBuy| buy.earlier_may_sell(Duration::ZERO);
        assert!(!may_sell(&noted[0]));
        let (one_more, without) = (buy("7.20000; open=0; key=x"), buy("7.20001; open=0"));
        assert!(may_sell(&one_more) && may_sell(&noted[0]));
        assert!(!may_sell(&without));
        drop(noted);
        assert!(may_sell(&buy("7.20002; open=0; key=y")));
    }
}

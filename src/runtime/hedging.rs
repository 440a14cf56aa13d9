//! When to ask a second server because the first is slower than usual: Dean and Barroso, "The Tail
//! at Scale" (CACM 2013).
//!
//! The server that is asked first has a short time, a small multiple of what answers took of late.
//! If it does not answer within that, the next one is asked too. A read changes nothing, and a buy
//! has an order id, so that both may be asked twice.
//!
//! When everything is slow because there is too much to do, more requests would make it worse. So
//! each answer earns a part of a second request, as in gRPC's retry throttling; and while answers
//! usually take nearly the longest short time, or without credit, the first server has all the
//! time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::runtime::metrics::{Counter, Exposition};

/// How many answers pay for one second request: 2 % more requests at most.
const ANSWERS_A_HEDGE: i64 = 50;

/// The most second requests that are saved up, for the moment when a server begins to hang.
const CREDIT_MAX: i64 = 200 * ANSWERS_A_HEDGE;

/// The short time is so many times what answers took of late.
const MULTIPLE: u32 = 8;

/// Everything is slow when the longest short time is less than so many times what answers took.
const MULTIPLE_MIN: u32 = 2;

/// Answers took so long of late: the weight of the newest is 1 in so many.
const SMOOTHING: u64 = 16;

/// The credit and the usual time of one kind of request.
#[derive(Debug)]
pub(crate) struct Hedging {
    min: Duration,
    max: Duration,
    /// `HEDGE_AFTER_MS`: the short time, whatever answers took, and without a limit to credit.
    fixed: Option<Duration>,
    /// In microseconds.
    usual: AtomicU64,
    /// In answers.
    credit: AtomicI64,
    /// Second requests that were sent, and that were answered first.
    pub(crate) sent: Counter,
    pub(crate) won: Counter,
    /// Requests that had to wait for the first server, because everything is slow.
    refused: Counter,
}

impl Hedging {
    /// The short time is never less than `min` nor more than `max`; or it is `fixed`.
    pub(crate) fn new(min: Duration, max: Duration, fixed: Option<Duration>) -> Hedging {
        Hedging {
            min,
            max,
            fixed,
            usual: AtomicU64::new(0),
            credit: AtomicI64::new(CREDIT_MAX),
            sent: Counter::default(),
            won: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// How long the first server has. `None`: everything is slow, so it has all the time.
    pub(crate) fn patience(&self) -> Option<Duration> {
        if self.fixed.is_some() {
            return self.fixed;
        }
        let usual = Duration::from_micros(self.usual.load(Relaxed));
        let is_slow = self.max < usual * MULTIPLE_MIN;
        let has_credit = ANSWERS_A_HEDGE <= self.credit.load(Relaxed);
        if is_slow || !has_credit {
            self.refused.inc();
            return None;
        }
        Some((usual * MULTIPLE).clamp(self.min, self.max))
    }

    /// A server has answered within this time.
    pub(crate) fn answered(&self, took: Duration) {
        let took = took.min(self.max).as_micros() as u64;
        let usual = self.usual.load(Relaxed);
        // Two threads may overwrite each other: it is an estimate.
        let usual = usual - usual / SMOOTHING + took / SMOOTHING;
        self.usual.store(usual, Relaxed);
        if self.credit.load(Relaxed) < CREDIT_MAX {
            self.credit.fetch_add(1, Relaxed);
        }
    }

    /// The short time is over, and another server is asked.
    pub(crate) fn hedge(&self) {
        self.credit.fetch_sub(ANSWERS_A_HEDGE, Relaxed);
        self.sent.inc();
    }

    /// Appends what happened to requests of the kind `of`.
    pub(crate) fn write_metrics(&self, page: &mut Exposition, of: &str) {
        let help = "Requests to a second server because the first was slow: sent, answered first, \
                    and not sent to spare a busy shop.";
        for (outcome, count) in [
            ("sent", &self.sent),
            ("won", &self.won),
            ("refused", &self.refused),
        ] {
            let labels = [("of", of), ("outcome", outcome)];
            page.counter("bazar_hedges_total", help, &labels, count.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedging() -> Hedging {
        Hedging::new(Duration::from_millis(10), Duration::from_millis(50), None)
    }

    fn answered(hedging: &Hedging, took_ms: u64) {
        (0..200).for_each(|_| hedging.answered(Duration::from_millis(took_ms)));
    }

    #[test]
    fn patience_follows_what_answers_took_within_its_bounds() {
        let hedging = hedging();
        assert_eq!(hedging.patience(), Some(hedging.min));
        let patience_after = |took_ms| {
            answered(&hedging, took_ms);
            hedging.patience().unwrap().as_millis()
        };
        let usual = patience_after(4);
        assert!((28..=32).contains(&usual), "{usual}");
        assert_eq!(patience_after(20), 50);
    }

    #[test]
    fn when_everything_is_slow_nobody_is_asked_twice() {
        let hedging = hedging();
        answered(&hedging, 60);
        assert_eq!((hedging.patience(), hedging.refused.get()), (None, 1));
        answered(&hedging, 1);
        assert_eq!(hedging.patience(), Some(hedging.min));
    }

    #[test]
    fn one_answer_in_fifty_pays_for_a_second_request() {
        let hedging = hedging();
        while hedging.patience().is_some() {
            hedging.hedge();
        }
        assert_eq!(hedging.sent.get(), 200);
        let hedges = (0..5000).filter(|_| {
            hedging.answered(Duration::from_millis(1));
            let hedges = hedging.patience().is_some();
            if hedges {
                hedging.hedge();
            }
            hedges
        });
        assert_eq!(hedges.count(), 100);
    }

    #[test]
    fn a_fixed_time_holds_without_credit() {
        let hedging = Hedging::new(Duration::ZERO, Duration::ZERO, Some(Duration::ZERO));
        for _ in 0..1000 {
            assert_eq!(hedging.patience(), Some(Duration::ZERO));
            hedging.hedge();
        }
    }
}

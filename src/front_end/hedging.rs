//! When to ask a second server because the first is slower than usual: Dean and Barroso, "The Tail
//! at Scale" (CACM 2013).
//!
//! The first catalog that a read asks has a short time only, a small multiple of what
//! answers took of late. If it does not answer within that, the next one is asked; only if that
//! one fails too, the first is asked again, with all the time there is. A read changes nothing, so
//! it may be asked twice. A buy is not hedged: after "out of stock" at the second order server, the
//! first might still sell a copy.
//!
//! When everything is slow because there is too much to do, more requests would make it worse. So
//! each answer earns a part of a second request, as in gRPC's retry throttling, and without credit
//! the first server has all the time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::runtime::metrics::Counter;

/// How many answers pay for one second request: 5 % more requests at most.
const ANSWERS_A_HEDGE: i64 = 20;

/// The most second requests that are saved up, for the moment when a server begins to hang.
const CREDIT_MAX: i64 = 200 * ANSWERS_A_HEDGE;

/// The short time is so many times what answers took of late.
const MULTIPLE: u64 = 8;

/// Answers took so long of late: the weight of the newest is 1 in so many.
const SMOOTHING: u64 = 16;

/// The credit and the usual time of one kind of request.
#[derive(Debug)]
pub(super) struct Hedging {
    min: Duration,
    max: Duration,
    /// In microseconds.
    usual: AtomicU64,
    /// In answers.
    credit: AtomicI64,
    /// Second requests that were sent, and that were answered.
    pub(super) sent: Counter,
    pub(super) won: Counter,
    /// Requests that had to wait for the first server, for lack of credit.
    pub(super) refused: Counter,
}

impl Hedging {
    /// The short time is never less than `min` nor more than `max`.
    pub(super) fn new(min: Duration, max: Duration) -> Hedging {
        Hedging {
            min,
            max,
            usual: AtomicU64::new(0),
            credit: AtomicI64::new(CREDIT_MAX),
            sent: Counter::default(),
            won: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// How long the first server has. `None`: there is no credit, so it has all the time.
    pub(super) fn patience(&self) -> Option<Duration> {
        let usual = Duration::from_micros(self.usual.load(Relaxed) * MULTIPLE);
        let has_credit = ANSWERS_A_HEDGE <= self.credit.load(Relaxed);
        if !has_credit {
            self.refused.inc();
        }
        has_credit.then(|| usual.clamp(self.min, self.max))
    }

    /// A server has answered within this time.
    pub(super) fn answered(&self, took: Duration) {
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
    pub(super) fn hedge(&self) {
        self.credit.fetch_sub(ANSWERS_A_HEDGE, Relaxed);
        self.sent.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedging() -> Hedging {
        Hedging::new(Duration::from_millis(10), Duration::from_millis(50))
    }

    #[test]
    fn patience_follows_what_answers_took_within_its_bounds() {
        let hedging = hedging();
        assert_eq!(hedging.patience(), Some(hedging.min));
        let patience_after = |took_ms| {
            (0..200).for_each(|_| hedging.answered(Duration::from_millis(took_ms)));
            hedging.patience().unwrap().as_millis()
        };
        let usual = patience_after(4);
        assert!((28..=32).contains(&usual), "{usual}");
        assert_eq!(patience_after(30), 50);
    }

    #[test]
    fn one_answer_in_twenty_pays_for_a_second_request() {
        let hedging = hedging();
        while hedging.patience().is_some() {
            hedging.hedge();
        }
        assert_eq!(hedging.sent.get(), 200);
        let hedges = (0..2000).filter(|_| {
            hedging.answered(Duration::from_millis(1));
            let hedges = hedging.patience().is_some();
            if hedges {
                hedging.hedge();
            }
            hedges
        });
        assert_eq!(hedges.count(), 100);
    }
}

//! A fetch that several customers wait for: who misses first fetches, who misses the same meanwhile
//! waits for that.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::front_end::cache::single_flight::CachedAnswer;
use crate::model::error::{Error, Result};

/// A fetch under way, and what came of it.
#[derive(Debug, Default)]
pub struct Flight {
    /// Held for a moment only, never while fetching.
    outcome: Mutex<Option<Result<CachedAnswer>>>,
    landed: Condvar,
}

impl Flight {
    /// The fetch is over: everybody who waits gets its outcome, a failure too.
    pub fn land(&self, outcome: Result<CachedAnswer>) {
        *self.outcome.lock().expect("no holder panics") = Some(outcome);
        self.landed.notify_all();
    }

    /// Waits for the outcome, at most `limit`. Fails with [`Error::TimedOut`] after that.
    pub fn wait(&self, limit: Duration) -> Result<CachedAnswer> {
        let outcome = self.outcome.lock().expect("no holder panics");
        let (outcome, _) = self
            .landed
            .wait_timeout_while(outcome, limit, |outcome| outcome.is_none())
            .expect("no holder panics");
        let late = || Error::TimedOut("The answer took too long".into());
        outcome.clone().unwrap_or_else(|| Err(late()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn a_failure_is_everybodys() {
        let flight = Arc::new(Flight::default());
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let flight = flight.clone();
                thread::spawn(move || flight.wait(Duration::from_secs(20)))
            })
            .collect();
        flight.land(Err(Error::NoSuchBook));
        for customer in waiting {
            assert_eq!(customer.join().unwrap(), Err(Error::NoSuchBook));
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        let late = Flight::default().wait(Duration::from_millis(1));
        assert!(matches!(late, Err(Error::TimedOut(_))));
    }
}

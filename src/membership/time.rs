//! Moments by two clocks, so that neither a suspended machine nor a clock that is set hides that
//! time has passed.

use std::time::{Duration, Instant, SystemTime};

/// A moment by both clocks, each counted from some fixed moment. The monotonic clock stops while
/// the machine is suspended; the wall clock moves when it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Time {
    pub(crate) monotonic: Duration,
    pub(crate) wall: Duration,
}

impl Time {
    /// The present moment. `origin` is where the monotonic clock counts from.
    pub(crate) fn now(origin: Instant) -> Time {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Time {
            monotonic: origin.elapsed(),
            wall: wall.unwrap_or_default(),
        }
    }

    /// The most that may have passed since `earlier`: how old a lease of one's own counts as.
    pub(crate) fn since_max(self, earlier: Time) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.wall.abs_diff(earlier.wall))
    }

    /// The least that has passed since `earlier`: how old a lease of another server, or a silence,
    /// counts as.
    pub(crate) fn since_min(self, earlier: Time) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }
}

//! Moments by two clocks.

use std::time::{Duration, Instant, SystemTime};

/// A moment by both clocks, each as the time since some fixed moment. A suspended machine stops the
/// first; somebody who sets the clock moves the second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Time {
    pub monotonic: Duration,
    pub wall: Duration,
}

impl Time {
    /// The present moment; `origin` is where the monotonic clock counts from.
    pub fn now(origin: Instant) -> Time {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Time {
            monotonic: origin.elapsed(),
            wall,
        }
    }

    /// The longest that may have passed since `earlier`, by whichever clock says more.
    pub fn since(self, earlier: Time) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.wall.abs_diff(earlier.wall))
    }

    /// The shortest that may have passed since `earlier`: what waits for another's lease to end
    /// counts so.
    pub(super) fn surely_since(self, earlier: Time) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }
}

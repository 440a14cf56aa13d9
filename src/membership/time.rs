//! Moments, and the times of contact.

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

/// The times of contact. See REPLICATION.md; all are settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// How often heartbeat is said.
    pub every: Duration,
    /// Who leaves a heartbeat unanswered for this long is counted as down.
    pub silent: Duration,
    /// How long after an answered heartbeat was sent the asker may trust what it keeps.
    pub lease: Duration,
    /// Who has not come to send a heartbeat for this long was itself asleep.
    pub stall: Duration,
}

impl Timing {
    /// How long a front-end has to forget what a change makes old: 400 ms beside the usual 300 for
    /// a heartbeat. Who gives a slow machine more patience gives it here, too.
    pub fn invalidation_timeout(&self) -> Duration {
        self.silent * 4 / 3
    }
}

impl Default for Timing {
    fn default() -> Timing {
        let ms = Duration::from_millis;
        Timing {
            every: ms(100),
            silent: ms(300),
            lease: ms(500),
            stall: ms(250),
        }
    }
}

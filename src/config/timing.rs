//! The times of heartbeats and leases, which every server of a shop must have the same.

use std::time::Duration;

/// How often a heartbeat is sent, and what follows from its answer or from its absence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timing {
    /// `HEARTBEAT_EVERY_MS`: the pause between two heartbeats.
    pub(crate) every: Duration,
    /// `HEARTBEAT_TIMEOUT_MS`: a server that leaves a heartbeat unanswered for this long is down.
    pub(crate) silent: Duration,
    /// `LEASE_MS`: how long after it sent an answered heartbeat the sender may trust its copies.
    pub(crate) lease: Duration,
    /// `STALL_MS`: a server whose heartbeat loop has not run for this long was itself asleep.
    pub(crate) stall: Duration,
}

impl Timing {
    /// How long a front-end may take to invalidate: 400 ms beside the default heartbeat timeout of
    /// 300 ms. A longer heartbeat timeout, for slow machines, makes this longer too.
    pub(crate) fn invalidation_timeout(&self) -> Duration {
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

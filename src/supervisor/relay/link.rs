//! A link between two servers, and its condition.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::sync::{self, lock};
use crate::supervisor::relay::Place;

/// By how much a slow link delays, in each direction. Two of them are less than the 300 ms after
/// which a server counts as down.
pub(super) const DELAY: Duration = Duration::from_millis(80);

/// Of 100 pieces of a lossy link, each time that they are sent.
pub(super) const LOST_PERCENT: u32 = 20;

/// TCP sends again what is lost after this; what is lost again after twice as long, and so on.
pub(super) const RESEND_AFTER: Duration = Duration::from_millis(200);

/// A connection that is held up for longer is given up, as TCP does in the end.
pub(super) const HELD_MAX: Duration = Duration::from_secs(60);

/// Connections of one link.
pub(super) const CONNECTIONS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Open,
    Cut,
    Slow,
    Lossy,
}

/// The link between two servers, in both directions.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [String; 2],
    /// Locked for a look or a change.
    condition: Mutex<Condition>,
    changed: Condvar,
    open: Arc<AtomicUsize>,
}

impl Condition {
    /// The command that brings it about.
    pub(crate) fn parse(command: &str) -> Option<Condition> {
        match command {
            "heal" => Some(Condition::Open),
            "cut" => Some(Condition::Cut),
            "slow" => Some(Condition::Slow),
            "lose" => Some(Condition::Lossy),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Condition::Open => "open",
            Condition::Cut => "cut",
            Condition::Slow => "slow",
            Condition::Lossy => "lossy",
        }
    }
}

impl Link {
    pub(super) fn new(one: &str, other: &str) -> Link {
        Link {
            ends: [one.to_string(), other.to_string()],
            condition: Mutex::new(Condition::Open),
            changed: Condvar::new(),
            open: Arc::default(),
        }
    }

    pub(super) fn is_between(&self, one: &str, other: &str) -> bool {
        let [a, b] = &self.ends;
        (a == one && b == other) || (a == other && b == one)
    }

    pub(crate) fn condition(&self) -> Condition {
        *lock(&self.condition)
    }

    /// From now on the link is so.
    pub(crate) fn set(&self, condition: Condition) {
        *lock(&self.condition) = condition;
        self.changed.notify_all();
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    pub(super) fn take_place(&self) -> Option<Place> {
        Place::take(&self.open, CONNECTIONS_MAX)
    }

    /// Waits until the link is not cut, or for so long. Returns whether it is not cut.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        self.wait_while(Condition::Cut, timeout) != Condition::Cut
    }

    /// Waits while the link is so, but not longer than that. Returns how it is then.
    fn wait_while(&self, condition: Condition, timeout: Duration) -> Condition {
        let current = lock(&self.condition);
        let is_so = |current: &mut Condition| *current == condition;
        *sync::wait_timeout_while(&self.changed, current, timeout, is_so)
    }

    /// One piece passes as the link lets it. Returns whether it does: it is given up when it was
    /// held up for too long.
    pub(super) fn pass(&self) -> bool {
        let (began, mut resend_after) = (Instant::now(), RESEND_AFTER);
        loop {
            let left = HELD_MAX.saturating_sub(began.elapsed());
            match self.condition() {
                _ if left.is_zero() => return false,
                Condition::Cut => {
                    self.wait(left);
                }
                Condition::Lossy if fastrand::u32(..100) < LOST_PERCENT => {
                    self.wait_while(Condition::Lossy, resend_after.min(left));
                    resend_after *= 2;
                }
                Condition::Slow => {
                    thread::sleep(DELAY);
                    return true;
                }
                Condition::Open | Condition::Lossy => return true,
            }
        }
    }
}

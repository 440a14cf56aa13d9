//! What a server knows of one other server.

use std::mem;

use crate::membership::HeartbeatReply;
use crate::membership::time::Time;
use crate::model::address::Address;

/// One peer or holder. The times named `last_…` are those when the heartbeat was sent.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: Address,
    pub(crate) live: bool,
    /// Whether it ever sent a heartbeat, or answered one.
    pub(crate) ever_seen: bool,
    /// How often this server has marked it as down.
    pub(crate) down_count: u64,
    /// When anything last came from it, or when this process woke up after it was asleep.
    pub(crate) last_contact: Time,
    pub(super) last_reply: Option<HeartbeatReply>,
    /// It does not have this server in its settings.
    pub(super) unknown_peer: bool,
    pub(super) last_answered: Option<Time>,
    pub(super) last_refused: Option<Time>,
    /// The last heartbeat of which the outcome is known.
    pub(super) last_ended: Option<Time>,
    /// When the first heartbeat after its last answer was sent.
    pub(super) unanswered_since: Option<Time>,
    /// Whether a heartbeat to it was sent and has not ended.
    pub(super) in_flight: bool,
    /// When this server last answered its heartbeat, which began its lease. `None`: it has refused
    /// a connection since, so it is dead.
    pub(super) lease_granted: Option<Time>,
}

impl Peer {
    pub(super) fn new(address: Address, live: bool, now: Time) -> Peer {
        Peer {
            address,
            live,
            ever_seen: false,
            down_count: 0,
            last_contact: now,
            last_reply: None,
            unknown_peer: false,
            last_answered: None,
            last_refused: None,
            last_ended: None,
            unanswered_since: None,
            in_flight: false,
            // Before its start this server may have granted a lease that it does not remember.
            lease_granted: Some(now),
        }
    }

    /// Whether a heartbeat that was sent since `round_since` has come to an end.
    pub(super) fn ended_since(&self, round_since: Time) -> bool {
        self.last_ended
            .is_some_and(|sent| round_since.monotonic <= sent.monotonic)
    }

    /// Whether it refused a heartbeat that was sent after anything else came from it.
    pub(crate) fn refused_last(&self) -> bool {
        self.last_refused
            .is_some_and(|sent| self.last_contact.monotonic <= sent.monotonic)
    }

    /// Returns whether it was down.
    pub(super) fn mark_up(&mut self, now: Time) -> bool {
        self.ever_seen = true;
        self.last_contact = now;
        !mem::replace(&mut self.live, true)
    }

    /// Returns whether it was live. Only then it is counted.
    pub(crate) fn mark_down(&mut self) -> bool {
        let was_live = mem::replace(&mut self.live, false);
        self.down_count += u64::from(was_live);
        was_live
    }
}

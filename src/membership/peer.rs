//! One other server, as contact knows it.

use crate::model::address::Address;

use crate::membership::{HeartbeatReply, Time};

/// What is known of one other server.
#[derive(Debug)]
pub struct Peer {
    pub address: Address,
    pub live: bool,
    /// Whether it ever sent a heartbeat, or answered one.
    pub ever_seen: bool,
    /// How often this one was counted as down.
    pub down_count: u64,
    /// When anything was last heard of it.
    pub last_contact: Time,
    /// What its last heartbeat_reply said.
    pub(super) seen: Option<HeartbeatReply>,
    pub(super) unknown_peer: bool,
    /// When the last heartbeat that it answered, or refused, was sent.
    pub(super) answered: Option<Time>,
    pub(super) refused: Option<Time>,
    /// When the last heartbeat that came to any end was sent.
    pub(super) ended: Option<Time>,
    /// When the first heartbeat since it last answered was sent.
    pub(super) unanswered_since: Option<Time>,
    pub(super) under_way: bool,
    /// When this server last answered a heartbeat of that one: its lease counts from here. `None`:
    /// it has refused since, so it is dead and trusts nothing.
    pub(super) lent: Option<Time>,
}

impl Peer {
    pub(super) fn new(address: Address, live: bool, now: Time) -> Peer {
        Peer {
            address,
            live,
            ever_seen: false,
            down_count: 0,
            last_contact: now,
            seen: None,
            unknown_peer: false,
            answered: None,
            refused: None,
            ended: None,
            unanswered_since: None,
            under_way: false,
            // Before its start this server may have answered heartbeats that it knows nothing of.
            lent: Some(now),
        }
    }

    /// Counts it as down, once for each time that it was live. Returns whether it was.
    pub(super) fn mark_down(&mut self) -> bool {
        let was = std::mem::replace(&mut self.live, false);
        self.down_count += u64::from(was);
        was
    }
}

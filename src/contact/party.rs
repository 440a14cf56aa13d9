//! One other server, as contact knows it.

use crate::address::Address;

use super::{Greeting, Time};

/// What is known of one other server.
#[derive(Debug)]
pub struct Party {
    pub address: Address,
    pub live: bool,
    /// Whether it ever said hello, or answered one.
    pub met: bool,
    /// How often this one was counted as down.
    pub counted_down: u64,
    /// When anything was last heard of it.
    pub heard: Time,
    /// What its last greeting said.
    pub(super) seen: Option<Greeting>,
    pub(super) stranger: bool,
    /// When the last hello that it answered, or refused, was sent.
    pub(super) answered: Option<Time>,
    pub(super) refused: Option<Time>,
    /// When the last hello that came to any end was sent.
    pub(super) ended: Option<Time>,
    /// When the first hello since it last answered was sent.
    pub(super) unanswered_since: Option<Time>,
    pub(super) under_way: bool,
    /// When this server last answered a hello of that one: its lease counts from here. `None`: it has refused since, so it
    /// is dead and trusts nothing.
    pub(super) lent: Option<Time>,
}

impl Party {
    pub(super) fn new(address: Address, live: bool, now: Time) -> Party {
        Party {
            address,
            live,
            met: false,
            counted_down: 0,
            heard: now,
            seen: None,
            stranger: false,
            answered: None,
            refused: None,
            ended: None,
            unanswered_since: None,
            under_way: false,
            // Before its start this server may have answered hellos that it knows nothing of.
            lent: Some(now),
        }
    }

    /// Counts it as down, once for each time that it was live. Returns whether it was.
    pub(super) fn count_down(&mut self) -> bool {
        let was = std::mem::replace(&mut self.live, false);
        self.counted_down += u64::from(was);
        was
    }
}

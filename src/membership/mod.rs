//! Membership: who is live, and how long a copy may be trusted. The same for catalogs and
//! front-ends.
//!
//! Everybody says `heartbeat` to those who may void what it keeps (its *peers*: a catalog's are the
//! other catalogs, a front-end's are all catalogs), every [`Timing::every`]. A catalog also
//! remembers those who keep what it may void and send a heartbeat to it (its *holders*: the
//! front-ends). Heartbeat alone decides who is live. Whoever answers lends the asker a *lease*: the
//! asker may answer from what it keeps for [`Timing::lease`] after it sent the question. Everyone
//! counts how often it has given somebody up; who hears that its own count (or the other's start
//! number) changed may have missed something and empties what it keeps. REPLICATION.md,
//! "Membership", is the rule; this file is that rule without threads, network or clock: the caller
//! brings all three. Leases are those of Gray and Cheriton (SOSP 1989).

pub mod health_check;
pub mod peer;
#[cfg(test)]
mod tests;
pub mod time;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::timing::Timing;
use crate::model::address::Address;

pub use peer::Peer;
pub use time::Time;

/// The answer to heartbeat: the answerer's start number, and how often it has counted the asker as
/// down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    pub start: u64,
    pub down_count: u64,
}

/// What came of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeartbeatOutcome {
    Answered(HeartbeatReply),
    /// Refused: nobody listens there, so it is dead and keeps nothing.
    Refused,
    /// It does not have us in its settings (403).
    UnknownPeer,
    /// No answer in time, a broken connection, or any other answer: says nothing by itself.
    Silent,
}

/// What an outcome changed, for the caller to act on and to log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Changes {
    /// Something may have been missed: what is kept must be emptied.
    pub missed_invalidations: bool,
    pub lost: bool,
    pub regained: bool,
    pub unknown_peer: bool,
}

/// Whose recent answers a lease needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeaseOf {
    /// A catalog's: every live peer.
    LivePeers,
    /// A front-end's: every peer in its settings has answered, or refused.
    AllPeers,
}

/// One server's contact with the others. Plain state: the owner keeps it under its own lock.
#[derive(Debug)]
pub struct Membership {
    timing: Timing,
    lease_of: LeaseOf,
    /// This server's own start number.
    pub start: u64,
    started: Time,
    /// When the heartbeat loop last ran.
    ticked: Time,
    /// Outcomes of heartbeats sent before this do not count for the round that is wanted.
    round_since: Time,
    pub peers: Vec<Peer>,
    pub holders: Vec<Peer>,
}

impl Membership {
    /// A server that has just started. Holders count as live at first: what they kept through this
    /// server's absence must be voided too.
    pub fn new(
        start: u64,
        lease_of: LeaseOf,
        timing: Timing,
        peers: &[Address],
        holders: &[Address],
        now: Time,
    ) -> Membership {
        let party = |live| move |address: &Address| Peer::new(address.clone(), live, now);
        Membership {
            timing,
            lease_of,
            start,
            started: now,
            ticked: now,
            round_since: now,
            peers: peers.iter().map(party(false)).collect(),
            holders: holders.iter().map(party(true)).collect(),
        }
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The heartbeat loop runs. Returns whether this process was asleep since it last did: then
    /// everything that it keeps must be emptied, and nobody's silence counts until a full round of
    /// heartbeat is done.
    #[must_use]
    pub fn tick(&mut self, now: Time) -> bool {
        let slept = self.timing.stall < now.since(self.ticked);
        self.ticked = now;
        if slept {
            self.begin_round(now);
            for peer in &mut self.peers {
                peer.last_contact = now;
                peer.unanswered_since = None;
            }
        }
        slept
    }

    /// From now on a full round of heartbeat is wanted: see [`Membership::round_complete`].
    pub fn begin_round(&mut self, now: Time) {
        self.round_since = now;
    }

    /// Whether every peer's heartbeat, sent since the round was wanted, has come to an end. False
    /// until the first round after the start is done.
    pub fn round_complete(&self) -> bool {
        self.peers.iter().all(|peer| self.ended_in_round(peer))
    }

    fn ended_in_round(&self, peer: &Peer) -> bool {
        peer.ended
            .is_some_and(|sent| self.round_since.monotonic <= sent.monotonic)
    }

    /// The peers to send a heartbeat to now: all, when it is time (`periodic`), else those that the
    /// wanted round still lacks; never one whose heartbeat is still under way. The caller sends
    /// them and reports each to [`Membership::on_outcome`].
    pub fn due_heartbeats(&mut self, now: Time, periodic: bool) -> Vec<usize> {
        let round_since = self.round_since.monotonic;
        let mut due = Vec::new();
        for (i, peer) in self.peers.iter_mut().enumerate() {
            let lacking = peer.ended.is_none_or(|sent| sent.monotonic < round_since);
            if !peer.under_way && (periodic || lacking) {
                peer.under_way = true;
                peer.unanswered_since.get_or_insert(now);
                due.push(i);
            }
        }
        due
    }

    /// A heartbeat that was sent to peer `i` at `sent` has come to an end.
    pub fn on_outcome(
        &mut self,
        i: usize,
        sent: Time,
        now: Time,
        outcome: HeartbeatOutcome,
    ) -> Changes {
        let stalled = self.timing.stall < now.since(self.ticked);
        let before_round = sent.monotonic < self.round_since.monotonic;
        let silent_max = self.timing.silent;
        let peer = &mut self.peers[i];
        peer.under_way = false;
        let mut news = Changes::default();
        match outcome {
            HeartbeatOutcome::Answered(heartbeat_reply) => {
                news.missed_invalidations = peer.seen != Some(heartbeat_reply);
                news.regained = !peer.live;
                peer.seen = Some(heartbeat_reply);
                peer.live = true;
                peer.ever_seen = true;
                peer.unknown_peer = false;
                peer.last_contact = now;
                peer.answered = Some(sent);
                peer.unanswered_since = None;
                peer.ended = Some(sent);
            }
            HeartbeatOutcome::Refused => {
                peer.refused = Some(sent);
                peer.unknown_peer = false;
                peer.ended = Some(sent);
                news.lost = peer.mark_down();
            }
            HeartbeatOutcome::UnknownPeer => {
                news.unknown_peer = !peer.unknown_peer;
                peer.unknown_peer = true;
                peer.last_contact = now;
                peer.ended = Some(sent);
                news.lost = peer.mark_down();
            }
            HeartbeatOutcome::Silent => {
                // Who was asleep itself cannot tell who was silent.
                let since = peer.unanswered_since.unwrap_or(sent);
                if !stalled && !before_round && silent_max <= now.surely_since(since) {
                    peer.ended = Some(sent);
                    news.lost = peer.mark_down();
                }
            }
        }
        news
    }

    /// Some other call to peer `i` was refused: that is as good as a refused heartbeat. Returns
    /// whether it was live.
    pub fn on_refused_call(&mut self, i: usize) -> bool {
        self.peers[i].mark_down()
    }

    /// Some other call to peer `i` broke: whether a heartbeat should be said to it at once, now
    /// marked as under way.
    pub fn start_heartbeat(&mut self, i: usize, now: Time) -> bool {
        let peer = &mut self.peers[i];
        peer.unanswered_since.get_or_insert(now);
        !std::mem::replace(&mut peer.under_way, true)
    }

    /// Somebody sends a heartbeat. Returns the heartbeat_reply and whether it was regained; `None`
    /// when it is not in the settings.
    pub fn receive_heartbeat(
        &mut self,
        from: &Address,
        now: Time,
    ) -> Option<(HeartbeatReply, bool)> {
        let start = self.start;
        let party = self
            .peers
            .iter_mut()
            .chain(&mut self.holders)
            .find(|p| p.address == *from)?;
        party.lent = Some(now);
        party.last_contact = now;
        party.ever_seen = true;
        let regained = !std::mem::replace(&mut party.live, true);
        Some((
            HeartbeatReply {
                start,
                down_count: party.down_count,
            },
            regained,
        ))
    }

    /// Whether this process has not sent a heartbeat for so long that it must have been asleep, or
    /// has not done a full round since. Whoever is so trusts nothing and leaves nobody out.
    pub fn stalled(&self, now: Time) -> bool {
        self.timing.stall < now.since(self.ticked) || !self.round_complete()
    }

    /// Whether what is kept may be answered from.
    pub fn lease_holds(&self, now: Time) -> bool {
        !self.stalled(now) && self.peers.iter().all(|peer| self.trusts(peer, now))
    }

    fn trusts(&self, peer: &Peer, now: Time) -> bool {
        let fresh = |sent: Option<Time>| sent.is_some_and(|t| now.since(t) < self.timing.lease);
        match self.lease_of {
            _ if peer.unknown_peer => false,
            LeaseOf::LivePeers => !peer.live || fresh(peer.answered),
            LeaseOf::AllPeers => fresh(peer.answered) || fresh(peer.refused),
        }
    }

    /// How long until the lease that this server lent to `party` is surely over.
    pub fn lease_left(&self, party: &Peer, now: Time) -> Duration {
        let left = |lent| self.timing.lease.saturating_sub(now.surely_since(lent));
        party.lent.map_or(Duration::ZERO, left)
    }

    /// A holder refused what was sent to it at `sent`: it keeps nothing, unless it was started
    /// again and has sent a heartbeat.
    pub fn on_holder_refused(&mut self, i: usize, sent: Time) {
        let lent = &mut self.holders[i].lent;
        lent.take_if(|lent| lent.monotonic <= sent.monotonic);
    }

    /// A holder did not answer an invalidation in time, or refused it: counted as down. Returns
    /// whether it was live.
    pub fn mark_holder_down(&mut self, i: usize) -> bool {
        self.holders[i].mark_down()
    }

    pub fn live_peers(&self) -> impl Iterator<Item = usize> {
        (0..self.peers.len()).filter(|i| self.peers[*i].live)
    }

    /// How long this server has been up.
    pub fn age(&self, now: Time) -> Duration {
        now.surely_since(self.started)
    }
}

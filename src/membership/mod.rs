//! Membership: which servers are live, and how long a copy may be trusted. Catalogs and front-ends
//! use the same.
//!
//! A server sends heartbeats to its *peers*, the servers that may invalidate what it holds. The
//! peers of a catalog are the other catalogs; those of a front-end are all catalogs. A catalog also
//! knows its *holders*, the front-ends, which hold what it may invalidate and send it heartbeats.
//!
//! A peer that answers a heartbeat grants a *lease* (Gray and Cheriton, SOSP 1989): for `LEASE_MS`
//! after it sent the heartbeat, the sender may answer from what it holds. Every server counts how
//! often it has marked another one as down, and says so in its answers. A server that sees its own
//! count change, or the other's start number, may have missed an invalidation and drops what it
//! holds.
//!
//! `Membership` is plain state: it has no thread, no network and no clock, and the caller brings
//! all three. `catalog/replication/PROTOCOL.md`, "Membership", says why these rules are enough.
//!
//! # When a server counts as down
//!
//! There are two detectors. The first decides what is correct: which servers must acknowledge a
//! change, and whether a cached answer may be used. The second decides only which server a request
//! goes to first.
//!
//! | | heartbeats: `Membership` | health check: `health_check` |
//! |---|---|---|
//! | what is sent | a heartbeat every 100 ms (1) | `GET /readyz`, 100 ms after an answer |
//! | catalogs check | catalogs; and front-ends, which send it | |
//! | front-ends check | catalogs | catalogs, order servers |
//! | order servers check | | their catalog |
//! | down at once | connection refused; 403 | connection refused; not 200; failed request |
//! | slow, and so asked last | | once silent: 100 ms after the usual time; overtaken by another |
//! | down by silence | 300 ms (2) | silent 2 times in a row |
//! | also down | no acknowledgement in 400 ms (3) | |
//! | does not count | silence while asleep for 250 ms (4) | |
//! | up again | a heartbeat answered, or received | 200 |
//! | after a start | peers are down, front-ends live | down |
//!
//! 1. `HEARTBEAT_EVERY_MS`. Any other call that is refused counts like a refused heartbeat; after
//!    one that breaks, a heartbeat is sent immediately.
//! 2. `HEARTBEAT_TIMEOUT_MS`, since the first heartbeat that was not answered.
//! 3. Of an invalidation, by a front-end: 4/3 of `HEARTBEAT_TIMEOUT_MS`.
//! 4. `STALL_MS`: this process itself has not run its heartbeat loop for so long.
//!
//! A catalog leaves a peer that is down out of its writes: at once if the peer refused, otherwise
//! when its lease is over. A front-end uses its caches only while every catalog has answered or
//! refused a heartbeat within `LEASE_MS`.
//!
//! A catalog whose disk fails says so in its heartbeats, and its peers leave it out.
//!
//! # Files
//!
//! `time.rs` and `peer.rs` are small; then this file; `health_check.rs` stands alone.

pub(crate) mod health_check;
pub(crate) mod peer;
#[cfg(test)]
mod tests;
pub(crate) mod time;

use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::timing::Timing;
use crate::membership::peer::Peer;
use crate::membership::time::Time;
use crate::model::address::Address;

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeartbeatReply {
    /// The start number of the server that answers.
    pub(crate) start: u64,
    /// How often that server has marked the sender as down.
    pub(crate) down_count: u64,
    /// A change of that server may still be done when it is dead itself: it is done in etcd.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) outlives_refusal: bool,
}

/// What came of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum HeartbeatOutcome {
    Answered(HeartbeatReply),
    /// Nothing listens there, so the peer is dead and holds nothing.
    Refused,
    /// 403: the peer does not have this server in its settings.
    UnknownPeer,
    /// No answer in time, a broken connection, or any other answer. Proves nothing by itself.
    Silent,
}

/// What an outcome changed, for the caller to act on and to log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// What this server holds must be dropped.
    pub(crate) missed_invalidations: bool,
    pub(crate) lost: bool,
    pub(crate) regained: bool,
    pub(crate) unknown_peer: bool,
}

/// What one server knows of the others. Its owner keeps it under a lock.
#[derive(Debug)]
pub(crate) struct Membership {
    timing: Timing,
    /// This server's own start number.
    pub(crate) start: u64,
    started: Time,
    /// When the heartbeat loop last ran.
    ticked: Time,
    /// When the current round began: each peer is to be sent one heartbeat from then on, and each
    /// of these is to come to an end. Those sent before do not count.
    round_since: Time,
    pub(crate) peers: Vec<Peer>,
    pub(crate) holders: Vec<Peer>,
}

impl Membership {
    /// The state of a server that starts now. Holders are live at first, because what they have
    /// held since before this start must be invalidated too.
    pub(crate) fn new(
        start: u64,
        timing: Timing,
        peers: &[Address],
        holders: &[Address],
        now: Time,
    ) -> Membership {
        let peer = |live| move |address: &Address| Peer::new(address.clone(), live, now);
        Membership {
            timing,
            start,
            started: now,
            ticked: now,
            round_since: now,
            peers: peers.iter().map(peer(false)).collect(),
            holders: holders.iter().map(peer(true)).collect(),
        }
    }

    /// Notes that the heartbeat loop runs. Returns whether this process was asleep before: then
    /// what it holds must be dropped, and no silence counts until a full round is complete.
    #[must_use]
    pub(crate) fn tick(&mut self, now: Time) -> bool {
        let slept = self.is_asleep(now);
        self.ticked = now;
        if slept {
            self.round_since = now;
            for peer in &mut self.peers {
                peer.last_contact = now;
                peer.unanswered_since = None;
            }
        }
        slept
    }

    /// Whether all heartbeats of the current round have come to an end. The first round begins with
    /// the start.
    pub(crate) fn round_complete(&self) -> bool {
        self.peers
            .iter()
            .all(|peer| peer.ended_since(self.round_since))
    }

    /// The peers to send a heartbeat to: all, if it is time for that (`periodic`); otherwise those
    /// that the current round lacks. A peer whose last heartbeat has not ended is left out. The
    /// caller sends the heartbeats, and reports each to [`Membership::on_outcome`].
    pub(crate) fn due_heartbeats(&mut self, now: Time, periodic: bool) -> Vec<usize> {
        let is_due =
            |peer: &Peer| !peer.in_flight && (periodic || !peer.ended_since(self.round_since));
        let due = (0..self.peers.len()).filter(|i| is_due(&self.peers[*i]));
        let due: Vec<usize> = due.collect();
        for i in &due {
            self.start_heartbeat(*i, now);
        }
        due
    }

    /// Marks a heartbeat to peer `i` as sent. Returns false if the last one has not ended: then
    /// none is to be sent.
    pub(crate) fn start_heartbeat(&mut self, i: usize, now: Time) -> bool {
        let peer = &mut self.peers[i];
        peer.unanswered_since.get_or_insert(now);
        !mem::replace(&mut peer.in_flight, true)
    }

    /// Notes what came of a heartbeat that was sent to peer `i` at `sent`.
    pub(crate) fn on_outcome(
        &mut self,
        i: usize,
        sent: Time,
        now: Time,
        outcome: HeartbeatOutcome,
    ) -> Changes {
        let asleep = self.is_asleep(now);
        let peer = &mut self.peers[i];
        peer.in_flight = false;
        let mut changes = Changes::default();
        match outcome {
            HeartbeatOutcome::Answered(reply) => {
                changes.missed_invalidations = peer.last_reply.replace(reply) != Some(reply);
                changes.regained = peer.mark_up(now);
                peer.unknown_peer = false;
                peer.last_answered = Some(sent);
                peer.unanswered_since = None;
            }
            // Something came from it since: it is up again.
            HeartbeatOutcome::Refused | HeartbeatOutcome::Silent
                if sent.monotonic < peer.last_contact.monotonic => {}
            HeartbeatOutcome::Refused => {
                peer.unknown_peer = false;
                peer.last_refused = Some(sent);
                changes.lost = peer.mark_down();
            }
            HeartbeatOutcome::UnknownPeer => {
                changes.unknown_peer = !mem::replace(&mut peer.unknown_peer, true);
                peer.last_contact = now;
                changes.lost = peer.mark_down();
            }
            HeartbeatOutcome::Silent => {
                // A process that was asleep itself cannot tell whether its peer was silent.
                let before_round = sent.monotonic < self.round_since.monotonic;
                let silence = now.since_min(peer.unanswered_since.unwrap_or(sent));
                if asleep || before_round || silence < self.timing.silent {
                    return changes;
                }
                changes.lost = peer.mark_down();
            }
        }
        peer.last_ended = Some(sent);
        changes
    }

    /// Answers a heartbeat, and `grants` its sender a lease or does not. Returns the reply and
    /// whether the sender was down; `None` if it is not in the settings.
    pub(crate) fn receive_heartbeat(
        &mut self,
        from: &Address,
        grants: bool,
        now: Time,
    ) -> Option<(HeartbeatReply, bool)> {
        let mut known = self.peers.iter_mut().chain(&mut self.holders);
        let peer = known.find(|peer| peer.address == *from)?;
        if grants {
            peer.lease_granted = Some(now);
        }
        let regained = peer.mark_up(now);
        let reply = HeartbeatReply {
            start: self.start,
            down_count: peer.down_count,
            outlives_refusal: false,
        };
        Some((reply, regained))
    }

    fn is_asleep(&self, now: Time) -> bool {
        self.timing.stall < now.since_max(self.ticked)
    }

    /// Whether this process must have been asleep, or has not completed a round since. Then it
    /// trusts no copy, and leaves no peer out of a write.
    pub(crate) fn stalled(&self, now: Time) -> bool {
        self.is_asleep(now) || !self.round_complete()
    }

    /// Whether a front-end may answer from what it holds: every peer has answered lately, or has
    /// refused, unless that proves nothing.
    pub(crate) fn lease_holds(&self, now: Time) -> bool {
        let recent =
            |sent: Option<Time>| sent.is_some_and(|t| now.since_max(t) < self.timing.lease);
        let outlives = |peer: &Peer| peer.last_reply.is_some_and(|reply| reply.outlives_refusal);
        let is_proof = !self.peers.iter().any(outlives);
        let is_leased = |peer: &Peer| {
            let refused = is_proof && recent(peer.last_refused);
            !peer.unknown_peer && (recent(peer.last_answered) || refused)
        };
        !self.stalled(now) && self.peers.iter().all(is_leased)
    }

    /// How long the lease that this server granted to `peer` may still last.
    pub(crate) fn lease_left(&self, peer: &Peer, now: Time) -> Duration {
        let left = |granted| self.timing.lease.saturating_sub(now.since_min(granted));
        peer.lease_granted.map_or(Duration::ZERO, left)
    }

    /// Notes that holder `i` refused a connection at `sent` or later. It is dead and has no lease,
    /// unless it has started again and sent a heartbeat since `sent`.
    pub(crate) fn on_holder_refused(&mut self, i: usize, sent: Time) {
        let granted = &mut self.holders[i].lease_granted;
        granted.take_if(|granted| granted.monotonic <= sent.monotonic);
    }

    /// Whether every peer has answered or refused, or a lease has passed since the start.
    pub(crate) fn is_ready(&self, now: Time) -> bool {
        let heard = |peer: &Peer| peer.last_answered.is_some() || peer.last_refused.is_some();
        self.peers.iter().all(heard) || self.timing.lease <= now.since_min(self.started)
    }

    pub(crate) fn live_peers(&self) -> impl Iterator<Item = usize> {
        (0..self.peers.len()).filter(|i| self.peers[*i].live)
    }

    /// How often another server was counted as down since the start.
    pub(crate) fn lost_count(&self) -> u64 {
        let servers = self.peers.iter().chain(&self.holders);
        servers.map(|server| server.down_count).sum()
    }
}

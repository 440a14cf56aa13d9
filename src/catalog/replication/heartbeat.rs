//! Heartbeats to peers and from peers and front-ends, and what follows from their outcomes:
//! `PROTOCOL.md`, "Membership". [`Membership`](crate::membership::Membership) decides;
//! this file sends, reports, and empties the valid list.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Guard, Inner, Replica};
use crate::membership::time::Time;
use crate::membership::{Changes, HeartbeatOutcome};
use crate::model::address::Address;
use crate::model::error::{Error, Result};
use crate::runtime::log;

impl<E: Environment> Replica<E> {
    /// One step of the heartbeat loop: sends a heartbeat to every peer. The owner calls it every
    /// [`Timing::every`](crate::config::timing::Timing). It never waits.
    pub(crate) fn tick(self: &Arc<Self>) {
        let mut inner = self.lock();
        let stalled = inner.membership.tick(self.now());
        if stalled && self.enforces(Rule::Stall) {
            inner.empty_valid_list();
        }
        inner.first_round_done |= inner.membership.round_complete();
        drop(inner);
        if stalled {
            let event = "this process was asleep: nothing is trusted until heartbeats are answered";
            log::warn(event, &[]);
            self.env.wake_all();
        }
        self.send_heartbeats(true);
        self.env.wake(WaitKey::Membership);
    }

    /// Sends a heartbeat to all peers if it is time (`periodic`), else to those that the current
    /// round still lacks.
    fn send_heartbeats(self: &Arc<Self>, periodic: bool) {
        let (due, sent) = {
            let mut inner = self.lock();
            // While its disk refuses, a catalog acknowledges no update. Its silence makes the
            // peers drop it from the write set.
            if inner.disk_refuses {
                return;
            }
            let now = self.now();
            (inner.membership.due_heartbeats(now, periodic), now)
        };
        for peer in due {
            self.send_heartbeat(peer, sent);
        }
    }

    fn send_heartbeat(self: &Arc<Self>, peer: usize, sent: Time) {
        let replica = self.clone();
        let on_outcome = move |outcome| replica.on_heartbeat_outcome(peer, sent, outcome);
        let from = self.config.address.clone();
        let message = Message::Heartbeat { from };
        self.env.send(peer, message, Box::new(on_outcome));
    }

    /// Notes what came of any message but a heartbeat. If it broke, a heartbeat follows at once and
    /// decides whether the peer is live.
    pub(super) fn on_outcome(self: &Arc<Self>, peer: usize, outcome: &Outcome) {
        let now = self.now();
        let mut inner = self.lock();
        let mut changes = Changes::default();
        let mut doubtful = false;
        match outcome {
            Outcome::Reply(_) => inner.membership.peers[peer].last_contact = now,
            Outcome::Refused => changes.lost = inner.membership.on_refused_call(peer),
            Outcome::Silent => {
                doubtful = !inner.disk_refuses && inner.membership.start_heartbeat(peer, now)
            }
        }
        self.act_on(inner, peer, changes);
        if doubtful {
            self.send_heartbeat(peer, now);
        }
    }

    fn on_heartbeat_outcome(self: &Arc<Self>, peer: usize, sent: Time, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Reply(Reply::HeartbeatReply(reply)) => HeartbeatOutcome::Answered(reply),
            Outcome::Reply(Reply::UnknownPeer) => HeartbeatOutcome::UnknownPeer,
            Outcome::Refused => HeartbeatOutcome::Refused,
            _ => HeartbeatOutcome::Silent,
        };
        let mut inner = self.lock();
        let changes = inner.membership.on_outcome(peer, sent, self.now(), outcome);
        let whole = inner.membership.round_complete();
        inner.first_round_done |= whole;
        self.act_on(inner, peer, changes);
        self.env.wake(WaitKey::Membership);
        // A round that somebody waits for goes on at once, but silence is not answered with haste.
        if !whole && outcome != HeartbeatOutcome::Silent {
            self.send_heartbeats(false);
        }
    }

    /// Notes and logs changes, and wakes the threads whose waiting they may end.
    fn act_on(&self, mut inner: Guard<'_>, peer: usize, changes: Changes) {
        if changes.missed_invalidations && self.enforces(Rule::Clear) {
            inner.empty_valid_list();
        }
        if changes.lost {
            inner.shelf.note_peer_lost();
        }
        drop(inner);
        let peer: [(&str, &dyn Display); 1] = [("peer", &self.config.peers[peer])];
        if changes.lost {
            log::warn("peer lost", &peer);
        }
        if changes.regained {
            log::always("peer regained", &peer);
        }
        if changes.unknown_peer {
            let event =
                "a peer does not have this catalog in its CATALOG_ADDRESSES: no copy is trusted";
            log::error(event, &peer);
        }
        if changes.lost || changes.regained || changes.missed_invalidations {
            self.env.wake_all();
        }
    }

    /// Answers a heartbeat of a peer or a front-end. Fails with [`Error::Busy`] while the disk
    /// refuses.
    pub(super) fn answer_heartbeat(&self, from: &Address) -> Result<Reply> {
        let mut inner = self.lock();
        if inner.disk_refuses {
            return Err(Error::Busy("The disk refuses".into()));
        }
        let answer = inner.membership.receive_heartbeat(from, self.now());
        drop(inner);
        let Some((reply, regained)) = answer else {
            let event = "heartbeat from a server that is not in the settings";
            log::warn(event, &[("from", from)]);
            return Ok(Reply::UnknownPeer);
        };
        if regained {
            log::always("peer regained", &[("peer", from)]);
            self.env.wake_all();
        }
        Ok(Reply::HeartbeatReply(reply))
    }

    /// Sends a heartbeat to every peer and waits until each has been answered, refused, or left
    /// unanswered; at most until `until`.
    pub(super) fn heartbeat_round(self: &Arc<Self>, until: Duration) {
        let now = self.now();
        self.lock().membership.begin_round(now);
        self.send_heartbeats(false);
        let incomplete = |inner: &Inner| inner.membership.stalled(self.now());
        drop(self.wait_while(self.lock(), WaitKey::Membership, until, incomplete));
    }

    /// Waits for the first round of heartbeats after the start, at most until `until`.
    pub(super) fn await_first_round<'a>(&'a self, inner: Guard<'a>, until: Duration) -> Guard<'a> {
        let key = WaitKey::Membership;
        self.wait_while(inner, key, until, |inner| !inner.first_round_done)
    }
}

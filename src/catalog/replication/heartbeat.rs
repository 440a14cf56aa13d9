//! Heartbeats to peers and from peers and front-ends, and what follows from their outcomes:
//! `PROTOCOL.md`, "Membership" and "The left-out list".
//! [`Membership`](crate::membership::Membership) and [`LeftOut`](super::left_out::LeftOut) decide;
//! this file sends, reports, and empties the valid list.

use std::sync::Arc;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::left_out::Standing;
use crate::catalog::replication::messages::{
    Heartbeat, Message, Outcome, Reply, Sender, StandingReply,
};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
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
        let now = self.now();
        let stalled = inner.membership.tick(now);
        if stalled {
            inner.left_out.awake_since = now;
        }
        self.note_standing(&mut inner);
        drop(inner);
        if stalled {
            let event = "this process was stopped: it serves again once heartbeats are answered";
            static OFTEN: log::RateLimited = log::RateLimited::new();
            OFTEN.warn(event, &[]);
        }
        self.send_heartbeats(true);
        self.env.wake(WaitKey::Membership);
    }

    /// Whether a peer is silent that is not left out yet, and a lease between the two still runs.
    /// Then the owner calls [`Replica::look_at_leases`] more often than [`Replica::tick`].
    pub(crate) fn awaits_a_lease(&self) -> bool {
        let inner = self.lock();
        inner.left_out.awaits_a_lease(&inner.membership, self.now())
    }

    /// Leaves out a peer as soon as its lease has run out. Returns whether one still runs.
    pub(crate) fn look_at_leases(&self) -> bool {
        let mut inner = self.lock();
        let awaits = inner.left_out.awaits_a_lease(&inner.membership, self.now());
        self.note_standing(&mut inner);
        drop(inner);
        self.env.wake(WaitKey::Membership);
        awaits
    }

    /// Notes that this catalog has become ready, or has begun or ceased to serve.
    pub(super) fn note_standing(&self, inner: &mut Inner) {
        let now = self.now();
        let round_complete = inner.membership.round_complete();
        inner.left_out.ready |= round_complete && inner.membership.is_ready(now);
        if inner.left_out.consider(&inner.membership, now) {
            self.note_left_out(inner);
        }
        if inner.left_out.forgive_circle(&inner.membership, now) {
            let event = "no catalog serves after a cut: the better copy of each book wins";
            log::warn(event, &[]);
        }
        let serves = self.serves(inner);
        if serves && !inner.was_serving {
            inner.caught_up = false;
        }
        inner.was_serving = serves;
    }

    /// The list has grown: remembers from now on what each peer on it lacks.
    pub(super) fn note_left_out(&self, inner: &mut Inner) {
        for i in inner.left_out.peers() {
            if inner.left_out.is_told(i) && inner.shelf.owed(i).is_none() {
                inner.shelf.begin_owing(i);
                log::warn("left a peer out", &[("peer", &self.config.peers[i])]);
            }
        }
    }

    /// What this catalog says of itself now.
    pub(super) fn standing(&self, inner: &mut Inner) -> Standing {
        let serves = self.serves(inner);
        let refuses = inner.disk_refuses();
        inner.left_out.standing(serves, refuses)
    }

    /// What this catalog says of itself to peer `i` with a request.
    pub(super) fn sender(&self, inner: &mut Inner, i: usize) -> Sender {
        Sender {
            standing: self.standing(inner),
            token: inner.left_out.token_of(i),
            without: Default::default(),
        }
    }

    /// Peer `i` says this of itself. Returns whether it is not outdated.
    pub(super) fn hear(&self, inner: &mut Inner, i: usize, said: &Standing, answer: bool) -> bool {
        let serves = self.serves(inner);
        // Only a new start asks that, and updates are heard by the thousand.
        let is_new_start = inner.left_out.start_of(i) != Some(said.start);
        let complete = is_new_start
            && inner
                .left_out
                .serves_once_saved(&inner.membership, self.now());
        let Some(heard) = inner.left_out.hear(i, said, answer, serves, complete) else {
            return false;
        };
        if heard.learned {
            self.begin_period(inner);
            let event = "left out by a peer: nothing here is trusted until it is taken over";
            log::warn(event, &[("peer", &self.config.peers[i])]);
        }
        if heard.list_changed {
            self.note_left_out(inner);
        }
        true
    }

    /// Trusts no copy: those that are here now lose outright to a peer's.
    fn begin_period(&self, inner: &mut Inner) {
        inner.shelf.clear();
        inner.shelf.mark_all_own();
        inner.caught_up = false;
        inner.left_out.begin_period(self.now());
    }

    /// What is here by now loses outright to the copies of peer `i`. Returns once each peer knows,
    /// so that no write counts on what it loses.
    pub(super) fn yield_to(self: &Arc<Self>, i: usize) {
        if self.enforces(Rule::OutrightAgain) {
            let mut inner = self.lock();
            inner.left_out.yield_to(i);
            self.begin_period(&mut inner);
        }
        let is_unknown = |inner: &Inner| {
            let known = inner.left_out.period_is_known(self.now());
            !known
        };
        if !is_unknown(&self.lock()) {
            return;
        }
        self.send_heartbeats(true);
        let until = self.deadline(self.config.timing.lease);
        drop(self.wait_while(self.lock(), WaitKey::Membership, until, is_unknown));
    }

    /// The number of the peer with this address.
    pub(super) fn peer_number(&self, address: &Address) -> Option<usize> {
        self.config.peers.iter().position(|peer| peer == address)
    }

    /// Sends a heartbeat to all peers if it is time (`periodic`), else to those that the current
    /// round still lacks.
    pub(super) fn send_heartbeats(self: &Arc<Self>, periodic: bool) {
        let (due, sent) = {
            let mut inner = self.lock();
            let now = self.now();
            (inner.membership.due_heartbeats(now, periodic), now)
        };
        for peer in due {
            self.send_heartbeat(peer, sent);
        }
    }

    fn send_heartbeat(self: &Arc<Self>, peer: usize, sent: Time) {
        let (standing, known_listers) = {
            let mut inner = self.lock();
            (self.standing(&mut inner), inner.left_out.known_listers())
        };
        let replica = self.clone();
        let period = standing.period;
        let on_outcome = move |outcome| replica.on_heartbeat_outcome(peer, sent, period, outcome);
        let message = Message::Heartbeat(Heartbeat {
            from: self.config.address.clone(),
            start: 0,
            standing: Some(standing),
            known_listers,
        });
        self.env.send(peer, message, Box::new(on_outcome));
    }

    /// Notes what came of any message but a heartbeat. If it broke or was refused, a heartbeat
    /// follows at once and decides whether the peer is live.
    pub(super) fn on_outcome(self: &Arc<Self>, peer: usize, outcome: &Outcome) {
        let now = self.now();
        let mut inner = self.lock();
        if let Outcome::Reply(_) = outcome {
            inner.membership.peers[peer].last_contact = now;
            return;
        }
        let is_due = inner.membership.start_heartbeat(peer, now);
        drop(inner);
        if is_due {
            self.send_heartbeat(peer, now);
        }
    }

    /// The heartbeat was sent at `sent`, in this period.
    fn on_heartbeat_outcome(
        self: &Arc<Self>,
        peer: usize,
        sent: Time,
        period: u64,
        outcome: Outcome,
    ) {
        let mut inner = self.lock();
        let now = self.now();
        // Something of another start may have been heard since: then this answer is of the past.
        let is_newest = inner.membership.peers[peer].last_contact.monotonic <= sent.monotonic;
        let mut is_doubtful = false;
        let outcome = match outcome {
            Outcome::Reply(Reply::Standing(said))
                if is_newest || inner.left_out.start_of(peer) == Some(said.standing.start) =>
            {
                let is_older = |seen: &(u64, u64)| inner.left_out.is_older_than(*seen);
                let older = said.seen_before.filter(is_older).map(|seen| seen.0);
                let seen_starts = said.seen_starts.or(older);
                if seen_starts.is_some_and(|seen| inner.left_out.set_outdated(seen)) {
                    log::warn("an older folder was put back here: it counts as new", &[]);
                }
                if self.hear(&mut inner, peer, &said.standing, true) {
                    inner.left_out.answered(peer, sent, said.token);
                }
                HeartbeatOutcome::Answered(said.reply)
            }
            // Two that send at the same moments would never hear each other otherwise.
            Outcome::Reply(Reply::Standing(_)) => {
                is_doubtful = true;
                HeartbeatOutcome::Silent
            }
            Outcome::Reply(Reply::UnknownPeer) => HeartbeatOutcome::UnknownPeer,
            Outcome::Refused => {
                if !self.enforces(Rule::OldRefusal) {
                    inner.membership.peers[peer].last_contact = sent;
                }
                HeartbeatOutcome::Refused
            }
            _ => HeartbeatOutcome::Silent,
        };
        let was_silent = outcome == HeartbeatOutcome::Silent;
        if !was_silent {
            inner.left_out.told_period(peer, period);
        }
        let changes = inner.membership.on_outcome(peer, sent, now, outcome);
        self.note_standing(&mut inner);
        // Silence is not answered with haste.
        let goes_on = !was_silent && !inner.membership.round_complete();
        let is_untold = !was_silent && !inner.left_out.knows_period(peer);
        let is_due = (is_untold || is_doubtful) && inner.membership.start_heartbeat(peer, now);
        drop(inner);
        self.report(&self.config.peers[peer], changes);
        self.env.wake(WaitKey::Membership);
        // What somebody waits for goes on at once.
        if is_due {
            self.send_heartbeat(peer, now);
        }
        if goes_on {
            self.send_heartbeats(false);
        }
    }

    /// Logs changes, and wakes the threads whose waiting they may end.
    fn report(&self, peer: &Address, changes: Changes) {
        let peer: [log::Field; 1] = [("peer", peer)];
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
        if changes.lost || changes.regained {
            self.env.wake_all();
        }
    }

    /// Answers a heartbeat of a peer or a front-end.
    pub(super) fn answer_heartbeat(&self, heartbeat: &Heartbeat) -> Result<Reply> {
        let from = &heartbeat.from;
        let mut inner = self.lock();
        let now = self.now();
        let number = self.peer_number(from);
        let lends = number.is_none_or(|i| !inner.left_out.is_told(i));
        let answer = inner.membership.receive_heartbeat(from, lends, now);
        let Some((reply, regained)) = answer else {
            drop(inner);
            static OFTEN: log::RateLimited = log::RateLimited::new();
            let event = "heartbeat from a server that is not in the settings";
            OFTEN.warn(event, &[("from", from)]);
            return Ok(Reply::UnknownPeer);
        };
        let answer = match (number, &heartbeat.standing) {
            (Some(i), Some(said)) => {
                let is_current = self.hear(&mut inner, i, said, false);
                if is_current && heartbeat.known_listers.contains(&self.config.address) {
                    inner.left_out.knows(i);
                }
                Reply::Standing(Box::new(StandingReply {
                    reply,
                    standing: self.standing(&mut inner),
                    token: inner.left_out.token(i, now),
                    seen_starts: inner.left_out.old_folder_of(i),
                    seen_before: inner.left_out.seen_before(i, said.start),
                }))
            }
            (Some(_), None) => return Err(Error::Invalid("A catalog says how it stands".into())),
            (None, _) => Reply::HeartbeatReply(reply),
        };
        drop(inner);
        let changes = Changes {
            regained,
            ..Changes::default()
        };
        self.report(from, changes);
        Ok(answer)
    }
}

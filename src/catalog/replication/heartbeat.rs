//! Membership with peers and front-ends: who sends a heartbeat, what came of it, and what must be
//! forgotten then.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Hold, Replica};
use crate::membership::{Changes, HeartbeatOutcome, Time};
use crate::model::address::Address;
use crate::model::error::{Error, Result};
use crate::runtime::log;

impl<E: Environment> Replica<E> {
    /// The heartbeat loop's step: sends a heartbeat to every peer. Call it every
    /// [`Timing::every`](crate::config::timing::Timing). Never waits.
    pub fn tick(self: &Arc<Self>) {
        let mut inner = self.lock();
        let slept = inner.contact.tick(self.now());
        if slept && self.holds(Rule::Stall) {
            inner.clear();
        }
        inner.greeted |= inner.contact.round_complete();
        drop(inner);
        if slept {
            log::warn(
                "this process was asleep: nothing is trusted until heartbeat is answered",
                &[],
            );
            self.env.wake_all();
        }
        self.say_hello(true);
        self.env.wake(WaitKey::Membership);
    }

    fn say_hello(self: &Arc<Self>, periodic: bool) {
        let (due, sent) = {
            let mut inner = self.lock();
            // Whose disk refuses is of no use to the others: silence makes them go on without it.
            if inner.disk_refuses {
                return;
            }
            let now = self.now();
            (inner.contact.due_heartbeats(now, periodic), now)
        };
        for peer in due {
            self.send_hello(peer, sent);
        }
    }

    fn send_hello(self: &Arc<Self>, peer: usize, sent: Time) {
        let replica = self.clone();
        let done = Box::new(move |outcome| replica.hello_ended(peer, sent, outcome));
        self.env.send(
            peer,
            Message::Heartbeat {
                from: self.config.address.clone(),
            },
            done,
        );
    }

    /// What came of any other message to a peer. One that broke is followed by a heartbeat at once,
    /// which decides.
    pub(super) fn hear(self: &Arc<Self>, peer: usize, outcome: &Outcome) {
        let now = self.now();
        let mut inner = self.lock();
        let mut news = Changes::default();
        let mut heartbeat = false;
        match outcome {
            Outcome::Reply(_) => inner.contact.peers[peer].last_contact = now,
            Outcome::Refused => news.lost = inner.contact.on_refused_call(peer),
            Outcome::Silent => {
                heartbeat = !inner.disk_refuses && inner.contact.start_heartbeat(peer, now)
            }
        }
        if news.lost {
            inner.shelf.note_peer_lost();
        }
        drop(inner);
        self.tell(peer, news);
        if heartbeat {
            self.send_hello(peer, now);
        }
    }

    fn hello_ended(self: &Arc<Self>, peer: usize, sent: Time, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Reply(Reply::HeartbeatReply(heartbeat_reply)) => {
                HeartbeatOutcome::Answered(heartbeat_reply)
            }
            Outcome::Reply(Reply::UnknownPeer) => HeartbeatOutcome::UnknownPeer,
            Outcome::Refused => HeartbeatOutcome::Refused,
            _ => HeartbeatOutcome::Silent,
        };
        let mut inner = self.lock();
        let news = inner.contact.on_outcome(peer, sent, self.now(), outcome);
        if news.missed_invalidations && self.holds(Rule::Clear) {
            inner.clear();
        }
        if news.lost {
            inner.shelf.note_peer_lost();
        }
        let whole = inner.contact.round_complete();
        inner.greeted |= whole;
        drop(inner);
        self.tell(peer, news);
        self.env.wake(WaitKey::Membership);
        // A wanted round goes on at once, but silence is not answered with haste.
        if !whole && outcome != HeartbeatOutcome::Silent {
            self.say_hello(false);
        }
    }

    fn tell(&self, peer: usize, news: Changes) {
        let address: &dyn Display = &self.config.peers[peer];
        if news.lost {
            log::warn("peer lost", &[("peer", address)]);
        }
        if news.regained {
            log::always("peer regained", &[("peer", address)]);
        }
        if news.unknown_peer {
            log::error(
                "a peer does not have this catalog in its CATALOG_ADDRESSES: no copy is trusted",
                &[("peer", address)],
            );
        }
        if news.lost || news.regained || news.missed_invalidations {
            self.env.wake_all();
        }
    }

    /// Somebody sends a heartbeat.
    pub(super) fn receive_heartbeat(&self, from: &Address) -> Result<Reply> {
        let mut inner = self.lock();
        if inner.disk_refuses {
            return Err(Error::Busy("The disk refuses".into()));
        }
        let Some((heartbeat_reply, regained)) = inner.contact.receive_heartbeat(from, self.now())
        else {
            drop(inner);
            log::warn(
                "heartbeat from a server that is not in the settings",
                &[("from", from)],
            );
            return Ok(Reply::UnknownPeer);
        };
        drop(inner);
        if regained {
            log::always("peer regained", &[("peer", from)]);
            self.env.wake_all();
        }
        Ok(Reply::HeartbeatReply(heartbeat_reply))
    }

    /// Says heartbeat to all and waits until every one has come to an end, at most until `until`.
    pub(super) fn full_round(self: &Arc<Self>, until: Duration) {
        let now = self.now();
        self.lock().contact.begin_round(now);
        self.say_hello(false);
        let mut inner = self.lock();
        while inner.contact.stalled(self.now()) && self.now().monotonic < until {
            inner = self.wait(inner, WaitKey::Membership, until);
        }
    }

    /// Waits for the first round of heartbeat after the start: nothing is answered before.
    pub(super) fn greeted<'a>(&'a self, mut inner: Hold<'a>, until: Duration) -> Hold<'a> {
        while !inner.greeted && self.now().monotonic < until {
            inner = self.wait(inner, WaitKey::Membership, until);
        }
        inner
    }
}

//! Contact with peers and front-ends: who says hello, what came of it, and what must be forgotten then.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::rules::Rule;
use super::{Hold, Replica};
use crate::address::Address;
use crate::catalog::protocol::{Key, Message, Outcome, Peers, Reply};
use crate::contact::{HelloOutcome, News, Time};
use crate::error::{Error, Result};
use crate::log;

impl<P: Peers> Replica<P> {
    /// The hello loop's step: says hello to every peer. Call it every [`Timing::every`](crate::contact::Timing). Never
    /// waits.
    pub fn tick(self: &Arc<Self>) {
        let mut inner = self.lock();
        let slept = inner.contact.tick(self.now());
        if slept && self.holds(Rule::Tick) {
            inner.clear();
        }
        inner.greeted |= inner.contact.whole();
        drop(inner);
        if slept {
            log::warn(
                "this process was asleep: nothing is trusted until hello is answered",
                &[],
            );
            self.world.wake_all();
        }
        self.say_hello(true);
        self.world.wake(Key::Contact);
    }

    fn say_hello(self: &Arc<Self>, periodic: bool) {
        let (due, sent) = {
            let mut inner = self.lock();
            // Whose disk refuses is of no use to the others: silence makes them go on without it.
            if inner.disk_refuses {
                return;
            }
            let now = self.now();
            (inner.contact.due(now, periodic), now)
        };
        for peer in due {
            self.send_hello(peer, sent);
        }
    }

    fn send_hello(self: &Arc<Self>, peer: usize, sent: Time) {
        let replica = self.clone();
        let done = Box::new(move |outcome| replica.hello_ended(peer, sent, outcome));
        self.world.send(
            peer,
            Message::Hello {
                from: self.setup.me.clone(),
            },
            done,
        );
    }

    /// What came of any other message to a peer. One that broke is followed by a hello at once, which decides.
    pub(super) fn hear(self: &Arc<Self>, peer: usize, outcome: &Outcome) {
        let now = self.now();
        let mut inner = self.lock();
        let mut news = News::default();
        let mut hello = false;
        match outcome {
            Outcome::Reply(_) => inner.contact.peers[peer].heard = now,
            Outcome::Refused => news.lost = inner.contact.refused_call(peer),
            Outcome::Silent => hello = !inner.disk_refuses && inner.contact.due_to(peer, now),
        }
        if news.lost {
            inner.shelf.separated();
        }
        drop(inner);
        self.tell(peer, news);
        if hello {
            self.send_hello(peer, now);
        }
    }

    fn hello_ended(self: &Arc<Self>, peer: usize, sent: Time, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Reply(Reply::Greeting(greeting)) => HelloOutcome::Answered(greeting),
            Outcome::Reply(Reply::Stranger) => HelloOutcome::Stranger,
            Outcome::Refused => HelloOutcome::Refused,
            _ => HelloOutcome::Silent,
        };
        let mut inner = self.lock();
        let news = inner.contact.ended(peer, sent, self.now(), outcome);
        if news.missed && self.holds(Rule::Clear) {
            inner.clear();
        }
        if news.lost {
            inner.shelf.separated();
        }
        let whole = inner.contact.whole();
        inner.greeted |= whole;
        drop(inner);
        self.tell(peer, news);
        self.world.wake(Key::Contact);
        // A wanted round goes on at once, but silence is not answered with haste.
        if !whole && outcome != HelloOutcome::Silent {
            self.say_hello(false);
        }
    }

    fn tell(&self, peer: usize, news: News) {
        let address: &dyn Display = &self.setup.peers[peer];
        if news.lost {
            log::warn("peer lost", &[("peer", address)]);
        }
        if news.regained {
            log::always("peer regained", &[("peer", address)]);
        }
        if news.stranger {
            log::error(
                "a peer does not have this catalog in its CATALOG_ADDRESSES: no copy is trusted",
                &[("peer", address)],
            );
        }
        if news.lost || news.regained || news.missed {
            self.world.wake_all();
        }
    }

    /// Somebody says hello.
    pub(super) fn greet(&self, from: &Address) -> Result<Reply> {
        let mut inner = self.lock();
        if inner.disk_refuses {
            return Err(Error::Busy("The disk refuses".into()));
        }
        let Some((greeting, regained)) = inner.contact.greet(from, self.now()) else {
            drop(inner);
            log::warn(
                "hello from a server that is not in the settings",
                &[("from", from)],
            );
            return Ok(Reply::Stranger);
        };
        drop(inner);
        if regained {
            log::always("peer regained", &[("peer", from)]);
            self.world.wake_all();
        }
        Ok(Reply::Greeting(greeting))
    }

    /// Says hello to all and waits until every one has come to an end, at most until `until`.
    pub(super) fn full_round(self: &Arc<Self>, until: Duration) {
        let now = self.now();
        self.lock().contact.want_round(now);
        self.say_hello(false);
        let mut inner = self.lock();
        while inner.contact.stalled(self.now()) && self.now().monotonic < until {
            inner = self.wait(inner, Key::Contact, until);
        }
    }

    /// Waits for the first round of hello after the start: nothing is answered before.
    pub(super) fn greeted<'a>(&'a self, mut inner: Hold<'a>, until: Duration) -> Hold<'a> {
        while !inner.greeted && self.now().monotonic < until {
            inner = self.wait(inner, Key::Contact, until);
        }
        inner
    }
}

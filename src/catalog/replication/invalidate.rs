//! Step 6 of a write: the front-ends forget what is old.

use std::sync::Arc;
use std::time::Duration;

use super::Replica;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Outcome, Reply};
use crate::catalog::replication::rules::Rule;
use crate::model::book::Book;
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;

/// So much longer than a front-end has to forget, its answer is waited for. Then it is counted as
/// down.
const VOID_GRACE: Duration = Duration::from_millis(50);

/// A front-end that is counted as down and comes back meanwhile is asked again, for at most so
/// long.
const VOIDING_MAX: Duration = Duration::from_secs(3);

impl<E: Environment> Replica<E> {
    /// Step 6: every front-end forgets this, or its lease is over, before this returns.
    ///
    /// Fails with [`Error::TimedOut`] when a front-end sends a heartbeat again and again but does
    /// not forget.
    pub(super) fn void(self: &Arc<Self>, voids: &[Invalidation]) -> Result<()> {
        if !self.holds(Rule::Invalidate) || voids.is_empty() || self.config.front_ends.is_empty() {
            return Ok(());
        }
        let until = self.in_time(VOIDING_MAX);
        let mut done = vec![false; self.config.front_ends.len()];
        loop {
            let live: Vec<usize> = {
                let inner = self.lock();
                let lacks = |i: &usize| inner.contact.holders[*i].live && !done[*i];
                (0..done.len()).filter(lacks).collect()
            };
            let sent = self.now();
            for (front_end, outcome) in self.void_at(&live, voids) {
                match outcome {
                    Outcome::Reply(_) => done[front_end] = true,
                    Outcome::Refused => self.lock().contact.on_holder_refused(front_end, sent),
                    Outcome::Silent => {}
                }
            }
            if self.front_ends_lapse(&live, &done) {
                return Ok(());
            }
            if until <= self.now().monotonic {
                let why = "A front-end does not forget; the change may come true yet";
                return Err(Error::TimedOut(why.into()));
            }
        }
    }

    /// Sends the voids to these front-ends. The outcome of each is the worst of its voids'.
    fn void_at(
        self: &Arc<Self>,
        front_ends: &[usize],
        voids: &[Invalidation],
    ) -> Vec<(usize, Outcome)> {
        let round = self.round();
        for front_end in front_ends {
            for void in voids {
                let (replica, number, i) = (self.clone(), round.number, *front_end);
                let done = Box::new(move |outcome| replica.came_in(number, i, outcome));
                self.env.invalidate(*front_end, void.clone(), done);
            }
        }
        let patience = self.config.timing.invalidation_timeout() + VOID_GRACE;
        let arrived = self.gather(round.number, front_ends.len() * voids.len(), patience);
        front_ends
            .iter()
            .map(|i| (*i, worst(*i, &arrived, voids.len())))
            .collect()
    }

    /// Counts as down who was asked and has not forgotten, and waits until their leases are over.
    /// Returns whether nobody is left: a front-end that came back meanwhile must be asked.
    fn front_ends_lapse(&self, asked: &[usize], done: &[bool]) -> bool {
        let mut inner = self.lock();
        for i in asked.iter().filter(|i| !done[**i]) {
            // One that was never there is not lost.
            let lost = inner.contact.mark_holder_down(*i) && inner.contact.holders[*i].ever_seen;
            if lost {
                let address = &inner.contact.holders[*i].address;
                crate::runtime::log::warn("front-end lost", &[("front_end", address)]);
            }
        }
        let now = self.now();
        let holders = inner.contact.holders.iter().enumerate();
        let lasting = holders.filter(|(i, _)| !done[*i] && self.holds(Rule::Lease));
        let lapse = lasting
            .map(|(_, holder)| inner.contact.lease_left(holder, now))
            .max();
        let until = now.monotonic + lapse.unwrap_or_default();
        while self.now().monotonic < until {
            inner = self.wait(inner, WaitKey::Membership, until);
        }
        let came_back = |i: usize| inner.contact.holders[i].live && !done[i];
        !(0..done.len()).any(came_back)
    }
}

/// The worst outcome of one front-end's voids: one that is missing counts as silence.
fn worst(front_end: usize, arrived: &[(usize, Outcome)], voids: usize) -> Outcome {
    let mut outcomes = arrived
        .iter()
        .filter(|(i, _)| *i == front_end)
        .map(|(_, outcome)| outcome);
    let count = outcomes.clone().count();
    match outcomes.find(|outcome| !matches!(outcome, Outcome::Reply(_))) {
        Some(bad) => bad.clone(),
        None if count < voids => Outcome::Silent,
        None => Outcome::Reply(Reply::Confirmed),
    }
}

/// What the front-ends must forget of a change.
pub(super) fn voids(old: &Book, new: &Book) -> Vec<Invalidation> {
    let mut voids = vec![Invalidation::Item(new.id)];
    if old.topic != new.topic {
        voids.push(Invalidation::AllTopics);
    } else if old.title != new.title {
        voids.push(Invalidation::Topic(new.topic.clone()));
    }
    voids
}

//! `PROTOCOL.md`, "Write 6: invalidate": the front-ends drop what a change makes stale.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::Replica;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::Outcome;
use crate::catalog::replication::rpc_round::Outcomes;
use crate::catalog::replication::rules::Rule;
use crate::model::book::Book;
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::log;

/// How much longer than a front-end may take to invalidate its answer is waited for. Then it is
/// counted as down.
const ANSWER_GRACE: Duration = Duration::from_millis(50);

/// A front-end that is counted as down and returns meanwhile is asked again, for at most this long.
const RETRYING_MAX: Duration = Duration::from_secs(3);

impl<E: Environment> Replica<E> {
    /// Before this returns, every front-end has obeyed these invalidations, or its lease is over.
    ///
    /// Fails with [`Error::TimedOut`] when a front-end keeps sending heartbeats but does not obey.
    pub(super) fn invalidate(self: &Arc<Self>, invalidations: &[Invalidation]) -> Result<()> {
        let front_ends = self.config.front_ends.len();
        if !self.enforces(Rule::Invalidate) || invalidations.is_empty() || front_ends == 0 {
            return Ok(());
        }
        let until = self.deadline(RETRYING_MAX);
        let mut done = vec![false; front_ends];
        loop {
            let asked: Vec<usize> = {
                let inner = self.lock();
                let lacks = |i: &usize| inner.membership.holders[*i].live && !done[*i];
                (0..front_ends).filter(lacks).collect()
            };
            let sent = self.now();
            let mut obeyed = vec![0; front_ends];
            for (front_end, outcome) in self.invalidate_at(&asked, invalidations) {
                match outcome {
                    Outcome::Reply(_) => obeyed[front_end] += 1,
                    Outcome::Refused => self.lock().membership.on_holder_refused(front_end, sent),
                    Outcome::Silent => {}
                }
            }
            for i in &asked {
                done[*i] = obeyed[*i] == invalidations.len();
            }
            if self.await_front_end_leases(&asked, &done) {
                return Ok(());
            }
            if self.is_over(until) {
                let why = "A front-end does not invalidate; the change may still be committed";
                return Err(Error::TimedOut(why.into()));
            }
        }
    }

    /// Sends each of the invalidations to each of these front-ends.
    fn invalidate_at(
        self: &Arc<Self>,
        front_ends: &[usize],
        invalidations: &[Invalidation],
    ) -> Outcomes {
        let round = self.rpc_round();
        for front_end in front_ends {
            for invalidation in invalidations {
                round.invalidate(*front_end, invalidation);
            }
        }
        let timeout = self.config.timing.invalidation_timeout() + ANSWER_GRACE;
        round.collect(front_ends.len() * invalidations.len(), timeout)
    }

    /// Counts as down those that were asked and have not obeyed, and waits until the leases of all
    /// that have not obeyed are over. Returns false when one of them is live again and must be
    /// asked.
    fn await_front_end_leases(&self, asked: &[usize], done: &[bool]) -> bool {
        let mut inner = self.lock();
        for i in asked.iter().filter(|i| !done[**i]) {
            // A front-end that was never there is not lost.
            if inner.membership.holders[*i].mark_down() && inner.membership.holders[*i].ever_seen {
                let address = &inner.membership.holders[*i].address;
                log::warn("front-end lost", &[("front_end", address)]);
            }
        }
        let now = self.now();
        let holders = inner.membership.holders.iter().zip(done);
        let lapse = holders
            .filter(|(_, done)| !**done && self.enforces(Rule::Lease))
            .map(|(holder, _)| inner.membership.lease_left(holder, now))
            .max();
        let until = now.monotonic + lapse.unwrap_or_default();
        let inner = self.wait_while(inner, WaitKey::Membership, until, |_| true);
        let mut holders = inner.membership.holders.iter().zip(done);
        holders.all(|(holder, done)| *done || !holder.live)
    }
}

/// What a change of a book makes stale.
pub(crate) fn invalidations(old: &Book, new: &Book) -> Vec<Invalidation> {
    let mut invalidations = vec![Invalidation::Item(new.id)];
    let is_new = old.removed && !new.removed;
    if old.topic != new.topic || is_new {
        invalidations.push(Invalidation::AllTopics);
    } else if old.title != new.title || old.removed != new.removed {
        invalidations.push(Invalidation::Topic(new.topic.clone()));
    }
    invalidations
}

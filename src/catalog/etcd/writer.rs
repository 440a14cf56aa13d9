//! Changes of books, each on condition that the book is at the revision it was made from. Those
//! that wait at the same time share one txn, and each is done or not by itself.
//!
//! Each txn as a whole is on condition that this catalog's own key is as this catalog last put it.
//! So putting it again ends all txns that were sent before and are not done yet ([`Registration`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::catalog::etcd::front_ends::FrontEnds;
use crate::catalog::etcd::gateway::{Answered, Gateway};
use crate::catalog::etcd::operations::{self, Batch, Write, Written};
use crate::catalog::etcd::registration::Registration;
use crate::catalog::etcd::wire::{self, Operation, Txn, TxnReply};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;

/// Requests whose changes are made together.
const BATCH_MAX: usize = 64;

/// Changes that front-ends hold together.
const HELD_MAX: usize = 120;

/// Changes in a txn. etcd reads a txn's JSON on one processor, which takes it longer than all else
/// does. So a large batch is shared out among several txns at a time. Too many cost too much each:
/// of 64 customers' sales in one txn, 32 in each are 1.24 times as many a second, 8 are 0.97.
const SHARE: usize = 32;

/// After a txn that was tried as a whole and met a conflict, so many are not: where others change
/// the same books all the time, few succeed.
const EACH_AFTER_CONFLICT: usize = 8;

/// Batches under way, and how long a change waits for one of them to end.
const TXNS_MAX: usize = 4;
const WAIT_MAX: Duration = Duration::from_millis(5);

/// This key is put with every change of a title or a topic, and with every new book: a search is
/// new enough when the memory has come as far.
pub(super) const TITLES: &str = "bazar/book:titles";

pub(super) struct Writer {
    gateway: Arc<Gateway>,
    front_ends: Arc<FrontEnds>,
    registration: Arc<Registration>,
    batcher: Batcher<Vec<Write>, Vec<Result<Written>>>,
    /// So many of the next txns are not tried as a whole.
    each_for_now: AtomicUsize,
}

impl Writer {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        front_ends: Arc<FrontEnds>,
        registration: Arc<Registration>,
    ) -> Writer {
        Writer {
            gateway,
            front_ends,
            registration,
            batcher: Batcher::new(Semaphore::new(TXNS_MAX), BATCH_MAX, WAIT_MAX),
            each_for_now: AtomicUsize::new(0),
        }
    }

    /// Makes these changes. Those that are done are on the disks of most members.
    ///
    /// Fails, each by itself, as [`Gateway::txn`] does. After [`Error::TimedOut`] a change may still
    /// be made.
    pub(super) fn write(&self, writes: Vec<Write>) -> Vec<Result<Written>> {
        if writes.is_empty() {
            return Vec::new();
        }
        self.batcher.submit(writes, |requests| {
            let counts: Vec<usize> = requests.iter().map(Vec::len).collect();
            let all: Vec<Write> = requests.into_iter().flatten().collect();
            let mut outcomes = self.write_all(&all).into_iter();
            let take = |count: usize| outcomes.by_ref().take(count).collect();
            counts.into_iter().map(take).collect()
        })
    }

    fn write_all(&self, writes: &[Write]) -> Vec<Result<Written>> {
        let groups = writes.chunks(HELD_MAX);
        groups.flat_map(|group| self.write_held(group)).collect()
    }

    /// Makes these changes while all front-ends hold what they make stale.
    fn write_held(&self, writes: &[Write]) -> Vec<Result<Written>> {
        let stale = writes.iter().flat_map(|write| write.stale.clone());
        let number = match self.front_ends.hold(stale.collect()) {
            Ok(number) => number,
            Err(error) => return vec![Err(error); writes.len()],
        };
        let outcomes = self.write_shares(writes);
        let is_unknown = |outcome: &Result<Written>| matches!(outcome, Err(Error::TimedOut(_)));
        if outcomes.iter().any(is_unknown) {
            self.registration.doubt(number);
        } else {
            self.front_ends.release(number);
        }
        outcomes
    }

    /// Shares these changes out among several txns at a time.
    fn write_shares(&self, writes: &[Write]) -> Vec<Result<Written>> {
        let mut shares = writes.chunks(SHARE);
        let first = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let begin = |share| {
                let write = move || self.write_share(share);
                (share, thread::Builder::new().spawn_scoped(scope, write))
            };
            let others: Vec<_> = shares.map(begin).collect();
            let mut outcomes = self.write_share(first);
            for (share, other) in others {
                outcomes.extend(match other {
                    Ok(thread) => thread.join().expect("a panic here is a bug"),
                    // The system has no more threads.
                    Err(_) => self.write_share(share),
                });
            }
            outcomes
        })
    }

    fn write_share(&self, mut rest: &[Write]) -> Vec<Result<Written>> {
        let mut outcomes = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let (batch, others) = operations::take_some(rest);
            outcomes.extend(self.txn(&batch));
            rest = others;
        }
        outcomes
    }

    fn txn(&self, batch: &Batch) -> Vec<Result<Written>> {
        let mut stale = batch.writes.iter().flat_map(|write| &write.stale);
        let shows_in_searches = stale.any(|stale| !matches!(stale, Invalidation::Item(_)));
        let titles = shows_in_searches.then(|| wire::put(TITLES, b""));
        let until = self.gateway.deadline();
        let again = match self.all_at_once(batch, &titles, until) {
            Some(Ok(Answered { reply, .. })) if reply.succeeded => {
                return batch.all_done(reply.header.revision);
            }
            Some(Ok(Answered { again, .. })) => again,
            Some(Err(error)) => return vec![Err(error); batch.writes.len()],
            None => false,
        };
        let mut each = batch.each();
        each.success.extend(titles);
        match self.registered_txn(each, until) {
            Ok(answered) => batch.outcomes(Answered {
                again: again || answered.again,
                ..answered
            }),
            // All of them may have been made at once.
            Err(_) if again => vec![Err(unknown()); batch.writes.len()],
            Err(error) => vec![Err(error); batch.writes.len()],
        }
    }

    /// Tries to make all of these changes or none. `None`: it is not worth while.
    fn all_at_once(
        &self,
        batch: &Batch,
        titles: &Option<Operation>,
        until: Instant,
    ) -> Option<Result<Answered<TxnReply>>> {
        let rest = self.each_for_now.load(Relaxed);
        if rest != 0 {
            self.each_for_now.store(rest - 1, Relaxed);
            return None;
        }
        let mut all = batch.all()?;
        let revision = self.registration.revision();
        all.compare
            .push(wire::is_at(&self.registration.key, revision));
        all.success.extend(titles.clone());
        let answered = self.gateway.txn::<TxnReply>(&all, until);
        if answered.as_ref().is_ok_and(|it| !it.reply.succeeded) {
            self.each_for_now.store(EACH_AFTER_CONFLICT, Relaxed);
        }
        Some(answered)
    }

    /// Does a txn on condition that this catalog's key is its own. It is put anew now and then;
    /// then the txn is sent again.
    fn registered_txn(&self, mut txn: Txn, until: Instant) -> Result<Answered<TxnReply>> {
        let mut again = false;
        while Instant::now() < until {
            let revision = self.registration.revision();
            txn.compare = vec![wire::is_at(&self.registration.key, revision)];
            let answered = match self.gateway.txn::<TxnReply>(&txn, until) {
                Ok(answered) => answered,
                Err(_) if again => return Err(unknown()),
                Err(error) => return Err(error),
            };
            again |= answered.again;
            if answered.reply.succeeded {
                return Ok(Answered { again, ..answered });
            }
            self.registration.await_other(revision, until);
        }
        let text = "Another catalog has been started with this one's address, or etcd is slow";
        Err(if again {
            unknown()
        } else {
            Error::Busy(text.into())
        })
    }
}

fn unknown() -> Error {
    Error::TimedOut("etcd has not said what came of the change".into())
}

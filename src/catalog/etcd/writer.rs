//! Changes of books, each on condition that the book is at the revision it was made from. Those
//! that wait at the same time share one txn, and each is done or not by itself.
//!
//! Each txn as a whole is on condition that this catalog's own key is as this catalog last put it.
//! So putting it again ends all txns that were sent before and are not done yet ([`Registration`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::catalog::etcd::front_ends::FrontEnds;
use crate::catalog::etcd::gateway::{Answered, Gateway};
use crate::catalog::etcd::operations::{self, Write, Written};
use crate::catalog::etcd::registration::Registration;
use crate::catalog::etcd::wire::{self, TxnReply};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;

/// Requests whose changes are made together.
const BATCH_MAX: usize = 64;

/// Txns under way, and how long a change waits for one of them to end.
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

    fn write_all(&self, mut rest: &[Write]) -> Vec<Result<Written>> {
        let mut outcomes = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let (count, operations) = operations::encode_some(rest);
            let (some, others) = rest.split_at(count);
            outcomes.extend(self.txn(some, operations));
            rest = others;
        }
        outcomes
    }

    fn txn(&self, writes: &[Write], mut operations: Vec<Value>) -> Vec<Result<Written>> {
        let stale: Vec<Invalidation> = writes
            .iter()
            .flat_map(|write| write.stale.clone())
            .collect();
        if stale
            .iter()
            .any(|stale| !matches!(stale, Invalidation::Item(_)))
        {
            operations.push(wire::put(TITLES, b""));
        }
        let held = self.front_ends.hold(stale);
        let outcome = held.and_then(|number| {
            let outcome = self.registered_txn(&operations);
            match &outcome {
                Err(Error::TimedOut(_)) => self.registration.doubt(number),
                _ => self.front_ends.release(number),
            }
            outcome
        });
        match outcome {
            Ok(answered) => operations::outcomes(writes, answered),
            Err(error) => vec![Err(error); writes.len()],
        }
    }

    /// Does a txn on condition that this catalog's key is its own. It is put anew now and then;
    /// then the txn is sent again.
    fn registered_txn(&self, operations: &[Value]) -> Result<Answered<TxnReply>> {
        let until = self.gateway.deadline();
        let mut again = false;
        while Instant::now() < until {
            let revision = self.registration.revision();
            let body = wire::txn_if(&self.registration.key, revision, operations);
            let answered = match self.gateway.txn::<TxnReply>(&body, until) {
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

//! Linearizable reads: those that wait at the same time share one txn.
//!
//! A txn that only reads is answered by one member, which first asks the leader how far the log is.
//! Members before 3.4.42, and 3.5 before 3.5.21, can answer from the past after their process was
//! stopped for a while. With one of those, the txn also deletes a key that is never there: then it
//! is an entry of the log, and the answer is that of its place in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::catalog::etcd::gateway::Gateway;
use crate::catalog::etcd::wire::{self, KeyValue, Operation, Txn, TxnReply};
use crate::model::error::{Error, Result};
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;

/// Operations of a txn: etcd takes 128.
const KEYS_MAX: usize = 120;

/// Requests whose keys are read together.
const BATCH_MAX: usize = 64;

/// Txns under way, and how long a read waits for one of them to end.
const TXNS_MAX: usize = 4;
const WAIT_MAX: Duration = Duration::from_millis(5);

/// What stands at each of the keys.
type Found = Result<Vec<Option<KeyValue>>>;

pub(super) struct Reader {
    gateway: Arc<Gateway>,
    batcher: Batcher<Vec<String>, Found>,
    /// Whether a member may answer a read from the past.
    pub(super) is_through_log: AtomicBool,
}

impl Reader {
    pub(super) fn new(gateway: Arc<Gateway>) -> Reader {
        Reader {
            gateway,
            batcher: Batcher::new(Semaphore::new(TXNS_MAX), BATCH_MAX, WAIT_MAX),
            is_through_log: AtomicBool::new(true),
        }
    }

    /// Reads keys: what stands there is what the last change that was acknowledged before this call
    /// put, or a later one.
    ///
    /// Fails with [`Error::Busy`] when etcd does not answer.
    pub(super) fn read(&self, keys: Vec<String>) -> Found {
        self.batcher
            .submit(keys, |requests| self.read_batch(&requests))
    }

    fn read_batch(&self, requests: &[Vec<String>]) -> Vec<Found> {
        let mut found = BTreeMap::new();
        let keys: Vec<&String> = requests.iter().flatten().collect();
        let mut keys = keys;
        keys.sort_unstable();
        keys.dedup();
        for some in keys.chunks(KEYS_MAX) {
            let ranges = some.iter().map(|key| wire::range(key)).collect();
            match self.txn(ranges) {
                Ok(reply) => {
                    let kvs = reply.responses.into_iter().map(|reply| {
                        reply
                            .response_range
                            .and_then(|range| range.kvs.into_iter().next())
                    });
                    found.extend(some.iter().zip(kvs));
                }
                Err(error) => return vec![Err(error); requests.len()],
            }
        }
        let at = |key: &String| found.get(&key).cloned().flatten();
        let found = requests
            .iter()
            .map(|keys| Ok(keys.iter().map(at).collect()));
        found.collect()
    }

    /// The keys from `first` to `end` that have changed since `min_revision`, at most `limit`, and
    /// the revision of the store.
    ///
    /// Fails as [`Reader::read`] does.
    pub(super) fn read_between(
        &self,
        first: &str,
        end: &str,
        limit: usize,
        min_revision: u64,
    ) -> Result<(Vec<KeyValue>, bool, u64)> {
        let range = wire::range_between(first, end, limit, min_revision);
        let reply = self.txn(vec![range])?;
        let revision = reply.header.revision;
        let range = reply
            .responses
            .into_iter()
            .next()
            .and_then(|it| it.response_range);
        let range = range.unwrap_or_default();
        Ok((range.kvs, range.more, revision))
    }

    fn txn(&self, mut operations: Vec<Operation>) -> Result<TxnReply> {
        if self.is_through_log.load(Relaxed) {
            operations.push(wire::through_log());
        }
        let txn = Txn::of(operations);
        let answered = self.gateway.txn(&txn, self.gateway.deadline());
        // A read changes nothing, whatever became of it.
        answered
            .map(|answered| answered.reply)
            .map_err(|error| match error {
                Error::TimedOut(text) | Error::Unreachable(text) => Error::Busy(text),
                other => other,
            })
    }
}

/// Whether a member of this version never answers a read from the past.
pub(super) fn reads_are_new(version: &str) -> bool {
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().ok());
    let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
    match (major.flatten(), minor.flatten(), patch.flatten()) {
        (Some(3), Some(4), Some(patch)) => 42 <= patch,
        (Some(3), Some(5), Some(patch)) => 21 <= patch,
        (Some(3), Some(minor), Some(_)) => 6 <= minor,
        (Some(major), ..) => 3 < major,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_that_never_answer_from_the_past_are_trusted() {
        for version in ["3.4.42", "3.5.21", "3.6.0", "3.6.0-rc.1", "4.0.0"] {
            assert!(reads_are_new(version), "{version}");
        }
        for version in ["3.4.23", "3.5.20", "3.3.10", "2.3.8", "", "x"] {
            assert!(!reads_are_new(version), "{version}");
        }
    }
}

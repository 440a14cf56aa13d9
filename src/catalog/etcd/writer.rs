//! Changes of books, each on condition that the book is at the revision it was made from. Those
//! that wait at the same time share one txn, and each is done or not by itself.
//!
//! Each txn as a whole is on condition that this catalog's own key is as this catalog last put it.
//! So putting it again ends all txns that were sent before and are not done yet ([`Registration`]).

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::catalog::etcd::change::at_revision;
use crate::catalog::etcd::front_ends::FrontEnds;
use crate::catalog::etcd::gateway::{Answered, Gateway};
use crate::catalog::etcd::record;
use crate::catalog::etcd::registration::Registration;
use crate::catalog::etcd::wire::{self, TxnReply};
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;

/// Changes in a txn: etcd takes 128 operations.
const WRITES_MAX: usize = 120;

/// A txn has no more bytes of books, before they are encoded: etcd takes 1.5 MiB.
const BYTES_MAX: usize = 800 << 10;

/// Requests whose changes are made together.
const BATCH_MAX: usize = 64;

/// Txns under way, and how long a change waits for one of them to end.
const TXNS_MAX: usize = 4;
const WAIT_MAX: Duration = Duration::from_millis(5);

/// This key is put with every change of a title or a topic, and with every new book: a search is
/// new enough when the memory has come as far.
pub(super) const TITLES: &str = "bazar/titles";

/// A change of one book.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// The revision of the book that it was made from; 0: there is to be none yet.
    pub(super) base: u64,
    /// The book as it is to be. Its stamp tells this change from all others.
    pub(super) book: Arc<Book>,
    /// What front-ends must not keep.
    pub(super) stale: Vec<Invalidation>,
}

/// What came of a change that etcd has answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// It is made. This is the book now, with its revision.
    Done(Arc<Book>),
    /// The book is at another revision than it was made from: this. It is not made, and never will
    /// be. But `again`: it may have been made before, and changed since.
    Conflict {
        newest: Option<Arc<Book>>,
        again: bool,
    },
}

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
            let encoded = encode_some(rest);
            let (some, others) = rest.split_at(encoded.len());
            outcomes.extend(self.txn(some, &encoded));
            rest = others;
        }
        outcomes
    }

    fn txn(&self, writes: &[Write], encoded: &[Vec<u8>]) -> Vec<Result<Written>> {
        let put = |(write, json): (&Write, &Vec<u8>)| {
            wire::put_if(&record::key(write.book.id), write.base, json)
        };
        let mut operations: Vec<Value> = writes.iter().zip(encoded).map(put).collect();
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
            Ok(answered) => outcomes(writes, answered),
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

/// The JSON of as many of these as one txn takes: one at least, and no book twice.
fn encode_some(writes: &[Write]) -> Vec<Vec<u8>> {
    let (mut encoded, mut bytes) = (Vec::new(), 0);
    let mut ids: BTreeSet<BookId> = BTreeSet::new();
    for write in writes.iter().take(WRITES_MAX) {
        let json = record::encode(&write.book);
        bytes += json.len();
        let fits = encoded.is_empty() || bytes <= BYTES_MAX;
        if !fits || !ids.insert(write.book.id) {
            break;
        }
        encoded.push(json);
    }
    encoded
}

fn outcomes(writes: &[Write], answered: Answered<TxnReply>) -> Vec<Result<Written>> {
    let Answered { reply, again } = answered;
    let revision = reply.header.revision;
    let replies = reply.responses.into_iter().map(|reply| reply.response_txn);
    let replies = replies.chain(iter::repeat_with(|| None));
    let nonsense = || Error::TimedOut("etcd's reply makes no sense".into());
    let outcome = |(write, reply): (&Write, Option<TxnReply>)| {
        let reply = reply.ok_or_else(nonsense)?;
        if reply.succeeded {
            return Ok(Written::Done(at_revision(&write.book, revision)));
        }
        let range = reply
            .responses
            .into_iter()
            .next()
            .and_then(|it| it.response_range);
        let kv = range.and_then(|range| range.kvs.into_iter().next());
        let newest = kv.map(|kv| record::decode(&kv)).transpose();
        let newest = newest.map_err(|_| Error::Internal)?;
        Ok(match newest {
            // An earlier sending of this very change was done.
            Some(newest) if newest.version.stamp == write.book.version.stamp => {
                Written::Done(newest)
            }
            newest => Written::Conflict { newest, again },
        })
    };
    writes.iter().zip(replies).map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(id: u64, title: &str) -> Write {
        let json = format!(
            r#"{{"id":{id},"title":"{title}","topic":"T","quantity":3,"price":1.5,"version":"4-77"}}"#
        );
        Write {
            base: 4,
            book: Arc::new(serde_json::from_str(&json).unwrap()),
            stale: Vec::new(),
        }
    }

    #[test]
    fn no_book_is_twice_in_a_txn() {
        let writes = [1, 2, 1, 3].map(|id| write(id, "t"));
        assert_eq!(encode_some(&writes).len(), 2);
        assert_eq!(encode_some(&writes[2..]).len(), 2);
    }

    #[test]
    fn a_txn_has_no_more_changes_and_bytes_than_etcd_takes() {
        let many: Vec<Write> = (0..300).map(|id| write(id, "t")).collect();
        assert_eq!(encode_some(&many).len(), WRITES_MAX);
        let long = "x".repeat(500 << 10);
        let large: Vec<Write> = (0..3).map(|id| write(id, &long)).collect();
        assert_eq!(encode_some(&large).len(), 1);
    }

    fn replied(json: &str, again: bool) -> Result<Written> {
        let reply = serde_json::from_str(json).unwrap();
        outcomes(&[write(1, "t")], Answered { reply, again }).remove(0)
    }

    #[test]
    fn a_change_that_was_made_by_its_first_sending_is_done() {
        let done = r#"{"header":{"revision":"9"},"succeeded":true,
            "responses":[{"response_txn":{"succeeded":true,"responses":[{"response_put":{}}]}}]}"#;
        let Ok(Written::Done(book)) = replied(done, false) else {
            panic!("it is done")
        };
        assert_eq!(book.version.number, 9);
        let kv = |book: &Book, revision: u64| {
            let key = crate::catalog::etcd::base64::encode(record::key(book.id).as_bytes());
            let value = crate::catalog::etcd::base64::encode(&record::encode(book));
            format!(
                r#"{{"header":{{"revision":"9"}},"succeeded":true,"responses":[{{"response_txn":{{
                "responses":[{{"response_range":{{"kvs":[{{"key":"{key}","value":"{value}",
                "mod_revision":"{revision}"}}]}}}}]}}}}]}}"#
            )
        };
        let own = kv(&write(1, "t").book, 8);
        assert!(matches!(replied(&own, true), Ok(Written::Done(book)) if book.version.number == 8));
        let mut other = Book::clone(&write(1, "t").book);
        other.version.stamp = 78;
        let conflict = replied(&kv(&other, 8), true);
        assert!(matches!(
            conflict,
            Ok(Written::Conflict {
                again: true,
                newest: Some(_)
            })
        ));
    }
}

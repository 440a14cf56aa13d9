//! From changes to the operations of a txn, and from its replies to what came of the changes.
//!
//! A change is a txn within the txn: "if the book is still at this revision, and no other change
//! has used its keys, put the book and its entry in the ledger; otherwise read what is there".
//! Where the orders are found is put beside the changes, since it is one key for many of them.
//! etcd counts the operations along each path from the outside in, at most 128.
//!
//! What is deeper in a request's JSON costs etcd more. So changes are first tried without txns
//! within the txn, all or none of them: "if all these books are still at these revisions, …".

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use crate::catalog::etcd::change::{Seen, at_revision};
use crate::catalog::etcd::gateway::Answered;
use crate::catalog::etcd::ledger_keys::{self, KeyUses, Places, entry_key, key_key};
use crate::catalog::etcd::record;
use crate::catalog::etcd::wire::{self, Compare, KeyValue, Operation, Txn, TxnReply};
use crate::model::book::Book;
use crate::model::book::entry::Entry;
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::model::order::OrderId;

/// etcd takes so many operations. Two are kept for what a txn has besides its changes.
const OPERATIONS_MAX: usize = 128 - 2;

/// About how many bytes it takes to say where an order is.
const PLACE_BYTES: usize = 80;

/// Places of orders that one txn within the txn puts.
const PLACES_TOGETHER: usize = 30;

/// Keys that the orders of one change may have: each costs an operation.
pub(super) const KEYS_MAX: usize = 80;

/// A txn has no more bytes, before they are encoded: etcd takes 1.5 MiB.
const BYTES_MAX: usize = 800 << 10;

/// A change of one book.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// The revision of the book that it was made from; 0: there is to be none yet.
    pub(super) base: u64,
    /// The book as it is to be. Its stamp tells this change from all others.
    pub(super) book: Arc<Book>,
    /// What front-ends must not keep.
    pub(super) stale: Vec<Invalidation>,
    /// Its entry in the ledger, if it is not the book's first version.
    pub(super) entry: Option<Entry>,
    /// What it uses keys for. It is made only if none was used before.
    pub(super) keys: KeyUses,
}

/// What came of a change that etcd has answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// It is made. This is the book now, with its revision.
    Done(Arc<Book>),
    /// The book is at another revision than it was made from, or one of its keys was used: this.
    /// It is not made, and never will be. But `again`: it may have been made before, and changed
    /// since.
    Conflict { seen: Seen, again: bool },
}

/// What a change puts.
struct Puts(Vec<(String, Vec<u8>)>);

/// Changes that one txn makes: no key is put twice, and no order is sold twice.
pub(super) struct Batch<'a> {
    pub(super) writes: &'a [Write],
    /// By change.
    puts: Vec<Puts>,
}

/// As many of these changes as one txn makes, one at least, and the others.
pub(super) fn take_some(writes: &[Write]) -> (Batch<'_>, &[Write]) {
    let (mut taken, mut bytes, mut depth) = (Vec::new(), 0, 0);
    let (mut keys, mut spans) = (BTreeSet::<String>::new(), BTreeSet::<String>::new());
    let mut orders: BTreeSet<OrderId> = BTreeSet::new();
    for write in writes {
        let puts = Puts::of(write);
        let sales = write.entry.iter().flat_map(|entry| &entry.orders);
        let sold: Vec<OrderId> = sales.map(|sale| sale.order).collect();
        bytes += puts.bytes() + PLACE_BYTES * sold.len();
        depth = depth.max(puts.0.len());
        spans.extend(sold.iter().map(|order| ledger_keys::place(*order)));
        let beside = taken.len() + 1 + spans.len().div_ceil(PLACES_TOGETHER);
        let inside = depth.max(spans.len().min(PLACES_TOGETHER));
        let fits = bytes <= BYTES_MAX && beside + inside <= OPERATIONS_MAX;
        let is_twice = puts.0.iter().any(|(key, _)| keys.contains(key));
        let is_twice = is_twice || sold.iter().any(|order| orders.contains(order));
        if !taken.is_empty() && (!fits || is_twice) {
            break;
        }
        orders.extend(sold);
        keys.extend(puts.0.iter().map(|(key, _)| key.clone()));
        taken.push(puts);
    }
    let (some, others) = writes.split_at(taken.len());
    let batch = Batch {
        writes: some,
        puts: taken,
    };
    (batch, others)
}

impl Batch<'_> {
    /// A txn in which each change is made or not by itself. Its operations are those of the changes,
    /// and then others.
    pub(super) fn each(&self) -> Txn {
        let places = places(self.writes);
        let together = places.chunks(PLACES_TOGETHER);
        let places = together.map(|some| Operation::Txn(Txn::of(values(some))));
        let changes = self.writes.iter().zip(&self.puts);
        Txn::of(match self.puts.as_slice() {
            // If it is not made, nothing is put.
            [puts] => vec![puts.operation(&self.writes[0], places.collect())],
            _ => changes
                .map(|(write, puts)| puts.operation(write, Vec::new()))
                .chain(places)
                .collect(),
        })
    }

    /// A txn that makes all of these changes or none. `None`: there is one change, or etcd would
    /// not take so many operations.
    pub(super) fn all(&self) -> Option<Txn> {
        let puts = || self.puts.iter().flat_map(|puts| &puts.0);
        let places = places(self.writes);
        if self.writes.len() == 1 || OPERATIONS_MAX < puts().count() + places.len() {
            return None;
        }
        Some(Txn {
            compare: self.writes.iter().flat_map(conditions).collect(),
            ..Txn::of(puts().chain(&places).map(put).collect())
        })
    }

    /// What came of these changes, when each was made or not by itself.
    pub(super) fn outcomes(&self, answered: Answered<TxnReply>) -> Vec<Result<Written>> {
        outcomes(self.writes, answered)
    }

    /// What came of these changes, when all were made at this revision.
    pub(super) fn all_done(&self, revision: u64) -> Vec<Result<Written>> {
        let done = |write: &Write| Ok(Written::Done(at_revision(&write.book, revision)));
        self.writes.iter().map(done).collect()
    }
}

/// That the book is as it was, and none of the keys was used.
fn conditions(write: &Write) -> Vec<Compare> {
    let book = wire::is_at(&record::key(write.book.id), write.base);
    let keys = write.keys.keys();
    let free = keys.map(|key| wire::is_at(&key_key(key), 0));
    iter::once(book).chain(free).collect()
}

/// Where the orders of these changes are.
fn places(writes: &[Write]) -> Vec<(String, Vec<u8>)> {
    let mut places = Places::new();
    for entry in writes.iter().filter_map(|write| write.entry.as_ref()) {
        let name = ledger_keys::name(&entry.key());
        for sale in &entry.orders {
            ledger_keys::add_place(&mut places, sale.order, &name);
        }
    }
    ledger_keys::place_puts(&places, writes[0].book.version.stamp)
}

fn values(puts: &[(String, Vec<u8>)]) -> Vec<Operation> {
    puts.iter().map(put).collect()
}

fn put((key, value): &(String, Vec<u8>)) -> Operation {
    wire::put(key, value)
}

impl Puts {
    fn of(write: &Write) -> Puts {
        let mut puts = vec![(record::key(write.book.id), record::encode(&write.book))];
        if let Some(entry) = &write.entry {
            let name = ledger_keys::name(&entry.key());
            puts.push((entry_key(&name), ledger_keys::encode(entry)));
        }
        let used = write.keys.iter();
        puts.extend(used.map(|(key, used)| (key_key(key), ledger_keys::encode(used))));
        Puts(puts)
    }

    fn bytes(&self) -> usize {
        let all = self.0.iter();
        all.map(|(key, value)| key.len() + value.len()).sum()
    }

    /// The change, which puts `more` besides.
    fn operation(&self, write: &Write, more: Vec<Operation>) -> Operation {
        let mut success = values(&self.0);
        success.extend(more);
        let mut failure = vec![wire::range(&record::key(write.book.id))];
        failure.extend(write.keys.keys().map(|key| wire::range(&key_key(key))));
        Operation::Txn(Txn {
            compare: conditions(write),
            success,
            failure,
        })
    }
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
        let seen = seen(write, reply)?;
        Ok(match seen.book {
            // An earlier sending of this very change was done.
            Some(newest) if newest.version.stamp == write.book.version.stamp => {
                Written::Done(newest)
            }
            _ => Written::Conflict { seen, again },
        })
    };
    writes.iter().zip(replies).map(outcome).collect()
}

/// What a change that was not made has read instead.
fn seen(write: &Write, reply: TxnReply) -> Result<Seen> {
    let found = reply.responses.into_iter().map(|reply| {
        let range = reply.response_range?;
        range.kvs.into_iter().next()
    });
    let found: Vec<Option<KeyValue>> = found.collect();
    let keys = write.keys.keys().cloned();
    Seen::of(&found, keys)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::etcd::base64;

    fn write(id: u64, title: &str) -> Write {
        let json = format!(
            r#"{{"id":{id},"title":"{title}","topic":"T","quantity":3,"price":1.5,"version":"4-77"}}"#
        );
        Write {
            base: 4,
            book: Arc::new(serde_json::from_str(&json).unwrap()),
            stale: Vec::new(),
            entry: None,
            keys: KeyUses::new(),
        }
    }

    #[test]
    fn no_book_is_twice_in_a_txn() {
        let writes = [1, 2, 1, 3].map(|id| write(id, "t"));
        assert_eq!(take_some(&writes).0.writes.len(), 2);
        assert_eq!(take_some(&writes[2..]).0.writes.len(), 2);
    }

    #[test]
    fn a_txn_has_no_more_changes_and_bytes_than_etcd_takes() {
        let many: Vec<Write> = (0..300).map(|id| write(id, "t")).collect();
        assert_eq!(take_some(&many).0.writes.len(), OPERATIONS_MAX - 1);
        let long = "x".repeat(500 << 10);
        let large: Vec<Write> = (0..3).map(|id| write(id, &long)).collect();
        assert_eq!(take_some(&large).0.writes.len(), 1);
    }

    #[test]
    fn all_or_none_compares_every_book_and_every_key() {
        let mut writes = [1, 2].map(|id| write(id, "t"));
        let used = serde_json::from_str(r#"{"book":1,"copies":1,"order":"7.1","entry":"e"}"#);
        writes[0].keys.insert("k".into(), used.unwrap());
        let all = take_some(&writes).0.all().unwrap();
        let compares = serde_json::to_value(&all.compare).unwrap();
        let compared = |key: String, revision: &str| {
            let key = base64::encode(key.as_bytes());
            json!({"key": key, "target": "MOD", "mod_revision": revision})
        };
        let (first, second) = (
            record::key(writes[0].book.id),
            record::key(writes[1].book.id),
        );
        let expected = [
            compared(first, "4"),
            compared(key_key("k"), "0"),
            compared(second, "4"),
        ];
        assert_eq!(compares, json!(expected));
        assert_eq!(all.success.len(), 3);
        assert!(take_some(&writes[..1]).0.all().is_none(), "one change");
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
            let key = base64::encode(record::key(book.id).as_bytes());
            let value = base64::encode(&record::encode(book));
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
                seen: Seen { book: Some(_), .. }
            })
        ));
    }
}

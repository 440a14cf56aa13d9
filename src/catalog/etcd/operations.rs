//! From changes to the operations of a txn, and from its replies to what came of the changes.
//!
//! A change is a txn within the txn: "if the book is still at this revision, and no other change
//! has used its keys, put the book, its entry in the ledger, and its orders; otherwise read what
//! is there". etcd counts the operations along each path from the outside in, at most 128. So many
//! orders of one change are put by txns in that one, some by each.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::etcd::change::{Seen, at_revision};
use crate::catalog::etcd::gateway::Answered;
use crate::catalog::etcd::ledger_keys::{self, KeyUses, entry_key, key_key, order_key};
use crate::catalog::etcd::record;
use crate::catalog::etcd::wire::{self, KeyValue, TxnReply};
use crate::model::book::Book;
use crate::model::book::entry::Entry;
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;

/// Changes in a txn.
const WRITES_MAX: usize = 120;

/// etcd takes so many operations. Two are kept for what a txn has besides its changes.
const OPERATIONS_MAX: usize = 128 - 2;

/// Orders that one txn within a change puts.
const ORDERS_TOGETHER: usize = 30;

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

/// A change as an operation.
struct Operation {
    value: Value,
    /// How many operations stand beside each other in it, from the outside in.
    depth: usize,
    bytes: usize,
    /// What it puts.
    keys: Vec<String>,
}

/// The operations of as many of these as one txn takes: one at least, and no key twice.
pub(super) fn encode_some(writes: &[Write]) -> Vec<Value> {
    let (mut values, mut bytes, mut depth) = (Vec::new(), 0, 0);
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for write in writes.iter().take(WRITES_MAX) {
        let operation = encode(write);
        bytes += operation.bytes;
        depth = depth.max(operation.depth);
        let fits = bytes <= BYTES_MAX && values.len() + 1 + depth <= OPERATIONS_MAX;
        let is_alone = values.is_empty();
        if !(fits || is_alone) || operation.keys.iter().any(|key| keys.contains(key)) {
            break;
        }
        keys.extend(operation.keys);
        values.push(operation.value);
    }
    values
}

fn encode(write: &Write) -> Operation {
    let book = record::key(write.book.id);
    let (mut puts, mut orders) = (
        vec![(book.clone(), record::encode(&write.book))],
        Vec::new(),
    );
    if let Some(entry) = &write.entry {
        let name = ledger_keys::name(&entry.key());
        puts.push((entry_key(&name), ledger_keys::encode(entry)));
        let sold: BTreeSet<_> = entry.orders.iter().map(|sale| sale.order).collect();
        let put = |order| (order_key(order), name.clone().into_bytes());
        orders.extend(sold.into_iter().map(put));
    }
    let used = write.keys.iter();
    puts.extend(used.map(|(key, used)| (key_key(key), ledger_keys::encode(used))));
    let mut compare = vec![wire::is_at(&book, write.base)];
    let mut read = vec![wire::range(&book)];
    for key in write.keys.keys() {
        compare.push(wire::is_at(&key_key(key), 0));
        read.push(wire::range(&key_key(key)));
    }
    let put = |(key, value): &(String, Vec<u8>)| wire::put(key, value);
    let mut success: Vec<Value> = puts.iter().map(put).collect();
    let mut depth = 0;
    if orders.len() == 1 {
        success.extend(orders.iter().map(put));
    } else {
        depth = ORDERS_TOGETHER.min(orders.len());
        let together = orders.chunks(ORDERS_TOGETHER);
        success.extend(
            together.map(|some| wire::within(&[], &some.iter().map(put).collect::<Vec<_>>(), &[])),
        );
    }
    depth += success.len().max(compare.len());
    let all = puts.into_iter().chain(orders);
    let (keys, bytes): (Vec<String>, Vec<usize>) = all
        .map(|(key, value)| {
            let bytes = key.len() + value.len();
            (key, bytes)
        })
        .unzip();
    Operation {
        value: wire::within(&compare, &success, &read),
        depth,
        bytes: bytes.iter().sum(),
        keys,
    }
}

/// What came of these changes.
pub(super) fn outcomes(writes: &[Write], answered: Answered<TxnReply>) -> Vec<Result<Written>> {
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

//! What was sold, as keys in etcd, put by the txn of the change itself:
//!
//! | key | value |
//! |---|---|
//! | `bazar/entry/<time>.<book>.<stamp>` | the entry's JSON, as in a ledger's file |
//! | `bazar/order/<start>.<span>.<stamp>` | of some orders the entries that sold them ([`Places`]) |
//! | `bazar/key/<Idempotency-Key>` | what it was used for ([`KeyUse`]), put if the key is free |
//! | `bazar/apart/<order>` | nothing: the other side of a cut sold it, before it was migrated |
//!
//! The name of an entry is the end of its key. Orders that are sold together have mostly been issued
//! one after the other, so one key says where many of them are. A change that is not made leaves
//! names of entries there that do not exist.
//!
//! Entries sort by time. The number of an entry's version is the revision of its key, since a book
//! and its entry are put together; one that was migrated keeps its number. Taking an order back
//! uses a key, too, which no client can have. So of two that do it at once etcd lets one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::etcd::wire::KeyValue;
use crate::catalog::replication::write::Update;
use crate::model::book::entry::{Entry, EntryKey, Opening};
use crate::model::book::{Book, BookId};
use crate::model::order::{Order, OrderId};

/// No entry has a lower key.
pub(super) const FIRST: &str = "bazar/entry/";

/// The key after those of all entries.
pub(super) const END: &str = "bazar/entry0";

/// So many orders that were issued one after the other are looked for together.
const SPAN: u64 = 64;

/// What an `Idempotency-Key` was used for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeyUse {
    pub(super) book: BookId,
    /// How many copies were sold for it; 0: it is an operator's.
    pub(super) copies: u32,
    /// The order that was sold for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) order: Option<OrderId>,
    /// The name of the entry.
    pub(super) entry: String,
}

/// Keys that were used, and what for.
pub(super) type KeyUses = BTreeMap<Arc<str>, KeyUse>;

/// The name of an entry.
pub(super) fn name(key: &EntryKey) -> String {
    let EntryKey { at, book, version } = key;
    format!("{at:016}.{:016}.{:016}", book.0, version.stamp)
}

pub(super) fn entry_key(name: &str) -> String {
    format!("{FIRST}{name}")
}

/// Where orders are found: the name of the entry by order, by the key's beginning.
pub(super) type Places = BTreeMap<String, BTreeMap<u64, String>>;

/// Adds where this order is.
pub(super) fn add_place(places: &mut Places, order: OrderId, entry: &str) {
    let place = places.entry(place(order)).or_default();
    place.insert(order.count, entry.into());
}

/// What is put for places. `stamp` tells it from what other changes put there.
pub(super) fn place_puts(places: &Places, stamp: u64) -> Vec<(String, Vec<u8>)> {
    let put = |(place, names): (&String, &BTreeMap<u64, String>)| {
        (format!("{place}{stamp:016}"), encode(names))
    };
    places.iter().map(put).collect()
}

/// The beginning of the keys that may say where this order is.
pub(super) fn place(order: OrderId) -> String {
    let OrderId { start, count } = order;
    format!("bazar/order/{start:016}.{:016}.", count / SPAN)
}

/// The key after all that begin so.
pub(super) fn place_end(place: &str) -> String {
    let dot = place.strip_suffix('.').expect("a place ends with a dot");
    format!("{dot}/")
}

/// The name of the entry that may have sold this order. Fails as [`decode_entry`] does.
pub(super) fn decode_place(kv: &KeyValue, order: OrderId) -> Result<Option<String>, String> {
    let key = || String::from_utf8_lossy(&kv.key).into_owned();
    let names: BTreeMap<u64, String> = serde_json::from_slice(&kv.value)
        .map_err(|error| format!("{} holds no orders: {error}", key()))?;
    Ok(names.get(&order.count).cloned())
}

pub(super) fn key_key(key: &str) -> String {
    format!("bazar/key/{key}")
}

pub(super) fn apart_key(order: OrderId) -> String {
    format!("bazar/apart/{order}")
}

/// The key of the change that takes this order back. No client's key has a space in it.
pub(super) fn cancels(order: OrderId) -> Arc<str> {
    format!("cancels {order}").into()
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("it is JSON")
}

/// Fails with what is wrong with a value that no catalog wrote.
pub(super) fn decode_entry(kv: &KeyValue) -> Result<Arc<Entry>, String> {
    let key = || String::from_utf8_lossy(&kv.key).into_owned();
    let decoded = serde_json::from_slice(&kv.value);
    let mut entry: Entry = decoded.map_err(|error| format!("{} holds no entry: {error}", key()))?;
    if entry.version.number == 0 {
        entry.version.number = kv.mod_revision;
    }
    match entry.defect() {
        Some(defect) => Err(format!("{} holds an entry with {defect}", key())),
        None if key() != entry_key(&name(&entry.key())) => {
            Err(format!("{} holds the entry {}", key(), name(&entry.key())))
        }
        None => Ok(Arc::new(entry)),
    }
}

/// Fails as [`decode_entry`] does.
pub(super) fn decode_use(kv: &KeyValue) -> Result<KeyUse, String> {
    let key = || String::from_utf8_lossy(&kv.key).into_owned();
    serde_json::from_slice(&kv.value)
        .map_err(|error| format!("{} holds no use of a key: {error}", key()))
}

/// The entry of this change of the old copy to the new one. Its version's number is 0 until etcd
/// gives it one.
pub(super) fn entry(update: &Update, old: &Book, new: &Book, now: u64) -> Entry {
    let opens = old.account.is_empty().then(|| opening(old));
    let mut entry = update.entry(old, new, now, opens);
    entry.version.number = 0;
    entry.base_number = Some(old.version.number);
    entry
}

/// Where the quantity of a book without entries came from.
fn opening(book: &Book) -> Opening {
    let orders = &book.applied_orders;
    match orders.created() {
        Some(stamp) if stamp == book.version.stamp => Opening::Added,
        None if orders.is_empty() => Opening::Stock,
        _ => Opening::Older,
    }
}

/// What the orders of a change use their keys for. One key is good for one of them.
pub(super) fn uses(orders: &[Order], book: BookId, entry: &str) -> KeyUses {
    let mut uses = KeyUses::new();
    for order in orders {
        let Some(key) = &order.key else { continue };
        uses.entry(key.clone()).or_insert_with(|| KeyUse {
            book,
            copies: order.copies,
            order: (order.copies != 0).then_some(order.id),
            entry: entry.into(),
        });
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::book::Version;

    fn entry(number: u64) -> Entry {
        let json = format!(
            r#"{{"at":9,"book":2,"version":"{number}-4","base":3,"base_number":7,"title":"T",
            "price":1.5,"from":9,"to":8,"sales":["7.5; key=k"]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn stored(entry: &Entry) -> KeyValue {
        KeyValue {
            key: entry_key(&name(&entry.key())).into_bytes(),
            value: encode(entry),
            mod_revision: 12,
        }
    }

    #[test]
    fn an_entry_has_the_revision_of_its_key_unless_it_was_migrated() {
        for (number, expected) in [(0, 12), (8, 8)] {
            let read = decode_entry(&stored(&entry(number))).unwrap();
            let version = |number| Version { number, stamp: 4 };
            assert_eq!(read.version, version(expected));
            let base = Version {
                stamp: 3,
                ..version(7)
            };
            assert_eq!(read.base_version(), base);
        }
    }

    #[test]
    fn entries_sort_by_time() {
        let names = [(9, 2, 4), (9, 10, 3), (10, 1, 1)].map(|(at, book, stamp)| {
            let version = Version { number: 99, stamp };
            entry_key(&name(&EntryKey {
                at,
                book: BookId(book),
                version,
            }))
        });
        assert!(names.is_sorted() && FIRST < names[0].as_str() && names[2].as_str() < END);
    }

    #[test]
    fn orders_that_were_issued_together_are_found_at_one_key() {
        let order = |count| OrderId { start: 7, count };
        let mut places = Places::new();
        for count in [130, 190, 191, 192] {
            add_place(&mut places, order(count), &format!("entry {count}"));
        }
        let puts = place_puts(&places, 9);
        assert_eq!(puts.len(), 2);
        let (key, value) = puts[0].clone();
        let place = place(order(190));
        assert!(place < key && key < place_end(&place), "{key}");
        let kv = KeyValue {
            key: key.into_bytes(),
            value,
            mod_revision: 1,
        };
        let found = |count| decode_place(&kv, order(count)).unwrap();
        assert_eq!((found(191), found(192)), (Some("entry 191".into()), None));
    }

    #[test]
    fn an_entry_that_no_catalog_wrote_is_refused() {
        let elsewhere = KeyValue {
            key: b"bazar/entry/1".into(),
            ..stored(&entry(0))
        };
        assert!(decode_entry(&elsewhere).is_err());
        let nonsense = KeyValue {
            value: b"7".into(),
            ..stored(&entry(0))
        };
        assert!(
            decode_entry(&nonsense)
                .unwrap_err()
                .contains("holds no entry")
        );
    }
}

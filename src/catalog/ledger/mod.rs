//! The ledger in memory: every entry that this catalog knows to have come true, by time, and an
//! index of orders. A grow-only set: an entry is added, and never changed or removed.
//!
//! It has no lock and no thread; the replica's lock guards it. All of it is in memory, 0.1 KB for
//! each order of those that came together and 0.6 KB for one that came alone with a key, because a
//! million orders are a shop's year. `storage::ledger_files` is the same on disk,
//! `replication::ledger` how it gets there and how catalogs make theirs equal: `PROTOCOL.md`, "The
//! ledger".

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::book::entry::{Entry, EntryKey};
use crate::model::book::{Book, BookId};
use crate::model::number;
use crate::model::order::OrderId;

/// Entries of this many ms are compared together.
const BUCKET_MS: u64 = 10_000;

/// Buckets of a day.
const DAY_BUCKETS: u64 = 24 * 60 * 60 * 1000 / BUCKET_MS;

/// How many entries there are in a bucket or a day, and a sum that tells two sets apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Digest(u64, u64);

/// Digests by bucket or day.
pub(crate) type Digests = BTreeMap<u64, Digest>;

/// No hash tables: one that grows moves all it holds, while every sale waits.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<EntryKey, Kept>,
    /// Those that may not be in a file yet, by age here.
    unsaved: VecDeque<Arc<Entry>>,
    /// So many of these, from the first on, may be in no record here any more.
    due: usize,
    sales: ByOrder,
    cancellations: ByOrder,
    /// The first entry with each `Idempotency-Key`, of a client or an operator.
    keys: BTreeMap<Arc<str>, Arc<Entry>>,
    buckets: Digests,
    days: Digests,
}

/// The entries with an order. Nearly each order has one; each side of a cut may have made one.
#[derive(Default)]
struct ByOrder {
    first: BTreeMap<OrderId, Arc<Entry>>,
    others: BTreeMap<OrderId, Vec<Arc<Entry>>>,
}

struct Kept {
    entry: Arc<Entry>,
    /// It is in a file.
    is_saved: bool,
}

/// The bucket of a time in ms since 1970.
pub(crate) fn bucket_of(at: u64) -> u64 {
    at / BUCKET_MS
}

impl Ledger {
    /// The ledger that was in the files.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Ledger {
        entries.sort_unstable_by_key(Entry::key);
        // An entry may be in two files.
        entries.dedup_by_key(|entry| entry.key());
        let entries = with_one_copy_of_each_title(entries);
        // A tree of all at once is full, one that grew is half empty. Of two, it keeps the last.
        let keys = entries.iter().rev().flat_map(|entry| {
            let keys = entry.keys().cloned();
            keys.map(move |key| (key, entry.clone()))
        });
        let sales = entries.iter().flat_map(|entry| {
            let orders = entry.orders.iter().map(|sale| sale.order);
            orders.map(move |order| (order, entry.clone()))
        });
        let cancellations = entries
            .iter()
            .filter_map(|entry| Some((entry.cancels?, entry.clone())));
        let mut ledger = Ledger {
            keys: keys.collect(),
            sales: ByOrder::new(sales),
            cancellations: ByOrder::new(cancellations),
            ..Ledger::default()
        };
        entries.iter().for_each(|entry| ledger.count(&entry.key()));
        let kept = entries.into_iter().map(|entry| {
            let is_saved = true;
            (entry.key(), Kept { entry, is_saved })
        });
        ledger.entries = kept.collect();
        ledger
    }

    /// Adds an entry that came true. Returns whether it is new.
    pub(crate) fn add(&mut self, entry: &Arc<Entry>) -> bool {
        let key = entry.key();
        match self.entries.entry(key) {
            MapEntry::Occupied(_) => return false,
            MapEntry::Vacant(place) => {
                let entry = entry.clone();
                let is_saved = false;
                place.insert(Kept { entry, is_saved });
            }
        }
        self.unsaved.push_back(entry.clone());
        for sale in &entry.orders {
            self.sales.add(sale.order, entry);
        }
        if let Some(order) = entry.cancels {
            self.cancellations.add(order, entry);
        }
        for key in entry.keys() {
            let first = self.keys.entry(key.clone());
            first.or_insert_with(|| entry.clone());
        }
        self.count(&key);
        true
    }

    /// Adds a new entry to its digests.
    fn count(&mut self, key: &EntryKey) {
        let bucket = bucket_of(key.at);
        self.buckets.entry(bucket).or_default().add(key);
        self.days.entry(bucket / DAY_BUCKETS).or_default().add(key);
    }

    /// Adds the entries that a version has which came true.
    pub(crate) fn add_all(&mut self, book: &Book) {
        for entry in book.account.entries() {
            self.add(entry);
        }
    }

    /// Adds the entries of the older copy that the newer one, which takes its place, has forgotten:
    /// they are in the ledger of the catalog that made that one.
    pub(crate) fn add_forgotten(&mut self, older: &Book, newer: &Book) {
        for entry in older.account.forgotten_by(&newer.account) {
            self.add(entry);
            if !self.is_saved(&entry.key()) {
                self.due = self.unsaved.len();
            }
        }
    }

    /// A copy here has forgotten an entry that may not be in a file, and is to be put on disk after
    /// it.
    pub(crate) fn is_due(&self) -> bool {
        0 < self.due
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether this entry is in a file.
    pub(crate) fn is_saved(&self, key: &EntryKey) -> bool {
        self.entries.get(key).is_some_and(|kept| kept.is_saved)
    }

    /// The entries that are not in a file, at most `limit`, those first that came first.
    pub(crate) fn unsaved(&self, limit: usize) -> Vec<Arc<Entry>> {
        self.unsaved.iter().take(limit).cloned().collect()
    }

    /// How many entries are not in a file.
    pub(crate) fn unsaved_len(&self) -> usize {
        self.unsaved.len()
    }

    pub(crate) fn mark_saved(&mut self, entries: &[Arc<Entry>]) {
        for entry in entries {
            let kept = self.entries.get_mut(&entry.key());
            kept.expect("no entry is removed").is_saved = true;
        }
        let saved = |entry: &&Arc<Entry>| self.is_saved(&entry.key());
        let saved = self.unsaved.iter().take_while(saved).count();
        self.unsaved.drain(..saved);
        self.due = self.due.saturating_sub(saved);
    }

    /// The oldest entry with this sale, and the oldest one that took it back, if one did.
    pub(crate) fn order(&self, order: OrderId) -> Option<(Arc<Entry>, Option<Arc<Entry>>)> {
        let sale = self.sales.oldest(order)?;
        Some((sale, self.cancellations.oldest(order)))
    }

    /// The entries with this sale: of both sides of a cut there may be one.
    pub(crate) fn sales(&self, order: OrderId) -> impl Iterator<Item = &Arc<Entry>> {
        self.sales.of(order)
    }

    /// The entries that took this order back.
    pub(crate) fn cancellations(&self, order: OrderId) -> impl Iterator<Item = &Arc<Entry>> {
        self.cancellations.of(order)
    }

    /// Whether an order was taken back.
    pub(crate) fn is_cancelled(&self, order: OrderId) -> bool {
        self.cancellations(order).next().is_some()
    }

    /// The first entry with an `Idempotency-Key`.
    pub(crate) fn with_key(&self, key: &str) -> Option<&Arc<Entry>> {
        self.keys.get(key)
    }

    /// The entries behind `after`, or from `since` on, by time.
    pub(crate) fn after(
        &self,
        since: u64,
        after: Option<EntryKey>,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let first = EntryKey {
            at: since,
            ..EntryKey::MIN
        };
        let from = match after {
            Some(after) if first <= after => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        self.entries
            .range((from, Bound::Unbounded))
            .map(|(_, kept)| &kept.entry)
    }

    /// Those of these entries that are here.
    pub(crate) fn entries(&self, keys: &[EntryKey]) -> Vec<Arc<Entry>> {
        let here = keys
            .iter()
            .filter_map(|key| Some(self.entries.get(key)?.entry.clone()));
        here.collect()
    }

    /// The digest of each day, without the buckets from `before` on.
    pub(crate) fn days(&self, before: u64) -> Digests {
        let mut days = self.days.clone();
        for (bucket, digest) in self.buckets.range(before..) {
            let day = days.get_mut(&(bucket / DAY_BUCKETS));
            day.expect("its day has a digest").subtract(digest);
        }
        days.retain(|_, digest| *digest != Digest::default());
        days
    }

    /// The digests of a day's buckets, without those from `before` on.
    pub(crate) fn buckets(&self, day: u64, before: u64) -> Digests {
        let first = day.saturating_mul(DAY_BUCKETS);
        let end = first.saturating_add(DAY_BUCKETS).min(before);
        let buckets = self.buckets.range(first..end.max(first));
        buckets.map(|(bucket, digest)| (*bucket, *digest)).collect()
    }

    /// The keys of a bucket behind `after`, at most `limit`.
    pub(crate) fn keys(&self, bucket: u64, after: Option<EntryKey>, limit: usize) -> Vec<EntryKey> {
        let in_bucket = self.after(bucket.saturating_mul(BUCKET_MS), after);
        let keys = in_bucket.map(|entry| entry.key());
        let keys = keys.take_while(|key| bucket_of(key.at) == bucket);
        keys.take(limit).collect()
    }
}

impl ByOrder {
    /// Of all at once.
    fn new(entries: impl Iterator<Item = (OrderId, Arc<Entry>)>) -> ByOrder {
        let mut first: Vec<(OrderId, Arc<Entry>)> = entries.collect();
        first.sort_by_key(|(order, _)| *order);
        let mut others: BTreeMap<OrderId, Vec<Arc<Entry>>> = BTreeMap::new();
        first.dedup_by(|(order, entry), (before, _)| {
            let is_other = order == before;
            if is_other {
                others.entry(*order).or_default().push(entry.clone());
            }
            is_other
        });
        let first = first.into_iter().collect();
        ByOrder { first, others }
    }

    fn add(&mut self, order: OrderId, entry: &Arc<Entry>) {
        match self.first.entry(order) {
            MapEntry::Vacant(place) => {
                place.insert(entry.clone());
            }
            MapEntry::Occupied(_) => self.others.entry(order).or_default().push(entry.clone()),
        }
    }

    fn of(&self, order: OrderId) -> impl Iterator<Item = &Arc<Entry>> {
        let others = self.others.get(&order).into_iter().flatten();
        self.first.get(&order).into_iter().chain(others)
    }

    /// The same at all catalogs, in whatever order they heard of them.
    fn oldest(&self, order: OrderId) -> Option<Arc<Entry>> {
        self.of(order).min_by_key(|entry| entry.key()).cloned()
    }
}

/// What was read from a file has a title of its own for each entry; a book's are mostly equal.
fn with_one_copy_of_each_title(entries: Vec<Entry>) -> Vec<Arc<Entry>> {
    let mut titles: BTreeMap<BookId, Arc<str>> = BTreeMap::new();
    let shared = entries.into_iter().map(|mut entry| {
        let title = titles.entry(entry.book).or_default();
        if *title != entry.title {
            *title = entry.title;
        }
        entry.title = title.clone();
        Arc::new(entry)
    });
    shared.collect()
}

impl Digest {
    fn add(&mut self, key: &EntryKey) {
        self.0 += 1;
        self.1 = (self.1 + hash(key)) & number::EXACT_MAX;
    }

    fn subtract(&mut self, other: &Digest) {
        self.0 -= other.0;
        self.1 = self.1.wrapping_sub(other.1) & number::EXACT_MAX;
    }
}

/// 53 bits of a key: FNV-1a of its numbers, mixed as in SplitMix64, since these are summed.
fn hash(key: &EntryKey) -> u64 {
    let numbers = [key.at, key.book.0, key.version.number, key.version.stamp];
    let hash = numbers.iter().fold(0xcbf2_9ce4_8422_2325, |hash, number| {
        let mixed = (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    });
    hash & number::EXACT_MAX
}

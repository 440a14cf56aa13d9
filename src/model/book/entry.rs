//! An entry of the ledger: one change of one book, which never changes itself.
//!
//! A change's entry travels in the book's own record ([`Account`]), so it is on disk and replicated
//! with the change. The record keeps it until it is in the ledger on the disk of the catalog that
//! makes the next change. `catalog/replication/PROTOCOL.md`, "The ledger".

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::book::{BookId, QUANTITY_MAX, STAMP_MAX, TEXT_CHARS_MAX, Version};
use crate::model::order::{Order, OrderId};
use crate::model::{number, text};

/// One change of a book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When, in ms since 1970, by the clock of the catalog that made the change.
    pub(crate) at: u64,
    pub(crate) book: BookId,
    /// Which version the change made.
    pub(crate) version: Version,
    /// The stamp of the version before.
    pub(crate) base: u64,
    /// The number of the version before, if it is not one less than this one's: in etcd, numbers
    /// are revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_number: Option<u64>,
    pub(crate) title: Arc<str>,
    /// The price after the change: what each copy of these orders cost.
    pub(crate) price: f64,
    /// The quantity before and after the change.
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The book's first entry: what the quantity before it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opens: Option<Opening>,
    /// What was sold.
    #[serde(default, rename = "sales", skip_serializing_if = "<[Sale]>::is_empty")]
    pub(crate) orders: Box<[Sale]>,
    /// The order that was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cancels: Option<OrderId>,
    /// The key of a change that sold nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Arc<str>>,
}

/// Where a book's first quantity came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Opening {
    /// The first stock.
    Stock,
    /// The book was added or imported.
    Added,
    /// A version of Bazar without a ledger made the changes before.
    Older,
}

/// One order of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sale {
    pub(crate) order: OrderId,
    pub(crate) copies: u32,
    /// The client's `Idempotency-Key`.
    pub(crate) key: Option<Arc<str>>,
}

/// Which entry: the ledger is a set of entries in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct EntryKey {
    pub(crate) at: u64,
    pub(crate) book: BookId,
    pub(crate) version: Version,
}

/// What a book's record keeps of its entries, by age, the newest last. A book that never changed
/// has none, and pays for a pointer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Account(Option<Arc<[Arc<Entry>]>>);

impl EntryKey {
    /// Reads `<at>.<book>.<version>`.
    pub(crate) fn parse(text: &str) -> Option<EntryKey> {
        let (at, rest) = text.split_once('.')?;
        let (book, version) = rest.split_once('.')?;
        Some(EntryKey {
            at: number::parse_exact(at)?,
            book: BookId(number::parse_exact(book)?),
            version: Version::parse(version)?,
        })
    }

    pub(crate) const MIN: EntryKey = EntryKey {
        at: 0,
        book: BookId(0),
        version: Version::FIRST,
    };
}

impl std::fmt::Display for EntryKey {
    /// As [`EntryKey::parse`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.book, self.version)
    }
}

impl Entry {
    pub(crate) fn key(&self) -> EntryKey {
        EntryKey {
            at: self.at,
            book: self.book,
            version: self.version,
        }
    }

    /// The version that the change was made from.
    pub(crate) fn base_version(&self) -> Version {
        let one_less = || self.version.number.saturating_sub(1);
        Version {
            number: self.base_number.unwrap_or_else(one_less),
            stamp: self.base,
        }
    }

    /// How many lines it has in a list of orders.
    pub(crate) fn weight(&self) -> usize {
        self.orders.len().max(1)
    }

    pub(crate) fn sale(&self, order: OrderId) -> Option<&Sale> {
        self.orders.iter().find(|sale| sale.order == order)
    }

    /// The `Idempotency-Key`s of what it served.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        // What takes an order back has a key that no client can have.
        let own = self.key.iter().filter(|_| self.cancels.is_none());
        self.orders.iter().flat_map(|sale| &sale.key).chain(own)
    }

    /// How many copies it sold for this key, 0 if it is an operator's change with it. `None`: it
    /// has no such key.
    pub(crate) fn copies_for(&self, key: &str) -> Option<u32> {
        let has_key = |other: &Option<Arc<str>>| other.as_deref() == Some(key);
        let sale = self.orders.iter().find(|sale| has_key(&sale.key));
        let copies = sale.map(|sale| sale.copies);
        copies.or_else(|| has_key(&self.key).then_some(0))
    }

    /// The order that it sold for this key.
    pub(crate) fn order_for(&self, key: &str) -> Option<OrderId> {
        let mut sales = self.orders.iter();
        let sale = sales.find(|sale| sale.key.as_deref() == Some(key));
        sale.map(|sale| sale.order)
    }

    /// What no entry can have, for one that was read from a file or sent by another server.
    pub(crate) fn defect(&self) -> Option<&'static str> {
        let title_chars = self.title.chars().count();
        match self {
            _ if number::EXACT_MAX < self.at => Some("a time that is too late"),
            _ if STAMP_MAX < self.base => Some("a base that is no stamp"),
            _ if self
                .base_number
                .is_some_and(|base| number::EXACT_MAX < base) =>
            {
                Some("a base with a number that is too large")
            }
            _ if QUANTITY_MAX < self.from.max(self.to) => Some("a quantity that is too large"),
            _ if !(self.price.is_finite() && 0.0 <= self.price) => Some("no price"),
            _ if !(1..=TEXT_CHARS_MAX).contains(&title_chars) => Some("no title"),
            _ => None,
        }
    }
}

impl Sale {
    pub(crate) fn of(order: &Order) -> Sale {
        Sale {
            order: order.id,
            copies: order.copies,
            key: order.key.clone(),
        }
    }

    /// Reads `<start>.<count>`, perhaps with `; copies=<n>` and `; key=<key>` behind it.
    fn parse(text: &str) -> Option<Sale> {
        let (text, key) = match text.split_once("; key=") {
            Some((text, key)) => (text, Some(key.into())),
            None => (text, None),
        };
        let (order, copies) = match text.split_once("; copies=") {
            Some((order, copies)) => (order, copies.parse().ok()?),
            None => (text, 1),
        };
        let order = OrderId::parse(order)?;
        Some(Sale { order, copies, key })
    }
}

impl std::fmt::Display for Sale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.order.fmt(f)?;
        if self.copies != 1 {
            write!(f, "; copies={}", self.copies)?;
        }
        let key = self.key.as_ref();
        key.map_or(Ok(()), |key| write!(f, "; key={key}"))
    }
}

impl Serialize for Sale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sale, D::Error> {
        text::deserialize(
            deserializer,
            "an order such as \"7.5; copies=3\"",
            Sale::parse,
        )
    }
}

impl Account {
    /// That of a book which has had entries, and keeps these, by age, the newest last.
    pub(crate) fn of(entries: Vec<Arc<Entry>>) -> Account {
        Account(Some(entries.into()))
    }

    /// Whether no entry of this book was ever made.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.0.iter().flat_map(|entries| entries.iter())
    }

    /// How many orders and other changes it holds.
    pub(crate) fn weight(&self) -> usize {
        self.entries().map(|entry| entry.weight()).sum()
    }

    /// Those entries here that `newer`, the account of a version that grew from one of these, has
    /// forgotten. Only a ledger's file makes an account forget, so they came true. An entry here
    /// that is not in the history of `newer` is not among them.
    pub(crate) fn forgotten_by<'a>(
        &'a self,
        newer: &'a Account,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let keeps = |entry: &Entry| {
            let at = newer.at(entry.version.number);
            at.is_some_and(|kept| kept.version == entry.version)
        };
        let is_base = |entry: &Entry| {
            let next = newer.at(entry.version.number.saturating_add(1));
            next.is_some_and(|next| next.base == entry.version.stamp)
        };
        let in_both = self.0.iter().flat_map(move |entries| {
            let last = entries
                .iter()
                .rposition(|entry| keeps(entry) || is_base(entry));
            entries.iter().take(last.map_or(0, |last| last + 1))
        });
        in_both.filter(move |entry| !keeps(entry))
    }

    /// The entry that made a version of this number. The numbers grow.
    fn at(&self, number: u64) -> Option<&Arc<Entry>> {
        let entries = self.0.as_ref()?;
        let at = entries.binary_search_by_key(&number, |entry| entry.version.number);
        at.ok().map(|at| &entries[at])
    }

    /// That of a book which has had entries, and keeps none.
    pub(crate) fn kept_elsewhere() -> Account {
        Account(Some(Arc::default()))
    }

    /// The account after another entry, without those that may be forgotten.
    pub(crate) fn with(&self, entry: Entry, may_forget: impl Fn(&Entry) -> bool) -> Account {
        let kept = self.entries().filter(|entry| !may_forget(entry)).cloned();
        let entries = kept.chain([Arc::new(entry)]).collect();
        Account::of(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account of these versions, each with its base: number and stamp, stamp.
    fn account(entries: &[(u64, u64, u64)]) -> Account {
        let entry = |&(number, stamp, base): &(u64, u64, u64)| Entry {
            at: 9,
            book: BookId(2),
            version: Version { number, stamp },
            base,
            base_number: None,
            title: "T".into(),
            price: 1.5,
            from: 9,
            to: 9,
            opens: None,
            orders: Box::default(),
            cancels: None,
            key: None,
        };
        let made = entries.iter().map(entry);
        made.fold(Account::default(), |account, entry| {
            account.with(entry, |_| false)
        })
    }

    #[test]
    fn what_a_newer_account_forgot_is_known_of_its_own_history_only() {
        let here = account(&[(3, 13, 12), (4, 14, 13), (5, 15, 14)]);
        let forgotten = |newer: &[(u64, u64, u64)]| {
            let newer = account(newer);
            let forgotten = here.forgotten_by(&newer);
            let numbers = forgotten.map(|entry| entry.version.number.to_string());
            numbers.collect::<Vec<String>>().join(" ")
        };
        assert_eq!(forgotten(&[(6, 16, 15)]), "3 4 5");
        assert_eq!(forgotten(&[(5, 15, 14), (6, 16, 15)]), "3 4");
        assert_eq!(forgotten(&[(3, 13, 12), (5, 15, 14), (6, 16, 15)]), "4");
        assert_eq!(
            forgotten(&[(5, 25, 14)]),
            "3 4",
            "another version 5 was made of version 4"
        );
        assert_eq!(forgotten(&[(4, 24, 13), (5, 25, 24)]), "3");
        assert_eq!(
            forgotten(&[(6, 26, 25)]),
            "",
            "nothing tells what this was made of"
        );
        assert_eq!(forgotten(&[]), "");
    }

    #[test]
    fn an_entry_reads_what_it_prints() {
        let order = OrderId { start: 7, count: 5 };
        let sale = |copies, key: Option<&str>| Sale {
            order,
            copies,
            key: key.map(Into::into),
        };
        let entry = Entry {
            at: 9,
            book: BookId(2),
            version: Version {
                number: 1,
                stamp: 4,
            },
            base: 3,
            base_number: None,
            title: "T".into(),
            price: 1.5,
            from: 9,
            to: 4,
            opens: Some(Opening::Stock),
            orders: Box::new([sale(1, None), sale(3, None), sale(1, Some("k; key=;"))]),
            cancels: None,
            key: None,
        };
        let json = serde_json::to_string(&entry).unwrap();
        let expected = concat!(
            r#"{"at":9,"book":2,"version":"1-4","base":3,"title":"T","price":1.5,"from":9,"to":4,"#,
            r#""opens":"stock","sales":["7.5","7.5; copies=3","7.5; key=k; key=;"]}"#
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
        assert_eq!(entry.defect(), None);
    }
}

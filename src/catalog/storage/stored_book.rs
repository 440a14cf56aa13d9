//! A book as it stands in a data file, a line of JSON.
//!
//! Each sale writes the lines of 100 or 200 books, so a line is short: an entry of the book's account
//! leaves out what the book says already, or the entry behind it. The newest entry made the book's
//! version and quantity; an older one made what the next one changed.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::model::applied_orders::AppliedOrders;
use crate::model::book::entry::{Account, Entry, Opening, Sale};
use crate::model::book::{Book, BookId, Version};
use crate::model::order::OrderId;

/// A field that no version of Bazar wrote is an error: it may be the misspelt name of one that
/// counts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredBook<'a> {
    id: BookId,
    title: Cow<'a, Arc<str>>,
    topic: Cow<'a, Arc<str>>,
    quantity: u32,
    price: f64,
    version: Version,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(
        default,
        alias = "orders",
        skip_serializing_if = "AppliedOrders::is_empty"
    )]
    applied_orders: Cow<'a, AppliedOrders>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restocked_at: Option<NonZeroU64>,
    /// By age, the newest last. `None`: no entry of this book was ever made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Vec<StoredEntry<'a>>>,
    /// Of earlier versions.
    #[serde(default, rename = "committed", alias = "came_true", skip_serializing)]
    _committed: IgnoredAny,
    /// Of earlier versions.
    #[serde(default, rename = "diverged_at", alias = "apart", skip_serializing)]
    _diverged_at: IgnoredAny,
    /// Of earlier versions.
    #[serde(default, rename = "scarce_at", skip_serializing)]
    _scarce_at: IgnoredAny,
}

/// [`Entry`], where `None` is what follows from the book or the next entry. Earlier versions left
/// nothing out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEntry<'a> {
    at: u64,
    /// Of earlier versions.
    #[serde(default, rename = "book", skip_serializing)]
    _book: IgnoredAny,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    base: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    from: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opens: Option<Opening>,
    #[serde(default, rename = "sales", skip_serializing_if = "<[Sale]>::is_empty")]
    orders: Cow<'a, [Sale]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancels: Option<OrderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Arc<str>>,
}

impl<'a> From<&'a Book> for StoredBook<'a> {
    fn from(book: &'a Book) -> StoredBook<'a> {
        StoredBook {
            id: book.id,
            title: Cow::Borrowed(&book.title),
            topic: Cow::Borrowed(&book.topic),
            quantity: book.quantity,
            price: book.price,
            version: book.version,
            removed: book.removed,
            applied_orders: Cow::Borrowed(&book.applied_orders),
            restocked_at: book.restocked_at,
            account: (!book.account.is_empty()).then(|| stored_account(book)),
            _committed: IgnoredAny,
            _diverged_at: IgnoredAny,
            _scarce_at: IgnoredAny,
        }
    }
}

impl From<StoredBook<'_>> for Book {
    fn from(stored: StoredBook) -> Book {
        let mut book = Book {
            id: stored.id,
            title: stored.title.into_owned(),
            topic: stored.topic.into_owned(),
            quantity: stored.quantity,
            price: stored.price,
            version: stored.version,
            removed: stored.removed,
            applied_orders: stored.applied_orders.into_owned(),
            restocked_at: stored.restocked_at,
            account: Account::default(),
        };
        book.account = stored
            .account
            .map(|account| account_of(&book, account))
            .unwrap_or_default();
        book
    }
}

fn stored_account(book: &Book) -> Vec<StoredEntry<'_>> {
    let (mut version, mut quantity) = (book.version, book.quantity);
    let stored = book.account.entries().rev().map(|entry| {
        let stored = StoredEntry {
            at: entry.at,
            _book: IgnoredAny,
            version: (entry.version != version).then_some(entry.version),
            base: entry.base,
            base_number: entry.base_number,
            title: (entry.title != book.title).then(|| entry.title.clone()),
            price: (entry.price != book.price).then_some(entry.price),
            from: entry.from,
            to: (entry.to != quantity).then_some(entry.to),
            opens: entry.opens,
            orders: Cow::Borrowed(&entry.orders),
            cancels: entry.cancels,
            key: entry.key.clone(),
        };
        (version, quantity) = (entry.base_version(), entry.from);
        stored
    });
    let mut stored: Vec<_> = stored.collect();
    stored.reverse();
    stored
}

fn account_of(book: &Book, stored: Vec<StoredEntry>) -> Account {
    let (mut version, mut quantity) = (book.version, book.quantity);
    let mut entries = Vec::with_capacity(stored.len());
    for stored in stored.into_iter().rev() {
        let entry = Entry {
            at: stored.at,
            book: book.id,
            version: stored.version.unwrap_or(version),
            base: stored.base,
            base_number: stored.base_number,
            title: stored.title.unwrap_or_else(|| book.title.clone()),
            price: stored.price.unwrap_or(book.price),
            from: stored.from,
            to: stored.to.unwrap_or(quantity),
            opens: stored.opens,
            orders: stored.orders.into_owned().into(),
            cancels: stored.cancels,
            key: stored.key,
        };
        (version, quantity) = (entry.base_version(), entry.from);
        entries.push(Arc::new(entry));
    }
    entries.reverse();
    Account::of(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str =
        r#"{"id":2,"title":"T","topic":"t","quantity":3,"price":1.5,"version":"8-40""#;

    fn read(account: &str) -> Book {
        let json = format!("{BOOK},\"account\":[{account}]}}");
        serde_json::from_str::<StoredBook>(&json).unwrap().into()
    }

    fn print(book: &Book) -> String {
        serde_json::to_string(&StoredBook::from(book)).unwrap()
    }

    #[test]
    fn an_entry_leaves_out_what_the_book_and_the_next_entry_say() {
        let full = concat!(
            r#"{"at":9,"book":2,"version":"7-30","base":20,"title":"T","price":1.5,"from":5,"to":4,"#,
            r#""sales":["7.5"]},"#,
            r#"{"at":9,"book":2,"version":"8-40","base":30,"title":"T","price":1.5,"from":4,"to":3,"#,
            r#""sales":["7.6; key=k"]}"#
        );
        let short = concat!(
            r#"{"at":9,"base":20,"from":5,"sales":["7.5"]},"#,
            r#"{"at":9,"base":30,"from":4,"sales":["7.6; key=k"]}"#
        );
        let book = read(full);
        assert_eq!(print(&book), format!("{BOOK},\"account\":[{short}]}}"));
        assert_eq!(read(short), book);
    }

    #[test]
    fn an_entry_says_what_the_book_and_the_next_entry_do_not() {
        let apart = concat!(
            r#"{"at":9,"version":"6-31","base":20,"base_number":3,"title":"S","price":2.0,"from":5,"#,
            r#""to":7,"opens":"stock","cancels":"7.5"},"#,
            r#"{"at":9,"version":"7-35","base":30,"from":4,"to":2,"key":"k"}"#
        );
        let book = read(apart);
        assert_eq!(print(&book), format!("{BOOK},\"account\":[{apart}]}}"));
        let entries: Vec<_> = book.account.entries().collect();
        assert_eq!((entries[0].title.as_ref(), entries[0].price), ("S", 2.0));
        assert_eq!((entries[1].title.as_ref(), entries[1].price), ("T", 1.5));
        assert_eq!((entries[1].book, entries[1].to), (BookId(2), 2));
    }

    #[test]
    fn a_book_that_keeps_no_entry_is_not_one_that_never_had_any() {
        let kept_elsewhere = read("");
        assert!(!kept_elsewhere.account.is_empty());
        assert!(print(&kept_elsewhere).ends_with(r#""account":[]}"#));
        let never: StoredBook = serde_json::from_str(&format!("{BOOK}}}")).unwrap();
        let never = Book::from(never);
        assert!(never.account.is_empty());
        assert_eq!(print(&never), format!("{BOOK}}}"));
    }
}

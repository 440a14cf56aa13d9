//! A book, its id, its version, and what clients see and change of it.

pub(crate) mod entry;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::applied_orders::AppliedOrders;
use crate::model::book::entry::Account;
use crate::model::error::{self, Error};
use crate::model::{number, text};

/// The largest id that a book may have.
pub(crate) const BOOK_ID_MAX: u64 = number::EXACT_MAX;

/// Stamps have 53 bits, which every JSON reader keeps exactly.
pub(crate) const STAMP_MAX: u64 = number::EXACT_MAX;

/// The most copies in stock of one book.
pub(crate) const QUANTITY_MAX: u32 = 1_000_000_000;

/// Titles and topics have 1 to this many characters.
pub(crate) const TEXT_CHARS_MAX: usize = 200;

/// A book's number, as in `/lookup/<id>`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub(crate) struct BookId(pub(crate) u64);

impl BookId {
    /// Reads ASCII decimal digits, so `007` is 7. A number above [`BOOK_ID_MAX`] is the id of a
    /// book that does not exist. `None`: not a number.
    pub(crate) fn parse(text: &str) -> Option<BookId> {
        number::parse_digits(text).map(BookId)
    }
}

impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which copy of a book: its sequence number counts the changes that made it, and its random stamp
/// tells apart two changes with the same number.
///
/// Ordered by number, then by stamp. The first stock is `0-0`. An `ETag` is this in double quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) stamp: u64,
}

impl Version {
    /// The version of the first stock, the same on every catalog.
    pub(crate) const FIRST: Version = Version {
        number: 0,
        stamp: 0,
    };

    /// Reads `<number>-<stamp>`, as it stands between an `ETag`'s quotes.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let (number, stamp) = text.split_once('-')?;
        Some(Version {
            number: number::parse_exact(number)?,
            stamp: number::parse_exact(stamp)?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.stamp)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        text::deserialize(
            deserializer,
            "a version such as \"3-12345\"",
            Version::parse,
        )
    }
}

/// One copy of a book, with all that is replicated and kept on disk with it.
///
/// Serialized, it is what travels between catalogs and what stands in a data file. The aliases are
/// names of older data files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) id: BookId,
    pub(crate) title: Arc<str>,
    pub(crate) topic: Arc<str>,
    /// Copies in stock, at most [`QUANTITY_MAX`].
    pub(crate) quantity: u32,
    pub(crate) price: f64,
    pub(crate) version: Version,
    /// It was removed from the shop. To clients it does not exist; what is left of it keeps a
    /// catalog that was away from bringing it back, and knows the orders that it served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) removed: bool,
    /// The orders that took copies off this stock and may be sent again.
    #[serde(
        default,
        alias = "orders",
        skip_serializing_if = "AppliedOrders::is_empty"
    )]
    pub(crate) applied_orders: AppliedOrders,
    /// The number of the newest version that may have more copies than the one before
    /// ([`Book::has_since`]). `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restocked_at: Option<NonZeroU64>,
    /// Its entries that may not be in the ledger yet.
    #[serde(default, skip_serializing_if = "Account::is_empty")]
    pub(crate) account: Account,
}

/// What is asked for by `PUT /update`, `PATCH /update`, `DELETE /book`, and by adding a book again
/// that was removed. `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) quantity: Option<u32>,
    /// Copies that are added to whatever quantity there is at the moment of the change. Not beside
    /// `quantity`.
    pub(crate) added: Option<i64>,
    pub(crate) price: Option<f64>,
    pub(crate) title: Option<Arc<str>>,
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) removed: Option<bool>,
}

impl Change {
    /// The book leaves the shop, and no copy is left.
    pub(crate) fn removal() -> Change {
        Change {
            quantity: Some(0),
            removed: Some(true),
            ..Change::default()
        }
    }

    /// The quantity after this change. Fails with `Invalid` when it would be below 0 or too large.
    pub(crate) fn quantity_after(&self, before: u32) -> error::Result<u32> {
        let Some(added) = self.added else {
            return Ok(self.quantity.unwrap_or(before));
        };
        let after = i64::from(before).saturating_add(added);
        let after = u32::try_from(after).ok();
        after.filter(|after| *after <= QUANTITY_MAX).ok_or_else(|| {
            Error::Invalid(format!(
                "quantity is {before} and {added} more would leave the range from 0 to {QUANTITY_MAX}"
            ))
        })
    }
}

/// What `GET /query/item` and `GET /lookup` show of a book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) price: f64,
    pub(crate) quantity: u32,
    pub(crate) title: Arc<str>,
}

/// One book in the answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchResult {
    pub(crate) id: BookId,
    pub(crate) title: Arc<str>,
    pub(crate) topic: Arc<str>,
}

impl Book {
    /// Whether this is the same copy in everything that a client can see or buy by.
    pub(crate) fn same_content(&self, other: &Book) -> bool {
        (self.id, self.version, self.quantity) == (other.id, other.version, other.quantity)
            && (&self.title, &self.topic, self.price) == (&other.title, &other.topic, other.price)
            && (self.removed, &self.applied_orders) == (other.removed, &other.applied_orders)
    }

    /// Whether there have been so many copies at every version from this number on: there are, and
    /// none came in since.
    pub(crate) fn has_since(&self, number: u64, copies: u64) -> bool {
        let restocked = self.restocked_at.map(NonZeroU64::get);
        copies <= u64::from(self.quantity) && restocked.is_some_and(|at| at <= number)
    }

    /// Notes in this copy, which is the next version of that one, whether copies came in.
    pub(crate) fn note_restock(&mut self, old: &Book) {
        if old.restocked_at.is_none() || old.quantity < self.quantity {
            self.restocked_at = Some(NonZeroU64::MIN.saturating_add(old.version.number));
        }
    }

    /// Whether this copy may have grown from that one, as their numbers and orders tell. A wrong
    /// yes is possible, since orders are forgotten; a wrong no is not.
    pub(crate) fn may_follow(&self, other: &Book) -> bool {
        let stamp = other.version.stamp;
        let is_first = other.version.number == 1 && stamp != 0;
        let created = self.applied_orders.created();
        other.version.number < self.version.number
            && (!is_first || created.is_none_or(|created| created == stamp))
            && self.applied_orders.may_include(&other.applied_orders)
    }

    /// What no book can have, for a book that was read from a file or sent by another server.
    /// `None`: nothing is wrong with it.
    pub(crate) fn defect(&self) -> Option<&'static str> {
        let fits = |text: &str| (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
        match self {
            _ if BOOK_ID_MAX < self.id.0 => Some("an id that is too large"),
            _ if QUANTITY_MAX < self.quantity => Some("a quantity that is too large"),
            _ if !(self.price.is_finite() && 0.0 <= self.price) => {
                Some("a price that is negative or infinite")
            }
            _ if !fits(&self.title) => Some("a title that is empty or too long"),
            _ if !fits(&self.topic) => Some("a topic that is empty or too long"),
            _ => None,
        }
    }

    pub(crate) fn offer(&self) -> Offer {
        Offer {
            price: self.price,
            quantity: self.quantity,
            title: self.title.clone(),
        }
    }

    pub(crate) fn search_result(&self) -> SearchResult {
        SearchResult {
            id: self.id,
            title: self.title.clone(),
            topic: self.topic.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ascii_digits_are_an_id() {
        assert_eq!(BookId::parse("007"), Some(BookId(7)));
        assert_eq!(
            BookId::parse("99999999999999999999999"),
            Some(BookId(u64::MAX))
        );
        for text in ["", "²", "-1", "1.5", " 1", "+1", "one"] {
            assert_eq!(BookId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_version_reads_what_it_prints() {
        let version = Version {
            number: 3,
            stamp: STAMP_MAX,
        };
        assert_eq!(Version::parse(&version.to_string()), Some(version));
        for text in ["", "3", "3-", "-3", "3-x", "3-9007199254740992"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}

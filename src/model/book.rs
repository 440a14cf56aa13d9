//! The nouns that every tier speaks: a book, its id, its version, and a change of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::applied_orders::AppliedOrders;
use crate::model::number;

/// A book's number, as in `/lookup/<id>`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct BookId(pub u64);

/// The largest id that a book may have: the largest whole number that every JSON reader keeps
/// exactly.
pub const BOOK_ID_MAX: u64 = number::EXACT_MAX;

impl BookId {
    /// Reads ASCII decimal digits, so `007` is 7. A number too large for any book is an id all the
    /// same, of a book that does not exist. `None`: not a number.
    pub fn parse(text: &str) -> Option<BookId> {
        number::parse_digits(text).map(BookId)
    }
}

impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which copy of a book: how many changes made it, and a random stamp that tells two changes of the
/// same number apart.
///
/// Ordered by number, then stamp. The first stock is `0-0`. An `ETag` is this in double quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub number: u64,
    pub stamp: u64,
}

/// Stamps have 53 bits, which every JSON reader keeps exactly.
pub const STAMP_MAX: u64 = number::EXACT_MAX;

impl Version {
    /// The version of the first stock, the same everywhere.
    pub const FIRST: Version = Version {
        number: 0,
        stamp: 0,
    };

    /// Reads `<number>-<stamp>`, as it stands between an `ETag`'s quotes.
    pub fn parse(text: &str) -> Option<Version> {
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
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Version;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version such as \"3-12345\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Version, E> {
                Version::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// One copy of a book, with all that is replicated and kept on disk with it.
///
/// Serialized, it is what travels between catalogs and what a person reads in a data file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub id: BookId,
    pub title: Arc<str>,
    pub topic: Arc<str>,
    /// Copies in stock, at most [`QUANTITY_MAX`].
    pub quantity: u32,
    pub price: f64,
    pub version: Version,
    /// Whether any catalog ever held just this version valid; see REPLICATION.md, "come true".
    #[serde(default, alias = "came_true", skip_serializing_if = "is_false")]
    pub committed: bool,
    /// The first version that was written without all catalogs, when this one grew from it and
    /// still not all have it. Two copies with different such beginnings come from two sides of a
    /// cut.
    #[serde(default, alias = "apart", skip_serializing_if = "Option::is_none")]
    pub diverged_at: Option<Version>,
    /// The orders that took copies off this stock and may be sent again.
    #[serde(
        default,
        alias = "orders",
        skip_serializing_if = "AppliedOrders::is_empty"
    )]
    pub applied_orders: AppliedOrders,
}

/// See [`Book::rank`]. A book that is not there has none, which is lower than any.
pub type Rank = (u64, bool, u64);

fn is_false(flag: &bool) -> bool {
    !flag
}

/// More copies of one book than this are refused.
pub const QUANTITY_MAX: u32 = 1_000_000_000;

/// Titles and topics have 1 to this many characters.
pub const TEXT_CHARS_MAX: usize = 200;

/// What `PUT /update` asks for. `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub quantity: Option<u32>,
    pub price: Option<f64>,
    pub title: Option<Arc<str>>,
    pub topic: Option<Arc<str>>,
}

/// What `GET /query/item` and `GET /lookup` show of a book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    pub price: f64,
    pub quantity: u32,
    pub title: Arc<str>,
}

/// One line of a search's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    pub id: BookId,
    pub title: Arc<str>,
    pub topic: Arc<str>,
}

impl Book {
    /// Of two copies of a book the better has the higher rank: sequence number, then come true
    /// before not, then stamp.
    pub fn rank(&self) -> Rank {
        (self.version.number, self.committed, self.version.stamp)
    }

    /// Whether this is the same copy in all that a customer can see or buy by.
    pub fn same_content(&self, other: &Book) -> bool {
        (self.id, self.version, self.quantity) == (other.id, other.version, other.quantity)
            && (&self.title, &self.topic, self.price) == (&other.title, &other.topic, other.price)
            && self.applied_orders == other.applied_orders
    }

    /// What cannot be true of any book, if anything: for what comes from a file or another server.
    pub fn defect(&self) -> Option<&'static str> {
        let fits = |text: &str| (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
        match self {
            _ if BOOK_ID_MAX < self.id.0 => Some("an id that is too large"),
            _ if QUANTITY_MAX < self.quantity => Some("a quantity that is too large"),
            _ if !(self.price.is_finite() && 0.0 <= self.price) => Some("a price that cannot be"),
            _ if !fits(&self.title) => Some("a title that is empty or too long"),
            _ if !fits(&self.topic) => Some("a topic that is empty or too long"),
            _ => None,
        }
    }

    pub fn offer(&self) -> Offer {
        Offer {
            price: self.price,
            quantity: self.quantity,
            title: self.title.clone(),
        }
    }

    pub fn search_result(&self) -> SearchResult {
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

//! What an order server asks of its catalog, and what the answers mean for a sale.

use std::sync::Arc;

use serde::Deserialize;

use crate::model::book::BookId;
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};

/// What a customer hears when the catalog cannot be reached.
pub const UNREACHABLE: &str = "Could not connect to the catalog server";

/// A question how a book is.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadRequest {
    pub id: BookId,
    /// Those that want a copy.
    pub orders: Vec<Order>,
    /// The id of the request that it is for.
    pub request: Arc<str>,
}

/// An update of a book's quantity to what is left once these orders have a copy each, if it is
/// still at this version.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteRequest {
    pub id: BookId,
    pub version: String,
    pub quantity: u32,
    pub orders: Vec<Order>,
    pub request: Arc<str>,
}

/// A catalog as an order server sees it: over HTTP, and in the tests a book in memory.
pub trait Catalog: Send + Sync + 'static {
    fn read(&self, look: &ReadRequest) -> Read;

    fn write(&self, take: &WriteRequest) -> Write;

    /// Reads several books at once. `None`: this one must be asked for alone.
    fn read_together(&self, looks: &[ReadRequest]) -> Vec<Option<Read>>;

    /// Makes several updates at once. `None`: nothing happened, and this one must be asked for
    /// alone.
    fn write_together(&self, takes: &[WriteRequest]) -> Vec<Option<Write>>;
}

/// A book as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its `ETag`.
    pub version: String,
    pub quantity: u32,
    /// Which of the orders that were shown have their copies already.
    pub applied: Vec<OrderId>,
}

/// What came of a read.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    Book(Snapshot),
    /// It will not be better the next time.
    Refused(Error),
    /// It may be better the next time; if it never is, the customer hears this.
    Again(Error),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// All of the orders have their copies. `replayed`: they had them before.
    Done { replayed: bool },
    /// Nothing changed: these have their copies already.
    Applied(Vec<OrderId>),
    /// Nothing changed: for these nobody waits any more.
    Closed(Vec<OrderId>),
    /// Nothing changed: somebody else was faster.
    Conflict,
    /// It may have happened, or may yet; if that stays so, the customer hears this.
    Unknown(Error),
    /// It will not be better the next time.
    Refused(Error),
}

/// What a body may say beside its status.
#[derive(Debug, Default, Deserialize)]
pub struct Words {
    message: Option<String>,
    quantity: Option<u32>,
    /// A 409 may name orders.
    applied: Option<Vec<String>>,
    closed: Option<Vec<String>>,
}

impl Words {
    fn error(&self, status: u16) -> Error {
        Error::from_status(status, self.message.as_deref())
    }
}

fn unreachable() -> Error {
    Error::Unreachable(UNREACHABLE.into())
}

fn ids(texts: &[String]) -> Vec<OrderId> {
    let parsed = |text: &String| OrderId::parse(text.trim());
    texts.iter().filter_map(parsed).collect()
}

impl Read {
    /// What the catalog's answer means. `applied` are the orders that it named.
    pub fn of(status: u16, etag: Option<String>, applied: &[String], words: &Words) -> Read {
        match (status, etag, words.quantity) {
            (200, Some(version), Some(quantity)) => Read::Book(Snapshot {
                version,
                quantity,
                applied: ids(applied),
            }),
            (404, ..) => Read::Refused(Error::NoSuchBook),
            (503, ..) => Read::Again(words.error(503)),
            // A read that failed did nothing, so that nobody need fear that a copy was sold.
            (500..600, ..) => Read::Again(unreachable()),
            _ => Read::Refused(Error::Internal),
        }
    }

    /// There was no answer. `definite`: nor was the catalog asked.
    pub fn unanswered(definite: bool) -> Read {
        match definite {
            true => Read::Refused(unreachable()),
            false => Read::Again(unreachable()),
        }
    }
}

impl Write {
    /// What the catalog's answer means.
    pub fn of(status: u16, replayed: bool, words: &Words) -> Write {
        match status {
            200 => Write::Done { replayed },
            404 => Write::Refused(Error::NoSuchBook),
            409 => match (&words.applied, &words.closed) {
                (Some(orders), _) => Write::Applied(ids(orders)),
                (_, Some(orders)) => Write::Closed(ids(orders)),
                _ => Write::Conflict,
            },
            412 | 503 => Write::Conflict,
            507 => Write::Refused(words.error(507)),
            500..600 => Write::unanswered(false),
            _ => Write::Refused(Error::Internal),
        }
    }

    /// There was no answer. `definite`: nor was the catalog asked.
    pub fn unanswered(definite: bool) -> Write {
        match definite {
            true => Write::Refused(unreachable()),
            false => Write::Unknown(Error::TimedOut(UNREACHABLE.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &str) -> Words {
        serde_json::from_str(body).unwrap()
    }

    fn texts(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| id.to_string()).collect()
    }

    fn ids(counts: &[u64]) -> Vec<OrderId> {
        counts
            .iter()
            .map(|count| OrderId {
                start: 7,
                count: *count,
            })
            .collect()
    }

    const BOOK: &str = r#"{"price":1.0,"quantity":4,"title":"t"}"#;

    #[test]
    fn a_read_tells_version_stock_and_who_was_served() {
        let version = Some("\"3-9\"".to_string());
        let expected = Snapshot {
            version: "\"3-9\"".into(),
            quantity: 4,
            applied: ids(&[1, 2]),
        };
        let read = Read::of(200, version, &texts(&["7.1", " 7.2"]), &words(BOOK));
        assert_eq!(read, Read::Book(expected));
        let missing = Read::of(404, None, &[], &words("{}"));
        assert_eq!(missing, Read::Refused(Error::NoSuchBook));
    }

    #[test]
    fn a_book_without_a_version_or_a_quantity_is_not_sold() {
        let version = Some("\"3-9\"".to_string());
        let internal = Read::Refused(Error::Internal);
        assert_eq!(Read::of(200, None, &[], &words(BOOK)), internal);
        assert_eq!(Read::of(200, version, &[], &words("{}")), internal);
    }

    #[test]
    fn a_failed_read_is_tried_again_unless_nobody_listens() {
        assert_eq!(Read::unanswered(true), Read::Refused(unreachable()));
        assert_eq!(Read::unanswered(false), Read::Again(unreachable()));
        assert_eq!(
            Read::of(504, None, &[], &words("{}")),
            Read::Again(unreachable())
        );
    }

    #[test]
    fn a_conflict_may_name_orders() {
        let conflict = |body| Write::of(409, false, &words(body));
        assert_eq!(
            conflict(r#"{"message":"m","applied":["7.1"]}"#),
            Write::Applied(ids(&[1]))
        );
        assert_eq!(
            conflict(r#"{"message":"m","closed":["7.2"]}"#),
            Write::Closed(ids(&[2]))
        );
        assert_eq!(conflict(r#"{"message":"m"}"#), Write::Conflict);
        assert_eq!(Write::of(412, false, &words("{}")), Write::Conflict);
    }

    #[test]
    fn no_failed_write_passes_for_a_sale() {
        let lost = Write::Unknown(Error::TimedOut(UNREACHABLE.into()));
        for status in [500, 502, 504] {
            assert_eq!(Write::of(status, true, &words("{}")), lost);
        }
        assert_eq!(Write::unanswered(false), lost);
        assert_eq!(Write::unanswered(true), Write::Refused(unreachable()));
        let full = Error::DiskRefuses("full".into());
        assert_eq!(
            Write::of(507, false, &words(r#"{"message":"full"}"#)),
            Write::Refused(full)
        );
    }
}

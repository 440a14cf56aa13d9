//! What an order server asks of its catalog, and what the answers mean for a buy.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::book::{BookId, Version};
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};
use crate::model::trace::Trace;

/// The orders of one read travel in its headers, which have room for no more: there may be 100, of
/// 16 KiB in all.
pub(super) const READ_ORDERS_MAX: usize = 64;
pub(super) const READ_BYTES_MAX: usize = 8 * 1024;

const UNREACHABLE: &str = "Could not connect to the catalog server";

/// A read of a book that shows it these orders, as an entry of `PUT /batch/query` has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ReadRequest {
    pub(super) id: BookId,
    /// Those that want copies.
    #[serde(serialize_with = "texts")]
    pub(super) orders: Vec<Order>,
    /// The client's request that it is for.
    #[serde(skip)]
    pub(super) trace: Trace,
}

/// An update of a book's quantity to what is left once these orders have their copies, as an entry
/// of `PUT /batch/update` has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WriteRequest {
    pub(super) id: BookId,
    #[serde(flatten)]
    pub(super) condition: Condition,
    #[serde(serialize_with = "texts")]
    pub(super) orders: Vec<Order>,
    /// The client's request that it is for.
    #[serde(skip)]
    pub(super) trace: Trace,
}

/// What an update is on condition of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Condition {
    /// The book is still at the version that was read.
    Version {
        #[serde(rename = "if_match")]
        version: String,
        /// How many copies are left after the update.
        #[serde(rename = "quantity")]
        left: u32,
    },
    /// No copies came in since the version of this number. The copies are taken off whatever there
    /// is.
    NotRestocked {
        #[serde(rename = "not_restocked_since")]
        since: u64,
    },
}

impl ReadRequest {
    /// Whether its orders have room in the headers of a read.
    pub(super) fn fits_headers(&self) -> bool {
        let lengths = self.orders.iter().map(|order| order.to_string().len());
        self.orders.len() <= READ_ORDERS_MAX && lengths.sum::<usize>() <= READ_BYTES_MAX
    }
}

fn texts<S: Serializer>(orders: &[Order], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(orders.iter().map(Order::to_string))
}

/// The catalog: over HTTP, or in the tests a book in memory.
pub(super) trait Catalog: Send + Sync + 'static {
    fn read(&self, read: &ReadRequest) -> ReadOutcome;

    fn write(&self, write: &WriteRequest) -> WriteOutcome;

    /// Reads several books in one request. `None`: this one must be read alone.
    fn read_batch(&self, reads: &[ReadRequest]) -> Vec<Option<ReadOutcome>>;

    /// Updates several books in one request. `None`: nothing happened, and this one must be updated
    /// alone.
    fn write_batch(&self, writes: &[WriteRequest]) -> Vec<Option<WriteOutcome>>;
}

/// A book as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot {
    /// Its `ETag`.
    pub(super) version: String,
    pub(super) quantity: u32,
    /// What it says of the orders of the request.
    pub(super) orders: KnownOrders,
}

/// What a book knows of the orders that a read names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KnownOrders {
    /// Those that have their copies already.
    pub(super) applied: Vec<OrderId>,
    /// The order that was sold for the key of some of these.
    pub(super) sold_as: Vec<(OrderId, OrderId)>,
    /// Those whose id or key was used for another book or number of copies.
    pub(super) differing: Vec<OrderId>,
    /// Those that the book may have applied and forgotten.
    pub(super) closed: Vec<OrderId>,
    /// So is what was issued up to then, in ms since 1970.
    pub(super) forgotten: u64,
}

impl KnownOrders {
    /// Reads `Bazar-Applied`, `Bazar-Differing` and `Bazar-Closed`, whose values `header` returns.
    pub(super) fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> KnownOrders {
        let list = |text: &str| ids(text.split(','));
        let applied = header("Bazar-Applied");
        let closed = header("Bazar-Closed");
        let (closed, forgotten) = closed
            .and_then(|closed| closed.split_once("; forgotten="))
            .unwrap_or_default();
        KnownOrders {
            applied: list(applied.unwrap_or_default()),
            sold_as: pairs(header("Bazar-Sold-As").unwrap_or_default().split(',')),
            differing: list(header("Bazar-Differing").unwrap_or_default()),
            closed: list(closed),
            forgotten: forgotten.parse().unwrap_or(0),
        }
    }
}

/// Reads a list of order ids in an answer's body.
pub(super) fn read_ids<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<OrderId>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(ids(texts.iter().map(String::as_str)))
}

/// Reads a list of orders, each with the one that was sold for its key, in an answer's body.
pub(super) fn read_pairs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(OrderId, OrderId)>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(pairs(texts.iter().map(String::as_str)))
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ReadOutcome {
    Book(Snapshot),
    /// It was removed, and knows these of the orders.
    Removed(KnownOrders),
    /// A retry would not help.
    Refused(Error),
    /// A retry may help. If none does, the buy fails with this.
    Retry(Error),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum WriteOutcome {
    Done {
        /// All of the orders had their copies before.
        replayed: bool,
        /// The number of its version now, if that has copies left.
        left_at: Option<u64>,
    },
    /// Nothing changed: these have their copies already.
    Applied(Vec<OrderId>),
    /// Nothing changed: these, or their keys, were used for another book or number of copies.
    Differing(Vec<OrderId>),
    /// Nothing changed: other purchases with the keys of these are under way.
    KeysInUse(Vec<OrderId>),
    /// Nothing changed: these are closed, and so is what was issued up to `forgotten`.
    Closed {
        orders: Vec<OrderId>,
        forgotten: u64,
    },
    /// Nothing changed: the book is at another version.
    Conflict,
    /// It may have happened, or may happen yet. If a retry cannot tell, the buy fails with this.
    Unknown(Error),
    /// A retry would not help.
    Refused(Error),
}

/// What may be in the body of an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AnswerBody {
    message: Option<String>,
    quantity: Option<u32>,
    /// The orders that a 409 is about.
    #[serde(default, deserialize_with = "read_ids")]
    applied: Vec<OrderId>,
    #[serde(default, deserialize_with = "read_ids")]
    closed: Vec<OrderId>,
    #[serde(default, deserialize_with = "read_ids")]
    in_use: Vec<OrderId>,
    #[serde(default)]
    forgotten: u64,
    /// Those that a 422 is about.
    #[serde(default, deserialize_with = "read_ids")]
    differing: Vec<OrderId>,
}

pub(super) fn unreachable() -> Error {
    Error::Unreachable(UNREACHABLE.into())
}

fn ids<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<OrderId> {
    let parsed = |text: &str| OrderId::parse(text.trim());
    texts.filter_map(parsed).collect()
}

fn pairs<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(OrderId, OrderId)> {
    let parsed = |text: &str| {
        let (order, sold) = text.trim().split_once('=')?;
        Some((OrderId::parse(order)?, OrderId::parse(sold)?))
    };
    texts.filter_map(parsed).collect()
}

fn left_at(etag: Option<&str>, quantity: Option<u32>) -> Option<u64> {
    quantity.filter(|quantity| 0 < *quantity)?;
    let version = etag?.strip_prefix('"')?.strip_suffix('"')?;
    Version::parse(version).map(|version| version.number)
}

impl ReadOutcome {
    /// What the catalog's answer means.
    pub(super) fn of(
        status: u16,
        etag: Option<String>,
        orders: KnownOrders,
        body: &AnswerBody,
    ) -> ReadOutcome {
        match (status, etag, body.quantity) {
            (200, Some(version), Some(quantity)) => ReadOutcome::Book(Snapshot {
                version,
                quantity,
                orders,
            }),
            (404, ..) if orders != KnownOrders::default() => ReadOutcome::Removed(orders),
            (404, ..) => ReadOutcome::Refused(Error::NoSuchBook),
            (503, ..) => ReadOutcome::Retry(Error::from_status(503, body.message.as_deref())),
            // A failed read has changed nothing, so this is not a failure of unknown outcome.
            (500..600, ..) => ReadOutcome::Retry(unreachable()),
            _ => ReadOutcome::Refused(Error::Internal),
        }
    }

    /// There was no answer. `definite`: the request was not sent either.
    pub(super) fn unanswered(definite: bool) -> ReadOutcome {
        if definite {
            ReadOutcome::Refused(unreachable())
        } else {
            ReadOutcome::Retry(unreachable())
        }
    }
}

impl WriteOutcome {
    /// What the catalog's answer means.
    pub(super) fn of(
        status: u16,
        replayed: bool,
        etag: Option<&str>,
        body: &AnswerBody,
    ) -> WriteOutcome {
        match status {
            200 => WriteOutcome::Done {
                replayed,
                left_at: left_at(etag, body.quantity),
            },
            404 => WriteOutcome::Refused(Error::NoSuchBook),
            409 if !body.applied.is_empty() => WriteOutcome::Applied(body.applied.clone()),
            409 if !body.closed.is_empty() => WriteOutcome::Closed {
                orders: body.closed.clone(),
                forgotten: body.forgotten,
            },
            409 if !body.in_use.is_empty() => WriteOutcome::KeysInUse(body.in_use.clone()),
            409 => WriteOutcome::Conflict,
            412 | 503 => WriteOutcome::Conflict,
            422 if !body.differing.is_empty() => WriteOutcome::Differing(body.differing.clone()),
            507 => WriteOutcome::Refused(Error::from_status(507, body.message.as_deref())),
            500..600 => WriteOutcome::unanswered(false),
            _ => WriteOutcome::Refused(Error::Internal),
        }
    }

    /// There was no answer. `definite`: the request was not sent either.
    pub(super) fn unanswered(definite: bool) -> WriteOutcome {
        if definite {
            WriteOutcome::Refused(unreachable())
        } else {
            WriteOutcome::Unknown(Error::TimedOut(UNREACHABLE.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> AnswerBody {
        serde_json::from_str(json).unwrap()
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
    fn a_read_tells_version_quantity_and_known_orders() {
        let version = Some("\"3-9\"".to_string());
        let expected = Snapshot {
            version: "\"3-9\"".into(),
            quantity: 4,
            orders: KnownOrders {
                applied: ids(&[1, 2]),
                sold_as: vec![(ids(&[2])[0], ids(&[1])[0])],
                differing: ids(&[4]),
                closed: ids(&[3]),
                forgotten: 90,
            },
        };
        let orders = KnownOrders::of(|name| match name {
            "Bazar-Applied" => Some("7.1, 7.2"),
            "Bazar-Differing" => Some("7.4"),
            "Bazar-Sold-As" => Some("7.2=7.1"),
            _ => Some("7.3; forgotten=90"),
        });
        let read = ReadOutcome::of(200, version, orders, &body(BOOK));
        assert_eq!(read, ReadOutcome::Book(expected));
        let sold = KnownOrders {
            applied: ids(&[1]),
            ..KnownOrders::default()
        };
        let removed = ReadOutcome::of(404, None, sold.clone(), &body("{}"));
        assert_eq!(removed, ReadOutcome::Removed(sold));
        let missing = ReadOutcome::of(404, None, KnownOrders::default(), &body("{}"));
        assert_eq!(missing, ReadOutcome::Refused(Error::NoSuchBook));
    }

    #[test]
    fn a_book_without_a_version_or_a_quantity_is_not_sold() {
        let version = Some("\"3-9\"".to_string());
        let internal = ReadOutcome::Refused(Error::Internal);
        assert_eq!(
            ReadOutcome::of(200, None, KnownOrders::default(), &body(BOOK)),
            internal
        );
        assert_eq!(
            ReadOutcome::of(200, version, KnownOrders::default(), &body("{}")),
            internal
        );
    }

    #[test]
    fn a_failed_read_is_retried_unless_the_connection_was_refused() {
        assert_eq!(
            ReadOutcome::unanswered(true),
            ReadOutcome::Refused(unreachable())
        );
        assert_eq!(
            ReadOutcome::unanswered(false),
            ReadOutcome::Retry(unreachable())
        );
        assert_eq!(
            ReadOutcome::of(504, None, KnownOrders::default(), &body("{}")),
            ReadOutcome::Retry(unreachable())
        );
    }

    #[test]
    fn a_conflict_may_name_orders() {
        let conflict = |json| WriteOutcome::of(409, false, None, &body(json));
        assert_eq!(
            conflict(r#"{"message":"m","applied":["7.1"]}"#),
            WriteOutcome::Applied(ids(&[1]))
        );
        assert_eq!(
            conflict(r#"{"message":"m","closed":["7.2"],"forgotten":9}"#),
            WriteOutcome::Closed {
                orders: ids(&[2]),
                forgotten: 9
            }
        );
        assert_eq!(
            conflict(r#"{"message":"m","in_use":["7.2"]}"#),
            WriteOutcome::KeysInUse(ids(&[2]))
        );
        let differing = body(r#"{"message":"m","differing":["7.3"]}"#);
        assert_eq!(
            WriteOutcome::of(422, false, None, &differing),
            WriteOutcome::Differing(ids(&[3]))
        );
        assert_eq!(conflict(r#"{"message":"m"}"#), WriteOutcome::Conflict);
        assert_eq!(
            WriteOutcome::of(412, false, None, &body("{}")),
            WriteOutcome::Conflict
        );
    }

    #[test]
    fn no_failed_write_passes_for_a_sale() {
        let lost = WriteOutcome::Unknown(Error::TimedOut(UNREACHABLE.into()));
        for status in [500, 502, 504] {
            assert_eq!(WriteOutcome::of(status, true, None, &body("{}")), lost);
        }
        assert_eq!(WriteOutcome::unanswered(false), lost);
        assert_eq!(
            WriteOutcome::unanswered(true),
            WriteOutcome::Refused(unreachable())
        );
        let full = Error::DiskRefuses("full".into());
        assert_eq!(
            WriteOutcome::of(507, false, None, &body(r#"{"message":"full"}"#)),
            WriteOutcome::Refused(full)
        );
    }
}

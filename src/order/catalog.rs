//! What an order server says to its catalog, and what the answers mean for a sale.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use crate::address::Address;
use crate::book::{BookId, Offer};
use crate::config::Limits;
use crate::error::Error;
use crate::http::client::{Answer, Client, Failure};
use crate::log;
use crate::orders::{Order, OrderId};

/// What a customer hears when the catalog cannot be reached.
pub const UNREACHABLE: &str = "Could not connect to the catalog server";

/// A catalog as an order server sees it: over HTTP, and in the tests a book in memory.
pub trait Catalog: Send + Sync + 'static {
    /// Reads a book, showing the orders that want a copy. `request` is the id of the request that it is for.
    fn read(&self, id: BookId, orders: &[Order], request: &str) -> Read;

    /// Makes the quantity of the book, if it is still at `version`, what is left once these orders have a copy each.
    fn write(
        &self,
        id: BookId,
        version: &str,
        quantity: u32,
        orders: &[Order],
        request: &str,
    ) -> Write;
}

/// A book as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its `ETag`.
    pub version: String,
    pub quantity: u32,
    /// Which of the orders that were shown have their copies already.
    pub applied: Vec<OrderId>,
}

/// What came of a read.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    Book(Seen),
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

/// The catalog over HTTP.
#[derive(Debug)]
pub struct HttpCatalog {
    address: Address,
    client: Client,
}

/// A 409 that names orders.
#[derive(Deserialize)]
struct Named {
    applied: Option<Vec<String>>,
    closed: Option<Vec<String>>,
}

impl HttpCatalog {
    pub fn new(address: Address, limits: Limits, token: Option<&str>) -> HttpCatalog {
        HttpCatalog {
            address,
            client: Client::new(limits, token),
        }
    }

    fn complain(&self, what: &dyn fmt::Display) {
        let fields: [log::Field; 2] = [("peer", &self.address), ("answer", what)];
        log::warn("the catalog's answer makes no sense", &fields);
    }
}

impl Catalog for HttpCatalog {
    fn read(&self, id: BookId, orders: &[Order], request: &str) -> Read {
        let url = format!("{}/query/item/{id}", self.address);
        let orders: Vec<String> = orders.iter().map(Order::to_string).collect();
        let mut headers = vec![("X-Request-Id", request)];
        headers.extend(orders.iter().map(|order| ("Bazar-Order", order.as_str())));
        let outcome = read(self.client.get(&url, &headers));
        if let Read::Refused(Error::Internal) = outcome {
            self.complain(&format!("to GET {url}"));
        }
        outcome
    }

    fn write(
        &self,
        id: BookId,
        version: &str,
        quantity: u32,
        orders: &[Order],
        request: &str,
    ) -> Write {
        let url = format!("{}/update/{id}", self.address);
        let orders: Vec<String> = orders.iter().map(Order::to_string).collect();
        let body = json!({"quantity": quantity, "orders": orders}).to_string();
        let headers = [("X-Request-Id", request), ("If-Match", version)];
        let outcome = write(self.client.put(&url, &headers, body.as_bytes()));
        if let Write::Refused(Error::Internal) = outcome {
            self.complain(&format!("to PUT {url}"));
        }
        outcome
    }
}

fn unreachable() -> Error {
    Error::Unreachable(UNREACHABLE.into())
}

fn read(answer: Result<Answer, Failure>) -> Read {
    match answer {
        Ok(answer) => match answer.status {
            200 => seen(&answer).map_or(Read::Refused(Error::Internal), Read::Book),
            404 => Read::Refused(Error::NoSuchBook),
            503 => Read::Again(Error::of(503, &answer.body)),
            // A read that failed did nothing, so that nobody need fear that a copy was sold.
            500..600 => Read::Again(unreachable()),
            _ => Read::Refused(Error::Internal),
        },
        Err(failure) if failure.definite() => Read::Refused(unreachable()),
        Err(_) => Read::Again(unreachable()),
    }
}

fn seen(answer: &Answer) -> Option<Seen> {
    let offer: Offer = answer.json().ok()?;
    let applied = answer.header("Bazar-Applied").unwrap_or_default();
    Some(Seen {
        version: answer.header("ETag")?.to_string(),
        quantity: offer.quantity,
        applied: applied
            .split(',')
            .filter_map(|id| OrderId::parse(id.trim()))
            .collect(),
    })
}

fn write(answer: Result<Answer, Failure>) -> Write {
    let lost = || Write::Unknown(Error::TimedOut(UNREACHABLE.into()));
    match answer {
        Ok(answer) => match answer.status {
            200 => Write::Done {
                replayed: answer.header("Idempotent-Replayed").is_some(),
            },
            404 => Write::Refused(Error::NoSuchBook),
            409 => named(&answer),
            412 | 503 => Write::Conflict,
            507 => Write::Refused(Error::of(507, &answer.body)),
            500..600 => lost(),
            _ => Write::Refused(Error::Internal),
        },
        Err(failure) if failure.definite() => Write::Refused(unreachable()),
        Err(_) => lost(),
    }
}

fn named(answer: &Answer) -> Write {
    let ids = |ids: Vec<String>| ids.iter().filter_map(|id| OrderId::parse(id)).collect();
    match answer.json() {
        Ok(Named {
            applied: Some(orders),
            ..
        }) => Write::Applied(ids(orders)),
        Ok(Named {
            closed: Some(orders),
            ..
        }) => Write::Closed(ids(orders)),
        _ => Write::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Answer, Failure> {
        let owned = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        Ok(Answer {
            status,
            headers: headers.iter().map(owned).collect(),
            body: body.as_bytes().to_vec(),
        })
    }

    const BOOK: &str = r#"{"price":1.0,"quantity":4,"title":"t"}"#;

    fn ids(counts: &[u64]) -> Vec<OrderId> {
        counts
            .iter()
            .map(|count| OrderId {
                start: 7,
                count: *count,
            })
            .collect()
    }

    #[test]
    fn a_read_tells_version_stock_and_who_was_served() {
        let headers = [("etag", "\"3-9\""), ("bazar-applied", "7.1, 7.2")];
        let expected = Seen {
            version: "\"3-9\"".into(),
            quantity: 4,
            applied: ids(&[1, 2]),
        };
        assert_eq!(read(answer(200, &headers, BOOK)), Read::Book(expected));
        assert_eq!(
            read(answer(404, &[], "{}")),
            Read::Refused(Error::NoSuchBook)
        );
    }

    #[test]
    fn a_book_without_a_version_is_not_sold() {
        assert_eq!(read(answer(200, &[], BOOK)), Read::Refused(Error::Internal));
    }

    #[test]
    fn a_failed_read_is_tried_again_unless_nobody_listens() {
        let refused = Failure::Refused(String::new());
        assert_eq!(read(Err(refused)), Read::Refused(unreachable()));
        let late = Failure::TimedOut(String::new());
        assert_eq!(read(Err(late)), Read::Again(unreachable()));
        assert_eq!(read(answer(504, &[], "{}")), Read::Again(unreachable()));
    }

    #[test]
    fn a_conflict_may_name_orders() {
        let conflict = |body| write(answer(409, &[], body));
        assert_eq!(
            conflict(r#"{"message":"m","applied":["7.1"]}"#),
            Write::Applied(ids(&[1]))
        );
        assert_eq!(
            conflict(r#"{"message":"m","closed":["7.2"]}"#),
            Write::Closed(ids(&[2]))
        );
        assert_eq!(conflict(r#"{"message":"m"}"#), Write::Conflict);
        assert_eq!(write(answer(412, &[], "{}")), Write::Conflict);
    }

    #[test]
    fn no_failed_write_passes_for_a_sale() {
        let lost = Write::Unknown(Error::TimedOut(UNREACHABLE.into()));
        assert_eq!(write(answer(504, &[], "{}")), lost);
        assert_eq!(write(answer(500, &[], "{}")), lost);
        assert_eq!(write(Err(Failure::Broken(String::new()))), lost);
        let full = Error::DiskRefuses("full".into());
        assert_eq!(
            write(answer(507, &[], r#"{"message":"full"}"#)),
            Write::Refused(full)
        );
        let refused = Failure::Refused(String::new());
        assert_eq!(write(Err(refused)), Write::Refused(unreachable()));
    }
}

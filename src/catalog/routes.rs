//! The catalog's whole interface.
//!
//! What goes beyond the documented one:
//!
//! | request | answer |
//! |---|---|
//! | `GET /query/item/<id>` with `Bazar-Order: <start>.<count>; open=<count>`, one header an order, up to 64; each may end in `; key=<customer's key>` | as without; `Bazar-Applied: <start>.<count>, …` names those that have their copies already, and `Idempotent-Replayed: true` says that there are some |
//! | `PUT /update/<id>` with `Bazar-Order` and perhaps `Idempotency-Key` | the order is stored with the change; if it was before, nothing changes: 200 and `Idempotent-Replayed: true` |
//! | `PUT /update/<id>` with `If-Match` and `{"quantity":q-k,"orders":["<start>.<count>; open=<count>; key=<key>", …]}`, up to 256 orders | one change for k orders, all of them or none. 409 `{"message","applied":[…]}`: these have their copies already; 409 `{"message","closed":[…]}`: these nobody waits for any more |
//! | `PUT /batch/query` with `[{"id","orders":["<start>.<count>; open=<count>; key=<key>", …]}, …]`, up to 256 | 200 and `[{"status","etag","applied","body"}, …]`: each as `GET /query/item/<id>` says it, or status 503: ask for this one alone |
//! | `PUT /batch/update` with `[{"id","if_match","quantity","orders"}, …]`, up to 256 | 200 and `[{"status","replayed","body"}, …]`: each as `PUT /update/<id>` says it, or status 503: nothing changed, ask for this one alone |
//! | `GET /query/topic/<text>?limit=n&after=<id>` | at most n books, those after that id |
//! | `POST /add` with `{"title","topic","quantity","price"}`, perhaps `"id"` | 201, `Location`, the whole book; 409 when the id is in use |
//! | `POST /add` with a list of up to 1,000 of those | 200 and `[{"status","body"}, …]`, each added by itself |

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::catalog::batch_routes;
use crate::catalog::if_match::IfMatch;
use crate::catalog::metrics;
use crate::catalog::replication::write::Update;
use crate::catalog::responses;
use crate::catalog::transport::codec;
use crate::http::Method::{Get, Post, Put};
use crate::http::server::{Lane, Service};
use crate::http::{Request, RequestHead, Response, idempotency_key};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::validation::{self, NewBooks};
use crate::runtime::metrics::Exposition;

impl Catalog {
    /// Every request but the common ones.
    fn route(&self, request: &Request) -> Result<Response> {
        match (request.method, request.path().as_slice()) {
            (_, ["query", _, ""] | ["query", "", _] | ["update" | "rep", ""]) => {
                Err(Error::NoSuchPath)
            }
            (Get, ["query", "item", id]) => self.query_item(id, request),
            (Get, ["query", "topic", text]) => responses::search(self, text, request),
            (Get, ["query", _, _]) => Err(Error::NoSuchQuery),
            (_, ["query", _, _]) => Err(Error::MethodNotAllowed("GET, HEAD")),
            (Put, ["update", id]) => self.update(id, request),
            (_, ["update", _]) => Err(Error::MethodNotAllowed("PUT")),
            (Post, ["add"]) => self.add(request),
            (_, ["add"]) => Err(Error::MethodNotAllowed("POST")),
            (Get, ["dump", ""]) => Ok(responses::dump(self)),
            (_, ["dump", ""]) => Err(Error::MethodNotAllowed("GET, HEAD")),
            (Put, ["batch", "query"]) => batch_routes::query(self, request),
            (Put, ["batch", "update"]) => batch_routes::update(self, request),
            (_, ["batch", "query" | "update"]) => Err(Error::MethodNotAllowed("PUT")),
            (Put, ["rep", kind]) => self.receive(kind, None, request),
            (Put, ["rep", kind, id]) => self.receive(kind, Some(id), request),
            (_, ["rep", kind] | ["rep", kind, _])
                if codec::request::path_of_kind(kind).is_some() =>
            {
                Err(Error::MethodNotAllowed("PUT"))
            }
            _ => Err(Error::NoSuchPath),
        }
    }

    /// The catalog, unlike the front-end, does not judge ids: what is not a number is no book's.
    fn query_item(&self, id: &str, request: &Request) -> Result<Response> {
        let id = BookId::parse(id).ok_or(Error::NotFound)?;
        let orders = shown_orders(
            request.headers_of("Bazar-Order"),
            request.headers_of("Idempotency-Key"),
        )?;
        Ok(responses::item(&self.replica.read(id, &orders)?))
    }

    fn update(&self, id: &str, request: &Request) -> Result<Response> {
        let id = BookId::parse(id).ok_or(Error::NotFound)?;
        let if_match = request.header("If-Match").map(IfMatch::parse).transpose()?;
        let (change, together) = validation::parse_change(&request.body)?;
        let all_or_none = together.is_some();
        if all_or_none && (if_match.is_none() || change.quantity.is_none()) {
            let message = "orders go with quantity and with the header If-Match";
            return Err(Error::Invalid(message.into()));
        }
        let orders = match together {
            Some(orders) => orders,
            None => request.order()?.into_iter().collect(),
        };
        let update = Update {
            change,
            if_match,
            orders,
            all_or_none,
        };
        let outcome = self.replica.update(id, &update);
        self.tally.write(&update, &outcome);
        Ok(responses::updated(&outcome?))
    }

    /// One book, or a list of them, each judged and added by itself.
    fn add(&self, request: &Request) -> Result<Response> {
        let list = match validation::parse_new_books(&request.body)? {
            NewBooks::One(book) => {
                let added = self
                    .replica
                    .create(&[book])
                    .pop()
                    .expect("one outcome for one book");
                return Ok(responses::added(&*added?));
            }
            NewBooks::Many(list) => list,
        };
        let fine: Vec<_> = list
            .iter()
            .filter_map(|book| book.as_ref().ok().cloned())
            .collect();
        let mut added = self.replica.create(&fine).into_iter();
        let line = |book: Result<_>| {
            let added = book.and_then(|_| added.next().expect("one outcome for each fine book"));
            match added {
                Ok(book) => json!({"status": 201, "body": responses::whole(&book)}),
                Err(error) => responses::error_line(&error),
            }
        };
        Ok(Response::json(
            200,
            &list.into_iter().map(line).collect::<Vec<Value>>(),
        ))
    }

    fn receive(&self, kind: &str, id: Option<&str>, request: &Request) -> Result<Response> {
        let message = codec::request::decode(kind, id, &request.body)?;
        Ok(codec::reply::encode(&self.replica.receive(message)?))
    }
}

/// The orders that a read shows: one `Bazar-Order` header for each, with its customer's key in it
/// or, for one alone, in `Idempotency-Key`.
fn shown_orders<'a>(
    orders: impl Iterator<Item = &'a str>,
    keys: impl Iterator<Item = &'a str>,
) -> Result<Vec<Order>> {
    let orders: Option<Vec<Order>> = orders.map(Order::parse_with_key).collect();
    let malformed = "Bazar-Order must be <start>.<count>; open=<count>";
    let mut orders = orders.ok_or_else(|| Error::BadRequest(malformed.into()))?;
    if let ([order], Some(key)) = (orders.as_mut_slice(), idempotency_key(keys)?) {
        order.key = Some(key);
    }
    Ok(orders)
}

impl Service for Catalog {
    fn lane(&self, request: &Request) -> Lane {
        match request.path().as_slice() {
            ["rep", "get", ..] => Lane::PeerRead,
            ["rep", "update" | "claim", ..] => Lane::PeerWrite,
            ["rep", "heartbeat" | "check" | "confirm", ..] | ["batch", "query"] => Lane::Inline,
            // Long ones: not on the thread that receives.
            ["rep", "page" | "fetch", ..] => Lane::PeerWrite,
            _ => Lane::Client,
        }
    }

    /// A book that can be read without a message to another catalog.
    fn try_answer(&self, head: &RequestHead) -> Option<(&'static str, Response)> {
        let id = BookId::parse(head.path.strip_prefix("/query/item/")?)?;
        let headers_of = |name| (head.headers_of)(name).into_iter();
        let orders = shown_orders(headers_of("Bazar-Order"), headers_of("Idempotency-Key"));
        let response = match self.replica.try_read(id, &orders.ok()?)? {
            Ok(read) => responses::item(&read),
            Err(error) => error.into(),
        };
        Some(("/query/item/<id>", response))
    }

    fn answer(&self, request: &Request) -> Response {
        match self.route(request) {
            Ok(response) => response,
            Err(error) => responses::failure(error, request.method),
        }
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["query", "item", _] => "/query/item/<id>",
            ["query", "topic", _] => "/query/topic/<text>",
            ["update", _] => "/update/<id>",
            ["batch", "query"] => "/batch/query",
            ["batch", "update"] => "/batch/update",
            ["add"] => "/add",
            ["dump", ""] => "/dump/",
            ["rep", "heartbeat", ..] => "/rep/heartbeat",
            ["rep", "get", ..] => "/rep/get",
            ["rep", "check", ..] => "/rep/check",
            ["rep", "update", ..] => "/rep/update",
            ["rep", "confirm", ..] => "/rep/confirm",
            ["rep", "page", ..] => "/rep/page",
            ["rep", "fetch", ..] => "/rep/fetch",
            ["rep", "claim", ..] => "/rep/claim",
            _ => "other",
        }
    }

    /// Clients use front-ends, never a catalog.
    fn is_public(&self, _: &str) -> bool {
        false
    }

    fn ready(&self) -> std::result::Result<(), Vec<String>> {
        let health = self.replica.health();
        let mut missing = Vec::new();
        if !health.lease {
            missing.push("contact with every live catalog".into());
        }
        if !health.caught_up {
            missing.push("catching up with the other catalogs".into());
        }
        if health.disk_refuses {
            missing.push("a disk that takes writes".into());
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    fn metrics(&self, page: &mut Exposition) {
        metrics::show(self, page);
    }
}

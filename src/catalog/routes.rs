//! The routes of a catalog: method and path of each request, to the function that answers it.
//!
//! `src/API.md` is the whole interface: "Catalog" has the routes for clients and order servers,
//! "Between catalogs" those below `/rep/`. Requests for several books are answered in
//! `batch_routes`, long lists in `listing`.

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::catalog::batch_routes;
use crate::catalog::copies_in_trace;
use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::transport::codec::{reply, request};
use crate::catalog::{listing, metrics, orders, rename_topic, responses};
use crate::http::Method::{Delete, Get, Patch, Post, Put};
use crate::http::server::status::{Contact, Status};
use crate::http::server::{Lane, Service};
use crate::http::{Request, RequestHead, Response, idempotency_key};
use crate::model::address::Address;
use crate::model::book::{BookId, Change};
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::validation::{self, NewBook, NewBooks};
use crate::runtime::metrics::Exposition;

/// How often a removal, or a change by a difference, finds that the copy here was out of date.
const PATCH_ATTEMPTS_MAX: u32 = 3;

impl Catalog {
    /// Answers every request but those that all servers have in common.
    fn handle(&self, request: &Request) -> Result<Response> {
        match (request.method, request.path().as_slice()) {
            (
                _,
                ["query", _, ""]
                | ["query", "", _]
                | ["update" | "rep" | "book" | "titles" | "topic", ""],
            ) => Err(Error::NoSuchPath),
            (Get, ["query", "item", id]) => self.query_item(id, request),
            (Get, ["query", "topic", text]) => listing::topics(self, text, request),
            (Get, ["query", _, _]) => Err(Error::NoSuchQuery),
            (Get, ["titles", text]) => listing::titles(self, text, request),
            (Put, ["topic", topic]) => rename_topic::rename(self, topic, request),
            (Put, ["update", id]) => self.update(id, request),
            (Patch, ["update", id]) => self.patch(id, request),
            (Delete, ["book", id]) => self.remove(id, request),
            (Post, ["add"]) => self.add(request),
            (Get, ["dump", ""]) => listing::dump(self, request),
            (Get, ["orders"]) => orders::list(self, request),
            (Get, ["orders", order]) => orders::order(self, order),
            (Delete, ["orders", order]) => orders::cancel(self, order),
            (Get, ["ledger"]) => orders::ledger(self, request),
            (Get, ["versions"]) => orders::versions(self, request),
            (Put, ["batch", "query"]) => batch_routes::query(self, request),
            (Put, ["batch", "update"]) => batch_routes::update(self, request),
            (Put, ["rep", kind]) => self.receive(kind, None, request),
            (Put, ["rep", kind, id]) => self.receive(kind, Some(id), request),
            (_, path) => Err(other_method(path)),
        }
    }

    /// Unlike the front-end, a catalog does not require an id to be a number: a text that is none
    /// is the id of no book.
    fn query_item(&self, id: &str, request: &Request) -> Result<Response> {
        let id = BookId::parse(id).ok_or(Error::NotFound)?;
        let orders = named_orders(
            request.headers_of("Bazar-Order"),
            request.headers_of("Idempotency-Key"),
        )?;
        let _copies = self.copies_in_trace([id]);
        Ok(responses::item(&self.store.read(id, &orders)?))
    }

    fn update(&self, id: &str, request: &Request) -> Result<Response> {
        let id = BookId::parse(id).ok_or(Error::NotFound)?;
        let if_match = condition(request)?;
        let (change, order_list) = validation::parse_change(&request.body)?;
        let update = match order_list {
            Some(orders) => Update::sale(change, if_match, None, orders)?,
            None => Update {
                change,
                if_match,
                orders: request.order()?.into_iter().collect(),
                ..Update::default()
            },
        };
        Ok(responses::updated(&self.change(id, &update)?))
    }

    pub(super) fn change(&self, id: BookId, update: &Update) -> Result<Updated> {
        let _copies = self.copies_in_trace([id]);
        let outcome = self.store.update(id, update);
        self.metrics.observe(update, &outcome);
        outcome
    }

    /// As [`Self::update`], but of whatever version there is: a copy here that was out of date did
    /// nothing, and is no more.
    fn patch(&self, id: &str, request: &Request) -> Result<Response> {
        let id = BookId::parse(id).ok_or(Error::NotFound)?;
        let update = Update {
            change: validation::parse_patch(&request.body)?,
            if_match: condition(request)?,
            key: idempotency_key(request.headers_of("Idempotency-Key"))?,
            ..Update::default()
        };
        Ok(responses::updated(&self.change_any_version(id, &update)?))
    }

    fn change_any_version(&self, id: BookId, update: &Update) -> Result<Updated> {
        let mut outcome = self.change(id, update);
        for _ in 1..PATCH_ATTEMPTS_MAX {
            if let Err(Error::OutOfDate) = outcome {
                outcome = self.change(id, update);
            }
        }
        outcome
    }

    /// Removes a book, whatever version there is.
    fn remove(&self, id: &str, request: &Request) -> Result<Response> {
        let id = BookId::parse(id).ok_or(Error::NotFound)?;
        let update = Update {
            change: Change::removal(),
            if_match: condition(request)?,
            ..Update::default()
        };
        self.change_any_version(id, &update)?;
        Ok(Response::empty(204))
    }

    /// Adds one book, or each book of a list by itself.
    fn add(&self, request: &Request) -> Result<Response> {
        match validation::parse_new_books(&request.body)? {
            NewBooks::One(book) => {
                let added = self.store.create(&[book]).pop();
                Ok(responses::added(
                    &*added.expect("one outcome for one book")?,
                ))
            }
            NewBooks::Many(books) => Ok(self.add_all(books)),
        }
    }

    fn add_all(&self, books: Vec<Result<NewBook>>) -> Response {
        let create = |valid: &[NewBook]| self.store.create(valid);
        let outcomes = batch_routes::run_valid(books.into_iter(), create);
        let entries = outcomes.iter().map(|outcome| match outcome {
            Ok(book) => json!({"status": 201, "body": responses::whole_book(book)}),
            Err(error) => responses::error_entry(error),
        });
        Response::json(200, &entries.collect::<Vec<Value>>())
    }

    fn receive(&self, kind: &str, id: Option<&str>, request: &Request) -> Result<Response> {
        let message = request::decode(kind, id, &request.body)?;
        let _copies = self.copies_in_trace(copies_in_trace::subjects(&message));
        Ok(reply::encode(&self.store.receive(message)?))
    }
}

/// `If-Match` or `If-None-Match`. Fails with 400 when they are malformed, or both there.
fn condition(request: &Request) -> Result<Option<IfMatch>> {
    match (request.list("If-Match"), request.list("If-None-Match")) {
        (None, None) => Ok(None),
        (Some(versions), None) => IfMatch::parse(&versions).map(Some),
        (None, Some(versions)) => IfMatch::parse_none(&versions).map(Some),
        _ => Err(Error::BadRequest(
            "If-Match and If-None-Match exclude each other".into(),
        )),
    }
}

/// The error for a path that has no route with the method of the request.
fn other_method(path: &[&str]) -> Error {
    match path {
        ["query", _, _] | ["titles", _] | ["dump", ""] => Error::MethodNotAllowed("GET, HEAD"),
        ["update", _] => Error::MethodNotAllowed("PUT, PATCH"),
        ["book", _] => Error::MethodNotAllowed("DELETE"),
        ["topic", _] => Error::MethodNotAllowed("PUT"),
        ["batch", "query" | "update"] => Error::MethodNotAllowed("PUT"),
        ["add"] => Error::MethodNotAllowed("POST"),
        ["orders", _] => Error::MethodNotAllowed("GET, HEAD, DELETE"),
        ["orders" | "ledger" | "versions"] => Error::MethodNotAllowed("GET, HEAD"),
        ["rep", kind] | ["rep", kind, _] if request::path_of_kind(kind).is_some() => {
            Error::MethodNotAllowed("PUT")
        }
        _ => Error::NoSuchPath,
    }
}

/// The orders that a read asks about: one `Bazar-Order` header for each, which includes its
/// idempotency key. The key of a single order may stand in `Idempotency-Key` instead.
fn named_orders<'a>(
    orders: impl Iterator<Item = &'a str>,
    keys: impl Iterator<Item = &'a str>,
) -> Result<Vec<Order>> {
    let orders: Option<Vec<Order>> = orders.map(Order::parse_with_key).collect();
    let malformed = "Bazar-Order must be <start>.<count>; open=<count>; at=<ms>";
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
            ["rep", "heartbeat" | "check" | "confirm" | "keys", ..] => Lane::Inline,
            ["batch", "query"] if !self.store.reads_wait() => Lane::Inline,
            // The receiving thread must not be occupied by long answers.
            ["rep", "page" | "fetch" | "ledger", ..] => Lane::PeerWrite,
            _ => Lane::Client,
        }
    }

    /// A book that can be read without a message to another catalog.
    fn try_answer(&self, head: &RequestHead) -> Option<(&'static str, Response)> {
        let id = BookId::parse(head.path.strip_prefix("/query/item/")?)?;
        let headers_of = |name| (head.headers_of)(name).into_iter();
        let orders = named_orders(headers_of("Bazar-Order"), headers_of("Idempotency-Key"));
        let response = match self.store.try_read(id, &orders.ok()?)? {
            Ok(read) => responses::item(&read),
            Err(error) => error.into(),
        };
        Some(("/query/item/<id>", response))
    }

    fn answer(&self, request: &Request) -> Response {
        self.handle(request)
            .unwrap_or_else(|error| responses::failed(error, request.method))
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["query", "item", _] => "/query/item/<id>",
            ["query", "topic", _] => "/query/topic/<text>",
            ["titles", _] => "/titles/<text>",
            ["topic", _] => "/topic/<topic>",
            ["update", _] => "/update/<id>",
            ["book", _] => "/book/<id>",
            ["batch", "query"] => "/batch/query",
            ["batch", "update"] => "/batch/update",
            ["add"] => "/add",
            ["dump", ""] => "/dump/",
            ["orders"] => "/orders",
            ["orders", _] => "/orders/<order>",
            ["ledger"] => "/ledger",
            ["versions"] => "/versions",
            ["rep", kind, ..] => request::path_of_kind(kind).unwrap_or("other"),
            _ => "other",
        }
    }

    /// Clients talk to front-ends; every path of a catalog needs the service token.
    fn is_public(&self, _: &str) -> bool {
        false
    }

    fn missing(&self) -> Vec<String> {
        let health = self.store.health();
        let mut missing = Vec::new();
        // Later a catalog all of whose copies are known is ready while it compares them once more.
        let is_behind = !health.was_caught_up || 0 < health.state_counts.unknown;
        if let Some(why) = health.not_serving {
            missing.push(why);
        } else if !health.caught_up && is_behind {
            missing.push("catching up with the other catalogs".into());
        }
        if health.disk_refuses {
            missing.push("a disk that takes writes".into());
        }
        missing
    }

    fn status(&self) -> Status {
        let health = self.store.health();
        let contacts = |server, peers: &[(Address, bool)]| {
            let contact = move |(address, live): &(Address, bool)| Contact {
                server,
                address: address.clone(),
                live: *live,
            };
            peers.iter().map(contact).collect::<Vec<_>>()
        };
        let catalogs = contacts("catalog", &health.peers);
        let front_ends = contacts("front-end", &health.front_ends);
        let books = health.state_counts;
        let own = json!({
            "books": {
                "valid": books.valid,
                "tentative": books.tentative,
                "unknown": books.unknown,
            },
            "lease": health.not_serving.is_none(),
            "caught_up": health.caught_up,
            "disk_refuses": health.disk_refuses,
            "left_out": health.left_out,
            "copies_dropped": health.copies_dropped,
            "sold": self.metrics.sold(),
        });
        Status::new([catalogs, front_ends].concat(), own)
    }

    fn metrics(&self, page: &mut Exposition) {
        metrics::append(self, page);
    }
}

//! The order server's paths: see `src/API.md`. `PUT /batch/buy` is for front-ends, with the service
//! token if there is one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use crate::http::Method::{Get, Put};
use crate::http::server::status::{Contact, Status};
use crate::http::server::{Lane, Service};
use crate::http::{Request, Response};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::validation;
use crate::order::OrderServer;
use crate::order::http_catalog_client::HttpCatalog;
use crate::order::queue::BuyOutcome;
use crate::runtime::metrics::Exposition;
use crate::runtime::span;

/// The answer of a buy that did not fail.
#[derive(Serialize)]
struct BuyAnswer {
    message: &'static str,
    success: bool,
}

/// An entry of the answer to `PUT /batch/buy`.
#[derive(Serialize)]
struct BatchEntry {
    status: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, Cow<'static, str>>,
    body: Value,
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
enum Endpoint {
    Buy(BookId),
    BatchBuy,
    Order(String),
}

/// Reads method and path.
fn parse(request: &Request) -> Result<Endpoint> {
    match (request.method, request.path().as_slice()) {
        (_, ["buy", ""]) => Err(Error::NoSuchPath),
        (Put, ["buy", id]) => {
            let id = BookId::parse(id).ok_or(Error::IdNotANumber)?;
            Ok(Endpoint::Buy(id))
        }
        (Put, ["batch", "buy"]) => Ok(Endpoint::BatchBuy),
        (_, ["orders", ""]) => Err(Error::NoSuchPath),
        (Get, ["orders", order]) => Ok(Endpoint::Order((*order).into())),
        (_, ["orders", _]) => Err(Error::MethodNotAllowed("GET, HEAD")),
        (_, ["buy", _] | ["batch", "buy"]) => Err(Error::MethodNotAllowed("PUT")),
        _ => Err(Error::NoSuchPath),
    }
}

impl OrderServer {
    fn serve(&self, request: &Request) -> Result<Response> {
        match parse(request)? {
            Endpoint::Buy(id) => {
                span::set("book", || id);
                let outcome = self.buy(id, request);
                span::set("outcome", || outcome_word(&outcome));
                outcome.map(|(outcome, order)| success(outcome, &order))
            }
            Endpoint::BatchBuy => self.batch_buy(request),
            Endpoint::Order(order) => self.seller.catalog.order(&order, &request.trace()),
        }
    }

    /// The outcome, and the order that has it.
    fn buy(&self, id: BookId, request: &Request) -> Result<(BuyOutcome, Order)> {
        let copies = request.copies()?;
        if let Some(mut order) = request.order()? {
            order.copies = copies.unwrap_or(order.copies);
            let outcome = self.seller.buy(id, order.clone(), request.trace())?;
            return Ok((outcome, order));
        }
        let open_order = self.order_ids.open(request.key()?);
        let order = Order {
            copies: copies.unwrap_or(1),
            ..open_order.order.clone()
        };
        let outcome = self.seller.buy(id, order.clone(), request.trace());
        if let Err(Error::Closed { forgotten, .. }) = &outcome {
            self.order_ids.catch_up_with(*forgotten);
        }
        Ok((outcome?, order))
    }

    fn batch_buy(&self, request: &Request) -> Result<Response> {
        let buys = validation::parse_batch_buys(&request.body)?;
        let outcomes = self.seller.batch_sell(&buys, Instant::now());
        let alone = || Error::Busy("This book needs a wait of its own: ask for it alone".into());
        let entries = outcomes.into_iter().zip(&buys).map(|(outcome, buy)| {
            let outcome = outcome.unwrap_or_else(|| Err(alone()));
            batch_entry(outcome.map_or_else(failure, |outcome| success(outcome, &buy.order)))
        });
        Ok(Response::json(200, &entries.collect::<Vec<_>>()))
    }
}

fn batch_entry(response: Response) -> BatchEntry {
    let body = response.body.as_bytes();
    BatchEntry {
        status: response.status,
        body: serde_json::from_slice(body).expect("our own answers are JSON"),
        headers: response.headers.into_iter().collect(),
    }
}

/// In words, for a trace.
fn outcome_word(outcome: &Result<(BuyOutcome, Order)>) -> &'static str {
    match outcome.as_ref().map(|(outcome, _)| outcome) {
        Ok(BuyOutcome::Purchased { replayed, .. }) if *replayed => "sold before",
        Ok(BuyOutcome::Purchased { .. }) => "sold",
        Ok(BuyOutcome::OutOfStock) => "out of stock",
        Err(error) if error.indefinite() => "unknown",
        Err(_) => "not sold",
    }
}

fn success(outcome: BuyOutcome, order: &Order) -> Response {
    let answer = |success, message| Response::json(200, &BuyAnswer { message, success });
    let BuyOutcome::Purchased { replayed, sold_as } = outcome else {
        return answer(false, "Book with the specified ID is out of stock");
    };
    let mut response = answer(true, "Book with the specified ID purchased");
    if replayed {
        response = response.with("Idempotent-Replayed", "true");
    }
    // With a key it may have been another order of the client that was sold.
    let is_own = !replayed || order.key.is_none();
    match sold_as.or(is_own.then_some(order.id)) {
        Some(sold) => response.with("Location", format!("/orders/{sold}")),
        None => response,
    }
}

/// A 5xx says whether a copy may have been sold.
fn failure(error: Error) -> Response {
    let unknown = error.indefinite();
    Response::from(error).with_outcome(unknown)
}

impl Service for OrderServer {
    fn lane(&self, _request: &Request) -> Lane {
        Lane::Client
    }

    fn answer(&self, request: &Request) -> Response {
        self.serve(request).unwrap_or_else(failure)
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["buy", _] => "/buy/<id>",
            ["batch", "buy"] => "/batch/buy",
            ["orders", _] => "/orders/<order>",
            _ => "other",
        }
    }

    fn is_public(&self, first_segment: &str) -> bool {
        matches!(first_segment, "buy" | "orders")
    }

    fn missing(&self) -> Vec<String> {
        let catalogs = &self.seller.catalog.catalogs;
        if catalogs.iter().any(|catalog| !catalog.is_down()) {
            return Vec::new();
        }
        catalogs.iter().map(|catalog| catalog.why_down()).collect()
    }

    fn status(&self) -> Status {
        let catalogs = self.seller.catalog.catalogs.iter();
        let contacts = catalogs.map(|catalog| Contact {
            server: "catalog",
            address: catalog.address.clone(),
            live: !catalog.is_down(),
        });
        let own = json!({"buys": self.seller.metrics.outcomes()});
        Status::new(contacts.collect(), own)
    }

    fn metrics(&self, page: &mut Exposition) {
        self.seller.metrics.write(page);
        let HttpCatalog {
            catalogs, hedging, ..
        } = &self.seller.catalog;
        hedging.write_metrics(page, "read");
        let help = "Servers of a tier behind that are ready.";
        let up = catalogs.iter().filter(|catalog| !catalog.is_down());
        let up = up.count() as f64;
        page.gauge("bazar_servers_up", help, &[("tier", "catalog")], up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, Method, split_path};
    use crate::model::order::OrderId;
    use crate::order::queue::BuyResult;

    #[track_caller]
    fn check(method: Method, path: &str, expected: Result<Endpoint>) {
        let request = Request {
            method,
            segments: split_path(path).unwrap(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            id: "r".into(),
        };
        assert_eq!(parse(&request), expected, "{path}");
    }

    #[test]
    fn books_can_be_bought_and_that_is_all() {
        check(Put, "/buy/007", Ok(Endpoint::Buy(BookId(7))));
        check(Put, "/batch/buy", Ok(Endpoint::BatchBuy));
        check(Put, "/buy/one", Err(Error::IdNotANumber));
        check(Method::Get, "/buy/one", Err(Error::MethodNotAllowed("PUT")));
        check(Put, "/buy/", Err(Error::NoSuchPath));
        check(Method::Get, "/lookup/1", Err(Error::NoSuchPath));
    }

    #[track_caller]
    fn check_answer(outcome: BuyResult, status: u16, body: &str, headers: &[(&str, &str)]) {
        let order = Order::parse("7.5; open=5").unwrap();
        let response = outcome.map_or_else(failure, |outcome| success(outcome, &order));
        let Body::Bytes(bytes) = response.body else {
            panic!("an answer has a body");
        };
        assert_eq!(
            (response.status, &*String::from_utf8(bytes).unwrap()),
            (status, body)
        );
        let got: Vec<_> = response
            .headers
            .iter()
            .map(|(n, v)| (*n, v.as_ref()))
            .collect();
        assert_eq!(got, headers);
    }

    #[test]
    fn an_answer_says_what_happened_to_the_copy() {
        let purchased = r#"{"message":"Book with the specified ID purchased","success":true}"#;
        let sold = |replayed, sold_as| Ok(BuyOutcome::Purchased { replayed, sold_as });
        let headers = [("Location", "/orders/7.5")];
        check_answer(sold(false, None), 200, purchased, &headers);
        let headers = [("Idempotent-Replayed", "true"), ("Location", "/orders/7.5")];
        check_answer(sold(true, None), 200, purchased, &headers);
        let first = OrderId { start: 6, count: 2 };
        let headers = [("Idempotent-Replayed", "true"), ("Location", "/orders/6.2")];
        check_answer(sold(true, Some(first)), 200, purchased, &headers);
        let out = r#"{"message":"Book with the specified ID is out of stock","success":false}"#;
        check_answer(Ok(BuyOutcome::OutOfStock), 200, out, &[]);
        let unknown = Err(Error::TimedOut("m".into()));
        check_answer(
            unknown,
            504,
            r#"{"message":"m"}"#,
            &[("Bazar-Outcome", "unknown")],
        );
        let busy = Err(Error::Busy("m".into()));
        let headers = [("Retry-After", "1"), ("Bazar-Outcome", "none")];
        check_answer(busy, 503, r#"{"message":"m"}"#, &headers);
    }
}

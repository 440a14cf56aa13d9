//! The order server's whole interface: `PUT /buy/<id>`; and beyond the documented one, for
//! front-ends:
//!
//! | request | answer |
//! |---|---|
//! | `PUT /batch/buy` with `[{"id","order":"<start>.<count>; open=<count>; key=<key>","request"}, …]`, up to 256 | 200 and `[{"status","headers","body"}, …]`: each as `PUT /buy/<id>` says it, or status 503: nothing happened, ask for this one alone |

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::http::Method::Put;
use crate::http::server::{Lane, Service};
use crate::http::{Body, Request, Response};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::validation;
use crate::order::Orders;
use crate::order::batch_sell::Buyer;
use crate::order::queue::Sold;
use crate::runtime::metrics::Exposition;

/// What a customer who was served hears.
#[derive(Serialize)]
struct Sale {
    message: &'static str,
    success: bool,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
enum Asked {
    Buy(BookId),
    Together,
}

fn asked(request: &Request) -> Result<Asked> {
    match (request.method, request.path().as_slice()) {
        (_, ["buy", ""]) => Err(Error::NoSuchPath),
        (Put, ["buy", id]) => match BookId::parse(id) {
            Some(id) => Ok(Asked::Buy(id)),
            None => Err(Error::IdNotANumber),
        },
        (Put, ["batch", "buy"]) => Ok(Asked::Together),
        (_, ["buy", _] | ["batch", "buy"]) => Err(Error::MethodNotAllowed("PUT")),
        _ => Err(Error::NoSuchPath),
    }
}

impl Orders {
    fn serve(&self, request: &Request) -> Result<Response> {
        match asked(request)? {
            Asked::Buy(id) => self.buy(id, request).map(response),
            Asked::Together => self.buy_together(request),
        }
    }

    fn buy(&self, id: BookId, request: &Request) -> Result<Sold> {
        if let Some(order) = request.order()? {
            return self.seller.buy(id, order, request.id.clone());
        }
        let slip = self.order_ids.open(request.key()?);
        self.seller.buy(id, slip.order.clone(), request.id.clone())
    }

    fn buy_together(&self, request: &Request) -> Result<Response> {
        let buyer = |wanted: validation::BatchBuy| Buyer {
            id: wanted.id,
            order: wanted.order,
            request: wanted.request,
        };
        let buyers: Vec<Buyer> = validation::parse_batch_buys(&request.body)?
            .into_iter()
            .map(buyer)
            .collect();
        let outcomes = self.seller.batch_sell(&buyers).into_iter();
        let lines: Vec<Line> = outcomes
            .map(|outcome| Line::of(answer(outcome.unwrap_or_else(|| Err(alone())))))
            .collect();
        Ok(Response::json(200, &lines))
    }
}

/// One answer of several.
#[derive(Serialize)]
struct Line {
    status: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, Cow<'static, str>>,
    body: Value,
}

impl Line {
    fn of(response: Response) -> Line {
        let body = match &response.body {
            Body::Bytes(bytes) => serde_json::from_slice(bytes).expect("our own answers are JSON"),
            _ => Value::Null,
        };
        Line {
            status: response.status,
            headers: response.headers.into_iter().collect(),
            body,
        }
    }
}

fn alone() -> Error {
    Error::Busy("This book needs a wait of its own: ask for it alone".into())
}

fn answer(outcome: Result<Sold>) -> Response {
    outcome.map_or_else(failure, response)
}

fn response(sold: Sold) -> Response {
    match sold {
        Sold::Purchased { replayed: true } => purchased().with("Idempotent-Replayed", "true"),
        Sold::Purchased { replayed: false } => purchased(),
        Sold::OutOfStock => sale("Book with the specified ID is out of stock", false),
    }
}

fn purchased() -> Response {
    sale("Book with the specified ID purchased", true)
}

fn sale(message: &'static str, success: bool) -> Response {
    Response::json(200, &Sale { message, success })
}

/// A 5xx says whether a copy may have been sold.
fn failure(error: Error) -> Response {
    let outcome = if error.indefinite() {
        "unknown"
    } else {
        "none"
    };
    let response = Response::from(error);
    match response.status {
        500.. => response.with("Bazar-Outcome", outcome),
        _ => response,
    }
}

impl Service for Orders {
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
            _ => "other",
        }
    }

    fn is_public(&self, first_segment: &str) -> bool {
        first_segment == "buy"
    }

    fn ready(&self) -> std::result::Result<(), Vec<String>> {
        match self.catalog.up() {
            true => Ok(()),
            false => Err(vec![format!(
                "the catalog {} is not ready",
                self.catalog.address
            )]),
        }
    }

    fn metrics(&self, page: &mut Exposition) {
        self.seller.tally.figures(page);
        let help = "Servers behind that say they can do their job.";
        let up = f64::from(u8::from(self.catalog.up()));
        page.gauge("bazar_servers_up", help, &[("tier", "catalog")], up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Method, split_path};

    #[track_caller]
    fn check(method: Method, path: &str, expected: Result<Asked>) {
        let request = Request {
            method,
            segments: split_path(path).unwrap(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            id: "r".into(),
        };
        assert_eq!(asked(&request), expected, "{path}");
    }

    #[test]
    fn books_can_be_bought_and_that_is_all() {
        check(Put, "/buy/007", Ok(Asked::Buy(BookId(7))));
        check(Put, "/batch/buy", Ok(Asked::Together));
        check(Put, "/buy/one", Err(Error::IdNotANumber));
        check(Method::Get, "/buy/one", Err(Error::MethodNotAllowed("PUT")));
        check(Put, "/buy/", Err(Error::NoSuchPath));
        check(Method::Get, "/lookup/1", Err(Error::NoSuchPath));
    }

    #[track_caller]
    fn check_answer(outcome: Result<Sold>, status: u16, body: &str, headers: &[(&str, &str)]) {
        let response = answer(outcome);
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
    fn the_customer_hears_the_truth() {
        let purchased = r#"{"message":"Book with the specified ID purchased","success":true}"#;
        check_answer(Ok(Sold::Purchased { replayed: false }), 200, purchased, &[]);
        let replayed = Ok(Sold::Purchased { replayed: true });
        check_answer(replayed, 200, purchased, &[("Idempotent-Replayed", "true")]);
        let out = r#"{"message":"Book with the specified ID is out of stock","success":false}"#;
        check_answer(Ok(Sold::OutOfStock), 200, out, &[]);
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

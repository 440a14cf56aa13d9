//! The order server's whole interface: `PUT /buy/<id>`.

use serde::Serialize;

use crate::book::BookId;
use crate::error::{Error, Result};
use crate::http::Method::Put;
use crate::http::server::{Lane, Service};
use crate::http::{Request, Response};
use crate::metrics::Page;
use crate::order::Orders;
use crate::order::line::Sold;

/// What a customer who was served hears.
#[derive(Serialize)]
struct Sale {
    message: &'static str,
    success: bool,
}

fn asked(request: &Request) -> Result<BookId> {
    match (request.method, request.path().as_slice()) {
        (_, ["buy", ""]) => Err(Error::NoSuchPath),
        (Put, ["buy", id]) => BookId::parse(id).ok_or(Error::IdNotANumber),
        (_, ["buy", _]) => Err(Error::MethodNotAllowed("PUT")),
        _ => Err(Error::NoSuchPath),
    }
}

impl Orders {
    fn buy(&self, request: &Request) -> Result<Sold> {
        let id = asked(request)?;
        if let Some(order) = request.order()? {
            return self.seller.buy(id, order, request.id.clone());
        }
        let slip = self.till.slip(request.key()?);
        self.seller.buy(id, slip.order.clone(), request.id.clone())
    }
}

fn response(outcome: Result<Sold>) -> Response {
    match outcome {
        Ok(Sold::Purchased { replayed: true }) => purchased().with("Idempotent-Replayed", "true"),
        Ok(Sold::Purchased { replayed: false }) => purchased(),
        Ok(Sold::OutOfStock) => sale("Book with the specified ID is out of stock", false),
        Err(error) => failure(error),
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
        Lane::Customers
    }

    fn answer(&self, request: &Request) -> Response {
        response(self.buy(request))
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["buy", _] => "/buy/<id>",
            _ => "other",
        }
    }

    fn open_door(&self, request: &Request) -> bool {
        request.segments.first().is_some_and(|first| first == "buy")
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

    fn metrics(&self, page: &mut Page) {
        self.seller.tally.figures(page);
        let help = "Servers behind that say they can do their job.";
        let up = f64::from(u8::from(self.catalog.up()));
        page.gauge("bazar_servers_up", help, &[("tier", "catalog")], up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, Method, split_path};

    #[track_caller]
    fn check(method: Method, path: &str, expected: Result<BookId>) {
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
    fn a_book_can_be_bought_and_that_is_all() {
        check(Put, "/buy/007", Ok(BookId(7)));
        check(Put, "/buy/one", Err(Error::IdNotANumber));
        check(Method::Get, "/buy/one", Err(Error::MethodNotAllowed("PUT")));
        check(Put, "/buy/", Err(Error::NoSuchPath));
        check(Method::Get, "/lookup/1", Err(Error::NoSuchPath));
    }

    #[track_caller]
    fn check_answer(outcome: Result<Sold>, status: u16, body: &str, headers: &[(&str, &str)]) {
        let response = response(outcome);
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

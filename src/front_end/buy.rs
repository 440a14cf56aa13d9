//! Buying: the order servers in turn, with one order id for all of them.
//!
//! Whatever failed, the next may be asked: the id sees to it that one click sells one copy (REPLICATION.md, "Orders"). A
//! buy is never shared with another, and its 504 says whether a copy may have been sold: `Bazar-Outcome`.

use crate::book::BookId;
use crate::error::{Error, Result};
use crate::front_end::FrontEnd;
use crate::http::client::Answer;
use crate::http::{Request, Response};
use crate::log;
use crate::orders::Order;
use crate::watch::Watch;

const UNREACHABLE: &str = "Could not connect to a server to buy";

/// What came of asking one order server.
enum Tried {
    /// It knows.
    Answered(Response),
    /// It does not; whether it may have sold a copy all the same.
    NotReached { unknown: bool },
}

impl FrontEnd {
    /// Sells one copy. Fails with 400 when the customer's key is malformed.
    pub fn buy(&self, id: BookId, request: &Request) -> Result<Response> {
        let slip = self.till.slip(request.key()?);
        let mut unknown = false;
        for (_, server) in self.orders.tries() {
            match self.ask_to_buy(server, id, &slip.order, request) {
                Tried::Answered(response) => return Ok(with_outcome(response, unknown)),
                Tried::NotReached { unknown: this } => unknown |= this,
            }
        }
        self.tally.sale_failed(unknown);
        let error = Error::Unreachable(UNREACHABLE.into());
        Ok(with_outcome(Response::from(error), unknown))
    }

    fn ask_to_buy(&self, server: &Watch, id: BookId, order: &Order, request: &Request) -> Tried {
        let url = format!("{}/buy/{id}", server.address);
        let header = order.header();
        let mut headers = vec![("X-Request-Id", &*request.id), ("Bazar-Order", &header)];
        headers.extend(order.key.as_deref().map(|key| ("Idempotency-Key", key)));
        match self.buys.put(&url, &headers, b"") {
            Ok(answer) if knows(answer.status) => {
                self.tally.sale(&answer);
                Tried::Answered(passed_on(&answer))
            }
            Ok(answer) => {
                let unknown = answer.status == 500 || may_have_happened(&answer);
                log::debug(
                    "an order server could not sell",
                    &[("peer", &server.address), ("status", &answer.status)],
                );
                server.found(false);
                Tried::NotReached { unknown }
            }
            Err(failure) => {
                let unknown = !failure.definite();
                log::debug(
                    "an order server is not reached",
                    &[("why", &Error::from(failure))],
                );
                server.found(false);
                Tried::NotReached { unknown }
            }
        }
    }
}

/// Whether an answer of that status is the customer's. A 504 says that its catalog is not reached, a 401 that the tokens
/// differ: another order server may do better.
fn knows(status: u16) -> bool {
    !matches!(status, 401 | 500 | 504)
}

fn may_have_happened(answer: &Answer) -> bool {
    answer.header("Bazar-Outcome") == Some("unknown")
}

fn passed_on(answer: &Answer) -> Response {
    let mut response = Response::bytes(answer.status, answer.body.clone());
    for name in ["Idempotent-Replayed", "Retry-After", "Bazar-Outcome"] {
        if let Some(value) = answer.header(name) {
            response = response.with(name, value.to_string());
        }
    }
    response
}

/// A 5xx says whether a copy may have been sold; `unknown`: by somebody who was asked before.
fn with_outcome(mut response: Response, unknown: bool) -> Response {
    if response.status < 500 {
        return response;
    }
    let said = response
        .headers
        .iter()
        .position(|(name, _)| *name == "Bazar-Outcome");
    let said = said.map(|at| response.headers.remove(at).1);
    let unknown = unknown || said.as_deref() == Some("unknown");
    response.with("Bazar-Outcome", if unknown { "unknown" } else { "none" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, said: Option<&'static str>, before: bool, expected: Option<&str>) {
        let mut response = Response::empty(status);
        if let Some(said) = said {
            response = response.with("Bazar-Outcome", said);
        }
        let headers = with_outcome(response, before).headers;
        let outcomes: Vec<_> = headers.iter().map(|(_, value)| value.as_ref()).collect();
        assert_eq!(outcomes, Vec::from_iter(expected));
    }

    #[test]
    fn a_5xx_says_none_only_if_nobody_may_have_sold() {
        check(504, None, false, Some("none"));
        check(504, None, true, Some("unknown"));
        check(503, Some("none"), true, Some("unknown"));
        check(507, Some("unknown"), false, Some("unknown"));
        check(200, None, true, None);
    }
}

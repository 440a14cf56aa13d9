//! Buying: the order servers in turn, with one order id for all of them.
//!
//! Whatever failed, the next may be asked: the id sees to it that one click sells one copy
//! (REPLICATION.md, "Orders"). A buy is never shared with another, even when it travels with others
//! ([`crate::front_end::batch_buy`]); and its 504 says whether a copy may have been sold:
//! `Bazar-Outcome`.

use crate::front_end::FrontEnd;
use crate::front_end::batch_buy::{Buying, may_join};
use crate::http::client::Failure;
use crate::http::{Request, Response};
use crate::membership::health_check::HealthCheck;
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::runtime::log;

const UNREACHABLE: &str = "Could not connect to a server to buy";

/// What of an order server's head the customer hears.
const PASSED_ON: [&str; 3] = ["Idempotent-Replayed", "Retry-After", "Bazar-Outcome"];

/// What came of asking one order server.
pub enum Tried {
    /// It knows.
    Answered(Response),
    /// It does not; whether it may have sold a copy all the same.
    NotReached { unknown: bool },
}

/// What an order server says of a buy.
pub struct Said {
    pub status: u16,
    pub body: Vec<u8>,
    /// Of [`PASSED_ON`], those that are there.
    headers: Vec<(&'static str, String)>,
}

impl FrontEnd {
    /// Sells one copy. Fails with 400 when the customer's key is malformed.
    pub fn buy(&self, id: BookId, request: &Request) -> Result<Response> {
        let slip = self.order_ids.open(request.key()?);
        let buying = Buying {
            id,
            order: slip.order.clone(),
            request: request.id.clone(),
        };
        let tried = match may_join(id) {
            true => self
                .companies
                .submit(buying.clone(), |company| self.buy_together(&company)),
            false => Tried::NotReached { unknown: false },
        };
        Ok(match tried {
            Tried::Answered(response) => response,
            Tried::NotReached { unknown } => self.buy_alone(&buying, unknown),
        })
    }

    /// Attempts the order servers in turn. `unknown`: somebody who was asked before may have sold a
    /// copy.
    pub(super) fn buy_alone(&self, buying: &Buying, mut unknown: bool) -> Response {
        for (_, server) in self.orders.tries() {
            match self.ask_to_buy(server, buying) {
                Tried::Answered(response) => return with_outcome(response, unknown),
                Tried::NotReached { unknown: this } => unknown |= this,
            }
        }
        self.tally.sale_failed(unknown);
        let error = Error::Unreachable(UNREACHABLE.into());
        with_outcome(Response::from(error), unknown)
    }

    fn ask_to_buy(&self, server: &HealthCheck, buying: &Buying) -> Tried {
        let Buying { id, order, request } = buying;
        let url = format!("{}/buy/{id}", server.address);
        let header = order.header();
        let mut headers = vec![("X-Request-Id", &**request), ("Bazar-Order", &header)];
        headers.extend(order.key.as_deref().map(|key| ("Idempotency-Key", key)));
        match self.buys.put(&url, &headers, b"") {
            Ok(mut answer) => {
                let body = std::mem::take(&mut answer.body);
                let said = Said::new(answer.status, body, |name| answer.header(name));
                let tried = self.weigh(said);
                if let Tried::NotReached { .. } = tried {
                    let fields: [log::Field; 2] =
                        [("peer", &server.address), ("status", &answer.status)];
                    log::debug("an order server could not sell", &fields);
                    server.found(false);
                }
                tried
            }
            Err(failure) => {
                let unknown = !failure.definite();
                not_reached(server, failure);
                Tried::NotReached { unknown }
            }
        }
    }

    /// What an order server's word means for the customer.
    pub(super) fn weigh(&self, said: Said) -> Tried {
        if knows(said.status) {
            self.tally.sale(&said);
            return Tried::Answered(said.response());
        }
        let unknown = said.status == 500 || said.header("Bazar-Outcome") == Some("unknown");
        Tried::NotReached { unknown }
    }
}

impl Said {
    /// `header` gives the value of a header of that name.
    pub fn new<'a>(status: u16, body: Vec<u8>, header: impl Fn(&str) -> Option<&'a str>) -> Said {
        let passed_on = |name: &&'static str| Some((*name, header(name)?.to_string()));
        let headers = PASSED_ON.iter().filter_map(passed_on).collect();
        Said {
            status,
            body,
            headers,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| value.as_str())
    }

    fn response(self) -> Response {
        let response = Response::bytes(self.status, self.body);
        let headers = self.headers.into_iter();
        headers.fold(response, |response, (name, value)| {
            response.with(name, value)
        })
    }
}

pub(super) fn not_reached(server: &HealthCheck, failure: Failure) {
    log::debug(
        "an order server is not reached",
        &[("why", &Error::from(failure))],
    );
    server.found(false);
}

/// Whether an answer of that status is the customer's. A 504 says that its catalog is not reached,
/// a 401 that the tokens differ: another order server may do better.
fn knows(status: u16) -> bool {
    !matches!(status, 401 | 500 | 504)
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

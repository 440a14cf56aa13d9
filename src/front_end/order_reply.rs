//! What an order server replied to a buy, and what that means for the buyer.

use serde::Deserialize;
use serde_json::Value;

use crate::front_end::FrontEnd;
use crate::http::Response;
use crate::http::client::Failure;
use crate::membership::health_check::HealthCheck;
use crate::model::error::Error;
use crate::runtime::log;

/// The headers that the buyer gets too.
const PASSED_ON: [&str; 4] = [
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "Bazar-Outcome",
];

const EARLIER: &str = "An earlier buy with this key may be sold a copy yet: send it again";

/// The body of an order server's 200.
#[derive(Deserialize)]
struct BuyBody {
    success: bool,
}

/// What came of asking one order server.
pub(super) enum BuyAttempt {
    /// Its reply is the buyer's answer.
    Answered(Response),
    /// Its reply is the buyer's answer, unless another one that was asked sells a copy: none is
    /// left, or there is no such book, which was perhaps removed just now, or the key is in use.
    OutOfStock(Response),
    /// It sold nothing, and another order server may do better.
    NotSold,
    /// It may have sold a copy, and another order server may know.
    Unknown,
    /// As unknown, and it may sell a copy yet: it has not answered in time, and goes on once it is
    /// continued; or the connection broke, and it goes on without. So "out of stock" at another one
    /// is no promise.
    Late,
}

impl BuyAttempt {
    pub(super) fn failed(may_have_sold: bool) -> BuyAttempt {
        if may_have_sold {
            BuyAttempt::Unknown
        } else {
            BuyAttempt::NotSold
        }
    }

    /// What two order servers that were asked at the same time mean together, `previous` first.
    pub(super) fn after(self, previous: BuyAttempt) -> BuyAttempt {
        match (previous, self) {
            (BuyAttempt::NotSold, attempt) => attempt,
            (_, attempt) if attempt.is_best() => attempt,
            (previous, BuyAttempt::NotSold) => previous,
            (BuyAttempt::OutOfStock(_), attempt @ BuyAttempt::OutOfStock(_)) => attempt,
            _ => BuyAttempt::Late,
        }
    }

    /// The buyer's answer while an earlier order with the same key may still be sold a copy.
    pub(super) fn made_unknown(self) -> BuyAttempt {
        let response = match self {
            BuyAttempt::Answered(response) => response,
            _ => Error::TimedOut(EARLIER.into()).into(),
        };
        BuyAttempt::Answered(response.with_outcome(true))
    }

    /// Whether no other order server's reply could be a better answer: a purchase, or the client's
    /// own mistake.
    pub(super) fn is_best(&self) -> bool {
        matches!(self, BuyAttempt::Answered(response) if response.status < 500)
    }
}

/// An order server's reply to one buy.
pub(super) struct OrderReply {
    status: u16,
    body: Vec<u8>,
    /// Those of [`PASSED_ON`] that it has.
    headers: Vec<(&'static str, String)>,
}

impl OrderReply {
    /// `header` returns the value of the header of that name.
    pub(super) fn new<'a>(
        status: u16,
        body: Vec<u8>,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> OrderReply {
        let passed_on = |name: &&'static str| Some((*name, header(name)?.to_string()));
        let headers = PASSED_ON.iter().filter_map(passed_on).collect();
        OrderReply {
            status,
            body,
            headers,
        }
    }

    fn is_out_of_stock(&self) -> bool {
        let body: Option<BuyBody> = serde_json::from_slice(&self.body).ok();
        self.status == 200 && body.is_some_and(|body| !body.success)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| value.as_str())
    }

    fn into_response(self) -> Response {
        let response = Response::bytes(self.status, self.body);
        let headers = self.headers.into_iter();
        headers.fold(response, |response, (name, value)| {
            response.with(name, value)
        })
    }
}

impl FrontEnd {
    /// What a reply means for the buyer.
    ///
    /// A 504 says that this order server cannot reach its catalog, a 401 that the tokens differ, a
    /// 500 that it has a bug: another one may do better. A 409 says that the catalogs would have
    /// forgotten this order, and cannot tell; or that its key is in use. That, and any other status,
    /// is the buyer's answer.
    pub(super) fn classify(&self, reply: OrderReply) -> BuyAttempt {
        if reply.is_out_of_stock() || reply.status == 404 {
            return BuyAttempt::OutOfStock(reply.into_response());
        }
        if reply.status == 409 {
            let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            if body.get("in_use").is_some() {
                return BuyAttempt::OutOfStock(reply.into_response());
            }
            let forgotten = body["forgotten"].as_u64();
            self.order_ids.catch_up_with(forgotten.unwrap_or(0));
        }
        if !matches!(reply.status, 401 | 409 | 500 | 504) {
            return BuyAttempt::Answered(reply.into_response());
        }
        let unknown = reply.header("Bazar-Outcome") == Some("unknown");
        BuyAttempt::failed(matches!(reply.status, 409 | 500) || unknown)
    }
}

/// Counts an order server as down that did not answer.
pub(super) fn not_reached(server: &HealthCheck, failure: &Failure) -> BuyAttempt {
    let attempt = if failure.definite() {
        BuyAttempt::NotSold
    } else {
        BuyAttempt::Late
    };
    let fields: [log::Field; 1] = [("why", &Error::from(failure.clone()))];
    log::debug("an order server is not reached", &fields);
    server.report(false);
    attempt
}

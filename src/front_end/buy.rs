//! A buy: it asks the order servers in turn, with the same order id at each.
//!
//! The id makes it harmless to ask the next one when the outcome at the last one is unknown: an
//! order takes one copy at most (see [`crate::model::applied_orders`]). A buy never shares
//! another's answer, even if it travels in a batch ([`crate::front_end::batch_buy`]). Its 5xx says
//! in `Bazar-Outcome` whether a copy may have been sold.

use crate::front_end::FrontEnd;
use crate::front_end::batch_buy::fits_in_a_batch;
use crate::front_end::order_reply::{BuyAttempt, OrderReply, not_reached};
use crate::http::{Request, Response, trace_headers};
use crate::membership::health_check::HealthCheck;
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::validation::BatchBuy;
use crate::runtime::log;

const UNREACHABLE: &str = "Could not connect to a server to buy";

impl FrontEnd {
    /// Sells one copy. Fails with 400 when the client's key is malformed, and as
    /// [`Request::check_plain_buy`] does.
    pub(super) fn buy(&self, id: BookId, request: &Request) -> Result<Response> {
        request.check_plain_buy()?;
        let open_order = self.order_ids.open(request.key()?);
        let buy = BatchBuy {
            id,
            order: open_order.order.clone(),
            trace: request.trace(),
        };
        let attempt = if fits_in_a_batch(id) {
            let run = |batch: Vec<BatchBuy>| match batch.as_slice() {
                [alone] => vec![BuyAttempt::Answered(self.buy_alone(alone, false, false))],
                _ => self.buy_batch(&batch),
            };
            self.buy_batcher.submit(buy.clone(), run)
        } else {
            BuyAttempt::NotSold
        };
        Ok(match attempt {
            BuyAttempt::Answered(response) => response,
            BuyAttempt::NotSold => self.buy_alone(&buy, false, false),
            BuyAttempt::Unknown => self.buy_alone(&buy, true, false),
            BuyAttempt::Late => self.buy_alone(&buy, true, true),
        })
    }

    /// Asks the order servers in turn. One that was asked before may have sold a copy
    /// (`may_have_sold`), or may sell one later (`may_sell_yet`).
    fn buy_alone(
        &self,
        buy: &BatchBuy,
        mut may_have_sold: bool,
        mut may_sell_yet: bool,
    ) -> Response {
        for (_, server) in self.order_servers.attempts() {
            match self.attempt(server, buy, may_sell_yet) {
                BuyAttempt::Answered(response) => return response.with_outcome(may_have_sold),
                BuyAttempt::NotSold => {}
                BuyAttempt::Unknown => may_have_sold = true,
                BuyAttempt::Late => (may_have_sold, may_sell_yet) = (true, true),
            }
        }
        self.metrics.buy_failed(may_have_sold);
        let error = Error::Unreachable(UNREACHABLE.into());
        Response::from(error).with_outcome(may_have_sold)
    }

    fn attempt(&self, server: &HealthCheck, buy: &BatchBuy, may_sell_yet: bool) -> BuyAttempt {
        let BatchBuy { id, order, trace } = buy;
        let url = format!("{}/buy/{id}", server.address);
        let header = order.header();
        let mut headers = trace_headers(trace);
        headers.push(("Bazar-Order", &header));
        headers.extend(order.key.as_deref().map(|key| ("Idempotency-Key", key)));
        let mut answer = match self.buys.put(&url, &headers, b"") {
            Ok(answer) => answer,
            Err(failure) => return not_reached(server, failure),
        };
        let (status, body) = (answer.status, std::mem::take(&mut answer.body));
        let reply = OrderReply::new(status, body, |name| answer.header(name));
        let attempt = self.classify(reply, may_sell_yet);
        if !matches!(attempt, BuyAttempt::Answered(_) | BuyAttempt::Late) {
            let fields: [log::Field; 2] = [("peer", &server.address), ("status", &status)];
            log::debug("an order server could not sell", &fields);
            server.report(false);
        }
        attempt
    }
}

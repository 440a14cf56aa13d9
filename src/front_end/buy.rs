//! A buy: it asks the order servers in turn, with the same order id at each.
//!
//! The id makes it harmless to ask the next one when the outcome at the last one is unknown: an
//! order takes its copies at most once (see [`crate::model::applied_orders`]). A buy never shares
//! another's answer, even if it travels in a batch ([`crate::front_end::batch_buy`]). Its 5xx says
//! in `Bazar-Outcome` whether a copy may have been sold.

use std::time::{Duration, Instant};

use crate::front_end::FrontEnd;
use crate::front_end::batch_buy::{TracedBuy, fits_in_a_batch};
use crate::front_end::order_reply::{BuyAttempt, OrderReply, not_reached};
use crate::front_end::race::Reply;
use crate::http::{Request, Response};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::validation::BatchBuy;
use crate::runtime::log;
use crate::runtime::span;

/// How long "out of stock", or a 5xx, is held back while another order server that was asked too
/// may still sell a copy.
const SETTLING_MAX: Duration = Duration::from_millis(500);

const UNREACHABLE: &str = "Could not connect to a server to buy";

impl FrontEnd {
    /// Sells as many copies as the body says. Fails with 400 when the client's key is malformed,
    /// and as [`Request::copies`] does.
    pub(super) fn buy(&self, id: BookId, request: &Request) -> Result<Response> {
        let copies = request.copies()?.unwrap_or(1);
        span::set("book", || id);
        let open_order = self.order_ids.open(request.key()?);
        let mut open_buy = self.earlier_buys.begin(&open_order.order);
        let buy = BatchBuy {
            id,
            order: Order {
                copies,
                ..open_order.order.clone()
            },
            trace: request.trace(),
        };
        let attempt = if fits_in_a_batch(id) {
            let run = |batch: Vec<TracedBuy>| {
                let _entered = span::enter(batch.iter().map(|(_, span)| *span));
                let buys: Vec<BatchBuy> = batch.into_iter().map(|(buy, _)| buy).collect();
                match buys.as_slice() {
                    [alone] => vec![self.buy_alone(alone, false, false)],
                    _ => self.buy_batch(buys),
                }
            };
            self.buy_batcher.submit((buy.clone(), span::current()), run)
        } else {
            BuyAttempt::NotSold
        };
        let attempt = match attempt {
            BuyAttempt::NotSold => self.buy_alone(&buy, false, false),
            BuyAttempt::Unknown => self.buy_alone(&buy, true, false),
            BuyAttempt::Late => self.buy_alone(&buy, true, true),
            answer => answer,
        };
        open_buy.is_settled = attempt.is_best();
        let attempt = if !attempt.is_best() && open_buy.earlier_may_sell(SETTLING_MAX) {
            attempt.made_unknown()
        } else {
            attempt
        };
        self.metrics.buy(&attempt);
        match attempt {
            BuyAttempt::Answered(response) | BuyAttempt::OutOfStock(response) => Ok(response),
            _ => unreachable!("a buy alone has an answer"),
        }
    }

    /// The buyer's answer. Asks the order servers in turn. One that was asked before may have sold
    /// a copy (`may_have_sold`), or may sell one later (`may_sell_yet`).
    fn buy_alone(
        &self,
        buy: &BatchBuy,
        mut may_have_sold: bool,
        mut may_sell_yet: bool,
    ) -> BuyAttempt {
        let mut race = self.race([buy.clone()].into());
        let mut held = None;
        let mut until = Instant::now();
        loop {
            let reply = match held {
                None => race.next_reply(),
                Some(_) => race.next_pending(until),
            };
            let Some(reply) = reply else { break };
            match self.attempt(reply) {
                BuyAttempt::NotSold => {}
                BuyAttempt::Unknown => {
                    may_have_sold = true;
                    may_sell_yet |= held.is_some();
                }
                BuyAttempt::Late => (may_have_sold, may_sell_yet) = (true, true),
                BuyAttempt::OutOfStock(_) if may_sell_yet => {}
                answer if answer.is_best() => return answer,
                answer => {
                    until = Instant::now() + SETTLING_MAX;
                    held = Some(answer);
                }
            }
        }
        let pending = race.is_pending();
        let response = match held {
            Some(BuyAttempt::OutOfStock(response)) if !may_sell_yet && !pending => {
                return BuyAttempt::OutOfStock(response);
            }
            Some(BuyAttempt::Answered(response)) => response,
            _ => Error::Unreachable(UNREACHABLE.into()).into(),
        };
        BuyAttempt::Answered(response.with_outcome(may_have_sold || pending))
    }

    fn attempt(&self, reply: Reply) -> BuyAttempt {
        let Reply { server, answer, .. } = reply;
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return not_reached(&server, &failure),
        };
        let (status, body) = (answer.status, std::mem::take(&mut answer.body));
        let attempt = self.classify(OrderReply::new(status, body, |name| answer.header(name)));
        if matches!(attempt, BuyAttempt::NotSold | BuyAttempt::Unknown) {
            let fields: [log::Field; 2] = [("peer", &server.address), ("status", &status)];
            log::debug("an order server could not sell", &fields);
            server.report(false);
        }
        attempt
    }
}

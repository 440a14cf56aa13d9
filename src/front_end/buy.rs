//! A buy: it asks the order servers in turn, with the same order id at each.
//!
//! The id makes it harmless to ask the next one when the outcome at the last one is unknown: an
//! order takes its copies at most once (see [`crate::model::applied_orders`]). A buy never shares
//! another's answer, even if it travels in a batch ([`crate::front_end::batch_buy`]). Its 5xx says
//! in `Bazar-Outcome` whether a copy may have been sold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::front_end::FrontEnd;
use crate::front_end::batch_buy::{TracedBuy, fits_in_a_batch};
use crate::front_end::earlier_buys::OpenBuy;
use crate::front_end::order_reply::{BuyAttempt, OrderReply, not_reached};
use crate::front_end::race::Reply;
use crate::http::server::Pending;
use crate::http::{Request, Response};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::order_ids::OpenOrder;
use crate::model::trace::Trace;
use crate::model::validation::BatchBuy;
use crate::runtime::log;
use crate::runtime::span;

/// How long "out of stock", or a 5xx, is held back while another order server that was asked too
/// may still sell a copy.
const SETTLING_MAX: Duration = Duration::from_millis(500);

const UNREACHABLE: &str = "Could not connect to a server to buy";

/// What a client asks for.
struct Wanted {
    id: BookId,
    copies: u32,
    key: Option<Arc<str>>,
    trace: Trace,
}

/// A buy that waits for its answer.
struct BegunBuy {
    buy: BatchBuy,
    open_buy: OpenBuy,
    _open_order: OpenOrder,
}

impl Wanted {
    /// Fails as [`FrontEnd::buy`] does.
    fn of(id: BookId, request: &Request) -> Result<Wanted> {
        Ok(Wanted {
            id,
            copies: request.copies()?.unwrap_or(1),
            key: request.key()?,
            trace: request.trace(),
        })
    }
}

impl FrontEnd {
    /// Sells as many copies as the body says. Fails with 400 when the client's key is malformed,
    /// and as [`Request::copies`] does.
    pub(super) fn buy(&self, id: BookId, request: &Request) -> Result<Response> {
        let wanted = Wanted::of(id, request)?;
        span::set("book", || id);
        let begun = self.begin_buy(wanted);
        let attempt = if fits_in_a_batch(id) {
            let run = |batch: Vec<TracedBuy>| {
                let _entered = span::enter(batch.iter().map(|(_, span)| *span));
                let buys: Vec<BatchBuy> = batch.into_iter().map(|(buy, _)| buy).collect();
                match buys.as_slice() {
                    [alone] => vec![self.buy_alone(alone, false, false)],
                    _ => self.buy_batch(buys),
                }
            };
            let traced = (begun.buy.clone(), span::current());
            self.buy_batcher.submit(traced, run)
        } else {
            BuyAttempt::NotSold
        };
        Ok(self.finish_buy(begun, attempt))
    }

    /// Lets a buy join those that wait for their batch to begin: the thread that runs it answers
    /// them all. Gives back what cannot join.
    pub(super) fn try_join_buys(
        self: Arc<Self>,
        id: BookId,
        pending: Pending,
    ) -> std::result::Result<(), Pending> {
        // Nobody waits: what a lone buy wants is read once, by the thread that asks for it.
        if self.buy_batcher.pending() == 0 || !fits_in_a_batch(id) {
            return Err(pending);
        }
        let Ok(wanted) = Wanted::of(id, pending.request()) else {
            return Err(pending);
        };
        let mut pending = Some(pending);
        self.buy_batcher.try_join(|| {
            let begun = self.begin_buy(wanted);
            let traced = (begun.buy.clone(), None);
            let (front_end, pending) = (self.clone(), pending.take());
            let taker = |attempt| front_end.take_attempt(begun, pending, attempt);
            (traced, Box::new(taker))
        });
        pending.map_or(Ok(()), Err)
    }

    /// Answers a buy that joined others. `None`: the thread that ran their batch has panicked.
    fn take_attempt(
        self: Arc<Self>,
        begun: BegunBuy,
        pending: Option<Pending>,
        attempt: Option<BuyAttempt>,
    ) {
        // What is dropped here is answered with a 500.
        let (Some(pending), Some(attempt)) = (pending, attempt) else {
            return;
        };
        let is_over = match &attempt {
            BuyAttempt::Answered(_) | BuyAttempt::OutOfStock(_) => {
                attempt.is_best() || !begun.open_buy.has_key()
            }
            BuyAttempt::NotSold | BuyAttempt::Unknown | BuyAttempt::Late => false,
        };
        if is_over {
            pending.reply(self.finish_buy(begun, attempt));
        } else {
            pending.finish_with(move || self.finish_buy(begun, attempt));
        }
    }

    fn begin_buy(&self, wanted: Wanted) -> BegunBuy {
        let open_order = self.order_ids.open(wanted.key);
        let open_buy = self.earlier_buys.begin(&open_order.order);
        let buy = BatchBuy {
            id: wanted.id,
            order: Order {
                copies: wanted.copies,
                ..open_order.order.clone()
            },
            trace: wanted.trace,
        };
        BegunBuy {
            buy,
            open_buy,
            _open_order: open_order,
        }
    }

    /// The answer after the attempt together with others. May have to ask for this buy alone.
    fn finish_buy(&self, begun: BegunBuy, attempt: BuyAttempt) -> Response {
        let BegunBuy {
            buy,
            mut open_buy,
            _open_order,
        } = begun;
        let attempt = match attempt {
            BuyAttempt::NotSold => self.buy_alone(&buy, false, false),
            BuyAttempt::Unknown => self.buy_alone(&buy, true, false),
            BuyAttempt::Late => self.buy_alone(&buy, true, true),
            answer => answer,
        };
        let attempt = match attempt {
            attempt if attempt.is_best() => attempt,
            attempt if open_buy.earlier_may_sell(SETTLING_MAX) => attempt.made_unknown(),
            // What is left was perhaps read before the earlier one sold a copy, and ended.
            BuyAttempt::OutOfStock(_) if open_buy.had_earlier => self.buy_alone(&buy, false, false),
            attempt => attempt,
        };
        open_buy.is_settled = attempt.is_best();
        self.metrics.buy(&attempt);
        match attempt {
            BuyAttempt::Answered(response) | BuyAttempt::OutOfStock(response) => response,
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
                    // Another one may have found none left before this one found some.
                    may_sell_yet |= held.is_some() || race.is_pending();
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

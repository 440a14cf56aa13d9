//! Buys that come at the same moment go to an order server in one request.
//!
//! Each keeps its own order and gets its own answer. A buy that the batch does not serve (too
//! little is known of its book, others were faster again and again, the order server cannot be
//! reached) goes on alone, with the same order. A lone buy after another lone one notices nothing
//! of this: see [`crate::runtime::batcher`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::front_end::FrontEnd;
use crate::front_end::order_reply::{BuyAttempt, OrderReply, not_reached};
use crate::front_end::race::Reply;
use crate::model::book::{BOOK_ID_MAX, BookId};
use crate::model::validation::{BATCH_ENTRIES_MAX, BatchBuy};
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;
use crate::runtime::span::SpanContext;

/// Batches under way at once. Beyond, the next one waits for one of them.
const BATCHES_MAX: usize = 64;

/// While so many batches are under way, the next one waits a moment for more buys to join it.
const BATCHES_SOFT_MAX: usize = 1;

/// The longest such moment, and the longest that a batch then waits for the buys that it expects.
/// Buys hardly take as long, unless an order server does not answer.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// How long the buys of a batch that an order server did not sell wait for another one that was
/// asked too. Those that it did sell wait with them.
const SETTLING_MAX: Duration = Duration::from_millis(100);

/// A buy, and its request's span if that is traced.
pub(super) type TracedBuy = (BatchBuy, Option<SpanContext>);

pub(super) type BuyBatcher = Batcher<TracedBuy, BuyAttempt>;

/// An entry of the answer to `PUT /batch/buy`.
#[derive(Deserialize)]
struct ReplyEntry {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
}

pub(super) fn batcher() -> BuyBatcher {
    let permits = Semaphore::with_soft_limit(BATCHES_MAX, BATCHES_SOFT_MAX);
    Batcher::new(permits, BATCH_ENTRIES_MAX, WAIT_MAX)
}

/// Whether an order server takes this buy in a batch: it refuses a whole batch for a number that no
/// book can have.
pub(super) fn fits_in_a_batch(id: BookId) -> bool {
    (1..=BOOK_ID_MAX).contains(&id.0)
}

impl FrontEnd {
    /// What came of each buy at the order server whose turn it is, or at the next one if the first
    /// is slow.
    pub(super) fn buy_batch(&self, batch: Vec<BatchBuy>) -> Vec<BuyAttempt> {
        let count = batch.len();
        let mut race = self.race(batch.into());
        let mut attempts: Vec<BuyAttempt> = (0..count).map(|_| BuyAttempt::NotSold).collect();
        let mut reply = race.next_reply();
        let until = Instant::now() + SETTLING_MAX;
        while let Some(next) = reply {
            let replies = self.batch_attempts(&next, count);
            for (attempt, reply) in attempts.iter_mut().zip(replies) {
                if !attempt.is_best() {
                    let previous = std::mem::replace(attempt, BuyAttempt::NotSold);
                    *attempt = reply.after(previous);
                }
            }
            if attempts.iter().all(BuyAttempt::is_best) {
                return attempts;
            }
            reply = race.next_pending(until);
        }
        if race.is_pending() {
            let open = attempts.iter_mut().filter(|attempt| !attempt.is_best());
            open.for_each(|attempt| *attempt = BuyAttempt::Late);
        }
        attempts
    }

    /// What a reply means for each buy of a batch of so many.
    fn batch_attempts(&self, reply: &Reply, count: usize) -> Vec<BuyAttempt> {
        let all = |attempt: &dyn Fn() -> BuyAttempt| (0..count).map(|_| attempt()).collect();
        let answer = match &reply.answer {
            Ok(answer) => answer,
            Err(failure) => return all(&|| not_reached(&reply.server, failure)),
        };
        match answer.list::<ReplyEntry>(count) {
            Some(entries) => entries.into_iter().map(|e| self.batch_attempt(e)).collect(),
            // A 4xx: it does not know batches, or has another token, and will say so to each alone.
            None => all(&|| BuyAttempt::failed(!(400..500).contains(&answer.status))),
        }
    }

    /// What one entry of the answer means. If it is a failure, the order server is not counted as
    /// down: it did answer.
    fn batch_attempt(&self, entry: ReplyEntry) -> BuyAttempt {
        // Nothing happened: this buy must be sent alone.
        if entry.status == 503 {
            return BuyAttempt::NotSold;
        }
        let body = serde_json::to_vec(&entry.body).expect("what was JSON is JSON");
        let header = |name: &str| entry.headers.get(name).map(String::as_str);
        self.classify(OrderReply::new(entry.status, body, header))
    }
}

//! Buys that come at the same moment go to an order server in one request.
//!
//! Each keeps its own order and gets its own answer. A buy that the batch does not serve (too
//! little is known of its book, others were faster again and again, the order server cannot be
//! reached) goes on alone, with the same order. A lone buy after another lone one notices nothing
//! of this: see [`crate::runtime::batcher`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::front_end::FrontEnd;
use crate::front_end::order_reply::{BuyAttempt, OrderReply, not_reached};
use crate::http::trace_headers;
use crate::model::book::{BOOK_ID_MAX, BookId};
use crate::model::validation::{BATCH_ENTRIES_MAX, BatchBuy};
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;

/// Batches under way at once. Beyond, the next one waits for one of them.
const BATCHES_MAX: usize = 64;

/// While so many batches are under way, the next one waits a moment for more buys to join it.
const BATCHES_SOFT_MAX: usize = 1;

/// The longest such moment, and the longest that a batch then waits for the buys that it expects.
/// Buys hardly take as long, unless an order server does not answer.
const WAIT_MAX: Duration = Duration::from_millis(50);

pub(super) type BuyBatcher = Batcher<BatchBuy, BuyAttempt>;

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
    /// What came of each buy at the order server whose turn it is.
    pub(super) fn buy_batch(&self, batch: &[BatchBuy]) -> Vec<BuyAttempt> {
        let all_failed = |may_have_sold| {
            let failed = batch.iter().map(|_| BuyAttempt::failed(may_have_sold));
            failed.collect()
        };
        let Some((_, server)) = self.order_servers.attempts().next() else {
            return all_failed(false);
        };
        let url = format!("{}/batch/buy", server.address);
        let headers = trace_headers(&batch[0].trace);
        let body = serde_json::to_vec(batch).expect("our own values are JSON");
        let answer = match self.buys.put(&url, &headers, &body) {
            Ok(answer) => answer,
            Err(failure) => {
                let failed = |_| not_reached(server, failure.clone());
                return batch.iter().map(failed).collect();
            }
        };
        match answer.list::<ReplyEntry>(batch.len()) {
            Some(entries) => entries.into_iter().map(|e| self.batch_attempt(e)).collect(),
            // A 4xx: it does not know batches, or has another token, and will say so to each alone.
            None => all_failed(!(400..500).contains(&answer.status)),
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
        self.classify(OrderReply::new(entry.status, body, header), false)
    }
}

//! A race of order servers: the same buys are sent to the next one once the last one has failed,
//! or has not answered for longer than usual ([`crate::runtime::hedging`]).
//!
//! The orders' ids make that harmless: an order takes its copies once. But nobody takes a request
//! back. So whoever leaves a race while a server is pending must not promise that no copy is sold.
//!
//! A request that may be followed by a second one is sent by a thread of its own, because a thread
//! that waits for an answer can do nothing else. That costs some 10 µs; without another order
//! server, the buyer's own thread sends it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::front_end::FrontEnd;
use crate::front_end::earlier_buys::EarlierBuys;
use crate::front_end::round_robin::LAST_PATIENCE;
use crate::http::client::{Answer, Client, Failure};
use crate::http::trace_headers;
use crate::membership::health_check::HealthCheck;
use crate::model::order::write_key;
use crate::model::validation::BatchBuy;
use crate::runtime::hedging::Hedging;
use crate::runtime::span::{self, SpanContext};
use crate::runtime::worker_pool::{Work, WorkerPool};

/// Requests under way that may be followed by a second one.
const THREADS_MAX: usize = 512;

/// Requests that wait for such a thread. Beyond, the buyer's own thread sends.
const WAITING_MAX: usize = 16;

/// How often a race that sends no second request for now looks whether the servers that were asked
/// are still up.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A request without an answer ends by its client's limits. A race that waits for so much longer
/// takes it for lost.
const LOST_AFTER: Duration = Duration::from_secs(10);

pub(super) type ErrandPool = WorkerPool<Errand>;

pub(super) fn errand_pool() -> ErrandPool {
    WorkerPool::new("buy", THREADS_MAX, WAITING_MAX, None)
}

/// How long the first order server has before another is asked too.
pub(super) fn buy_hedging(fixed: Option<Duration>) -> Hedging {
    Hedging::new(Duration::from_millis(20), Duration::from_millis(50), fixed)
}

/// Buys on their way to one order server.
pub(super) struct Errand {
    client: Client,
    /// The how manieth of its race.
    number: usize,
    server: Arc<HealthCheck>,
    buys: Arc<[BatchBuy]>,
    replies: Sender<Reply>,
    earlier_buys: Arc<EarlierBuys>,
    /// What it is sent for, if that is traced.
    span: Option<SpanContext>,
}

/// What came of one request.
pub(super) struct Reply {
    number: usize,
    pub(super) server: Arc<HealthCheck>,
    pub(super) answer: Result<Answer, Failure>,
    took: Duration,
}

/// One race. `I` are the order servers in turn.
pub(super) struct Race<'a, I> {
    front_end: &'a FrontEnd,
    servers: I,
    buys: Arc<[BatchBuy]>,
    asked: usize,
    /// Those that have been asked and have not answered.
    pending: Vec<(usize, Arc<HealthCheck>)>,
    /// How long they have before another one is asked. `None`: as long as they are up, because
    /// there is no other, or all are slow.
    patience: Option<Duration>,
    sender: Sender<Reply>,
    replies: Receiver<Reply>,
}

impl FrontEnd {
    pub(super) fn race(
        &self,
        buys: Arc<[BatchBuy]>,
    ) -> Race<'_, impl Iterator<Item = (usize, &Arc<HealthCheck>)>> {
        let (sender, replies) = channel();
        Race {
            front_end: self,
            servers: self.order_servers.attempts(),
            buys,
            asked: 0,
            pending: Vec::new(),
            patience: None,
            sender,
            replies,
        }
    }
}

impl<'a, I: Iterator<Item = (usize, &'a Arc<HealthCheck>)>> Race<'a, I> {
    /// The next reply that comes. `None`: every server has been asked and has answered.
    pub(super) fn next_reply(&mut self) -> Option<Reply> {
        if self.pending.is_empty() {
            self.ask()?;
        }
        let lost = Instant::now() + self.front_end.buys.time_limit() + LOST_AFTER;
        while Instant::now() < lost {
            let patience = self.patience.take();
            match self.replies.recv_timeout(patience.unwrap_or(LOOK_EVERY)) {
                Ok(reply) => return Some(self.note(reply)),
                Err(RecvTimeoutError::Timeout) if patience.is_some() || self.all_hang() => {
                    if self.ask().is_some() {
                        self.front_end.buy_hedging.hedge();
                    }
                }
                Err(_) => {}
            }
        }
        None
    }

    /// Whether another server is up, and none of those that have been asked.
    fn all_hang(&self) -> bool {
        let up = |(_, server): &(usize, Arc<HealthCheck>)| server.up();
        0 < self.front_end.order_servers.up_count() && !self.pending.iter().any(up)
    }

    /// The next reply of those that have been asked already. `None`: there is none until then.
    pub(super) fn next_pending(&mut self, until: Instant) -> Option<Reply> {
        if self.pending.is_empty() {
            return None;
        }
        let left = until.saturating_duration_since(Instant::now());
        let reply = self.replies.recv_timeout(left).ok()?;
        Some(self.note(reply))
    }

    /// Whether a server has been asked, has not answered, and may sell yet.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Asks the next server. `None`: there is none.
    fn ask(&mut self) -> Option<()> {
        let (_, server) = self.servers.next()?;
        let errand = Errand {
            client: self.front_end.buys.clone(),
            number: self.asked,
            server: server.clone(),
            buys: self.buys.clone(),
            replies: self.sender.clone(),
            earlier_buys: self.front_end.earlier_buys.clone(),
            span: span::current(),
        };
        errand.earlier_buys.sent(&errand.buys);
        self.asked += 1;
        self.pending.push((errand.number, server.clone()));
        let servers = &self.front_end.order_servers;
        let has_another = self.asked < servers.count();
        let patience = has_another.then(|| self.front_end.buy_hedging.patience());
        // The one that is up may hang, and the one that counts as down be well.
        let is_last_up = servers.count_worth_asking() <= self.asked;
        let longer = |it| if is_last_up { LAST_PATIENCE } else { it };
        self.patience = patience.flatten().map(longer);
        let is_alone = !has_another && self.pending.len() == 1;
        let refused = if is_alone {
            Some(errand)
        } else {
            self.front_end.errands.try_submit(errand).err()
        };
        refused.inspect(Errand::send);
        Some(())
    }

    /// One that serves before one that was asked earlier has won.
    fn note(&mut self, reply: Reply) -> Reply {
        self.pending.retain(|(number, _)| *number != reply.number);
        let hedging = &self.front_end.buy_hedging;
        if reply
            .answer
            .as_ref()
            .is_ok_and(|answer| answer.status < 500)
        {
            hedging.answered(reply.took);
            let mut slower = self.pending.iter();
            if let Some((_, hung)) = slower.find(|(number, _)| *number < reply.number) {
                hedging.won.inc();
                hung.report_slow();
            }
        }
        reply
    }
}

impl Errand {
    fn send(&self) {
        let _entered = span::enter([self.span]);
        let began = Instant::now();
        let answer = match &*self.buys {
            [alone] => self.send_alone(alone),
            batch => self.send_batch(batch),
        };
        // Nor does a broken connection say that the server has dropped what came in on it.
        let is_late = answer.as_ref().is_err_and(|failure| !failure.definite());
        let late = is_late.then_some(&self.server);
        self.earlier_buys.answered(&self.buys, late);
        // The race may be over.
        let _ = self.replies.send(Reply {
            number: self.number,
            server: self.server.clone(),
            answer,
            took: began.elapsed(),
        });
    }

    fn send_alone(&self, buy: &BatchBuy) -> Result<Answer, Failure> {
        let BatchBuy { id, order, trace } = buy;
        let url = format!("{}/buy/{id}", self.server.address);
        let header = order.header();
        let key = order.key.as_deref().map(write_key);
        let mut headers = trace_headers(trace);
        headers.push(("Bazar-Order", &header));
        headers.extend(key.as_deref().map(|key| ("Idempotency-Key", key)));
        self.client.put(&url, &headers, b"")
    }

    fn send_batch(&self, batch: &[BatchBuy]) -> Result<Answer, Failure> {
        let url = format!("{}/batch/buy", self.server.address);
        let headers = trace_headers(&batch[0].trace);
        let body = serde_json::to_vec(batch).expect("our own values are JSON");
        self.client.put(&url, &headers, &body)
    }
}

impl Work for Errand {
    fn run(self, _: Vec<Errand>) {
        self.send();
    }
}

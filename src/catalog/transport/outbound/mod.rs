//! Outgoing requests: one queue and a few threads for each kind of request to each server, so that
//! no request costs a new thread, and a server that does not answer delays only the requests of one
//! kind that go to it.
//!
//! Under load, requests of one kind travel in batches: while one request is in progress, further
//! ones wait for its answer, at most 5 ms, and are then sent as one. So a catalog that is sent
//! sixty changes at once receives a few requests, and its disk a few commits. The pool batches
//! here, not a [`Batcher`](crate::runtime::batcher::Batcher): the threads of a replica that send
//! do not wait.
//!
//! In which order to read: this file (queues and batches), `peer` (what is sent to catalogs),
//! `front_end` (what is sent to front-ends), `hold` (the same, with the books in etcd).

pub(super) mod front_end;
pub(crate) mod hold;
pub(super) mod peer;
#[cfg(test)]
mod tests;

use std::iter::once;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::replication::env::OnOutcome;
use crate::catalog::replication::messages::{Outcome, Reply};
use crate::config::Limits;
use crate::http::Method;
use crate::http::client::{Answer, Client, Failure};
use crate::model::address::Address;
use crate::runtime::metrics::Histogram;
use crate::runtime::span::{self, SpanContext};
use crate::runtime::worker_pool::{Work, WorkerPool};

/// How many requests of one kind to one server may be in progress: each may hang until its time
/// limit.
const THREADS_MAX: usize = 64;

/// Beyond this many requests that wait for one server, the outcome is [`Outcome::Silent`].
const WAITING_MAX: usize = 4096;

/// While this many batches are in progress, further requests of a batching queue wait.
const BATCHES_ENOUGH: Option<usize> = Some(1);

/// A batch does not grow beyond this many requests.
const BATCH_MAX: usize = 64;

/// What a server is sent.
pub(crate) trait Payload: Send + Sized + 'static {
    /// Whether one request may carry both.
    fn joins(&self, other: &Self) -> bool;

    /// Sends a batch as one request. `None` if the server refused a batch of several, which may be
    /// because of one of them.
    fn send(batch: &[&Self], to: &Destination) -> Option<Outcome>;

    /// The outcome of this one, from the outcome of a batch that it was part of.
    fn part_of(&self, outcome: &Outcome) -> Outcome {
        outcome.clone()
    }
}

/// The requests of one kind to one server.
pub(crate) struct Sender<P> {
    to: Arc<Destination>,
    pool: WorkerPool<Outgoing<P>>,
}

pub(crate) struct Destination {
    address: Address,
    client: Client,
    /// Observes how long each request takes.
    seconds: Option<Arc<Histogram>>,
}

pub(crate) struct Outgoing<P> {
    to: Arc<Destination>,
    payload: P,
    on_outcome: OnOutcome,
    /// What it is sent for, if that is traced.
    span: Option<SpanContext>,
}

impl<P: Payload> Sender<P> {
    /// With `batches_enough`, requests wait for a moment while so many batches are in progress, and
    /// travel together. Otherwise each is sent by itself.
    fn for_destination(
        to: Destination,
        thread_name: &str,
        threads_max: usize,
        batches_enough: Option<usize>,
    ) -> Sender<P> {
        Sender {
            to: Arc::new(to),
            pool: WorkerPool::new(thread_name, threads_max, WAITING_MAX, batches_enough),
        }
    }

    /// Queues a request and does not wait.
    pub(crate) fn send(&self, payload: P, on_outcome: OnOutcome) {
        let outgoing = Outgoing {
            to: self.to.clone(),
            payload,
            on_outcome,
            span: span::current(),
        };
        if let Err(refused) = self.pool.try_submit(outgoing) {
            (refused.on_outcome)(Outcome::Silent);
        }
    }
}

impl Destination {
    /// A front-end. `timeout` is the time that it has to obey.
    fn front_end(
        address: &Address,
        limits: Limits,
        timeout: Duration,
        token: Option<&str>,
    ) -> Destination {
        let limits = Limits {
            whole: timeout,
            ..limits
        };
        Destination {
            address: address.clone(),
            client: Client::new(limits, token).idempotent(),
            seconds: None,
        }
    }

    /// Whether it obeyed, which it says with 204.
    fn obeyed(&self, method: Method, path: &str, body: Option<&[u8]>) -> Outcome {
        match self.call(method, path, body) {
            Ok(answer) if answer.status == 204 => Outcome::Reply(Reply::Confirmed),
            Err(Failure::Refused(_)) => Outcome::Refused,
            _ => Outcome::Silent,
        }
    }

    fn call(&self, method: Method, path: &str, body: Option<&[u8]>) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.address);
        let began = Instant::now();
        let answer = self.client.call(method, &url, &[], body);
        if let Some(seconds) = &self.seconds {
            seconds.observe(began.elapsed());
        }
        answer
    }
}

impl<P: Payload> Work for Outgoing<P> {
    fn joins(&self, first: &Self, others: &[Self]) -> bool {
        let mut batch = once(first).chain(others);
        others.len() + 1 < BATCH_MAX && batch.all(|other| self.payload.joins(&other.payload))
    }

    fn run(self, others: Vec<Self>) {
        let to = self.to.clone();
        let batch: Vec<Self> = once(self).chain(others).collect();
        let _entered = span::enter(batch.iter().map(|outgoing| outgoing.span));
        let payloads: Vec<&P> = batch.iter().map(|outgoing| &outgoing.payload).collect();
        let outcome = P::send(&payloads, &to);
        for outgoing in batch {
            match &outcome {
                Some(outcome) => (outgoing.on_outcome)(outgoing.payload.part_of(outcome)),
                // The others of the batch must not fail with the one that cannot be done.
                None => outgoing.run(Vec::new()),
            }
        }
    }
}

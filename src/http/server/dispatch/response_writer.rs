//! Responses are counted and logged, sent by a thread that has the time, and followed by the next
//! request of their connection.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::worker_pools::{Pool, Task};
use super::{Dispatcher, busy};
use crate::http::server::encoded_response::{EncodedResponse, ResponseWrite, Sent};
use crate::http::server::exchange::{self, Exchange};
use crate::http::server::head::{self, Raw, ReplyContext};
use crate::http::server::origin::with_cors;
use crate::http::server::unread::can_be_drained;
use crate::http::{Method, Response};
use crate::model::trace::is_traceparent;
use crate::runtime::log;

/// How long a client may take to read a response. Then its connection is quarantined.
const SENDING_MAX: Duration = Duration::from_secs(60);

/// The pause before more of a response is offered to a client that does not read.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A request that took longer is logged, whatever came of it.
const SLOW: Duration = Duration::from_secs(1);

impl Dispatcher {
    pub(super) fn reply(self: &Arc<Self>, exchange: Box<Exchange>, response: Response) {
        if exchange.out_of_sync {
            self.drop_unanswered(self.connections.quarantine(exchange.context.peer));
        }
        let Exchange { raw, context, .. } = *exchange;
        self.send_response(raw, context, response);
    }

    /// Counts, logs and sends a response.
    pub(super) fn send_response(
        self: &Arc<Self>,
        raw: Raw,
        mut context: ReplyContext,
        response: Response,
    ) {
        context.close |= self.is_ending();
        let response = if head::method(&raw) == Method::Get {
            response.unless_known(head::values(&raw, "If-None-Match"))
        } else {
            response
        };
        let response = with_cors(&self.config, &raw, response);
        self.record(&raw, &context, response.status);
        let encoded = EncodedResponse::new(response, &context, &self.keep_alive);
        let is_short = encoded.is_short();
        let write = encoded.write_to(context.peer, raw.into_writer());
        if is_short {
            return self.send(write);
        }
        let task = Task::Send(Box::new(write));
        if let Err(Task::Send(write)) = self.try_submit(Pool::LongResponse, task) {
            self.metrics.rejected.inc();
            let busy = EncodedResponse::new(busy(), &context, &self.keep_alive);
            self.send(write.replace_with(busy));
        }
    }

    /// Sends without waiting for a client that does not read.
    fn send(self: &Arc<Self>, mut write: ResponseWrite) {
        match write.send() {
            Sent::Whole => self.finish(write),
            Sent::Broken => self.give_up(write),
            Sent::Stuck => {
                let task = Task::Send(Box::new(write));
                if let Err(Task::Send(write)) = self.try_submit(Pool::SlowReader, task) {
                    self.give_up(*write);
                }
            }
        }
    }

    /// Sends as fast as the client reads, unless it stops for too long.
    pub(super) fn send_to_slow_reader(self: &Arc<Self>, mut write: ResponseWrite) {
        let deadline = Instant::now() + SENDING_MAX;
        let (mut taken, mut since) = (write.taken, Instant::now());
        loop {
            match write.send() {
                Sent::Whole => return self.finish(write),
                Sent::Broken => return self.give_up(write),
                Sent::Stuck => (),
            }
            if taken < write.taken {
                (taken, since) = (write.taken, Instant::now());
            }
            if self.config.idle < since.elapsed() || deadline < Instant::now() {
                self.metrics.unread.inc();
                return self.give_up(write);
            }
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// Half a response cannot be taken back, and nothing may follow it.
    fn give_up(self: &Arc<Self>, write: ResponseWrite) {
        self.drop_unanswered(self.connections.quarantine(write.peer));
        self.finish(write);
    }

    fn finish(self: &Arc<Self>, write: ResponseWrite) {
        let peer = write.peer;
        // The next response on this connection waits until this one has let go of it.
        drop(write);
        let Some(next) = self.connections.finish(peer) else {
            return;
        };
        let task = Task::Begin(Box::new(next));
        if let Err(Task::Begin(next)) = self.try_submit(Pool::Pipelined, task) {
            self.drop_unanswered([next.raw]);
            self.drop_unanswered(self.connections.quarantine(peer));
            self.connections.finish(peer);
        }
    }

    /// Drops requests without an answer.
    pub(super) fn drop_unanswered(self: &Arc<Self>, raws: impl IntoIterator<Item = Raw>) {
        for raw in raws {
            self.metrics.dropped.inc();
            if !exchange::is_unread(&raw) {
                drop(raw.into_writer());
                continue;
            }
            if !can_be_drained(&raw) {
                std::mem::forget(raw);
                self.metrics.forgotten.inc();
                continue;
            }
            let task = Task::Drop(Box::new(raw));
            if let Err(Task::Drop(raw)) = self.try_submit(Pool::ClientBody, task) {
                std::mem::forget(raw);
                self.metrics.forgotten.inc();
            }
        }
    }

    pub(super) fn record(&self, raw: &Raw, context: &ReplyContext, status: u16) {
        let took = context.started.elapsed();
        self.metrics.record(context.route, status, took);
        if let Some(span) = &context.span {
            let mut span = (**span).clone();
            span.set("status", status);
            span.end();
        }
        // "Not ready" is an answer, not a failure, and is asked for ten times a second.
        let failed = 500 <= status && context.route != "/readyz";
        let matters = failed || SLOW < took;
        if matters || log::enabled(log::Level::Debug) {
            let log = if matters { log::warn } else { log::debug };
            let ms = format!("{:.3}", took.as_secs_f64() * 1000.0);
            let (method, parent) = (raw.method().as_str(), head::header(raw, "traceparent"));
            let parent = parent.filter(|text| is_traceparent(text));
            let mut fields: Vec<log::Field> = vec![
                ("method", &method),
                ("route", &context.route),
                ("status", &status),
                ("ms", &ms),
                ("id", &context.id),
            ];
            fields.extend(
                parent
                    .as_ref()
                    .map(|it| -> log::Field { ("traceparent", it) }),
            );
            log("request", &fields);
        }
    }
}

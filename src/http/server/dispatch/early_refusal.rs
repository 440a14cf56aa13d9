//! Requests that are refused while their body is yet to come: the client hears it at once.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::Instant;

use super::worker_pools::{Pool, Task};
use super::{BODY_IDLES_MAX, Dispatcher};
use crate::http::Response;
use crate::http::server::connections::Next;
use crate::http::server::exchange::Exchange;
use crate::http::server::origin::with_cors;
use crate::http::server::unread::{Unread, answer_without_body, can_be_drained};
use crate::model::error::Error;

impl Dispatcher {
    /// Begins with a request whose predecessors are answered.
    pub(super) fn begin_next(self: &Arc<Self>, next: Next) {
        let now = Instant::now();
        if !next.is_excess {
            return self.begin(next.raw, now);
        }
        let mut exchange = Box::new(self.exchange(next.raw, now));
        exchange.context.close = true;
        exchange.out_of_sync = true;
        let error = Error::Busy("The connection has too many requests in a row".into());
        if super::exchange::is_unread(&exchange.raw) {
            exchange.refused = Some(error);
            return self.refuse_unread(exchange);
        }
        self.reply(exchange, error.into());
    }

    /// Answers a request that is refused, without its body, and closes its connection.
    pub(super) fn refuse_unread(self: &Arc<Self>, exchange: Box<Exchange>) {
        let Exchange {
            raw,
            context,
            refused,
            ..
        } = *exchange;
        let response = Response::from(refused.expect("the caller has looked"));
        let response = with_cors(&self.config, &raw, response);
        self.record(&raw, &context, response.status);
        let can_be_drained = can_be_drained(&raw);
        let connection = answer_without_body(raw, &context.id, response, context.head_only);
        self.drop_unanswered(self.connections.quarantine(context.peer));
        self.connections.finish(context.peer);
        let unread = Box::new(Unread {
            connection,
            deadline: context.started + self.config.idle * BODY_IDLES_MAX,
        });
        if !can_be_drained {
            return self.forget_unread(unread);
        }
        if let Err(Task::Drain(unread)) = self.try_submit(Pool::ClientBody, Task::Drain(unread)) {
            self.forget_unread(unread);
        }
    }

    /// Throws away what the client still sends, so that it can read its answer, until it closes.
    /// It is not let go of sooner, because the rest would be taken for a request.
    pub(super) fn drain(&self, mut unread: Unread) {
        let mut buffer = [0; 8 * 1024];
        loop {
            match unread.connection.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => (),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(_) => return,
            }
            if unread.deadline <= Instant::now() {
                return self.forget_unread(Box::new(unread));
            }
        }
    }

    fn forget_unread(&self, unread: Box<Unread>) {
        self.metrics.forgotten.inc();
        std::mem::forget(unread);
    }
}

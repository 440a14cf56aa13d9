//! Requests that are refused while their body is yet to come: the client hears it at once.
//!
//! tiny_http reads what is left of a body before it lets go of a request, and allocates all of it
//! (HTTP.md, 3). Only `Request::upgrade` gives out the connection itself. It writes a head, and
//! what we add to that goes through the name of the protocol, which it does not check.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use tiny_http::{Header, ReadWrite};

use super::worker_pools::{Pool, Task};
use super::{BODY_IDLES_MAX, Dispatcher};
use crate::http::Response;
use crate::http::server::connections::Next;
use crate::http::server::exchange::Exchange;
use crate::http::server::head::Raw;
use crate::model::error::Error;

/// Bytes of a body that is read and thrown away after its request was refused. Beyond: the
/// connection is forgotten. tiny_http allocates so many at a time, but touches only what comes.
const DRAINED_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// A connection whose last request is answered, and whose body has not been read.
pub(super) struct Unread {
    connection: Box<dyn ReadWrite + Send>,
    deadline: Instant,
}

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
        self.record(raw.method().as_str(), &context, response.status);
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

/// Whether the request can be let go of: tiny_http allocates the rest of its body at once, and
/// ends the process if it cannot. So it is tried here first.
pub(super) fn can_be_drained(raw: &Raw) -> bool {
    let length = raw.body_length().unwrap_or(0);
    length <= DRAINED_BYTES_MAX && Vec::<u8>::new().try_reserve_exact(length).is_ok()
}

fn answer_without_body(
    raw: Raw,
    id: &str,
    response: Response,
    head_only: bool,
) -> Box<dyn ReadWrite + Send> {
    let body = response.body.as_bytes();
    let protocol = format!(
        "HTTP/1.1\r\nContent-Length: {}\r\nConnection: close",
        body.len()
    );
    let mut head = tiny_http::Response::empty(response.status);
    let own = [
        ("Content-Type", "application/json"),
        ("Server", "bazar"),
        ("X-Request-Id", id),
    ];
    let others = response.headers.iter();
    let others = others.map(|(name, value)| (*name, value.as_ref()));
    for (name, value) in own.into_iter().chain(others) {
        head.add_header(Header::from_bytes(name, value).expect("our own headers are ASCII"));
    }
    let mut connection = raw.upgrade(&protocol, head);
    let body = if head_only { &[] } else { body };
    // A client that is gone hears nothing, and one that does not read has only itself to blame.
    let _: io::Result<()> = connection.write_all(body).and_then(|()| connection.flush());
    connection
}

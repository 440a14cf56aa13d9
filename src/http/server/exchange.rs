//! One request in progress: what its head says, why it is refused if it is, and its body.
//!
//! tiny_http reads what is left of a body when a request is answered or dropped, on the thread that
//! does it (HTTP.md, 3 and 4). So a request whose body [`is_unread`] is read, answered and dropped
//! only by a thread of the pools for bodies.

use std::io::ErrorKind;
use std::time::Instant;

use crate::http::Request;
use crate::http::server::head::{self, Raw, ReplyContext};
use crate::model::error::Error;

/// Bytes of a body. Beyond: 413.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a body from another server, or of books that are added, once the token was checked.
/// Beyond: 413.
const PEER_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far beyond its limit a body is read, and thrown away, so that the client gets its 413. If
/// more than that is announced, the request is forgotten without an answer.
const EXCESS_BYTES_MAX: usize = 1024 * 1024;

/// Bodies up to this length have been read by tiny_http before it hands over a request.
const READ_AHEAD_BYTES: usize = 1024;

/// A request, from when tiny_http hands it over until its response is encoded.
pub(super) struct Exchange {
    pub(super) raw: Raw,
    pub(super) request: Request,
    /// What is wrong with the head, or the body.
    pub(super) refused: Option<Error>,
    pub(super) context: ReplyContext,
    /// It is unknown where the next request on this connection begins.
    pub(super) out_of_sync: bool,
}

impl Exchange {
    pub(super) fn new(raw: Raw, started: Instant) -> Exchange {
        let (path, query) = head::path_and_query(raw.url());
        let framing = head::check_framing(&raw);
        let out_of_sync = framing.is_err();
        let segments = head::check_size(&raw)
            .and(framing)
            .and_then(|()| head::segments(path));
        let mut context = ReplyContext::of(&raw, started);
        context.close |= out_of_sync;
        let refused = segments.as_ref().err().cloned();
        let request = Request {
            method: head::method(&raw),
            segments: segments.unwrap_or_default(),
            query: query.map(str::to_string),
            headers: head::headers(&raw),
            body: Vec::new(),
            id: context.id.clone(),
        };
        Exchange {
            raw,
            request,
            refused,
            context,
            out_of_sync,
        }
    }

    /// Whether it comes from another server, not from a client.
    pub(super) fn is_from_server(&self) -> bool {
        is_for_servers(head::path_and_query(self.raw.url()).0)
    }

    /// Reads the body to its end, or returns false when the end has not come by `deadline`.
    /// `trusted`: the request showed the token.
    pub(super) fn read_body(&mut self, trusted: bool, deadline: Instant) -> bool {
        let limit = body_bytes_max(&self.raw, trusted);
        let announced = self.raw.body_length();
        let read_max = announced.unwrap_or(limit + EXCESS_BYTES_MAX);
        let mut body = Vec::with_capacity(read_max.min(BODY_BYTES_MAX));
        let mut buffer = [0; 8 * 1024];
        let mut count = 0;
        let reader = self.raw.as_reader();
        let failure = loop {
            let wanted = buffer.len().min(read_max - count);
            if wanted == 0 {
                break None;
            }
            match reader.read(&mut buffer[..wanted]) {
                Ok(0) => break None,
                Ok(read) => {
                    count += read;
                    if count <= limit {
                        body.extend_from_slice(&buffer[..read]);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => break Some(error.kind()),
            }
            if deadline <= Instant::now() {
                return false;
            }
        };
        // Chunks that were not read to their end would be taken for the next request.
        let unfinished = announced.is_none() && (failure.is_some() || count == read_max);
        self.out_of_sync |= unfinished;
        self.context.close |= unfinished || failure.is_some();
        let error = body_error(failure, announced, count, limit);
        self.refused = self.refused.take().or(error);
        self.request.body = body;
        true
    }
}

/// Whether so long a body is announced that tiny_http's way with it would end the process (HTTP.md,
/// 3). Such a request must be forgotten: neither answered nor dropped. `is_trusted`: whether it
/// shows the token.
pub(super) fn announces_too_much(raw: &Raw, is_trusted: impl FnOnce() -> bool) -> bool {
    let excess = raw
        .body_length()
        .unwrap_or(0)
        .saturating_sub(EXCESS_BYTES_MAX);
    BODY_BYTES_MAX < excess && body_bytes_max(raw, is_trusted()) < excess
}

/// Whether tiny_http has yet to read the body, so that answering or dropping the request may wait
/// for the client.
pub(super) fn is_unread(raw: &Raw) -> bool {
    match raw.body_length() {
        Some(0) => false,
        Some(length) => {
            READ_AHEAD_BYTES < length
                || head::header(raw, "Expect").is_some()
                || head::connection_mentions(raw, "upgrade")
        }
        None => head::is_chunked(raw),
    }
}

/// Whether only our own servers ask for this path. Their bodies may be long.
fn is_for_servers(path: &str) -> bool {
    path.starts_with("/rep/") || path.starts_with("/batch/")
}

fn body_bytes_max(raw: &Raw, trusted: bool) -> usize {
    let path = head::path_and_query(raw.url()).0;
    let is_long =
        is_for_servers(path) || (*raw.method() == tiny_http::Method::Post && path == "/add");
    if is_long && trusted {
        PEER_BODY_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    }
}

/// Why a body is refused, if it is. tiny_http does not tell a truncated body from a whole one.
fn body_error(
    failure: Option<ErrorKind>,
    announced: Option<usize>,
    count: usize,
    limit: usize,
) -> Option<Error> {
    let bad = |text: &str| Some(Error::BadRequest(text.into()));
    match failure {
        Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => bad("The body did not come in time"),
        None if limit < count => {
            let text = format!("The body may have {limit} bytes");
            Some(Error::BodyTooLarge(text))
        }
        None if announced.is_none_or(|announced| announced <= count) => None,
        _ => bad("The body is shorter than announced, or badly chunked"),
    }
}

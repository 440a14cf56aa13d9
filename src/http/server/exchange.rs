//! One request in progress: what its head says, why it is refused if it is, and its body.
//!
//! tiny_http reads what is left of a body when a request is answered or dropped, on the thread that
//! does it (HTTP.md, 3 and 4). So a request whose body [`is_unread`] is read, answered and dropped
//! only by a thread of the pools for bodies.

use std::io::{ErrorKind, Read};
use std::time::Instant;

use crate::http::Request;
use crate::http::server::chunks::Chunks;
use crate::http::server::head::{self, Raw, ReplyContext};
use crate::model::error::{Error, Result};

/// Bytes of a body. Beyond: 413.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a body from another server, or of books that are added, once the token was checked.
/// Beyond: 413.
const PEER_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far beyond its limit a body is read, and thrown away, before the client gets its 413. If
/// more than that is announced, the client gets it at once, and the connection is closed.
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
    /// `is_trusted`: whether the request shows the token.
    pub(super) fn new(
        raw: Raw,
        started: Instant,
        is_trusted: impl FnOnce(&Raw) -> bool,
    ) -> Exchange {
        let framing = head::check_framing(&raw);
        let mut out_of_sync = framing.is_err();
        let checked = head::check_size(&raw)
            .and(framing)
            .and_then(|()| head::check_headers(&raw))
            .and_then(|()| head::check_method(&raw))
            .and_then(|()| check_length(&raw, is_trusted))
            .and_then(|()| check_buy(&raw))
            .and_then(|()| head::segments(&raw));
        // What is left unread of a body would be taken for the next request.
        out_of_sync |= checked.is_err() && is_unread(&raw);
        let mut context = ReplyContext::of(&raw, started);
        context.close |= out_of_sync;
        let refused = checked.as_ref().err().cloned();
        let (segments, query) = checked.unwrap_or_default();
        let request = Request {
            method: head::method(&raw),
            segments,
            query,
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
        is_for_servers(head::path(&self.raw))
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
        let is_raw = announced.is_none() && head::connection_mentions(&self.raw, "upgrade");
        let reader = self.raw.as_reader();
        let mut chunks;
        let reader: &mut dyn Read = if is_raw {
            chunks = Chunks::new(reader, deadline);
            &mut chunks
        } else {
            reader
        };
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

/// Fails with 413 when so long a body is announced that it will not be read to its end.
fn check_length(raw: &Raw, is_trusted: impl FnOnce(&Raw) -> bool) -> Result<()> {
    let excess = raw
        .body_length()
        .unwrap_or(0)
        .saturating_sub(EXCESS_BYTES_MAX);
    if excess <= BODY_BYTES_MAX {
        return Ok(());
    }
    let limit = body_bytes_max(raw, is_trusted(raw));
    if excess <= limit {
        return Ok(());
    }
    Err(too_large(limit))
}

/// Fails with 411 when a buy is to have a chunked body: one that breaks off would count as whole
/// (HTTP.md, 4).
fn check_buy(raw: &Raw) -> Result<()> {
    if head::is_chunked(raw) && head::path(raw).starts_with("/buy/") {
        return Err(Error::LengthRequired);
    }
    Ok(())
}

fn too_large(limit: usize) -> Error {
    Error::BodyTooLarge(format!("The body may have {limit} bytes"))
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
    let path = head::path(raw);
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
        None if limit < count => Some(too_large(limit)),
        None if announced.is_none_or(|announced| announced <= count) => None,
        _ => bad("The body is shorter than announced, or badly chunked"),
    }
}

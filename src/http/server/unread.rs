//! Answers to requests whose body is unread.
//!
//! tiny_http reads what is left of a body before it lets go of a request, and allocates all of it
//! (HTTP.md, 3). Only `Request::upgrade` gives out the connection itself. It writes a head, and
//! what we add to that goes through the name of the protocol, which it does not check.

use std::io::{self, Write};
use std::time::Instant;

use tiny_http::{Header, ReadWrite};

use crate::http::Response;
use crate::http::server::head::Raw;

/// Bytes of a body that is read and thrown away after its request was refused. Beyond: the
/// connection is forgotten. tiny_http allocates so many at a time, but touches only what comes.
const DRAINED_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// A connection whose last request is answered, and whose body has not been read.
pub(super) struct Unread {
    pub(super) connection: Box<dyn ReadWrite + Send>,
    /// Until when the client may send the rest.
    pub(super) deadline: Instant,
}

/// Whether the request can be let go of: tiny_http allocates the rest of its body at once, and
/// ends the process if it cannot. So it is tried here first.
pub(super) fn can_be_drained(raw: &Raw) -> bool {
    let length = raw.body_length().unwrap_or(0);
    length <= DRAINED_BYTES_MAX && Vec::<u8>::new().try_reserve_exact(length).is_ok()
}

/// Sends a response while the body is yet to come, and returns the connection.
pub(super) fn answer_without_body(
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

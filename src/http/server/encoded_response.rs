//! Responses as bytes: head and body in one write (HTTP.md, 1), and no thread that waits for a
//! client that does not read (HTTP.md, 12).

use std::io::{ErrorKind, Write};
use std::mem;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tiny_http::StatusCode;

use crate::http::server::date;
use crate::http::server::head::ReplyContext;
use crate::http::server::target::any_byte;
use crate::http::{Body, Response};

/// Longer bodies are sent by a pool of their own.
const SHORT_BYTES_MAX: usize = 64 * 1024;

/// The statuses that we answer. Metrics tell them apart.
pub(super) const STATUSES: [u16; 22] = [
    200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 411, 412, 413, 414, 422, 431, 500, 501, 502,
    503, 504, 507,
];

/// A response as bytes.
pub(super) struct EncodedResponse {
    /// What is sent now: first the head, with a short body behind it.
    part: Body,
    /// What is sent after that: a long body.
    rest: Body,
    /// Whether the pieces of the body are chunks.
    chunked: bool,
}

/// A response that is being sent.
pub(super) struct ResponseWrite {
    pub(super) peer: SocketAddr,
    writer: Box<dyn Write + Send>,
    response: EncodedResponse,
    /// How many bytes of the part that is sent now have been taken.
    at: usize,
    /// Bytes that have been taken in all. It grows as long as the client reads.
    pub(super) taken: u64,
}

/// What came of an attempt to send.
#[derive(Debug, PartialEq)]
pub(super) enum Sent {
    Whole,
    /// The client has not read enough to take more now.
    Stuck,
    /// The connection is of no more use.
    Broken,
}

impl EncodedResponse {
    /// `keep_alive`: the headers of a connection that stays open.
    pub(super) fn new(
        mut response: Response,
        context: &ReplyContext,
        keep_alive: &str,
    ) -> EncodedResponse {
        // HTTP/1.0 has no way to end a body of unknown length but to close, and this connection
        // stays open.
        if let (Body::Pieces(pieces), true, false) =
            (&mut response.body, context.http_1_0, context.close)
        {
            response.body = Body::Bytes(pieces.flatten().collect());
        }
        let mut head = Vec::with_capacity(512);
        write_head(&mut head, &response, context, keep_alive);
        let mut rest = response.body;
        if context.head_only || is_bodiless(response.status) {
            rest = Body::None;
        } else if !matches!(rest, Body::Pieces(_)) && rest.as_bytes().len() <= SHORT_BYTES_MAX {
            head.extend_from_slice(rest.as_bytes());
            rest = Body::None;
        }
        EncodedResponse {
            part: Body::Bytes(head),
            rest,
            chunked: !context.http_1_0,
        }
    }

    /// Whether it fits into one write that hardly ever waits.
    pub(super) fn is_short(&self) -> bool {
        matches!(self.rest, Body::None)
    }

    pub(super) fn write_to(self, peer: SocketAddr, writer: Box<dyn Write + Send>) -> ResponseWrite {
        ResponseWrite {
            peer,
            writer,
            response: self,
            at: 0,
            taken: 0,
        }
    }

    /// The next part as it goes over the wire, or [`Body::None`] after the last. An empty chunk
    /// would end a chunked body, so empty pieces are left out.
    fn next_part(&mut self) -> Body {
        let Body::Pieces(pieces) = &mut self.rest else {
            return mem::replace(&mut self.rest, Body::None);
        };
        match pieces.find(|piece| !piece.is_empty()) {
            Some(piece) if self.chunked => {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(&piece);
                chunk.extend_from_slice(b"\r\n");
                Body::Bytes(chunk)
            }
            Some(piece) => Body::Bytes(piece),
            None => {
                self.rest = Body::None;
                let end: &[u8] = if self.chunked { b"0\r\n\r\n" } else { b"" };
                Body::Bytes(end.to_vec())
            }
        }
    }
}

impl ResponseWrite {
    /// Sends what the client takes now. Each write waits no longer than the socket's write
    /// time-out. After [`Sent::Stuck`] it may be called again and goes on where it stopped.
    pub(super) fn send(&mut self) -> Sent {
        loop {
            let bytes = &self.response.part.as_bytes()[self.at..];
            if bytes.is_empty() {
                // Half a response must not look like a whole one: after a panic its last chunk is
                // missing.
                match catch_unwind(AssertUnwindSafe(|| self.response.next_part())) {
                    Ok(Body::None) => break,
                    Ok(part) => (self.response.part, self.at) = (part, 0),
                    Err(_) => return Sent::Broken,
                }
                continue;
            }
            match self.writer.write(bytes) {
                Ok(0) => return Sent::Broken,
                Ok(count) => {
                    self.at += count;
                    self.taken += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return stuck_or_broken(error.kind()),
            }
        }
        match self.writer.flush() {
            Ok(()) => Sent::Whole,
            Err(error) => stuck_or_broken(error.kind()),
        }
    }

    /// Another response to the same request. Nothing of this one may have been sent.
    pub(super) fn replace_with(self, response: EncodedResponse) -> ResponseWrite {
        assert_eq!(self.taken, 0);
        response.write_to(self.peer, self.writer)
    }
}

fn stuck_or_broken(kind: ErrorKind) -> Sent {
    match kind {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Sent::Stuck,
        _ => Sent::Broken,
    }
}

fn write_head(head: &mut Vec<u8>, response: &Response, context: &ReplyContext, keep_alive: &str) {
    let status = response.status;
    if status == 200 {
        // Most are, and this takes a fraction of the time.
        head.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        // Writing to a Vec cannot fail.
        let reason = StatusCode(status).default_reason_phrase();
        let _ = write!(head, "HTTP/1.1 {status} {reason}\r\n");
    }
    let typed = |name: &str| name.eq_ignore_ascii_case("Content-Type");
    let has_body = !is_bodiless(status) && !matches!(response.body, Body::None);
    if has_body && !response.headers.iter().any(|(name, _)| typed(name)) {
        head.extend_from_slice(b"Content-Type: application/json\r\n");
    }
    match &response.body {
        _ if is_bodiless(status) => (),
        Body::Pieces(_) if context.http_1_0 => (),
        Body::Pieces(_) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        body => {
            head.extend_from_slice(b"Content-Length: ");
            write_number(head, body.as_bytes().len());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"Date: ");
    head.extend_from_slice(&date::now());
    head.extend_from_slice(b"\r\n");
    write_header(head, "X-Request-Id", &context.id);
    if let Some(etag) = &response.etag {
        write_header(head, "ETag", etag);
    }
    for (name, value) in &response.headers {
        write_header(head, name, value);
    }
    if context.close {
        write_header(head, "Connection", "close");
    } else {
        head.extend_from_slice(keep_alive.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}

/// As `write!`, but in a fifth of the time, and every response has one.
fn write_number(head: &mut Vec<u8>, number: usize) {
    let begin = head.len();
    let mut rest = number;
    loop {
        head.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    head[begin..].reverse();
}

/// A line break in a value would let it write headers, or a body, of its own: control characters
/// are left out.
fn write_header(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    if any_byte(value, |byte| byte.is_ascii_control()) {
        head.extend(value.bytes().filter(|byte| !byte.is_ascii_control()));
    } else {
        head.extend_from_slice(value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}

fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

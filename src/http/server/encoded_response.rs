//! Responses as bytes: head and body in one write (HTTP.md, 1), and no thread that waits for a
//! client that does not read (HTTP.md, 12).

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::http::server::head::ResponseForm;
use crate::http::{Body, Response};

/// Longer bodies are sent by a pool of their own.
const SHORT_BYTES_MAX: usize = 64 * 1024;

/// A response as bytes, before it has a connection.
pub(super) struct EncodedResponse {
    /// The head, with a short body behind it.
    head: Vec<u8>,
    /// A long body.
    body: Option<Part>,
    pieces: Option<Pieces>,
}

/// A response that is being sent.
pub(super) struct ResponseWrite {
    pub(super) peer: SocketAddr,
    writer: Box<dyn Write + Send>,
    /// What is sent now, and how many bytes of it have been taken.
    part: Part,
    at: usize,
    /// What is sent after that.
    body: Option<Part>,
    pieces: Option<Pieces>,
    /// Bytes that have been taken in all. It grows as long as the client reads.
    pub(super) taken: u64,
}

enum Part {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

struct Pieces {
    /// `None` after the last.
    pieces: Option<Box<dyn Iterator<Item = Vec<u8>> + Send>>,
    chunked: bool,
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
    pub(super) fn new(mut response: Response, id: &str, form: ResponseForm) -> EncodedResponse {
        // HTTP/1.0 has no way to end a body of unknown length but to close, and this connection
        // stays open.
        if let (Body::Pieces(pieces), true, false) = (&mut response.body, form.http_1_0, form.close)
        {
            response.body = Body::Bytes(pieces.flatten().collect());
        }
        let mut head = Vec::with_capacity(512);
        write_head(&mut head, &response, id, form);
        let (mut body, mut pieces) = (None, None);
        match response.body {
            _ if form.head_only || is_bodiless(response.status) => (),
            Body::None => (),
            Body::Bytes(bytes) if bytes.len() <= SHORT_BYTES_MAX => head.extend_from_slice(&bytes),
            Body::Shared(bytes) if bytes.len() <= SHORT_BYTES_MAX => head.extend_from_slice(&bytes),
            Body::Bytes(bytes) => body = Some(Part::Owned(bytes)),
            Body::Shared(bytes) => body = Some(Part::Shared(bytes)),
            Body::Pieces(all) => {
                pieces = Some(Pieces {
                    pieces: Some(all),
                    chunked: !form.http_1_0,
                });
            }
        }
        EncodedResponse { head, body, pieces }
    }

    /// Whether it fits into one write that hardly ever waits.
    pub(super) fn is_short(&self) -> bool {
        self.body.is_none() && self.pieces.is_none()
    }

    pub(super) fn write_to(self, peer: SocketAddr, writer: Box<dyn Write + Send>) -> ResponseWrite {
        ResponseWrite {
            peer,
            writer,
            part: Part::Owned(self.head),
            at: 0,
            body: self.body,
            pieces: self.pieces,
            taken: 0,
        }
    }
}

impl ResponseWrite {
    /// Sends what the client takes now. Each write waits no longer than the socket's write time-out.
    /// After [`Sent::Stuck`] it may be called again and goes on where it stopped.
    pub(super) fn send(&mut self) -> Sent {
        loop {
            let bytes = self.part.bytes();
            if self.at < bytes.len() {
                match self.writer.write(&bytes[self.at..]) {
                    Ok(0) => return Sent::Broken,
                    Ok(count) => {
                        self.at += count;
                        self.taken += count as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => (),
                    Err(error) => return stuck_or_broken(error.kind()),
                }
                continue;
            }
            // Half a response must not look like a whole one: after a panic its last chunk is
            // missing.
            match catch_unwind(AssertUnwindSafe(|| self.next_part())) {
                Ok(Some(part)) => (self.part, self.at) = (part, 0),
                Ok(None) => break,
                Err(_) => return Sent::Broken,
            }
        }
        match self.writer.flush() {
            Ok(()) => Sent::Whole,
            Err(error) => stuck_or_broken(error.kind()),
        }
    }

    fn next_part(&mut self) -> Option<Part> {
        let body = self.body.take();
        body.or_else(|| Some(Part::Owned(self.pieces.as_mut()?.next()?)))
    }

    /// Another response to the same request. Nothing of this one may have been sent.
    pub(super) fn replace_with(self, response: EncodedResponse) -> ResponseWrite {
        assert_eq!(self.taken, 0);
        response.write_to(self.peer, self.writer)
    }
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Part::Owned(bytes) => bytes,
            Part::Shared(bytes) => bytes,
        }
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    /// The next piece as it goes over the wire. An empty one would end a chunked body, so it is left
    /// out.
    fn next(&mut self) -> Option<Vec<u8>> {
        let pieces = self.pieces.as_mut()?;
        let piece = pieces.find(|piece| !piece.is_empty());
        if piece.is_none() {
            self.pieces = None;
        }
        if !self.chunked {
            return piece;
        }
        let Some(piece) = piece else {
            return Some(b"0\r\n\r\n".to_vec());
        };
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(&piece);
        chunk.extend_from_slice(b"\r\n");
        Some(chunk)
    }
}

fn stuck_or_broken(kind: ErrorKind) -> Sent {
    match kind {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Sent::Stuck,
        _ => Sent::Broken,
    }
}

fn write_head(head: &mut Vec<u8>, response: &Response, id: &str, form: ResponseForm) {
    let status = response.status;
    if status == 200 {
        // Most are, and this takes a fraction of the time.
        head.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        // Writing to a Vec cannot fail.
        let _ = write!(head, "HTTP/1.1 {status} {}\r\n", reason(status));
    }
    let typed = |name: &str| name.eq_ignore_ascii_case("Content-Type");
    let has_body = !is_bodiless(status) && !matches!(response.body, Body::None);
    if has_body && !response.headers.iter().any(|(name, _)| typed(name)) {
        head.extend_from_slice(b"Content-Type: application/json\r\n");
    }
    match &response.body {
        _ if is_bodiless(status) => (),
        Body::None => write_length(head, 0),
        Body::Bytes(body) => write_length(head, body.len()),
        Body::Shared(body) => write_length(head, body.len()),
        Body::Pieces(_) if form.http_1_0 => (),
        Body::Pieces(_) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    write_header(head, "X-Request-Id", id);
    for (name, value) in &response.headers {
        write_header(head, name, value);
    }
    if form.close {
        write_header(head, "Connection", "close");
    } else if form.http_1_0 {
        write_header(head, "Connection", "keep-alive");
    }
    head.extend_from_slice(b"\r\n");
}

fn write_length(head: &mut Vec<u8>, length: usize) {
    // Writing to a Vec cannot fail.
    let _ = write!(head, "Content-Length: {length}\r\n");
}

/// A line break in a value would let it write headers, or a body, of its own: control characters
/// are left out.
fn write_header(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        head.extend(value.bytes().filter(|byte| !byte.is_ascii_control()));
    } else {
        head.extend_from_slice(value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}

fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        // A reason may be empty (RFC 9112, 4).
        _ => "",
    }
}

//! Answers on their way out: head and body in one write (HTTP_NOTES 1), and nobody held up by a
//! client that does not read (HTTP_NOTES 12).

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::http::{Body, Response};

/// Longer bodies are sent by a crew of their own.
const SHORT_MAX: usize = 64 * 1024;

/// What the request says about how its answer must look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// `HEAD`: the length is told, the body left out.
    pub head_only: bool,
    /// HTTP/1.0, which knows no chunks.
    pub old: bool,
    /// No further request will be answered on this connection.
    pub close: bool,
}

/// An answer under way.
pub struct ResponseWrite {
    pub peer: SocketAddr,
    writer: Box<dyn Write + Send>,
    /// What is sent now, and how much of it has been taken.
    part: Option<Part>,
    at: usize,
    /// What is sent next.
    next: Option<Part>,
    /// Bytes that have been taken. It grows as long as the client reads.
    pub taken: u64,
    more: Option<Pieces>,
}

enum Part {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

struct Pieces {
    /// `None` after the last.
    pieces: Option<Box<dyn Iterator<Item = Vec<u8>> + Send>>,
    chunked: bool,
}

/// How far a try to send came.
#[derive(Debug, PartialEq)]
pub enum Sent {
    Whole,
    /// The client has not read enough to take more now.
    Stuck,
    /// The connection is of no more use.
    Broken,
}

/// An answer as bytes, before it has a connection.
pub struct EncodedResponse {
    /// With a short body behind it.
    head: Vec<u8>,
    /// A long one.
    body: Option<Part>,
    more: Option<Pieces>,
}

impl EncodedResponse {
    pub fn pack(mut response: Response, id: &str, form: Form) -> EncodedResponse {
        // HTTP/1.0 has no way to end a body of unknown length but to close, and this connection
        // stays open.
        if let (Body::Pieces(pieces), true, false) = (&mut response.body, form.old, form.close) {
            response.body = Body::Bytes(pieces.flatten().collect());
        }
        let mut head = Vec::with_capacity(512);
        write_head(&mut head, &response, id, form);
        let without = form.head_only || is_bodiless(response.status);
        let (mut body, mut more) = (None, None);
        match response.body {
            _ if without => (),
            Body::None => (),
            Body::Bytes(bytes) if bytes.len() <= SHORT_MAX => head.extend_from_slice(&bytes),
            Body::Shared(bytes) if bytes.len() <= SHORT_MAX => head.extend_from_slice(&bytes),
            Body::Bytes(bytes) => body = Some(Part::Own(bytes)),
            Body::Shared(bytes) => body = Some(Part::Shared(bytes)),
            Body::Pieces(pieces) => {
                let pieces = Some(pieces);
                let chunked = !form.old;
                more = Some(Pieces { pieces, chunked });
            }
        }
        EncodedResponse { head, body, more }
    }

    /// An answer that is whole already, head and short body.
    pub fn of(text: Vec<u8>) -> EncodedResponse {
        EncodedResponse {
            head: text,
            body: None,
            more: None,
        }
    }

    /// Whether it fits into one write that hardly ever waits.
    pub fn is_short(&self) -> bool {
        self.body.is_none() && self.more.is_none()
    }

    pub fn address(self, peer: SocketAddr, writer: Box<dyn Write + Send>) -> ResponseWrite {
        ResponseWrite {
            peer,
            writer,
            part: Some(Part::Own(self.head)),
            at: 0,
            next: self.body,
            taken: 0,
            more: self.more,
        }
    }
}

impl ResponseWrite {
    /// Sends what the client takes now; a call waits no longer than the socket's write time-out.
    /// After [`Sent::Stuck`] it may be called again and goes on where it stopped.
    pub fn send(&mut self) -> Sent {
        loop {
            while let Some(part) = &self.part {
                let bytes = part.bytes();
                if self.at == bytes.len() {
                    self.part = self.next.take();
                    self.at = 0;
                    continue;
                }
                match self.writer.write(&bytes[self.at..]) {
                    Ok(0) => return Sent::Broken,
                    Ok(count) => {
                        self.at += count;
                        self.taken += count as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => (),
                    Err(error) => return stuck_or_broken(error.kind()),
                }
            }
            let Some(more) = &mut self.more else { break };
            let next = catch_unwind(AssertUnwindSafe(|| more.next()));
            match next {
                Ok(Some(piece)) => self.part = Some(Part::Own(piece)),
                Ok(None) => self.more = None,
                // Half an answer must not look like a whole one: its last chunk stays away.
                Err(_) => return Sent::Broken,
            }
        }
        match self.writer.flush() {
            Ok(()) => Sent::Whole,
            Err(error) => stuck_or_broken(error.kind()),
        }
    }

    /// Another answer to the same request. Nothing of this one may have been sent.
    pub fn instead(self, parcel: EncodedResponse) -> ResponseWrite {
        assert_eq!(self.taken, 0);
        parcel.address(self.peer, self.writer)
    }
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Part::Own(bytes) => bytes,
            Part::Shared(bytes) => bytes,
        }
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    /// The next piece as it goes over the wire. An empty one would end a chunked body, so it is
    /// left out.
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

fn write_head(head: &mut Vec<u8>, response: &Response, id: &str, form: Form) {
    let status = response.status;
    match status {
        // As most are.
        200 => head.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        // Writing to a Vec cannot fail.
        _ => drop(write!(head, "HTTP/1.1 {status} {}\r\n", reason(status))),
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
        Body::Pieces(_) if form.old => (),
        Body::Pieces(_) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    write_header(head, "X-Request-Id", id);
    for (name, value) in &response.headers {
        write_header(head, name, value);
    }
    match (form.close, form.old) {
        (true, _) => write_header(head, "Connection", "close"),
        (false, true) => write_header(head, "Connection", "keep-alive"),
        (false, false) => (),
    }
    head.extend_from_slice(b"\r\n");
}

pub fn write_length(head: &mut Vec<u8>, length: usize) {
    // Writing to a Vec cannot fail.
    let _ = write!(head, "Content-Length: {length}\r\n");
}

/// A line break in a value would let it write headers, or a body, of its own: control characters
/// are left out.
pub fn write_header(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    match value.bytes().any(|byte| byte.is_ascii_control()) {
        true => head.extend(value.bytes().filter(|byte| !byte.is_ascii_control())),
        false => head.extend_from_slice(value.as_bytes()),
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

//! One request, from tiny_http's hands into ours: what its head says, what of it is refused, and
//! its body.
//!
//! tiny_http reads what is left of a body when a request is answered or dropped, on the thread that
//! does it (HTTP_NOTES 3, 4): nothing but a thread of an intake crew may read, answer or drop a
//! request whose body [`is_unread`].

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use super::head;
use crate::http::Request;
use crate::http::server::encoded_response::Form;
use crate::model::error::Error;

/// Bytes of a body. Beyond: 413.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a body from another server, or of books that are added, once the token was checked.
/// Beyond: 413.
const PEER_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far beyond its limit a body is read, and thrown away, so that the client hears its 413.
/// Announced beyond that: the request is forgotten without an answer.
const EXCESS_BYTES_MAX: usize = 1024 * 1024;

/// Bodies up to this length have been read by tiny_http before it hands over a request.
const READ_AHEAD_BYTES: usize = 1024;

/// As tiny_http hands it over.
pub type Raw = tiny_http::Request;

pub struct Exchange {
    raw: Raw,
    pub request: Request,
    /// What is wrong with the head, or the body.
    pub refused: Option<Error>,
    pub form: Form,
    /// It is unknown where the next request on this connection begins.
    pub adrift: bool,
    pub started: Instant,
    pub peer: SocketAddr,
    /// Named when it is decided what is to be done with it.
    pub route: &'static str,
}

/// How the reading of a body ended.
#[derive(Debug, PartialEq)]
pub enum Reading {
    /// It is there, or `refused` says why not.
    Over,
    /// It came too slowly to be waited for.
    TooSlow,
}

impl Exchange {
    pub fn new(raw: Raw, started: Instant) -> Exchange {
        let (path, query) = head::path_and_query(raw.url());
        let framing = head::framing(&raw);
        let adrift = framing.is_err();
        let checked = head::check_size(&raw)
            .and(framing)
            .and_then(|()| head::segments(path));
        let (segments, refused) = match checked {
            Ok(segments) => (segments, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let request = Request {
            method: head::method(&raw),
            segments,
            query: query.map(str::to_string),
            headers: head::headers(&raw),
            body: Vec::new(),
            id: head::request_id(&raw),
        };
        let mut form = head::form(&raw);
        form.close |= adrift;
        Exchange {
            peer: peer(&raw),
            raw,
            request,
            refused,
            form,
            adrift,
            started,
            route: "other",
        }
    }

    pub fn method(&self) -> &str {
        self.raw.method().as_str()
    }

    /// Whether [`Exchange::read_body`] may have to wait for the client.
    pub fn must_wait_for_body(&self) -> bool {
        is_unread(&self.raw)
    }

    /// Whether it comes from another server, not from a customer.
    pub fn is_from_server(&self) -> bool {
        is_of_servers(head::path_and_query(self.raw.url()).0)
    }

    /// Whether a body was announced.
    pub fn has_body(&self) -> bool {
        head::is_chunked(&self.raw) || self.raw.body_length().is_some_and(|length| 0 < length)
    }

    /// Reads the body to its end, or as far as it comes until `deadline`. `trusted`: the token was
    /// shown.
    pub fn read_body(&mut self, trusted: bool, deadline: Instant) -> Reading {
        let limit = body_limit(self.raw.url(), self.method(), trusted);
        let announced = self.raw.body_length();
        let all = announced.unwrap_or(limit + EXCESS_BYTES_MAX);
        let mut body = Vec::with_capacity(all.min(BODY_BYTES_MAX));
        let mut buffer = [0; 8 * 1024];
        let mut count = 0;
        let reader = self.raw.as_reader();
        let failure = loop {
            let wanted = buffer.len().min(all - count);
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
                return Reading::TooSlow;
            }
        };
        // Chunks that were not read to their end would be taken for the next request.
        let unfinished = announced.is_none() && (failure.is_some() || count == all);
        self.adrift |= unfinished;
        self.form.close |= unfinished || failure.is_some();
        let wrong = match failure {
            Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(late()),
            Some(_) => Some(malformed()),
            None if limit < count => Some(too_large(limit)),
            // tiny_http does not tell a truncated body from a whole one.
            None if announced.is_some_and(|announced| count < announced) => Some(malformed()),
            None => None,
        };
        self.refused = self.refused.take().or(wrong);
        self.request.body = body;
        Reading::Over
    }

    /// The connection, to write an answer to. Waits for the rest of an unread body.
    pub fn into_writer(self) -> Box<dyn Write + Send> {
        self.raw.into_writer()
    }

    /// Never answers: a thread of tiny_http and two descriptors are lost, but this thread is not.
    pub fn forget(self) {
        std::mem::forget(self.raw);
    }
}

/// Whether so long a body is announced that tiny_http's way with it would end the process
/// (HTTP_NOTES 3). Such a request must be forgotten: neither answered nor dropped.
pub fn announces_too_much(raw: &Raw, trusted: bool) -> bool {
    let limit = body_limit(raw.url(), raw.method().as_str(), trusted);
    let length = raw.body_length().unwrap_or(0);
    limit + EXCESS_BYTES_MAX < length
}

/// Whether tiny_http has yet to read the body, so that answering or dropping the request may wait
/// for the client.
pub fn is_unread(raw: &Raw) -> bool {
    match raw.body_length() {
        Some(0) => false,
        Some(length) => {
            READ_AHEAD_BYTES < length
                || head::header(raw, "Expect").is_some()
                || head::header(raw, "Connection")
                    .is_some_and(|value| head::mentions(value, "upgrade"))
        }
        None => head::is_chunked(raw),
    }
}

pub fn peer(raw: &Raw) -> SocketAddr {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    raw.remote_addr().copied().unwrap_or(unknown)
}

/// Whether only servers of ours ask for this, whose bodies may be long.
fn is_of_servers(path: &str) -> bool {
    path.starts_with("/rep/") || path.starts_with("/batch/")
}

fn body_limit(url: &str, method: &str, trusted: bool) -> usize {
    let path = head::path_and_query(url).0;
    let large = is_of_servers(path) || (method == "POST" && path == "/add");
    if large && trusted {
        PEER_BODY_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    }
}

fn too_large(limit: usize) -> Error {
    Error::BodyTooLarge(format!("The body may have {limit} bytes"))
}

fn late() -> Error {
    Error::BadRequest("The body did not come in time".into())
}

fn malformed() -> Error {
    Error::BadRequest("The body is shorter than announced, or badly chunked".into())
}

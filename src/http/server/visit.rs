//! One request, from tiny_http's hands into ours: what its head says, what of it is refused, and its body.
//!
//! tiny_http has no limits and is lenient about lengths (HTTP_NOTES 3, 4, 7, 8, 10), so that everything is checked here. It
//! also reads what is left of a body when a request is answered or dropped, on the thread that does it: nothing but a
//! thread of an intake crew may call [`Visit::read_body`] or drop a request whose body [`is_unread`].

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::reply::Form;
use crate::error::{Error, Result};
use crate::http::{Method, Request, split_path};

/// Bytes of a path with its query string. Beyond: 414.
const PATH_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all header names and values. Beyond: 431. tiny_http has read them into memory by then.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request. Beyond: 431.
const HEADERS_MAX: usize = 100;

/// Bytes of a body. Beyond: 413.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a body from another catalog, or of a book that is added, once the token was checked. Beyond: 413.
const PEER_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far beyond its limit a body is read, and thrown away, so that the client hears its 413. Announced beyond that: the
/// request is forgotten without an answer.
const EXCESS_BYTES_MAX: usize = 1024 * 1024;

/// Bodies up to this length have been read by tiny_http before it hands over a request.
const READ_AHEAD_BYTES: usize = 1024;

/// As tiny_http hands it over.
pub type Raw = tiny_http::Request;

pub struct Visit {
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

impl Visit {
    pub fn new(raw: Raw, started: Instant) -> Visit {
        let (path, query) = path_and_query(raw.url());
        let framing = framing(&raw);
        let adrift = framing.is_err();
        let checked = check_size(&raw).and(framing).and_then(|()| segments(path));
        let (segments, refused) = match checked {
            Ok(segments) => (segments, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let request = Request {
            method: method(&raw),
            segments,
            query: query.map(str::to_string),
            headers: headers(&raw),
            body: Vec::new(),
            id: request_id(&raw),
        };
        let mut form = form(&raw);
        form.close |= adrift;
        Visit {
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

    /// Whether [`Visit::read_body`] may have to wait for the client.
    pub fn must_wait_for_body(&self) -> bool {
        is_unread(&self.raw)
    }

    /// Whether it is for other servers, not for customers.
    pub fn is_for_peers(&self) -> bool {
        path_and_query(self.raw.url()).0.starts_with("/rep/")
    }

    /// Whether a body was announced.
    pub fn has_body(&self) -> bool {
        is_chunked(&self.raw) || self.raw.body_length().is_some_and(|length| 0 < length)
    }

    /// Reads the body to its end, or as far as it comes until `deadline`. `trusted`: the token was shown.
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

/// Whether so long a body is announced that tiny_http's way with it would end the process (HTTP_NOTES 3). Such a request
/// must be forgotten: neither answered nor dropped.
pub fn announces_too_much(raw: &Raw, trusted: bool) -> bool {
    let limit = body_limit(raw.url(), raw.method().as_str(), trusted);
    let length = raw.body_length().unwrap_or(0);
    limit + EXCESS_BYTES_MAX < length
}

/// Whether tiny_http has yet to read the body, so that answering or dropping the request may wait for the client.
pub fn is_unread(raw: &Raw) -> bool {
    match raw.body_length() {
        Some(0) => false,
        Some(length) => {
            READ_AHEAD_BYTES < length
                || header(raw, "Expect").is_some()
                || header(raw, "Connection").is_some_and(|value| mentions(value, "upgrade"))
        }
        None => is_chunked(raw),
    }
}

pub fn peer(raw: &Raw) -> SocketAddr {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    raw.remote_addr().copied().unwrap_or(unknown)
}

/// The first header of that name.
pub fn header<'a>(raw: &'a Raw, name: &'static str) -> Option<&'a str> {
    let mut same = raw.headers().iter().filter(|h| h.field.equiv(name));
    same.next().map(|header| header.value.as_str())
}

fn body_limit(url: &str, method: &str, trusted: bool) -> usize {
    let path = path_and_query(url).0;
    let large = path.starts_with("/rep/") || (method == "POST" && path == "/add");
    if large && trusted {
        PEER_BODY_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    }
}

/// tiny_http hands over the absolute form (`http://host/path`) as it came.
fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let path = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => url,
    };
    match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    }
}

fn check_size(raw: &Raw) -> Result<()> {
    if PATH_BYTES_MAX < raw.url().len() {
        return Err(Error::PathTooLong);
    }
    let sizes = raw.headers().iter();
    let sizes = sizes.map(|h| h.field.as_str().len() + h.value.len());
    if HEADERS_MAX < raw.headers().len() || HEAD_BYTES_MAX < sizes.sum() {
        return Err(Error::HeadTooLarge);
    }
    Ok(())
}

/// tiny_http takes a length that it cannot read for none, and the body for the next request (HTTP_NOTES 8).
fn framing(raw: &Raw) -> Result<()> {
    let of = |name| raw.headers().iter().filter(move |h| h.field.equiv(name));
    let lengths = of("Content-Length").count();
    let digits = of("Content-Length").all(|h| is_length(h.value.as_str()));
    let encodings = of("Transfer-Encoding").count();
    let chunked = of("Transfer-Encoding").all(|h| h.value.as_str().eq_ignore_ascii_case("chunked"));
    let upgrade = header(raw, "Connection").is_some_and(|value| mentions(value, "upgrade"));
    let bad = |text: &str| Err(Error::BadRequest(text.into()));
    match (lengths, encodings) {
        (0, 0) => Ok(()),
        (1, 0) if digits => Ok(()),
        (0, 1) if chunked && !upgrade => Ok(()),
        (_, 0) => bad("Content-Length must be there once, and be digits"),
        (0, _) => bad("Transfer-Encoding may only be chunked"),
        _ => bad("Content-Length and Transfer-Encoding exclude each other"),
    }
}

fn is_length(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<usize>().is_ok()
}

fn segments(path: &str) -> Result<Vec<String>> {
    if !path.starts_with('/') || path.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::BadRequest("The path is malformed".into()));
    }
    split_path(path)
}

fn method(raw: &Raw) -> Method {
    match raw.method() {
        tiny_http::Method::Get | tiny_http::Method::Head => Method::Get,
        tiny_http::Method::Put => Method::Put,
        tiny_http::Method::Post => Method::Post,
        tiny_http::Method::Delete => Method::Delete,
        _ => Method::Other,
    }
}

fn headers(raw: &Raw) -> Vec<(String, String)> {
    let headers = raw.headers().iter();
    headers
        .map(|h| (h.field.as_str().to_string(), h.value.to_string()))
        .collect()
}

/// The client's own, if it can be told in headers and logs without harm.
fn request_id(raw: &Raw) -> Arc<str> {
    let sane = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match header(raw, "X-Request-Id").filter(sane) {
        Some(id) => id.into(),
        None => format!("{:016x}", fastrand::u64(..)).into(),
    }
}

fn form(raw: &Raw) -> Form {
    let old = *raw.http_version() < (1, 1);
    // tiny_http decides by the first header of that name, and in these words, whether it goes on reading.
    let connection = header(raw, "Connection").unwrap_or("");
    let says = |what| mentions(connection, what);
    Form {
        head_only: *raw.method() == tiny_http::Method::Head,
        old,
        close: says("close") || says("upgrade") || (old && !says("keep-alive")),
    }
}

fn mentions(value: &str, what: &str) -> bool {
    value.to_ascii_lowercase().contains(what)
}

fn is_chunked(raw: &Raw) -> bool {
    header(raw, "Transfer-Encoding").is_some()
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

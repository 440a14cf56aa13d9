//! HTTP for all servers: requests and responses as plain values, so that a test of a route needs no
//! socket.
//!
//! This file has the values, and what paths and percent-escapes mean. `client/` calls other
//! servers. `server/` receives requests and hands them to a `Service`; its page says what tiny_http
//! and ureq do unexpectedly. `openapi` describes what they answer; `otlp` sends spans to a
//! collector; `startup` binds the port. Only `server/` names tiny_http (the baseline
//! server of `bazar bench` apart), only `client/` names ureq.

pub(crate) mod client;
pub(crate) mod openapi;
pub(crate) mod otlp;
pub(crate) mod server;
pub(crate) mod startup;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::error::{Error, Result};
use crate::model::number;
use crate::model::order::{Order, parse_key};
use crate::model::trace::{Trace, is_traceparent};
use crate::model::validation;

/// The method of a request. The server gives `HEAD` as `Get`, and leaves the body out itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
    Patch,
    /// Any that no route of ours has.
    Other,
}

impl Method {
    /// As it stands in a request of ours.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Other => unreachable!("we call with methods that we know"),
        }
    }
}

/// A request whose path is split and percent-decoded, and whose body is read.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The decoded segments: `/search/a%2Fb` is `["search", "a/b"]`, `/dump/` is `["dump", ""]`,
    /// `/` is `[""]`.
    pub(crate) segments: Vec<String>,
    /// The raw text after `?`, if any.
    pub(crate) query: Option<String>,
    /// Names as sent; compare ignoring case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The client's own `X-Request-Id`, if it is harmless, or a new one.
    pub(crate) id: Arc<str>,
}

impl Request {
    /// The path for a `match` with slice patterns.
    pub(crate) fn path(&self) -> Path<'_> {
        let segment = |at| self.segments.get(at).map_or("", String::as_str);
        Path {
            segments: std::array::from_fn(segment),
            count: self.segments.len().min(SEGMENTS_MAX),
        }
    }

    /// The first header of that name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers_of(name).next()
    }

    /// All headers of a name that holds a list, as one list (RFC 9110, 5.3).
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.headers_of(name).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Every header of that name, whatever its case.
    pub(crate) fn headers_of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let same = move |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        let headers = self.headers.iter().filter(same);
        headers.map(|(_, value)| value.as_str())
    }

    /// What goes on with the request to the servers behind.
    pub(crate) fn trace(&self) -> Trace {
        let parent = self
            .header("traceparent")
            .filter(|text| is_traceparent(text));
        Trace {
            id: self.id.clone(),
            parent: parent.map(Arc::from),
        }
    }

    /// How many copies the body of a buy wants. `None`: it has no body. Fails with 422 at a number
    /// that no buy takes, and at parameters; with 400 at a body that is not JSON.
    pub(crate) fn copies(&self) -> Result<Option<u32>> {
        if self.query.as_deref().is_some_and(|query| !query.is_empty()) {
            let text = r#"A buy has no parameters; several copies are a body: {"quantity":3}"#;
            return Err(Error::Invalid(text.into()));
        }
        if self.body.is_empty() {
            return Ok(None);
        }
        validation::parse_buy(&self.body).map(Some)
    }

    /// The order of a buy: `Bazar-Order`, with the client's own key if there is one, without the
    /// body's number of copies. Fails with 400 when one of them is malformed.
    pub(crate) fn order(&self) -> Result<Option<Order>> {
        let Some(text) = self.header("Bazar-Order") else {
            return Ok(None);
        };
        let order = Order::parse(text).ok_or_else(|| {
            Error::BadRequest("Bazar-Order must be <start>.<count>; open=<count>; at=<ms>".into())
        })?;
        Ok(Some(Order {
            key: self.key()?,
            ..order
        }))
    }

    /// The client's own key for a buy. Fails with 400 when it is not 1 to 255 visible ASCII
    /// characters, or is there twice.
    pub(crate) fn key(&self) -> Result<Option<Arc<str>>> {
        idempotency_key(self.headers_of("Idempotency-Key"))
    }
}

/// The headers with which a request goes on to another server.
pub(crate) fn trace_headers(trace: &Trace) -> Vec<(&'static str, &str)> {
    let parent = trace.parent.as_deref();
    let parent = parent.map(|parent| ("traceparent", parent));
    [("X-Request-Id", &*trace.id)]
        .into_iter()
        .chain(parent)
        .collect()
}

/// A `GET` without a body, of which nothing has been copied or decoded: for answers that are ready.
pub(crate) struct RequestHead<'a> {
    /// As the client sent it, percent-escapes included. Begins with `/`.
    pub(crate) path: &'a str,
    /// The raw text after `?`, if any.
    pub(crate) query: Option<&'a str>,
    /// The values of every header of a name.
    pub(crate) headers_of: &'a dyn Fn(&'static str) -> Vec<&'a str>,
}

/// Reads the values of `Idempotency-Key`. Fails as [`Request::key`] does.
pub(crate) fn idempotency_key<'a>(
    mut keys: impl Iterator<Item = &'a str>,
) -> Result<Option<Arc<str>>> {
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => parse_key(key),
        (Some(_), Some(_)) => None,
    };
    let malformed = "Idempotency-Key must be 1 to 255 visible ASCII characters, once";
    key.map(Some)
        .ok_or_else(|| Error::BadRequest(malformed.into()))
}

/// The text that `name` has in a query string, if it is there.
pub(crate) fn query_text(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next().and_then(|text| decode(text).ok())
}

/// The number that `name` has in a query string, if it is there. Fails with 400 when it is not a
/// number.
pub(crate) fn query_number(query: Option<&str>, name: &str) -> Result<Option<u64>> {
    let Some(text) = query_text(query, name) else {
        return Ok(None);
    };
    let number = number::parse_digits(&text).map(Some);
    number.ok_or_else(|| Error::BadRequest(format!("{name} must be a number")))
}

/// The value of `Link` (RFC 8288) when there may be more than this page of `limit` entries, the
/// last of which has this id. It is relative, so that it holds at every server and behind a proxy.
pub(crate) fn next_page(limit: u64, count: usize, last: Option<u64>) -> Option<String> {
    let last = last.filter(|_| limit == count as u64)?;
    Some(format!("<?limit={limit}&after={last}>; rel=\"next\""))
}

/// Further segments of a path are left out: no route of ours has so many.
const SEGMENTS_MAX: usize = 6;

/// The segments of a path. Not on the heap, because every request is matched several times.
pub(crate) struct Path<'a> {
    segments: [&'a str; SEGMENTS_MAX],
    count: usize,
}

impl<'a> Path<'a> {
    pub(crate) fn as_slice(&self) -> &[&'a str] {
        &self.segments[..self.count]
    }
}

/// A response. The server adds `Content-Type: application/json` and the length.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names and values that are safe in a head: never a client's text unchecked.
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The `ETag` of a body that is sent often. It may stand among the headers instead.
    pub(crate) etag: Option<Arc<str>>,
    pub(crate) body: Body,
}

/// The body of a response.
pub(crate) enum Body {
    /// None at all, as in a 204.
    None,
    Bytes(Vec<u8>),
    /// Bytes that are sent often, such as a cached answer.
    Shared(Arc<[u8]>),
    /// Made piece by piece while it is sent, for what is too long for memory.
    Pieces(Box<dyn Iterator<Item = Vec<u8>> + Send>),
}

impl Body {
    /// The bytes of a body that has them all.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Shared(bytes) => bytes,
            Body::None | Body::Pieces(_) => &[],
        }
    }
}

impl Response {
    fn new(status: u16, body: Body) -> Response {
        Response {
            status,
            headers: Vec::new(),
            etag: None,
            body,
        }
    }

    pub(crate) fn json(status: u16, body: &impl serde::Serialize) -> Response {
        let body = serde_json::to_vec(body).expect("our own values are JSON");
        Response::bytes(status, body)
    }

    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Response {
        Response::new(status, Body::Bytes(body))
    }

    pub(crate) fn shared(status: u16, body: Arc<[u8]>) -> Response {
        Response::new(status, Body::Shared(body))
    }

    pub(crate) fn empty(status: u16) -> Response {
        Response::new(status, Body::None)
    }

    /// The same without its body, and with 304, if its version is one of these values of
    /// `If-None-Match` (RFC 9110, 13.1.2).
    pub(crate) fn unless_known<'a>(self, mut known: impl Iterator<Item = &'a str>) -> Response {
        let Some(etag) = self.etag.as_deref().or_else(|| self.header("ETag")) else {
            return self;
        };
        // Weak or not: the client only asks whether it may keep what it has.
        let opaque = |tag: &'a str| tag.trim().trim_start_matches("W/");
        let names_it = |list: &'a str| {
            list.split(',')
                .any(|tag| matches!(opaque(tag), "*") || opaque(tag) == etag)
        };
        if self.status != 200 || !known.any(names_it) {
            return self;
        }
        Response {
            status: 304,
            body: Body::None,
            ..self
        }
    }

    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(own, _)| *own == name)?;
        Some(value)
    }

    /// Adds a header.
    pub(crate) fn with(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// Says of a 5xx, in `Bazar-Outcome`, whether what was asked for may have happened: `unknown`
    /// if it may, here or as the response says already; otherwise `none`.
    pub(crate) fn with_outcome(mut self, may_have_happened: bool) -> Response {
        if self.status < 500 {
            return self;
        }
        let mut unknown = may_have_happened;
        self.headers.retain(|(name, value)| {
            let is_outcome = *name == "Bazar-Outcome";
            unknown |= is_outcome && value == "unknown";
            !is_outcome
        });
        self.with("Bazar-Outcome", if unknown { "unknown" } else { "none" })
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Response {
        let response = Response::bytes(error.status(), error.body());
        match &error {
            Error::MethodNotAllowed(methods) => response.with("Allow", *methods),
            Error::Busy(_) => response.with("Retry-After", "1"),
            Error::Unauthorized => response.with("WWW-Authenticate", "Bearer"),
            _ => response,
        }
    }
}

/// Splits a raw path (without its query string) into decoded segments. The path is split first, so
/// that an escaped `/` belongs to its segment. Fails with 400 at a bad escape or bad UTF-8.
pub(crate) fn split_path(path: &str) -> Result<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(decode).collect()
}

/// Undoes percent-encoding. Fails with 400 at a bad escape or bad UTF-8.
pub(crate) fn decode(segment: &str) -> Result<String> {
    let bad = |what: &str| Error::BadRequest(format!("The path has {what}"));
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| (b as char).to_digit(16));
        let high = digit().ok_or_else(|| bad("a bad percent-escape"))?;
        let low = digit().ok_or_else(|| bad("a bad percent-escape"))?;
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| bad("bytes that are not UTF-8"))
}

/// Percent-encodes all but unreserved characters, so that the text is one segment of a path.
pub(crate) fn encode(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(byte as char)
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

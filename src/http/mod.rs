//! Requests and responses as plain values; paths and percent-escapes. A route test needs no socket.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod startup;

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::error::{Error, Result};
use crate::model::order::{Order, is_key};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Other,
}

/// A request whose path is split and percent-decoded, and whose body, if it was asked for, is read.
#[derive(Clone, Debug)]
pub struct Request {
    /// `HEAD` is shown as `Get`: the server leaves the body out itself.
    pub method: Method,
    /// The decoded segments: `/search/a%2Fb` is `["search", "a/b"]`, `/dump/` is `["dump", ""]`,
    /// `/` is `[""]`.
    pub segments: Vec<String>,
    /// The raw text after `?`, if any.
    pub query: Option<String>,
    /// Names as sent; compare ignoring case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Taken over from `X-Request-Id` when sane, made otherwise.
    pub id: Arc<str>,
}

impl Request {
    /// The path for a `match` with slice patterns.
    pub fn path(&self) -> Path<'_> {
        let mut shown = [""; SEGMENTS_SHOWN];
        for (shown, segment) in shown.iter_mut().zip(&self.segments) {
            *shown = segment;
        }
        let count = self.segments.len().min(SEGMENTS_SHOWN);
        Path { shown, count }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_of(name).next()
    }

    /// Every header of that name.
    pub fn headers_of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        values_of(&self.headers, name)
    }

    /// The decoded value of `name` in the query string, if it is there.
    pub fn query(&self, name: &str) -> Option<String> {
        query_value(self.query.as_deref(), name)
    }

    /// The order of a buy: `Bazar-Order` and `Idempotency-Key`. Fails with 400 when one is
    /// malformed.
    pub fn order(&self) -> Result<Option<Order>> {
        let Some(text) = self.header("Bazar-Order") else {
            return Ok(None);
        };
        let order = Order::parse(text).ok_or_else(|| {
            Error::BadRequest("Bazar-Order must be <start>.<count>; open=<count>".into())
        })?;
        Ok(Some(Order {
            key: self.key()?,
            ..order
        }))
    }

    /// The customer's own key. Fails with 400 when it is not 1 to 64 visible ASCII characters, or
    /// is there twice.
    pub fn key(&self) -> Result<Option<Arc<str>>> {
        idempotency_key(self.headers_of("Idempotency-Key"))
    }
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
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) if is_key(key) => Ok(Some(key.into())),
        _ => Err(Error::BadRequest(
            "Idempotency-Key must be 1 to 64 visible ASCII characters".into(),
        )),
    }
}

/// The decoded value of `name` in a query string, if it is there.
pub(crate) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let value = query?
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    decode(value).ok()
}

/// More segments of a path are not shown: no route of ours has so many.
const SEGMENTS_SHOWN: usize = 6;

/// A path's segments. Not on the heap: every request is looked at twice or more.
pub struct Path<'a> {
    shown: [&'a str; SEGMENTS_SHOWN],
    count: usize,
}

impl<'a> Path<'a> {
    pub fn as_slice(&self) -> &[&'a str] {
        &self.shown[..self.count]
    }
}

/// What goes back. `Content-Type: application/json` and the length are added by the server.
pub struct Response {
    pub status: u16,
    /// Names and values that are safe in a head: never a client's text unchecked.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Body,
}

/// A response's body.
pub enum Body {
    /// No body at all: 204.
    None,
    Bytes(Vec<u8>),
    /// Bytes that were made once and are sent often.
    Shared(Arc<[u8]>),
    /// Made piece by piece while it is sent, for answers too long for memory.
    Pieces(Box<dyn Iterator<Item = Vec<u8>> + Send>),
}

impl Response {
    pub fn json(status: u16, body: &impl serde::Serialize) -> Response {
        let body = serde_json::to_vec(body).expect("our own values are JSON");
        Response::bytes(status, body)
    }

    pub fn bytes(status: u16, body: Vec<u8>) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Body::Bytes(body),
        }
    }

    pub fn shared(status: u16, body: Arc<[u8]>) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Body::Shared(body),
        }
    }

    pub fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Body::None,
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        self.headers.push((name, value.into()));
        self
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

/// The values of every header of that name, whatever its case.
fn values_of<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    let same = move |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
    headers.iter().filter(same).map(|(_, value)| value.as_str())
}

/// Splits a raw path (without its query string) into decoded segments. The path is split first, so
/// that an escaped `/` belongs to its segment. Fails with 400 at a bad escape or bad UTF-8.
pub fn split_path(path: &str) -> Result<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(decode).collect()
}

/// Undoes percent-encoding. Fails with 400 at a bad escape or bad UTF-8.
pub fn decode(segment: &str) -> Result<String> {
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
pub fn encode(segment: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_first_and_decoded_then() {
        assert_eq!(split_path("/search/a%2Fb").unwrap(), ["search", "a/b"]);
        assert_eq!(split_path("/dump/").unwrap(), ["dump", ""]);
        assert_eq!(split_path("/").unwrap(), [""]);
        for path in ["/%", "/%4", "/%zz", "/%ff", "/%+1"] {
            assert!(
                matches!(split_path(path), Err(Error::BadRequest(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        for text in ["a/b", "%_ +", "Bücher & more", ".."] {
            assert_eq!(decode(&encode(text)).unwrap(), text);
        }
    }
}

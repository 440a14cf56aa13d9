//! What the head of a request says, and what of it is refused. tiny_http has no limits and is
//! lenient about lengths (HTTP_NOTES 7, 8, 10), so that everything is checked here.

use std::sync::Arc;

use crate::http::server::encoded_response::Form;
use crate::http::server::exchange::Raw;
use crate::http::{Method, split_path};
use crate::model::error::{Error, Result};

/// Bytes of a path with its query string. Beyond: 414.
const PATH_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all header names and values. Beyond: 431. tiny_http has read them into memory by then.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request. Beyond: 431.
const HEADERS_MAX: usize = 100;

/// The first header of that name.
pub fn header<'a>(raw: &'a Raw, name: &'static str) -> Option<&'a str> {
    let mut same = raw.headers().iter().filter(|h| h.field.equiv(name));
    same.next().map(|header| header.value.as_str())
}

/// tiny_http hands over the absolute form (`http://host/path`) as it came.
pub fn path_and_query(url: &str) -> (&str, Option<&str>) {
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

pub fn check_size(raw: &Raw) -> Result<()> {
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

/// tiny_http takes a length that it cannot read for none, and the body for the next request
/// (HTTP_NOTES 8).
pub fn framing(raw: &Raw) -> Result<()> {
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

pub fn segments(path: &str) -> Result<Vec<String>> {
    if !path.starts_with('/') || path.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::BadRequest("The path is malformed".into()));
    }
    split_path(path)
}

pub fn method(raw: &Raw) -> Method {
    match raw.method() {
        tiny_http::Method::Get | tiny_http::Method::Head => Method::Get,
        tiny_http::Method::Put => Method::Put,
        tiny_http::Method::Post => Method::Post,
        tiny_http::Method::Delete => Method::Delete,
        _ => Method::Other,
    }
}

/// All but `Host`, which every request has and nobody asks for.
pub fn headers(raw: &Raw) -> Vec<(String, String)> {
    let wanted = raw.headers().iter().filter(|h| !h.field.equiv("Host"));
    let text = |h: &tiny_http::Header| {
        let (name, value) = (h.field.as_str(), h.value.as_str());
        (name.as_str().to_string(), value.to_string())
    };
    wanted.map(text).collect()
}

/// The client's own, if it can be told in headers and logs without harm.
pub fn request_id(raw: &Raw) -> Arc<str> {
    let sane = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match header(raw, "X-Request-Id").filter(sane) {
        Some(id) => id.into(),
        None => {
            let id = new_id(fastrand::u64(..));
            str::from_utf8(&id).expect("digits are ASCII").into()
        }
    }
}

/// Sixteen hexadecimal digits, as `{:016x}` but in a sixth of the time.
pub fn new_id(number: u64) -> [u8; 16] {
    let digit = |place: usize| b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize];
    std::array::from_fn(digit)
}

pub fn form(raw: &Raw) -> Form {
    let old = *raw.http_version() < (1, 1);
    // tiny_http decides by the first header of that name, and in these words, whether it goes on
    // reading.
    let connection = header(raw, "Connection").unwrap_or("");
    let says = |what| mentions(connection, what);
    Form {
        head_only: *raw.method() == tiny_http::Method::Head,
        old,
        close: says("close") || says("upgrade") || (old && !says("keep-alive")),
    }
}

pub fn mentions(value: &str, what: &str) -> bool {
    value.to_ascii_lowercase().contains(what)
}

pub fn is_chunked(raw: &Raw) -> bool {
    header(raw, "Transfer-Encoding").is_some()
}

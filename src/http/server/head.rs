//! What the head of a request says, and what of it is refused. tiny_http has no limits and is
//! lenient about lengths (HTTP.md, 7, 8 and 10), so everything is checked here.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::http::server::target::{Target, any_byte, is_host, target};
use crate::http::{Method, split_path};
use crate::model::error::{Error, Result};
use crate::runtime::span::{Span, SpanContext, TraceId};

/// Bytes of a path with its query string. Beyond: 414.
const PATH_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all header names and values. Beyond: 431. tiny_http has read them into memory by then.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request. Beyond: 431.
const HEADERS_MAX: usize = 100;

/// Headers that announce a body, or change how the request is read.
const BODY_HEADERS: [&str; 3] = ["Content-Length", "Transfer-Encoding", "Expect"];

/// A longer path is cut in the name of a span.
const SPAN_NAME_CHARS_MAX: usize = 200;

/// Without a `traceparent` these are not traced.
const UNTRACED: [&str; 5] = [
    "/livez",
    "/readyz",
    "/version",
    "/metrics",
    "/rep/heartbeat",
];

/// A request as tiny_http hands it over.
pub(super) type Raw = tiny_http::Request;

/// What the response to a request depends on, beside what it says.
pub(super) struct ReplyContext {
    /// The client's end of the connection.
    pub(super) peer: SocketAddr,
    /// When the request was received.
    pub(super) started: Instant,
    /// The client's own id, if it can be repeated in headers and logs without harm; or a new one.
    pub(super) id: Arc<str>,
    /// For metrics and logs. Known once it is decided what is to be done with the request.
    pub(super) route: &'static str,
    /// `HEAD`: the length is given, the body left out.
    pub(super) head_only: bool,
    /// HTTP/1.0, which knows no chunks.
    pub(super) http_1_0: bool,
    /// No further request will be answered on this connection.
    pub(super) close: bool,
    /// If the request is traced.
    pub(super) span: Option<Box<Span>>,
}

impl ReplyContext {
    pub(super) fn of(raw: &Raw, started: Instant) -> ReplyContext {
        let http_1_0 = is_http_1_0(raw);
        let connection = header(raw, "Connection").unwrap_or("");
        let connection = connection.to_ascii_lowercase();
        let mentions = |word| connection.contains(word);
        ReplyContext {
            peer: peer(raw),
            started,
            id: request_id(raw),
            route: "other",
            head_only: *raw.method() == tiny_http::Method::Head,
            http_1_0,
            span: None,
            close: mentions("close") || mentions("upgrade") || http_1_0 && !mentions("keep-alive"),
        }
    }
}

/// The client's address and port.
pub(super) fn peer(raw: &Raw) -> SocketAddr {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    raw.remote_addr().copied().unwrap_or(unknown)
}

/// The values of every header of that name.
pub(super) fn values<'a>(raw: &'a Raw, name: &'static str) -> impl Iterator<Item = &'a str> {
    let same = raw.headers().iter().filter(move |h| h.field.equiv(name));
    same.map(|header| header.value.as_str())
}

/// The first header of that name.
pub(super) fn header<'a>(raw: &'a Raw, name: &'static str) -> Option<&'a str> {
    values(raw, name).next()
}

/// The host and port that the client asked: those of an absolute target win (RFC 9112, 3.2.2).
pub(super) fn host(raw: &Raw) -> Option<&str> {
    let target = target(raw.url()).ok();
    let authority = target.and_then(|target| target.authority);
    authority.or_else(|| header(raw, "Host"))
}

/// The raw path, or an empty one if it is malformed.
pub(super) fn path(raw: &Raw) -> &str {
    target(raw.url()).map_or("", |target| target.path)
}

/// The target of a `GET` or `HEAD` without a body, if nothing of its head has to be refused.
pub(super) fn target_without_body(raw: &Raw) -> Option<Target<'_>> {
    let body = |h: &tiny_http::Header| BODY_HEADERS.iter().any(|name| h.field.equiv(name));
    let plain = method(raw) == Method::Get
        && check_size(raw).is_ok()
        && check_headers(raw).is_ok()
        && !raw.headers().iter().any(body);
    target(raw.url()).ok().filter(|_| plain)
}

pub(super) fn check_size(raw: &Raw) -> Result<()> {
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

/// Fails with 400 at a name that is none, at a control character in a value (RFC 9110, 5.1 and
/// 5.5), and unless there is one host (RFC 9112, 3.2). HTTP/1.0 needs none.
pub(super) fn check_headers(raw: &Raw) -> Result<()> {
    let bad = |text: &str| Err(Error::BadRequest(text.into()));
    let mut hosts = 0;
    for header in raw.headers() {
        if !is_token(header.field.as_str().as_str()) {
            return bad("The name of a header is malformed");
        }
        let value = header.value.as_str();
        if any_byte(value, |b| b.is_ascii_control() && b != b'\t') {
            return bad("The value of a header has control characters");
        }
        if header.field.equiv("Host") {
            hosts += 1;
            if !is_host(value) {
                return bad("Host must be a host");
            }
        }
    }
    if 1 < hosts || hosts == 0 && !is_http_1_0(raw) {
        return bad("Host must be there once");
    }
    Ok(())
}

/// Fails with 400 at a method that is none, and with 501 at one that nothing here knows. `TRACE` and
/// `QUERY` are HTTP's own, and no path has them: 405, as every tool expects.
pub(super) fn check_method(raw: &Raw) -> Result<()> {
    use tiny_http::Method::{Connect, NonStandard};
    match raw.method() {
        NonStandard(name) if !is_token(name.as_str()) => {
            Err(Error::BadRequest("The method is malformed".into()))
        }
        NonStandard(name) if name.as_str() == "QUERY" => Ok(()),
        NonStandard(_) | Connect => Err(Error::NotImplemented),
        _ => Ok(()),
    }
}

/// Whether this may be the name of a header or of a method (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fine)
}

fn is_http_1_0(raw: &Raw) -> bool {
    *raw.http_version() < (1, 1)
}

/// Fails with 400 when it is not certain where the body ends: tiny_http takes a length that it
/// cannot read for none, and the body for the next request (HTTP.md, 8).
pub(super) fn check_framing(raw: &Raw) -> Result<()> {
    let lengths = values(raw, "Content-Length").count();
    let digits = values(raw, "Content-Length").all(is_length);
    let encodings = values(raw, "Transfer-Encoding").count();
    let chunked =
        values(raw, "Transfer-Encoding").all(|value| value.eq_ignore_ascii_case("chunked"));
    let bad = |text: &str| Err(Error::BadRequest(text.into()));
    match (lengths, encodings) {
        (0, 0) => Ok(()),
        (1, 0) if digits => Ok(()),
        // HTTP/1.0 knows no chunks: whoever sends them reads its own requests otherwise (RFC 9112,
        // 6.1).
        (0, 1) if chunked && !is_http_1_0(raw) => Ok(()),
        (_, 0) => bad("Content-Length must be there once, and be digits"),
        (0, _) => bad("Transfer-Encoding may only be chunked, and not in HTTP/1.0"),
        _ => bad("Content-Length and Transfer-Encoding exclude each other"),
    }
}

fn is_length(text: &str) -> bool {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<usize>().is_ok()
}

/// The decoded segments of a path, and the raw query string. Fails with 400.
pub(super) fn segments(raw: &Raw) -> Result<(Vec<String>, Option<String>)> {
    let target = target(raw.url())?;
    if target.path == "*" && !is_options(raw) {
        return Err(Error::BadRequest("The path is malformed".into()));
    }
    let segments = split_path(target.path)?;
    Ok((segments, target.query.map(str::to_string)))
}

pub(super) fn is_options(raw: &Raw) -> bool {
    *raw.method() == tiny_http::Method::Options
}

pub(super) fn method(raw: &Raw) -> Method {
    match raw.method() {
        tiny_http::Method::Get | tiny_http::Method::Head => Method::Get,
        tiny_http::Method::Put => Method::Put,
        tiny_http::Method::Post => Method::Post,
        tiny_http::Method::Delete => Method::Delete,
        tiny_http::Method::Patch => Method::Patch,
        _ => Method::Other,
    }
}

/// Names and values of all headers but `Host`, which every request has and no route needs.
pub(super) fn headers(raw: &Raw) -> Vec<(String, String)> {
    let wanted = raw.headers().iter().filter(|h| !h.field.equiv("Host"));
    let text = |h: &tiny_http::Header| {
        let (name, value) = (h.field.as_str(), h.value.as_str());
        (name.as_str().to_string(), value.to_string())
    };
    wanted.map(text).collect()
}

/// Whether a body was announced.
pub(super) fn has_body(raw: &Raw) -> bool {
    is_chunked(raw) || raw.body_length().is_some_and(|length| 0 < length)
}

pub(super) fn is_chunked(raw: &Raw) -> bool {
    header(raw, "Transfer-Encoding").is_some()
}

/// Whether the first `Connection` header contains that word. tiny_http decides by it, and in the
/// same lenient way, whether it goes on reading.
pub(super) fn connection_mentions(raw: &Raw, word: &str) -> bool {
    header(raw, "Connection").is_some_and(|value| value.to_ascii_lowercase().contains(word))
}

/// Whether a request may be traced: those for which an answer need not be ready. A `traceparent`
/// that is not sampled makes no difference: some proxies add one to every request.
pub(super) fn may_be_traced(raw: &Raw, traces_all: bool) -> bool {
    let sampled = || header(raw, "traceparent").and_then(SpanContext::parse);
    traces_all || sampled().is_some()
}

/// The span of a request, if its `traceparent` is sampled, or `traces_all`. Of all, those are left
/// out that servers and monitors send again and again.
pub(super) fn span(raw: &Raw, started: Instant, traces_all: bool) -> Option<Box<Span>> {
    let parent = header(raw, "traceparent").and_then(SpanContext::parse);
    if parent.is_none() && !traces_all {
        return None;
    }
    let path = path(raw);
    let is_routine = path.starts_with("/traces") || UNTRACED.contains(&path);
    if parent.is_none() && is_routine {
        return None;
    }
    let name: String = format!("{} {path}", raw.method())
        .chars()
        .take(SPAN_NAME_CHARS_MAX)
        .collect();
    let span = match parent {
        Some(parent) => Span::server(name, parent, started),
        None => {
            let id = header(raw, "X-Request-Id").and_then(TraceId::parse);
            Span::first(name, id.unwrap_or_else(TraceId::random), started)
        }
    };
    Some(Box::new(span))
}

fn request_id(raw: &Raw) -> Arc<str> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let sane = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(fine);
    match header(raw, "X-Request-Id").filter(sane) {
        Some(id) => id.into(),
        None => {
            let id = hex_digits(fastrand::u64(..));
            str::from_utf8(&id).expect("digits are ASCII").into()
        }
    }
}

/// As `{:016x}`, but in a sixth of the time.
fn hex_digits(number: u64) -> [u8; 16] {
    let digit = |place: usize| b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize];
    std::array::from_fn(digit)
}

//! Spans as an `ExportTraceServiceRequest` in JSON. That is the mapping of protobuf 3, but that ids
//! are hex digits and enums are numbers
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>). Numbers of 64 bits are
//! decimal digits in quotes.

use serde::Serialize;
use serde_json::{Value, json};

use crate::runtime::span::{Kind, Span, SpanContext};

/// `SPAN_KIND_SERVER`, `SPAN_KIND_CLIENT`.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// Paths of one segment behind this one have no parameter.
const WITHOUT_PARAMETER: [&str; 2] = ["batch", "rep"];

/// A `KeyValue`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Attribute {
    key: String,
    value: AnyValue,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum AnyValue {
    StringValue(String),
    /// In decimal digits.
    IntValue(String),
}

impl Attribute {
    pub(super) fn text(key: &str, value: &str) -> Attribute {
        Attribute {
            key: key.into(),
            value: AnyValue::StringValue(value.into()),
        }
    }

    fn number(key: &str, value: &str) -> Attribute {
        Attribute {
            key: key.into(),
            value: AnyValue::IntValue(value.into()),
        }
    }
}

/// The body of a request with these spans of a process.
pub(super) fn request(resource: &[Attribute], spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(encoded).collect();
    let scope = json!({"name": "bazar", "version": env!("CARGO_PKG_VERSION")});
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
}

fn encoded(span: &Span) -> Value {
    let (kind, error_from) = match span.kind {
        Kind::Server => (SERVER, 500),
        Kind::Client => (CLIENT, 400),
    };
    let (method, target) = span.name.split_once(' ').unwrap_or((&span.name, ""));
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let mut object = ids(&span.context);
    object["name"] = format!("{method} {}", route(path)).into();
    object["kind"] = kind.into();
    object["startTimeUnixNano"] = span.start.to_string().into();
    object["endTimeUnixNano"] = span.end.to_string().into();
    object["attributes"] = json!(attributes(span, method, path));
    if let Some(parent) = span.parent {
        object["parentSpanId"] = json!(parent);
    }
    if !span.links.is_empty() {
        object["links"] = span.links.iter().map(ids).collect();
    }
    let value = |name: &str| {
        let mut all = span.attributes.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    };
    let status: Option<u16> = value("status").and_then(|status| status.parse().ok());
    if value("failure").is_some() || status.is_some_and(|status| error_from <= status) {
        object["status"] = json!({"code": ERROR});
    }
    object
}

fn ids(context: &SpanContext) -> Value {
    json!({"traceId": context.trace, "spanId": context.span})
}

/// A path without its parameter: `/query/item/*`. Collectors count by names.
fn route(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let has_parameter = match segments.as_slice() {
        [first, _] => !WITHOUT_PARAMETER.contains(first),
        segments => 2 < segments.len(),
    };
    match path.rsplit_once('/') {
        Some((start, last)) if has_parameter && !last.is_empty() => format!("{start}/*"),
        _ => path.into(),
    }
}

/// By the names that OpenTelemetry has for them, the others with `bazar.` before their own.
fn attributes(span: &Span, method: &str, path: &str) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::text("http.request.method", method),
        Attribute::text("url.path", path),
    ];
    for (name, value) in &span.attributes {
        match *name {
            "status" => attributes.push(Attribute::number("http.response.status_code", value)),
            "failure" => attributes.push(Attribute::text("error.type", value)),
            "peer" => attributes.extend(peer(value)),
            // Messages are for people, and may have what no collector is to know.
            "request" | "response" => (),
            name => attributes.push(Attribute::text(&format!("bazar.{name}"), value)),
        }
    }
    attributes
}

/// The address of a server, `http://host:port`.
fn peer(address: &str) -> Vec<Attribute> {
    let authority = address.strip_prefix("http://").unwrap_or(address);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    vec![
        Attribute::text("server.address", host),
        Attribute::number("server.port", port),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(route(path), expected, "{path}");
    }

    #[test]
    fn names_have_no_parameters() {
        check("/lookup/2", "/lookup/*");
        check("/query/item/2", "/query/item/*");
        check("/rep/update/2", "/rep/update/*");
        check("/search/", "/search/");
        check("/invalidate/topic/", "/invalidate/topic/");
        check("/batch/buy", "/batch/buy");
        check("/rep/update", "/rep/update");
        check("/dump/", "/dump/");
        check("/add", "/add");
        check("/", "/");
        check("*", "*");
    }

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        for (address, host, port) in [
            ("http://127.0.0.1:5000", "127.0.0.1", "5000"),
            ("http://[::1]:5000", "::1", "5000"),
        ] {
            let expected = [
                Attribute::text("server.address", host),
                Attribute::number("server.port", port),
            ];
            assert_eq!(peer(address), expected);
        }
    }
}

//! Spans sent to a collector of OpenTelemetry. The collector is this test's own, and strict: it
//! takes what `opentelemetry/proto/trace/v1/trace.proto` has, in the JSON that the specification
//! of OTLP wants, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::harness::http;
use crate::harness::process::{DEADLINE, eventually};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, own_host};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: (&str, &str) = (
    "traceparent",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
);

/// What a collector answers to a request, by how many it got before: status, more headers, body.
/// `None`: nothing.
type Answer = fn(u64) -> Option<(u16, &'static str, &'static str)>;

/// A collector. It lives as long as the test's process.
struct Collector {
    address: String,
    /// The bodies that it answered with 200.
    taken: Arc<Mutex<Vec<Value>>>,
    count: Arc<AtomicU64>,
}

impl Collector {
    fn start(answer: Answer) -> Collector {
        let listener = TcpListener::bind((own_host(), 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (taken, count) = (Arc::default(), Arc::default());
        let collector = Collector {
            address,
            taken: Arc::clone(&taken),
            count: Arc::clone(&count),
        };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (taken, count) = (taken.clone(), count.clone());
                thread::spawn(move || serve(&stream, answer, &taken, &count));
            }
        });
        collector
    }

    fn shop(&self) -> Shop {
        let endpoint = format!("http://{}/", self.address);
        Shop::started(ShopOptions {
            orders: 1,
            environment: vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)],
            ..ShopOptions::default()
        })
    }

    /// Fails unless all that it has taken is as the specification wants it.
    #[track_caller]
    fn check_requests(&self) {
        self.taken.lock().unwrap().iter().for_each(check_request);
    }

    /// The spans that it has taken, each with its `service.instance.id`.
    fn spans(&self) -> Vec<(String, Value)> {
        let taken = self.taken.lock().unwrap().clone();
        let mut spans = Vec::new();
        for resource in taken.iter().flat_map(|body| list(&body["resourceSpans"])) {
            let instance = attributes(&resource["resource"])["service.instance.id"].clone();
            for scope in list(&resource["scopeSpans"]) {
                let own = list(&scope["spans"]).iter();
                spans.extend(own.map(|span| (instance.clone(), span.clone())));
            }
        }
        spans
    }
}

fn serve(stream: &TcpStream, answer: Answer, taken: &Mutex<Vec<Value>>, count: &AtomicU64) {
    let mut reader = BufReader::new(stream);
    while let Ok(request) = http::read_message(&mut reader) {
        assert_eq!(request.first_line, "POST /v1/traces HTTP/1.1");
        let head = String::from_utf8_lossy(&request.bytes).to_ascii_lowercase();
        assert!(
            head.contains("\r\ncontent-type: application/json\r\n"),
            "{head}"
        );
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let Some((status, headers, text)) = answer(count.fetch_add(1, Ordering::Relaxed)) else {
            continue;
        };
        if status == 200 {
            taken.lock().unwrap().push(body);
        }
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}");
        let length = text.len();
        let _ = write!(
            &mut &*stream,
            "{head}Content-Length: {length}\r\n\r\n{text}"
        );
    }
}

#[track_caller]
fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value}"))
}

/// The fields of a message, which has these and perhaps those, and no others.
#[track_caller]
fn check_fields(value: &Value, needed: &[&str], possible: &[&str]) {
    let fields: BTreeSet<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let needed: BTreeSet<&str> = needed.iter().copied().collect();
    let known: BTreeSet<&str> = possible.iter().copied().chain(needed.clone()).collect();
    assert!(
        needed.is_subset(&fields) && fields.is_subset(&known),
        "{value}"
    );
}

/// So many lower-case hex digits that are not all 0.
#[track_caller]
fn check_id(value: &Value, digits: usize) {
    let id = value.as_str().unwrap_or_else(|| panic!("{value}"));
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_id = id.len() == digits && id.bytes().all(is_digit) && id.bytes().any(|it| it != b'0');
    assert!(is_id, "{id}");
}

/// A number of 64 bits is text.
#[track_caller]
fn number(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value}"));
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// The attributes of a span or a resource by their keys, of which none comes twice.
#[track_caller]
fn attributes(of: &Value) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for attribute in list(&of["attributes"]) {
        check_fields(attribute, &["key", "value"], &[]);
        let value = attribute["value"].as_object().unwrap();
        assert_eq!(value.len(), 1, "{attribute}");
        let text = match value.iter().next().unwrap() {
            (kind, text) if kind == "stringValue" => text.as_str().unwrap().to_string(),
            (kind, digits) if kind == "intValue" => number(digits).to_string(),
            (kind, _) => panic!("{kind}"),
        };
        let key = attribute["key"].as_str().unwrap().to_string();
        assert!(!key.is_empty());
        assert_eq!(attributes.insert(key, text), None, "{attribute}");
    }
    attributes
}

#[track_caller]
fn check_span(span: &Value) {
    let needed = [
        "traceId",
        "spanId",
        "name",
        "kind",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "attributes",
    ];
    check_fields(span, &needed, &["parentSpanId", "links", "status"]);
    check_id(&span["traceId"], 32);
    check_id(&span["spanId"], 16);
    if let Some(parent) = span.get("parentSpanId") {
        check_id(parent, 16);
    }
    // SPAN_KIND_SERVER, SPAN_KIND_CLIENT.
    assert!(span["kind"] == 2 || span["kind"] == 3, "{span}");
    assert!(!span["name"].as_str().unwrap().is_empty(), "{span}");
    let times = [&span["startTimeUnixNano"], &span["endTimeUnixNano"]].map(number);
    assert!(
        1_700_000_000_000_000_000 < times[0] && times[0] <= times[1],
        "{span}"
    );
    attributes(span);
    for link in span.get("links").map_or(&Vec::new(), list) {
        check_fields(link, &["traceId", "spanId"], &[]);
        check_id(&link["traceId"], 32);
        check_id(&link["spanId"], 16);
    }
    if let Some(status) = span.get("status") {
        check_fields(status, &["code"], &[]);
        assert_eq!(status["code"], 2, "{span}");
    }
}

#[track_caller]
fn check_request(body: &Value) {
    check_fields(body, &["resourceSpans"], &[]);
    for resource in list(&body["resourceSpans"]) {
        check_fields(resource, &["resource", "scopeSpans"], &[]);
        check_fields(&resource["resource"], &["attributes"], &[]);
        let about = attributes(&resource["resource"]);
        assert_eq!(about["service.name"], "bazar");
        assert_eq!(about["service.version"], env!("CARGO_PKG_VERSION"));
        for scope in list(&resource["scopeSpans"]) {
            check_fields(scope, &["scope", "spans"], &[]);
            check_fields(&scope["scope"], &["name", "version"], &[]);
            assert!(!list(&scope["spans"]).is_empty(), "{scope}");
            list(&scope["spans"]).iter().for_each(check_span);
        }
    }
}

fn takes_all(_: u64) -> Option<(u16, &'static str, &'static str)> {
    Some((200, "", "{}"))
}

/// The span of this name and kind at a server.
#[track_caller]
fn span<'a>(spans: &'a [(String, Value)], server: &Server, kind: u64, name: &str) -> &'a Value {
    let kind_of_server = server.name.trim_end_matches(|c: char| c.is_ascii_digit());
    let instance = format!("{kind_of_server} {}", server.address);
    let is_it = |(at, span): &&(String, Value)| {
        *at == instance && span["kind"] == kind && span["name"] == name
    };
    let found = spans.iter().find(is_it);
    &found
        .unwrap_or_else(|| panic!("{instance} has no {kind} {name}: {spans:#?}"))
        .1
}

#[test]
fn the_spans_of_a_buy_reach_the_collector_from_every_server_as_the_specification_wants_them() {
    let collector = Collector::start(takes_all);
    let shop = collector.shop();
    let (front_end, order, catalog) = (shop.front_end(), shop.order(1), shop.catalog(1));
    assert!(
        front_end
            .call("PUT", "/buy/2", &[SAMPLED], "")
            .is_purchase()
    );
    let has_all = || {
        let spans = collector.spans();
        let names: Vec<&str> = spans
            .iter()
            .filter_map(|(_, span)| span["name"].as_str())
            .collect();
        let count = |name: &str| names.iter().filter(|known| **known == name).count();
        count("PUT /buy/*") == 3 && count("PUT /rep/confirm/*") == 2
    };
    eventually("the last spans, of the confirm, are there", has_all);
    collector.check_requests();
    let spans = collector.spans();
    assert!(spans.iter().all(|(_, span)| span["traceId"] == TRACE));
    let entry = span(&spans, front_end, 2, "PUT /buy/*");
    assert_eq!(entry["parentSpanId"], "00f067aa0ba902b7");
    let about = attributes(entry);
    assert_eq!(about["http.request.method"], "PUT");
    assert_eq!(about["url.path"], "/buy/2");
    assert_eq!(about["http.response.status_code"], "200");
    assert_eq!(about["bazar.book"], "2");
    // Each request is a span of its sender and, below it, one of its receiver.
    for (from, to, name) in [
        (front_end, order, "PUT /buy/*"),
        (order, catalog, "PUT /update/*"),
        (catalog, shop.catalog(2), "PUT /rep/update/*"),
        (catalog, front_end, "DELETE /invalidate/item/*"),
    ] {
        let (sent, received) = (span(&spans, from, 3, name), span(&spans, to, 2, name));
        assert_eq!(received["parentSpanId"], sent["spanId"], "{name}");
        let (host, port) = to.address.split_once(':').unwrap();
        let about = attributes(sent);
        assert_eq!(
            (&*about["server.address"], &*about["server.port"]),
            (host, port)
        );
    }
    assert_eq!(shop.front_end().metric("bazar_spans_dropped_total"), 0.0);
}

#[test]
fn a_failed_request_is_an_error_at_the_collector() {
    let collector = Collector::start(takes_all);
    let shop = collector.shop();
    shop.catalog(1).kill();
    shop.catalog(2).kill();
    let answer = shop.order(1).call("PUT", "/buy/2", &[SAMPLED], "");
    assert_eq!(answer.status, 504);
    eventually("its spans are there", || collector.spans().len() == 2);
    collector.check_requests();
    let spans = collector.spans();
    for (kind, name) in [(2, "PUT /buy/*"), (3, "GET /query/item/*")] {
        assert_eq!(span(&spans, shop.order(1), kind, name)["status"]["code"], 2);
    }
    let sent = attributes(span(&spans, shop.order(1), 3, "GET /query/item/*"));
    assert_eq!(sent["error.type"], "refused");
}

#[test]
fn a_busy_collector_gets_the_spans_again_and_one_that_refuses_them_does_not() {
    let busy_twice = |before| match before {
        0 | 1 => Some((503, "Retry-After: 0\r\n", "{}")),
        _ => Some((200, "", "{}")),
    };
    let collector = Collector::start(busy_twice);
    let shop = collector.shop();
    shop.front_end().call("GET", "/dump/", &[SAMPLED], "");
    let metric = |series: &str| shop.front_end().metric(series);
    eventually("it has them", || {
        metric("bazar_spans_exported_total") == 1.0
    });
    assert_eq!(collector.spans().len(), 1);
    assert_eq!(collector.count.load(Ordering::Relaxed), 3);

    for (refusing, requests) in [
        (Collector::start(|_| Some((400, "", "{}"))), 1),
        (
            Collector::start(|_| {
                Some((
                    200,
                    "",
                    r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}"#,
                ))
            }),
            1,
        ),
    ] {
        let shop = refusing.shop();
        shop.front_end().call("GET", "/dump/", &[SAMPLED], "");
        eventually("it is counted", || {
            shop.front_end().metric("bazar_spans_dropped_total") == 1.0
        });
        assert_eq!(shop.front_end().metric("bazar_spans_exported_total"), 0.0);
        assert_eq!(refusing.count.load(Ordering::Relaxed), requests);
    }
}

#[test]
fn the_last_spans_are_sent_before_a_server_ends() {
    let collector = Collector::start(takes_all);
    let shop = collector.shop();
    assert!(
        shop.front_end()
            .call("PUT", "/buy/2", &[SAMPLED], "")
            .is_purchase()
    );
    shop.front_end().terminate();
    let spans = collector.spans();
    span(&spans, shop.front_end(), 2, "PUT /buy/*");
}

#[test]
fn a_collector_that_hangs_keeps_no_customer_waiting_and_no_server_from_its_end() {
    let collector = Collector::start(|_| None);
    let shop = collector.shop();
    for _ in 0..5 {
        assert!(
            shop.front_end()
                .call("PUT", "/buy/4", &[SAMPLED], "")
                .is_purchase()
        );
    }
    eventually("it was asked", || {
        collector.count.load(Ordering::Relaxed) != 0
    });
    assert!(
        shop.front_end()
            .call("PUT", "/buy/4", &[SAMPLED], "")
            .is_purchase()
    );
    let began = Instant::now();
    shop.front_end().terminate();
    assert!(began.elapsed() < DEADLINE / 2, "{:?}", began.elapsed());
}

//! Sends the spans of this process to a collector of OpenTelemetry, as OTLP over HTTP in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! The queue is the ring of [`crate::runtime::span`]: whoever ends a span does no more than without
//! a collector. A thread of its own takes from there what is new, some at a time. While a collector
//! is slow or down, the ring drops the oldest spans, and they are counted.
//!
//! TLS is left out: a collector on this machine has it.

mod encoding;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::Deserialize;

use crate::config::Limits;
use crate::config::otlp::OtlpSettings;
use crate::http::Method;
use crate::http::client::{Answer, Client};
use crate::http::otlp::encoding::Attribute;
use crate::model::address::Address;
use crate::model::error::Error;
use crate::runtime::metrics::{Counter, Exposition};
use crate::runtime::span::{self, Span};
use crate::runtime::{log, sync};

/// How often new spans are looked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// Spans in one request. Some 200 KiB at most.
const BATCH_MAX: usize = 256;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    whole: Duration::from_secs(5),
};

/// How often a request is sent, at most. Then its spans are dropped.
const ATTEMPTS_MAX: u32 = 5;

/// The pause before the second attempt, at most. It doubles with each attempt.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// How long a collector may want this server to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// How long this server waits at its end until the last spans are sent.
const ENDING_MAX: Duration = Duration::from_secs(1);

/// The answers after which the specification wants the request to be sent again.
const RETRIED: [u16; 4] = [429, 502, 503, 504];

static EXPORTED: Counter = Counter::new();
static DROPPED: Counter = Counter::new();

/// The thread that sends. It ends when this is dropped.
pub(crate) struct Exporter {
    /// Dropped to end the thread.
    runs: Sender<()>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

/// What the thread has.
struct Sending {
    url: String,
    client: Client,
    resource: Vec<Attribute>,
    /// How many of all spans of this process were taken from the ring.
    taken: u64,
    runs: Receiver<()>,
}

/// The answer of a collector that refuses some of the spans.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExportResponse {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: Number,
    error_message: String,
}

/// The mapping of protobuf writes numbers of 64 bits as text, and reads both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Default for Number {
    fn default() -> Number {
        Number::Number(0)
    }
}

impl Number {
    fn value(&self) -> u64 {
        match self {
            Number::Number(value) => *value,
            Number::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

impl Exporter {
    /// Starts the thread of a server of this kind and address. `None`: there is no collector. Fails
    /// when no thread can be started.
    pub(crate) fn start(
        settings: &OtlpSettings,
        server: &str,
        address: &Address,
    ) -> Result<Option<Exporter>, String> {
        let Some(url) = settings.url.clone() else {
            return Ok(None);
        };
        let (runs, while_it_runs) = channel();
        let (end, ended) = channel::<()>();
        let mut sending = Sending {
            url,
            client: Client::outside(LIMITS),
            resource: vec![
                Attribute::text("service.name", &settings.service_name),
                Attribute::text("service.version", env!("CARGO_PKG_VERSION")),
                Attribute::text(
                    "service.instance.id",
                    &format!("{server} {}", address.authority()),
                ),
            ],
            taken: 0,
            runs: while_it_runs,
        };
        sync::spawn("otlp", move || {
            sending.run();
            drop(end);
        })?;
        Ok(Some(Exporter { runs, ended }))
    }

    /// Sends what is left, if that is possible within a second.
    pub(crate) fn finish(self) {
        drop(self.runs);
        // It never gets anything but its end.
        let _ = self.ended.recv_timeout(ENDING_MAX);
    }
}

/// The counters, for `/metrics`.
pub(crate) fn write_metrics(page: &mut Exposition) {
    let help = "Spans that an OpenTelemetry collector has taken.";
    page.counter("bazar_spans_exported_total", help, &[], EXPORTED.get());
    let help = "Spans that were to be sent to an OpenTelemetry collector and were not.";
    page.counter("bazar_spans_dropped_total", help, &[], DROPPED.get());
}

impl Sending {
    fn run(&mut self) {
        while !self.must_end(INTERVAL) {
            self.send_new();
        }
        self.client = self.client.within(Some(ENDING_MAX));
        self.send_new();
    }

    /// Waits, and returns whether this server ends.
    fn must_end(&self, pause: Duration) -> bool {
        self.runs.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
    }

    fn send_new(&mut self) {
        loop {
            let new = span::after(self.taken, BATCH_MAX);
            DROPPED.add(new.lost);
            self.taken = new.next;
            if new.spans.is_empty() {
                return;
            }
            let rejected = self.send(&new.spans).min(new.spans.len() as u64);
            DROPPED.add(rejected);
            EXPORTED.add(new.spans.len() as u64 - rejected);
        }
    }

    /// Returns how many of them were not taken.
    fn send(&self, spans: &[Span]) -> u64 {
        let body = encoding::request(&self.resource, spans).to_string();
        let mut reason = String::new();
        let mut pause = PAUSE_MIN;
        for attempt in 1..=ATTEMPTS_MAX {
            let answer = self
                .client
                .call(Method::Post, &self.url, &[], Some(body.as_bytes()));
            let retry_after = match answer {
                Ok(answer) if answer.status < 300 => return rejected(&answer),
                Ok(answer) => {
                    reason = format!("{} answers {}", self.url, answer.status);
                    if !RETRIED.contains(&answer.status) {
                        break;
                    }
                    let seconds = answer.header("Retry-After").and_then(|it| it.parse().ok());
                    seconds.map(Duration::from_secs)
                }
                Err(failure) => {
                    reason = Error::from(failure).message().to_string();
                    None
                }
            };
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            let wait = retry_after.map_or(jittered, |it| it.min(RETRY_AFTER_MAX));
            if attempt == ATTEMPTS_MAX || self.must_end(wait) {
                break;
            }
            pause *= 2;
        }
        warn(&reason);
        spans.len() as u64
    }
}

/// How many spans a collector has refused that took the request.
fn rejected(answer: &Answer) -> u64 {
    let response: ExportResponse = answer.json().unwrap_or_default();
    let PartialSuccess {
        rejected_spans,
        error_message,
    } = response.partial_success;
    let rejected = rejected_spans.value();
    if 0 < rejected {
        warn(&error_message);
    }
    rejected
}

fn warn(reason: &str) {
    static OFTEN: log::RateLimited = log::RateLimited::new();
    OFTEN.warn("spans are not exported", &[("reason", &reason)]);
}

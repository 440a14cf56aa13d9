//! The catalog over HTTP: one book in a request of its own, or several in a batch.
//!
//! An order server may have a list of catalogs. It asks the first that is up, which is its own
//! while that one is well. A read that is not answered as soon as usual goes to the next one. An
//! update that is not answered in time has an unknown outcome, as always; the book is read from the
//! next catalog then, which shows what became of the orders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::OrderSettings;
use crate::http::client::{Answer, Client, Failure};
use crate::http::server::BODY_BYTES_MAX;
use crate::http::{Response, encode, trace_headers};
use crate::membership::health_check::HealthCheck;
use crate::model::address::Address;
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};
use crate::model::trace::Trace;
use crate::order::catalog_client::{
    AnswerBody, Catalog, Condition, KnownOrders, ReadOutcome, ReadRequest, WriteOutcome,
    WriteRequest, read_ids, read_pairs, unreachable,
};
use crate::runtime::hedging::Hedging;
use crate::runtime::log;

/// How long an update may take before another catalog that is up is asked what became of it. It
/// may be waiting for the lease of a third one, so this is longer than a read has.
const UPDATE_PATIENCE: Duration = Duration::from_millis(200);

pub(super) struct HttpCatalog {
    /// In the order of the settings.
    pub(super) catalogs: Vec<Arc<HealthCheck>>,
    client: Client,
    pub(super) hedging: Hedging,
}

/// How long a read may take before it matters whether the catalog answers at all: longer than a
/// health check needs to find that it hangs. One that is not ready, as with a full disk, may take
/// longer, and says why.
const READ_PATIENCE: Duration = Duration::from_millis(250);

/// What came of one request.
type Sent = Result<Answer, Failure>;

/// The answer, and who gave it.
type AskedAll<'a> = Result<(&'a Address, Answer), Failure>;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Read,
    Update,
}

/// An entry of the answer to `PUT /batch/query` or `PUT /batch/update`.
#[derive(Deserialize)]
struct BatchEntry {
    status: u16,
    etag: Option<String>,
    #[serde(default, deserialize_with = "read_ids")]
    applied: Vec<OrderId>,
    #[serde(default, deserialize_with = "read_pairs")]
    sold_as: Vec<(OrderId, OrderId)>,
    #[serde(default, deserialize_with = "read_ids")]
    differing: Vec<OrderId>,
    #[serde(default, deserialize_with = "read_ids")]
    closed: Vec<OrderId>,
    #[serde(default)]
    forgotten: u64,
    #[serde(default)]
    replayed: bool,
    body: AnswerBody,
}

impl HttpCatalog {
    pub(super) fn new(
        catalogs: Vec<Arc<HealthCheck>>,
        settings: &OrderSettings,
        token: Option<&str>,
    ) -> HttpCatalog {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(50));
        HttpCatalog {
            catalogs,
            client: Client::new(settings.limits, token),
            hedging: Hedging::new(min, max, settings.hedge_after),
        }
    }

    /// Asks the first catalog that is up, and the next one after a failure: of an update only if
    /// nothing happened. Fails with what the last one did; it is definite if all failures were.
    fn ask(&self, kind: Kind, send: impl Fn(&Client, &Address) -> Sent) -> AskedAll<'_> {
        let (up, others): (Vec<_>, Vec<_>) = self.catalogs.iter().partition(|it| it.up());
        let (up_count, count) = (up.len(), self.catalogs.len());
        let mut failed = None;
        for (n, catalog) in up.into_iter().chain(others).enumerate() {
            let has_another = n + 1 < up_count;
            let is_last = n + 1 == count;
            let asked = Instant::now();
            match self.ask_one(kind, catalog, (has_another, is_last), &send) {
                Ok(answer) => {
                    self.answered(kind, asked, 0 < n);
                    return Ok((&catalog.address, answer));
                }
                Err(failure) => {
                    self.not_answered(kind, catalog, &failure, has_another);
                    if kind == Kind::Update && !failure.definite() {
                        return Err(failure);
                    }
                    if failed.as_ref().is_none_or(Failure::definite) {
                        failed = Some(failure);
                    }
                }
            }
        }
        Err(failed.expect("the settings name a catalog"))
    }

    /// A read has little time first, and all the time only at a catalog that is up still; or at the
    /// last one, if that answers health checks.
    fn ask_one(
        &self,
        kind: Kind,
        catalog: &HealthCheck,
        (has_another, is_last): (bool, bool),
        send: impl Fn(&Client, &Address) -> Sent,
    ) -> Sent {
        let patience = match kind {
            Kind::Read if has_another => self.hedging.patience(),
            Kind::Read => Some(READ_PATIENCE),
            Kind::Update => has_another.then_some(UPDATE_PATIENCE),
        };
        match send(&self.client.within(patience), &catalog.address) {
            Err(Failure::TimedOut(_))
                if kind == Kind::Read
                    && !has_another
                    && (catalog.up() || is_last && catalog.answers()) =>
            {
                send(&self.client, &catalog.address)
            }
            sent => sent,
        }
    }

    /// What a read without an answer means. It is not repeated when no catalog answers.
    fn read_unanswered(&self, failure: &Failure) -> ReadOutcome {
        let none_answers = !self.catalogs.iter().any(|it| it.up() || it.answers());
        ReadOutcome::unanswered(failure.definite() || none_answers)
    }

    fn answered(&self, kind: Kind, asked: Instant, is_second: bool) {
        if kind == Kind::Read {
            self.hedging.answered(asked.elapsed());
            if is_second {
                self.hedging.won.inc();
            }
        }
    }

    fn not_answered(
        &self,
        kind: Kind,
        catalog: &HealthCheck,
        failure: &Failure,
        has_another: bool,
    ) {
        match failure {
            _ if self.catalogs.len() < 2 => {}
            Failure::TimedOut(_) if has_another => {
                catalog.report_slow();
                if kind == Kind::Read {
                    self.hedging.hedge();
                }
            }
            _ => catalog.report(false),
        }
    }

    /// What the catalog says of an order.
    pub(super) fn order(&self, order: &str, trace: &Trace) -> Result<Response, Error> {
        let path = format!("/orders/{}", encode(order));
        let asked = self.ask(Kind::Read, |client, address| {
            client.get(&format!("{address}{path}"), &trace_headers(trace))
        });
        match asked {
            Ok((_, answer)) if matches!(answer.status, 200 | 404 | 503 | 504) => {
                Ok(Response::bytes(answer.status, answer.body))
            }
            _ => Err(unreachable()),
        }
    }

    fn write_in_batch(&self, writes: &[WriteRequest]) -> Vec<Option<WriteOutcome>> {
        match self.put(Kind::Update, "update", &writes[0].trace, writes) {
            Ok((_, answer)) => write_outcomes(&answer, writes.len()),
            Err(failure) => vec![Some(WriteOutcome::unanswered(failure.definite())); writes.len()],
        }
    }

    fn put(
        &self,
        kind: Kind,
        what: &str,
        trace: &Trace,
        entries: &[impl Serialize],
    ) -> AskedAll<'_> {
        let json = serde_json::to_vec(entries).expect("our own values are JSON");
        self.ask(kind, |client, address| {
            let url = format!("{address}/batch/{what}");
            client.put(&url, &trace_headers(trace), &json)
        })
    }
}

fn log_nonsense(peer: &Address, call: &str) {
    let fields: [log::Field; 2] = [("peer", peer), ("call", &call)];
    static OFTEN: log::RateLimited = log::RateLimited::new();
    OFTEN.warn("the catalog's answer makes no sense", &fields);
}

impl Catalog for HttpCatalog {
    fn read(&self, read: &ReadRequest) -> ReadOutcome {
        let path = format!("/query/item/{}", read.id);
        let orders = texts(&read.orders);
        let mut headers = trace_headers(&read.trace);
        headers.extend(orders.iter().map(|order| ("Bazar-Order", order.as_str())));
        let asked = self.ask(Kind::Read, |client, address| {
            client.get(&format!("{address}{path}"), &headers)
        });
        let (address, answer) = match asked {
            Ok(answered) => answered,
            Err(failure) => return self.read_unanswered(&failure),
        };
        let etag = answer.header("ETag").map(str::to_string);
        let orders = KnownOrders::of(|name| answer.header(name));
        let outcome = ReadOutcome::of(answer.status, etag, orders, &body(&answer));
        if let ReadOutcome::Refused(Error::Internal) = outcome {
            log_nonsense(address, &format!("GET {path}"));
        }
        outcome
    }

    fn write(&self, write: &WriteRequest) -> WriteOutcome {
        // It would not wait for other writers of the book: then it is read.
        let as_batch = || {
            let mut outcomes = self.write_in_batch(std::slice::from_ref(write));
            outcomes.remove(0).unwrap_or(WriteOutcome::Conflict)
        };
        let Condition::Version { version, left } = &write.condition else {
            return as_batch();
        };
        let path = format!("/update/{}", write.id);
        let orders = texts(&write.orders);
        let mut headers = trace_headers(&write.trace);
        headers.push(("If-Match", version.as_str()));
        let json = json!({"quantity": left, "orders": orders}).to_string();
        // A catalog takes no longer body, but for a batch.
        if BODY_BYTES_MAX < json.len() {
            return as_batch();
        }
        let asked = self.ask(Kind::Update, |client, address| {
            client.put(&format!("{address}{path}"), &headers, json.as_bytes())
        });
        let (address, answer) = match asked {
            Ok(answered) => answered,
            Err(failure) => return WriteOutcome::unanswered(failure.definite()),
        };
        let replayed = answer.header("Idempotent-Replayed").is_some();
        let etag = answer.header("ETag");
        let outcome = WriteOutcome::of(answer.status, replayed, etag, &body(&answer));
        if let WriteOutcome::Refused(Error::Internal) = outcome {
            log_nonsense(address, &format!("PUT {path}"));
        }
        outcome
    }

    fn read_batch(&self, reads: &[ReadRequest]) -> Vec<Option<ReadOutcome>> {
        if let [read] = reads
            && read.fits_headers()
        {
            return vec![Some(self.read(read))];
        }
        match self.put(Kind::Read, "query", &reads[0].trace, reads) {
            Ok((_, answer)) => read_outcomes(&answer, reads.len()),
            Err(failure) => vec![Some(self.read_unanswered(&failure)); reads.len()],
        }
    }

    fn write_batch(&self, writes: &[WriteRequest]) -> Vec<Option<WriteOutcome>> {
        if let [write] = writes {
            return vec![Some(self.write(write))];
        }
        self.write_in_batch(writes)
    }
}

fn body(answer: &Answer) -> AnswerBody {
    answer.json().unwrap_or_default()
}

fn texts(orders: &[Order]) -> Vec<String> {
    orders.iter().map(Order::to_string).collect()
}

/// The outcome of each of `count` reads. `None`: the catalog wants to be asked about this book
/// alone, or does not know batches.
fn read_outcomes(answer: &Answer, count: usize) -> Vec<Option<ReadOutcome>> {
    let outcome = |entry: BatchEntry| {
        let answered = entry.status < 500;
        let orders = KnownOrders {
            applied: entry.applied,
            sold_as: entry.sold_as,
            differing: entry.differing,
            closed: entry.closed,
            forgotten: entry.forgotten,
        };
        answered.then(|| ReadOutcome::of(entry.status, entry.etag, orders, &entry.body))
    };
    match answer.list::<BatchEntry>(count) {
        Some(entries) => entries.into_iter().map(outcome).collect(),
        None => vec![None; count],
    }
}

/// The outcome of each of `count` updates. `None`: certainly nothing happened.
fn write_outcomes(answer: &Answer, count: usize) -> Vec<Option<WriteOutcome>> {
    let outcome = |status, replayed, etag: Option<&str>, body: &AnswerBody| {
        (status != 503).then(|| WriteOutcome::of(status, replayed, etag, body))
    };
    match answer.list::<BatchEntry>(count) {
        Some(entries) => entries
            .iter()
            .map(|entry| {
                outcome(
                    entry.status,
                    entry.replayed,
                    entry.etag.as_deref(),
                    &entry.body,
                )
            })
            .collect(),
        // The catalog did something, but the answer does not say what.
        None if answer.status == 200 => vec![Some(WriteOutcome::unanswered(false)); count],
        None if answer.status < 500 => vec![None; count],
        None => vec![outcome(answer.status, false, None, &AnswerBody::default()); count],
    }
}

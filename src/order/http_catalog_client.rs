//! The catalog over HTTP: one book in a request of its own, or several in a batch.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::Limits;
use crate::http::client::{Answer, Client, Failure};
use crate::http::trace_headers;
use crate::model::address::Address;
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};
use crate::model::trace::Trace;
use crate::order::catalog_client::{
    AnswerBody, Catalog, KnownOrders, READ_ORDERS_MAX, ReadOutcome, ReadRequest, WriteOutcome,
    WriteRequest, read_ids,
};
use crate::runtime::log;

pub(super) struct HttpCatalog {
    address: Address,
    client: Client,
}

/// An entry of the answer to `PUT /batch/query` or `PUT /batch/update`.
#[derive(Deserialize)]
struct BatchEntry {
    status: u16,
    etag: Option<String>,
    #[serde(default, deserialize_with = "read_ids")]
    applied: Vec<OrderId>,
    #[serde(default, deserialize_with = "read_ids")]
    closed: Vec<OrderId>,
    #[serde(default)]
    forgotten: u64,
    #[serde(default)]
    replayed: bool,
    body: AnswerBody,
}

impl HttpCatalog {
    pub(super) fn new(address: Address, limits: Limits, token: Option<&str>) -> HttpCatalog {
        HttpCatalog {
            address,
            client: Client::new(limits, token),
        }
    }

    fn put(
        &self,
        what: &str,
        trace: &Trace,
        entries: &[impl Serialize],
    ) -> Result<Answer, Failure> {
        let url = format!("{}/batch/{what}", self.address);
        let json = serde_json::to_vec(entries).expect("our own values are JSON");
        self.client.put(&url, &trace_headers(trace), &json)
    }

    fn log_nonsense(&self, call: &str) {
        let fields: [log::Field; 2] = [("peer", &self.address), ("call", &call)];
        static OFTEN: log::RateLimited = log::RateLimited::new();
        OFTEN.warn("the catalog's answer makes no sense", &fields);
    }
}

impl Catalog for HttpCatalog {
    fn read(&self, read: &ReadRequest) -> ReadOutcome {
        let url = format!("{}/query/item/{}", self.address, read.id);
        let orders = texts(&read.orders);
        let mut headers = trace_headers(&read.trace);
        headers.extend(orders.iter().map(|order| ("Bazar-Order", order.as_str())));
        let outcome = match self.client.get(&url, &headers) {
            Ok(answer) => {
                let etag = answer.header("ETag").map(str::to_string);
                let (applied, closed) = (
                    answer.header("Bazar-Applied"),
                    answer.header("Bazar-Closed"),
                );
                let orders = KnownOrders::of(applied, closed);
                ReadOutcome::of(answer.status, etag, orders, &body(&answer))
            }
            Err(failure) => ReadOutcome::unanswered(failure.definite()),
        };
        if let ReadOutcome::Refused(Error::Internal) = outcome {
            self.log_nonsense(&format!("GET {url}"));
        }
        outcome
    }

    fn write(&self, write: &WriteRequest) -> WriteOutcome {
        let url = format!("{}/update/{}", self.address, write.id);
        let orders = texts(&write.orders);
        let json = json!({"quantity": write.quantity, "orders": orders}).to_string();
        let mut headers = trace_headers(&write.trace);
        headers.push(("If-Match", write.version.as_str()));
        let outcome = match self.client.put(&url, &headers, json.as_bytes()) {
            Ok(answer) => {
                let replayed = answer.header("Idempotent-Replayed").is_some();
                WriteOutcome::of(answer.status, replayed, &body(&answer))
            }
            Err(failure) => WriteOutcome::unanswered(failure.definite()),
        };
        if let WriteOutcome::Refused(Error::Internal) = outcome {
            self.log_nonsense(&format!("PUT {url}"));
        }
        outcome
    }

    fn read_batch(&self, reads: &[ReadRequest]) -> Vec<Option<ReadOutcome>> {
        if let [read] = reads
            && read.orders.len() <= READ_ORDERS_MAX
        {
            return vec![Some(self.read(read))];
        }
        match self.put("query", &reads[0].trace, reads) {
            Ok(answer) => read_outcomes(&answer, reads.len()),
            Err(failure) => vec![Some(ReadOutcome::unanswered(failure.definite())); reads.len()],
        }
    }

    fn write_batch(&self, writes: &[WriteRequest]) -> Vec<Option<WriteOutcome>> {
        if let [write] = writes {
            return vec![Some(self.write(write))];
        }
        match self.put("update", &writes[0].trace, writes) {
            Ok(answer) => write_outcomes(&answer, writes.len()),
            Err(failure) => vec![Some(WriteOutcome::unanswered(failure.definite())); writes.len()],
        }
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
    let outcome = |status, replayed, body: &AnswerBody| {
        (status != 503).then(|| WriteOutcome::of(status, replayed, body))
    };
    match answer.list::<BatchEntry>(count) {
        Some(entries) => entries
            .iter()
            .map(|entry| outcome(entry.status, entry.replayed, &entry.body))
            .collect(),
        // The catalog did something, but the answer does not say what.
        None if answer.status == 200 => vec![Some(WriteOutcome::unanswered(false)); count],
        None if answer.status < 500 => vec![None; count],
        None => vec![outcome(answer.status, false, &AnswerBody::default()); count],
    }
}

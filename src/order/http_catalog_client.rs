//! The catalog over HTTP.

use std::fmt;

use serde_json::json;

use crate::config::Limits;
use crate::http::client::{Answer, Client, Failure};
use crate::model::address::Address;
use crate::model::error::Error;
use crate::order::batch_codec;
use crate::order::catalog_client::{Catalog, Read, ReadRequest, Words, Write, WriteRequest};
use crate::order::sell::BATCH_MAX;
use crate::runtime::log;

/// The catalog over HTTP.
#[derive(Debug)]
pub struct HttpCatalog {
    address: Address,
    client: Client,
}

impl HttpCatalog {
    pub fn new(address: Address, limits: Limits, token: Option<&str>) -> HttpCatalog {
        HttpCatalog {
            address,
            client: Client::new(limits, token),
        }
    }

    fn put(&self, what: &str, request: &str, body: &[u8]) -> Result<Answer, Failure> {
        let url = format!("{}/batch/{what}", self.address);
        self.client.put(&url, &[("X-Request-Id", request)], body)
    }

    fn complain(&self, what: &dyn fmt::Display) {
        let fields: [log::Field; 2] = [("peer", &self.address), ("answer", what)];
        log::warn("the catalog's answer makes no sense", &fields);
    }
}

impl Catalog for HttpCatalog {
    fn read(&self, look: &ReadRequest) -> Read {
        let url = format!("{}/query/item/{}", self.address, look.id);
        let orders = batch_codec::texts(&look.orders);
        let mut headers = vec![("X-Request-Id", &*look.request)];
        headers.extend(orders.iter().map(|order| ("Bazar-Order", order.as_str())));
        let read = match self.client.get(&url, &headers) {
            Ok(answer) => read(&answer),
            Err(failure) => Read::unanswered(failure.definite()),
        };
        if let Read::Refused(Error::Internal) = read {
            self.complain(&format!("to GET {url}"));
        }
        read
    }

    fn write(&self, take: &WriteRequest) -> Write {
        let url = format!("{}/update/{}", self.address, take.id);
        let orders = batch_codec::texts(&take.orders);
        let body = json!({"quantity": take.quantity, "orders": orders}).to_string();
        let headers = [
            ("X-Request-Id", &*take.request),
            ("If-Match", take.version.as_str()),
        ];
        let write = match self.client.put(&url, &headers, body.as_bytes()) {
            Ok(answer) => write(&answer),
            Err(failure) => Write::unanswered(failure.definite()),
        };
        if let Write::Refused(Error::Internal) = write {
            self.complain(&format!("to PUT {url}"));
        }
        write
    }

    fn read_together(&self, looks: &[ReadRequest]) -> Vec<Option<Read>> {
        match looks {
            [look] if look.orders.len() <= BATCH_MAX => return vec![Some(self.read(look))],
            _ => (),
        }
        let body = batch_codec::queries(looks);
        match self.put("query", &looks[0].request, &body) {
            Ok(answer) => batch_codec::reads(&answer, looks.len()),
            Err(failure) => vec![Some(Read::unanswered(failure.definite())); looks.len()],
        }
    }

    fn write_together(&self, takes: &[WriteRequest]) -> Vec<Option<Write>> {
        if let [take] = takes {
            return vec![Some(self.write(take))];
        }
        let body = batch_codec::sales(takes);
        match self.put("update", &takes[0].request, &body) {
            Ok(answer) => batch_codec::writes(&answer, takes.len()),
            Err(failure) => vec![Some(Write::unanswered(failure.definite())); takes.len()],
        }
    }
}

fn read(answer: &Answer) -> Read {
    let etag = answer.header("ETag").map(str::to_string);
    let applied = answer.header("Bazar-Applied").unwrap_or_default();
    let applied: Vec<String> = applied.split(',').map(str::to_string).collect();
    Read::of(answer.status, etag, &applied, &words(answer))
}

fn write(answer: &Answer) -> Write {
    let replayed = answer.header("Idempotent-Replayed").is_some();
    Write::of(answer.status, replayed, &words(answer))
}

fn words(answer: &Answer) -> Words {
    answer.json().unwrap_or_default()
}

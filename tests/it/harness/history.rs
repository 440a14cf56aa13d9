//! What clients did to each book and what they were told, for the linearizability checker.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bazar::testing::linearizability::{Kind, Operation};
use serde_json::json;

use crate::harness::http::{self, Response};
use crate::harness::server::Server;

/// The clients' clock, and the operations on each book.
pub struct History {
    origin: Instant,
    pub books: Mutex<BTreeMap<u64, Vec<Operation>>>,
}

/// What one request to buy came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buy {
    Purchased,
    SoldOut,
    /// Nothing happened.
    Failed,
    /// The copies may have been sold.
    Unknown,
}

impl History {
    /// An empty history, whose clock starts now.
    pub fn new() -> History {
        History {
            origin: Instant::now(),
            books: Mutex::default(),
        }
    }

    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// An operation that began at `start`, and ended now if its outcome is known.
    pub fn record(&self, id: u64, kind: Kind, start: Duration, known: bool) {
        let end = known.then(|| self.now());
        let operation = Operation { kind, start, end };
        let mut books = self.books.lock().unwrap();
        books.entry(id).or_default().push(operation);
    }

    /// Looks a book up, at a front-end by `/lookup/` or at a catalog by `/query/item/`.
    pub fn look_up(&self, server: &Server, path: &str, id: u64) {
        let start = self.now();
        let response = server.try_get(&format!("{path}{id}")).ok();
        if let Some(response) = response.filter(|response| response.status == 200) {
            let quantity = response.json()["quantity"].as_u64().unwrap();
            self.record(id, Kind::Saw(quantity as u32), start, true);
        }
    }

    /// Sets a book's quantity at a catalog.
    pub fn restock(&self, catalog: &Server, id: u64, quantity: u32) {
        let start = self.now();
        let (path, body) = (format!("/update/{id}"), json!({ "quantity": quantity }));
        let response = http::call(&catalog.address, "PUT", &path, &[], &body.to_string());
        if !refused(&response) {
            let known = response.is_ok_and(|response| response.status == 200);
            self.record(id, Kind::Set(quantity), start, known);
        }
    }
}

/// Sends one request to buy so many copies of a book.
pub fn buy(server: &Server, id: u64, copies: u32, headers: &[(&str, &str)]) -> Buy {
    let body = match copies {
        1 => String::new(),
        copies => json!({ "quantity": copies }).to_string(),
    };
    let response = http::call(
        &server.address,
        "PUT",
        &format!("/buy/{id}"),
        headers,
        &body,
    );
    if refused(&response) {
        return Buy::Failed;
    }
    let Ok(response) = response else {
        return Buy::Unknown;
    };
    match (response.status, response.header("Bazar-Outcome")) {
        (200, _) if response.is_purchase() => Buy::Purchased,
        (200, _) => Buy::SoldOut,
        (500.., "none") => Buy::Failed,
        (500.., _) => Buy::Unknown,
        _ => panic!("the book exists: {response:?}"),
    }
}

fn refused(response: &io::Result<Response>) -> bool {
    let error = response.as_ref().err();
    error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

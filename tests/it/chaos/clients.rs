//! Customers who buy, look up and restock, and write down what they hear.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bazar::testing::linearizability::{Operation, What};
use fastrand::Rng;
use serde_json::json;

use super::RESTOCKED;
use crate::harness::http::{self, Response};
use crate::harness::server::Server;
use crate::harness::shop::Shop;

/// A customer pauses up to this between two requests.
const THINKING_MAX: Duration = Duration::from_millis(25);

/// A customer who was told that nobody can tell asks so often in all.
const TRIES_MAX: usize = 4;

/// What customers saw of each book.
pub struct History {
    pub origin: Instant,
    pub keys: AtomicU64,
    pub books: Mutex<BTreeMap<u64, Vec<Operation>>>,
}

impl History {
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub fn write(&self, id: u64, what: What, start: Duration, end: Option<Duration>) {
        let mut books = self.books.lock().unwrap();
        books
            .entry(id)
            .or_default()
            .push(Operation { what, start, end });
    }
}

/// One who wants something again and again.
pub struct Client<'a> {
    pub shop: &'a Shop,
    pub history: &'a History,
    pub rng: Rng,
}

/// What one request to buy came to.
enum Heard {
    Bought,
    SoldOut,
    /// Nothing happened.
    Nothing,
    /// Nobody can tell.
    Unknown,
}

impl Client<'_> {
    pub fn shops_until(&mut self, end: Duration) {
        while self.history.now() < end {
            let id = self.rng.u64(1..=RESTOCKED);
            match self.rng.u32(0..100) {
                0..55 => self.looks_up(id),
                55..98 => self.buys(id),
                _ => self.restocks(),
            }
            thread::sleep(THINKING_MAX.mul_f64(self.rng.f64()));
        }
    }

    fn looks_up(&mut self, id: u64) {
        let start = self.history.now();
        let (server, path) = match self.rng.bool() {
            true => (self.shop.front_end(), format!("/lookup/{id}")),
            false => (self.any(self.shop.catalogs()), format!("/query/item/{id}")),
        };
        let response = server
            .try_get(&path)
            .ok()
            .filter(|response| response.status == 200);
        if let Some(response) = response {
            let quantity = response.json()["quantity"].as_u64().unwrap();
            let saw = What::Saw(quantity as u32);
            self.history.write(id, saw, start, Some(self.history.now()));
        }
    }

    /// Buys a copy, with a key, so that it may insist.
    fn buys(&mut self, id: u64) {
        let key = self
            .history
            .keys
            .fetch_add(1, Ordering::Relaxed)
            .to_string();
        let start = self.history.now();
        let mut unknown = false;
        for _ in 0..TRIES_MAX {
            let tried = self.history.now();
            match self.asks_to_buy(id, &key) {
                Heard::Bought => {
                    let end = Some(self.history.now());
                    return self.history.write(id, What::Bought, start, end);
                }
                Heard::SoldOut => {
                    let end = Some(self.history.now());
                    self.history.write(id, What::SoldOut, tried, end);
                    break;
                }
                Heard::Nothing => {}
                Heard::Unknown => unknown = true,
            }
            thread::sleep(THINKING_MAX);
        }
        if unknown {
            self.history.write(id, What::Bought, start, None);
        }
    }

    fn asks_to_buy(&mut self, id: u64, key: &str) -> Heard {
        let server = match self.rng.u32(0..3) {
            0 => self.any(self.shop.orders()),
            _ => self.shop.front_end(),
        };
        let headers = [("Idempotency-Key", key)];
        match http::call(&server.address, "PUT", &format!("/buy/{id}"), &headers, "") {
            Ok(response) => heard(&response),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Heard::Nothing,
            Err(_) => Heard::Unknown,
        }
    }

    fn restocks(&mut self) {
        let start = self.history.now();
        let quantity = self.rng.u32(100..400);
        let catalog = self.any(self.shop.catalogs());
        let (path, body) = (
            format!("/update/{RESTOCKED}"),
            json!({ "quantity": quantity }),
        );
        let response = http::call(&catalog.address, "PUT", &path, &[], &body.to_string());
        let end = match response {
            Ok(response) if response.status == 200 => Some(self.history.now()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => None,
        };
        self.history
            .write(RESTOCKED, What::Set(quantity), start, end);
    }

    fn any<'s>(&mut self, servers: &'s [Server]) -> &'s Server {
        &servers[self.rng.usize(..servers.len())]
    }
}

fn heard(response: &Response) -> Heard {
    match (response.status, response.header("Bazar-Outcome")) {
        (200, _) if response.json()["success"] == true => Heard::Bought,
        (200, _) => Heard::SoldOut,
        (500.., "none") => Heard::Nothing,
        (500.., _) => Heard::Unknown,
        _ => panic!("nobody hears that of a book that exists: {response:?}"),
    }
}

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
use crate::http::{self, Answer};
use crate::process::Server;
use crate::shop::Shop;

/// A customer pauses up to this between two requests.
const THINKING_MAX: Duration = Duration::from_millis(25);

/// A customer who was told that nobody can tell asks so often in all.
const TRIES_MAX: usize = 4;

/// What customers saw of each book.
pub struct Diary {
    pub origin: Instant,
    pub keys: AtomicU64,
    pub books: Mutex<BTreeMap<u64, Vec<Operation>>>,
}

impl Diary {
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
pub struct Customer<'a> {
    pub shop: &'a Shop,
    pub diary: &'a Diary,
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

impl Customer<'_> {
    pub fn shops_until(&mut self, end: Duration) {
        while self.diary.now() < end {
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
        let start = self.diary.now();
        let (server, path) = match self.rng.bool() {
            true => (self.shop.front_end(), format!("/lookup/{id}")),
            false => (self.any(self.shop.catalogs()), format!("/query/item/{id}")),
        };
        let answer = server
            .try_get(&path)
            .ok()
            .filter(|answer| answer.status == 200);
        if let Some(answer) = answer {
            let quantity = answer.json()["quantity"].as_u64().unwrap();
            let saw = What::Saw(quantity as u32);
            self.diary.write(id, saw, start, Some(self.diary.now()));
        }
    }

    /// Buys a copy, with a key, so that it may insist.
    fn buys(&mut self, id: u64) {
        let key = self.diary.keys.fetch_add(1, Ordering::Relaxed).to_string();
        let start = self.diary.now();
        let mut unknown = false;
        for _ in 0..TRIES_MAX {
            let tried = self.diary.now();
            match self.asks_to_buy(id, &key) {
                Heard::Bought => {
                    let end = Some(self.diary.now());
                    return self.diary.write(id, What::Bought, start, end);
                }
                Heard::SoldOut => {
                    let end = Some(self.diary.now());
                    self.diary.write(id, What::SoldOut, tried, end);
                    break;
                }
                Heard::Nothing => {}
                Heard::Unknown => unknown = true,
            }
            thread::sleep(THINKING_MAX);
        }
        if unknown {
            self.diary.write(id, What::Bought, start, None);
        }
    }

    fn asks_to_buy(&mut self, id: u64, key: &str) -> Heard {
        let server = match self.rng.u32(0..3) {
            0 => self.any(self.shop.orders()),
            _ => self.shop.front_end(),
        };
        let headers = [("Idempotency-Key", key)];
        match http::call(&server.place, "PUT", &format!("/buy/{id}"), &headers, "") {
            Ok(answer) => heard(&answer),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Heard::Nothing,
            Err(_) => Heard::Unknown,
        }
    }

    fn restocks(&mut self) {
        let start = self.diary.now();
        let quantity = self.rng.u32(100..400);
        let catalog = self.any(self.shop.catalogs());
        let (path, body) = (
            format!("/update/{RESTOCKED}"),
            json!({ "quantity": quantity }),
        );
        let answer = http::call(&catalog.place, "PUT", &path, &[], &body.to_string());
        let end = match answer {
            Ok(answer) if answer.status == 200 => Some(self.diary.now()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => None,
        };
        self.diary.write(RESTOCKED, What::Set(quantity), start, end);
    }

    fn any<'s>(&mut self, servers: &'s [Server]) -> &'s Server {
        &servers[self.rng.usize(..servers.len())]
    }
}

fn heard(answer: &Answer) -> Heard {
    match (answer.status, answer.header("Bazar-Outcome")) {
        (200, _) if answer.json()["success"] == true => Heard::Bought,
        (200, _) => Heard::SoldOut,
        (500.., "none") => Heard::Nothing,
        (500.., _) => Heard::Unknown,
        _ => panic!("nobody hears that of a book that exists: {answer:?}"),
    }
}

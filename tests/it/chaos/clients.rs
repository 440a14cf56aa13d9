//! Clients that buy, look up and restock, and record what they were told.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bazar::testing::linearizability::Kind;
use fastrand::Rng;
use serde_json::json;

use crate::harness::history::{self, Buy, History};
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::shop::Shop;

/// A client pauses up to this between two requests.
const PAUSE_MAX: Duration = Duration::from_millis(15);

/// Half of the buys are of up to so many copies.
const COPIES_MAX: u32 = 5;

/// A write whose outcome is not known is sent again, as the same order, for so long after the last
/// fault.
const KNOWN_MAX: Duration = Duration::from_secs(15);

/// One of so many writes is not: that its client gave up must do no harm either.
const GIVEN_UP: u32 = 150;

/// One of so many updates has no order id: if its outcome is not known, that stays so.
const WITHOUT_ORDER: u32 = 4;

static KEYS: AtomicU64 = AtomicU64::new(0);

/// One client, with choices of its own.
pub struct Client<'a> {
    pub shop: &'a Shop,
    pub history: &'a History,
    pub rng: Rng,
    /// Books 1 to this one; the last is restocked.
    pub books: u64,
    pub end: Duration,
    /// Of the order ids that it gives itself, and how many there are.
    pub start: u64,
    pub orders: u64,
}

/// What came of an update.
enum Update {
    Done,
    /// 409 or 412: this try did not happen, and will not. After a 412 no other try of the same
    /// order has happened either, because the book would know it.
    Refused(u16),
    /// It did not happen.
    Failed,
    Unknown,
}

impl Client<'_> {
    /// Returns how many operations it began.
    pub fn run(&mut self) -> u32 {
        let mut count = 0;
        while self.history.now() < self.end {
            let id = self.rng.u64(1..=self.books);
            match self.rng.u32(0..100) {
                0..55 => self.look_up(id),
                55..95 => self.buy(id),
                95..97 => self.restock(),
                _ => self.restock_if_unchanged(),
            }
            count += 1;
            thread::sleep(PAUSE_MAX.mul_f64(self.rng.f64()));
        }
        count
    }

    fn look_up(&mut self, id: u64) {
        if self.rng.bool() {
            let front_end = self.any(self.shop.front_ends());
            self.history.look_up(front_end, "/lookup/", id);
        } else {
            let catalog = self.any(self.shop.catalogs());
            self.history.look_up(catalog, "/query/item/", id);
        }
    }

    /// Buys a copy or several, with a key, so that the buy can be sent again.
    fn buy(&mut self, id: u64) {
        let copies = if self.rng.bool() {
            1
        } else {
            self.rng.u32(2..=COPIES_MAX)
        };
        let key = KEYS.fetch_add(1, Ordering::Relaxed).to_string();
        let start = self.history.now();
        let tries_until = self.tries_until();
        let mut unknown = false;
        loop {
            let tried = self.history.now();
            match history::buy(self.seller(), id, copies, &[("Idempotency-Key", &key)]) {
                Buy::Purchased => {
                    return self.history.record(id, Kind::Bought(copies), start, true);
                }
                Buy::SoldOut => {
                    self.history.record(id, Kind::SoldOut(copies), tried, true);
                    break;
                }
                Buy::Failed => {}
                Buy::Unknown => unknown = true,
            }
            if tries_until < self.history.now() {
                break;
            }
            thread::sleep(PAUSE_MAX);
        }
        if unknown {
            self.history.record(id, Kind::Bought(copies), start, false);
        }
    }

    fn seller(&mut self) -> &Server {
        match self.rng.u32(0..3) {
            0 => self.any(self.shop.orders()),
            _ => self.any(self.shop.front_ends()),
        }
    }

    fn restock(&mut self) {
        let quantity = self.rng.u32(100..400);
        self.update(Kind::Set(quantity), quantity, &[]);
    }

    /// As an operator does who has looked first.
    fn restock_if_unchanged(&mut self) {
        let catalog = self.any(self.shop.catalogs());
        let start = self.history.now();
        let response = catalog.try_get(&format!("/query/item/{}", self.books)).ok();
        let Some(response) = response.filter(|response| response.status == 200) else {
            return;
        };
        let from = response.json()["quantity"].as_u64().unwrap() as u32;
        self.history
            .record(self.books, Kind::Saw(from), start, true);
        let to = self.rng.u32(100..400);
        let version = [("If-Match", response.header("ETag"))];
        self.update(Kind::Replaced { from, to }, to, &version);
    }

    /// Changes the last book's quantity. A 409 and a 412 are taken at their word: the checker is
    /// not told of a change that did not happen. Most of the changes have an order id, so that they
    /// can be sent again when their outcome is not known.
    fn update(&mut self, kind: Kind, quantity: u32, condition: &[(&str, &str)]) {
        let order = (0 < self.rng.u32(..WITHOUT_ORDER)).then(|| self.order());
        let mut headers = condition.to_vec();
        headers.extend(order.iter().map(|order| ("Bazar-Order", order.as_str())));
        let start = self.history.now();
        let tries_until = self.tries_until();
        let mut unknown = false;
        loop {
            let catalog = self.any(self.shop.catalogs());
            match send(catalog, self.books, &headers, quantity) {
                Update::Done => return self.history.record(self.books, kind, start, true),
                Update::Refused(status) if status == 412 || !unknown => return,
                Update::Refused(_) | Update::Failed => {}
                Update::Unknown => unknown = true,
            }
            if unknown && order.is_none() || tries_until < self.history.now() {
                break;
            }
            thread::sleep(PAUSE_MAX);
        }
        if unknown {
            self.history.record(self.books, kind, start, false);
        }
    }

    /// A new order of this client, which waits for one at a time.
    fn order(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.orders += 1;
        let (start, count) = (self.start, self.orders);
        format!("{start}.{count}; open={count}; at={}", now.as_millis())
    }

    /// Until when a write is sent again.
    fn tries_until(&mut self) -> Duration {
        match self.rng.u32(..GIVEN_UP) {
            0 => Duration::ZERO,
            _ => self.end + KNOWN_MAX,
        }
    }

    fn any<'s>(&mut self, servers: &'s [Server]) -> &'s Server {
        &servers[self.rng.usize(..servers.len())]
    }
}

fn send(catalog: &Server, id: u64, headers: &[(&str, &str)], quantity: u32) -> Update {
    let (path, body) = (format!("/update/{id}"), json!({ "quantity": quantity }));
    match http::call(&catalog.address, "PUT", &path, headers, &body.to_string()) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Update::Failed,
        Err(_) => Update::Unknown,
        Ok(response) => match (response.status, response.header("Bazar-Outcome")) {
            (200, _) => Update::Done,
            (status @ (409 | 412), _) => Update::Refused(status),
            (500.., "none") => Update::Failed,
            (500.., _) => Update::Unknown,
            _ => panic!("the book exists: {response:?}"),
        },
    }
}

//! Clients that buy, look up and restock, and record what they were told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bazar::testing::linearizability::Kind;
use fastrand::Rng;

use super::RESTOCKED;
use crate::harness::history::{self, Buy, History};
use crate::harness::server::Server;
use crate::harness::shop::Shop;

/// A client pauses up to this between two requests.
const PAUSE_MAX: Duration = Duration::from_millis(25);

/// How often in all a client sends a buy whose outcome is not known.
const TRIES_MAX: usize = 4;

static KEYS: AtomicU64 = AtomicU64::new(0);

/// One client, with choices of its own.
pub struct Client<'a> {
    pub shop: &'a Shop,
    pub history: &'a History,
    pub rng: Rng,
}

impl Client<'_> {
    /// Returns how many operations it began.
    pub fn run_until(&mut self, end: Duration) -> u32 {
        let mut count = 0;
        while self.history.now() < end {
            let id = self.rng.u64(1..=RESTOCKED);
            match self.rng.u32(0..100) {
                0..55 => self.look_up(id),
                55..98 => self.buy(id),
                _ => self.restock(),
            }
            count += 1;
            thread::sleep(PAUSE_MAX.mul_f64(self.rng.f64()));
        }
        count
    }

    fn look_up(&mut self, id: u64) {
        if self.rng.bool() {
            self.history.look_up(self.shop.front_end(), "/lookup/", id);
        } else {
            let catalog = self.any(self.shop.catalogs());
            self.history.look_up(catalog, "/query/item/", id);
        }
    }

    /// Buys a copy, with a key, so that the buy can be sent again.
    fn buy(&mut self, id: u64) {
        let key = KEYS.fetch_add(1, Ordering::Relaxed).to_string();
        let start = self.history.now();
        let mut unknown = false;
        for _ in 0..TRIES_MAX {
            let tried = self.history.now();
            match history::buy(self.seller(), id, &[("Idempotency-Key", &key)]) {
                Buy::Purchased => return self.history.record(id, Kind::Bought, start, true),
                Buy::SoldOut => {
                    self.history.record(id, Kind::SoldOut, tried, true);
                    break;
                }
                Buy::Failed => {}
                Buy::Unknown => unknown = true,
            }
            thread::sleep(PAUSE_MAX);
        }
        if unknown {
            self.history.record(id, Kind::Bought, start, false);
        }
    }

    fn seller(&mut self) -> &Server {
        match self.rng.u32(0..3) {
            0 => self.any(self.shop.orders()),
            _ => self.shop.front_end(),
        }
    }

    fn restock(&mut self) {
        let quantity = self.rng.u32(100..400);
        let catalog = self.any(self.shop.catalogs());
        self.history.restock(catalog, RESTOCKED, quantity);
    }

    fn any<'s>(&mut self, servers: &'s [Server]) -> &'s Server {
        &servers[self.rng.usize(..servers.len())]
    }
}

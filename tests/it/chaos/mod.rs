//! Everything at once: customers buy, look up and restock, through the front-end and directly,
//! while servers of every kind are killed, started again, stopped and continued at random.
//! Afterwards what the customers saw must be what one book in one drawer would have shown, and no
//! copy may be lost or sold twice.
//!
//! `SEED=n` repeats the faults and what the customers want (not the timing); `CHAOS_SECONDS=600`
//! runs longer.

mod clients;
mod faults;

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use bazar::testing::linearizability::{self, Operation, What};
use fastrand::Rng;
use serde_json::json;

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use clients::{Client, History};
use faults::FaultInjector;

const CUSTOMERS: u64 = 10;

/// How many copies there are at first of books 1, 2, …; the first sells out, and the last is
/// restocked now and then.
const STOCK: [u32; 4] = [60, 10_000, 10_000, 300];
const RESTOCKED: u64 = STOCK.len() as u64;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Every replica shows the same, and what is left of each book goes into the history.
fn take_stock(shop: &Shop, history: &History) -> Vec<u32> {
    shop.servers().for_each(Server::await_ready);
    let dump = |catalog: &Server| catalog.get("/dump/").json();
    eventually("all replicas are equal", || {
        let mut dumps = shop.catalogs().iter().map(dump);
        let first = dumps.next();
        dumps.all(|other| Some(other) == first)
    });
    let look = |id: u64| {
        let start = history.now();
        let quantities = shop.catalogs().iter().map(|catalog| {
            let response = catalog.get(&format!("/query/item/{id}"));
            response.json()["quantity"].as_u64().unwrap() as u32
        });
        let quantities: Vec<u32> = quantities.collect();
        assert!(
            quantities.iter().all(|q| *q == quantities[0]),
            "{quantities:?}"
        );
        history.write(id, What::Saw(quantities[0]), start, Some(history.now()));
        quantities[0]
    };
    (1..=RESTOCKED).map(look).collect()
}

/// What was sold, at least and at most.
fn sold(history: &[Operation]) -> (u32, u32) {
    let bought = history.iter().filter(|o| o.what == What::Bought);
    let (known, all) = (
        bought.clone().filter(|o| o.end.is_some()).count(),
        bought.count(),
    );
    (known as u32, all as u32)
}

#[test]
fn whatever_crashes_each_book_is_one_book_and_each_copy_is_sold_once() {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let seconds = number("CHAOS_SECONDS").unwrap_or(12);
    println!("SEED={seed} CHAOS_SECONDS={seconds}");
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        orders: 3,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    for (id, quantity) in (1..).zip(STOCK) {
        let (path, body) = (format!("/update/{id}"), json!({ "quantity": quantity }));
        eventually("the copies are there", || {
            shop.catalog(1).put(&path, &body.to_string()).status == 200
        });
    }
    let history = History {
        origin: Instant::now(),
        keys: AtomicU64::new(0),
        books: Mutex::default(),
    };
    let (shop, history, end) = (&shop, &history, Duration::from_secs(seconds));
    thread::scope(|scope| {
        for n in 1..=CUSTOMERS {
            let rng = Rng::with_seed(seed.wrapping_mul(1000) + n);
            scope.spawn(move || Client { shop, history, rng }.shops_until(end));
        }
        let (rng, faults, injected) = (Rng::with_seed(seed), BTreeMap::new(), BTreeMap::new());
        let mut injector = FaultInjector {
            shop,
            history,
            rng,
            faults,
            injected,
        };
        injector.run_until(end);
        println!("{:?}", injector.injected);
    });
    let left = take_stock(shop, history);
    for (id, history) in history.books.lock().unwrap().iter() {
        let (start, left) = (STOCK[*id as usize - 1], left[*id as usize - 1]);
        let (least, most) = sold(history);
        println!(
            "book {id}: {} seen, {least} to {most} sold of {start}, {left} left",
            history.len()
        );
        if let Err(flaw) = linearizability::check(start, history) {
            panic!("SEED={seed}: book {id}: {flaw}");
        }
        if *id != RESTOCKED {
            assert!(
                (start - most.min(start)..=start - least).contains(&left),
                "SEED={seed}"
            );
        }
    }
}

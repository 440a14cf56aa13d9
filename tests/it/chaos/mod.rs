//! Everything at once: clients buy, look up and restock, through the front-end and directly, while
//! servers of every kind are killed, started again, stopped and continued at random. Afterwards the
//! history of each book must be linearizable, and no copy may be lost or sold twice.
//!
//! `SEED=n` repeats the faults and what the clients want (not the timing); `CHAOS_SECONDS=600` runs
//! longer.

mod clients;
mod faults;

use std::thread;
use std::time::Duration;

use bazar::testing::linearizability::{self, Kind, Operation};
use fastrand::Rng;

use crate::harness::clients::{number, seeded};
use crate::harness::history::History;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use clients::Client;
use faults::FaultInjector;

const CLIENTS: u64 = 10;

/// How many copies there are at first of books 1, 2, …; the first sells out, and the last is
/// restocked now and then.
const STOCK: [u32; 4] = [60, 10_000, 10_000, 300];
const RESTOCKED: u64 = STOCK.len() as u64;

/// Waits until every catalog shows the same, and records what is left of each book.
fn take_stock(shop: &Shop, history: &History) -> Vec<u32> {
    shop.servers().for_each(Server::await_ready);
    eventually("all replicas are equal", || {
        let dumps: Vec<_> = shop.catalogs().iter().map(Server::dump).collect();
        dumps.iter().all(|dump| *dump == dumps[0])
    });
    let look = |id: u64| {
        let start = history.now();
        let quantities = shop.quantities(id);
        assert!(
            quantities.iter().all(|q| *q == quantities[0]),
            "{quantities:?}"
        );
        let quantity = quantities[0] as u32;
        history.record(id, Kind::Saw(quantity), start, true);
        quantity
    };
    (1..=RESTOCKED).map(look).collect()
}

/// How many operations of this kind there are: with a known outcome, and in all.
fn count(operations: &[Operation], of_kind: fn(Kind) -> bool) -> (u32, u32) {
    let operations = operations.iter().filter(|o| of_kind(o.kind));
    let known = operations.clone().filter(|o| o.end.is_some()).count();
    (known as u32, operations.count() as u32)
}

/// Runs clients and faults until then. Fails when one of the clients, or one kind of fault, did
/// nothing.
fn run_clients_and_faults(shop: &Shop, history: &History, seed: u64, end: Duration) {
    thread::scope(|scope| {
        let clients = (1..=CLIENTS).map(|n| {
            let rng = Rng::with_seed(seed.wrapping_mul(1000) + n);
            scope.spawn(move || Client { shop, history, rng }.run_until(end))
        });
        let clients: Vec<_> = clients.collect();
        let mut injector = FaultInjector::new(shop, history, Rng::with_seed(seed));
        injector.run_until(end);
        let operations = clients.into_iter().map(|client| client.join().unwrap());
        let operations: Vec<u32> = operations.collect();
        println!("{operations:?} operations, {:?}", injector.injected);
        assert!(operations.iter().all(|count| 0 < *count), "{operations:?}");
        for fault in ["killed", "stopped"] {
            let done = injector.injected.keys().any(|key| key.ends_with(fault));
            assert!(done, "no server was {fault}: {:?}", injector.injected);
        }
    });
}

#[test]
fn whatever_crashes_each_book_is_linearizable_and_each_copy_is_sold_once() {
    let (seed, _) = seeded();
    let seconds = number("CHAOS_SECONDS").unwrap_or(12);
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        orders: 3,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    for (id, quantity) in (1..).zip(STOCK) {
        shop.stock_up(id, quantity as usize);
    }
    let history = History::new();
    run_clients_and_faults(&shop, &history, seed, Duration::from_secs(seconds));
    let left = take_stock(&shop, &history);
    for (id, operations) in history.books.lock().unwrap().iter() {
        let (start, left) = (STOCK[*id as usize - 1], left[*id as usize - 1]);
        let (sold_min, sold_max) = count(operations, |kind| kind == Kind::Bought);
        let (seen, _) = count(operations, |kind| matches!(kind, Kind::Saw(_)));
        println!(
            "book {id}: {seen} lookups, {sold_min} to {sold_max} sold of {start}, {left} left"
        );
        // The last lookup of each book is the test's own.
        assert!(
            1 < seen && 0 < sold_min,
            "no client got anything of book {id}"
        );
        if let Err(flaw) = linearizability::check(start, operations) {
            panic!("SEED={seed}: book {id}: {flaw}");
        }
        if *id != RESTOCKED {
            let left_max = start - sold_min;
            let left_min = start - sold_max.min(start);
            assert!((left_min..=left_max).contains(&left), "SEED={seed}");
        }
    }
}

//! Everything at once: clients buy, look up and restock, through the front-ends and directly, while
//! servers of every kind are killed, started again, stopped and continued at random, all catalogs
//! among them, on a machine whose disk and processors may be busy. Afterwards the history of each
//! book must be linearizable, no copy may be lost or sold twice, and the audit of the shop's own
//! ledger must find nothing wrong.
//!
//! - `SEED=n` repeats the faults and what the clients want (not the timing).
//! - `CHAOS_SECONDS=600` lets the one long history run longer.
//! - `HISTORIES=1000` plays so many short ones, from `SEED` on, `SHOPS=4` of them side by side.

mod clients;
mod faults;
mod histories;
mod on_etcd;
mod pressure;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::Duration;

use bazar::testing::linearizability::{self, CheckError, Kind, Operation};
use fastrand::Rng;

use crate::harness::clients::{number, seeded};
use crate::harness::history::History;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use crate::orders::check_audit;
use clients::Client;
use faults::{FAULTS, Fault, FaultInjector};
use pressure::Pressure;

/// One history: how it is made.
struct Plan<'a> {
    seed: u64,
    duration: Duration,
    clients: u64,
    /// How many copies there are at first of books 1, 2, …; the first sells out, and the last is
    /// restocked now and then.
    stock: &'a [u32],
    faults: Vec<Fault>,
    /// Whether members of the shop's etcd fail, too.
    members_fail: bool,
    pressures: Vec<Pressure>,
}

impl Plan<'_> {
    /// Of two seeds in a row, one has every request sent to two servers, and one those that are
    /// slow.
    fn hedging(&self) -> Vec<(&'static str, String)> {
        match self.seed % 2 {
            0 => vec![("HEDGE_AFTER_MS", "0".into())],
            _ => Vec::new(),
        }
    }
}

/// What one history, or many, came to.
#[derive(Debug, Default)]
struct Figures {
    histories: u32,
    operations: usize,
    bought: usize,
    changed: usize,
    unknown: usize,
    /// Books whose history has too many states to be checked.
    gave_up: u32,
    /// How many servers were killed or stopped, by fault.
    faults: BTreeMap<Fault, u32>,
}

impl Figures {
    fn add(&mut self, other: Figures) {
        self.histories += other.histories;
        self.operations += other.operations;
        self.bought += other.bought;
        self.changed += other.changed;
        self.unknown += other.unknown;
        self.gave_up += other.gave_up;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
    }

    fn count(&mut self, operations: &[Operation]) {
        self.operations += operations.len();
        for operation in operations {
            match operation.kind {
                _ if operation.end.is_none() => self.unknown += 1,
                Kind::Bought(_) => self.bought += 1,
                Kind::Added(_) | Kind::Set(_) | Kind::Replaced { .. } | Kind::Removed => {
                    self.changed += 1;
                }
                Kind::Saw(_) | Kind::SoldOut(_) => {}
            }
        }
    }
}

/// Waits until every catalog shows the same, and records what is left of each book.
fn take_stock(shop: &Shop, history: &History, books: u64) -> Vec<u32> {
    shop.servers().for_each(Server::await_ready);
    eventually("all replicas are equal", || {
        let dumps: Vec<_> = shop.catalogs().iter().map(Server::dump).collect();
        dumps.iter().all(|dump| *dump == dumps[0])
    });
    let look = |id: u64| {
        let start = history.now();
        let mut quantities = Vec::new();
        // On a starved machine a catalog may lose sight of the others once more, and say 503.
        eventually("every catalog answers", || {
            let answers = shop.catalogs().iter().map(|catalog| catalog.find(id));
            quantities = answers.flatten().collect();
            quantities.len() == shop.catalogs().len()
        });
        assert!(
            quantities.iter().all(|q| *q == quantities[0]),
            "{quantities:?}"
        );
        let quantity = quantities[0] as u32;
        history.record(id, Kind::Saw(quantity), start, true);
        quantity
    };
    (1..=books).map(look).collect()
}

/// Runs clients and faults, and returns how often faults happened. Fails when one of the clients
/// did nothing, or no fault happened.
fn run_clients_and_faults(shop: &Shop, history: &History, plan: &Plan) -> BTreeMap<Fault, u32> {
    let end = history.now() + plan.duration;
    thread::scope(|scope| {
        let clients = (1..=plan.clients).map(|n| {
            let mut client = Client {
                shop,
                history,
                rng: Rng::with_seed(plan.seed.wrapping_mul(1000) + n),
                books: plan.stock.len() as u64,
                end,
                start: fastrand::u64(1..1 << 53),
                orders: 0,
            };
            scope.spawn(move || client.run())
        });
        let clients: Vec<_> = clients.collect();
        if plan.members_fail {
            scope.spawn(|| on_etcd::fail_members(shop, history, plan.seed, end));
        }
        let mut injector = FaultInjector::new(shop, history, Rng::with_seed(plan.seed));
        injector.run_until(end, &plan.faults);
        let operations = clients.into_iter().map(|client| client.join().unwrap());
        let operations: Vec<u32> = operations.collect();
        assert!(operations.iter().all(|count| 0 < *count), "{operations:?}");
        assert!(!injector.injected.is_empty(), "no fault happened");
        injector.injected
    })
}

/// Plays one history in a shop of its own, and checks it.
fn play(plan: &Plan, options: ShopOptions) -> Figures {
    let shop = Shop::started(options);
    for (id, quantity) in (1..).zip(plan.stock) {
        shop.stock_up(id, *quantity as usize);
    }
    let history = History::new();
    let mut figures = Figures {
        histories: 1,
        ..Figures::default()
    };
    pressure::under(&plan.pressures, shop.folder(), || {
        figures.faults = run_clients_and_faults(&shop, &history, plan);
    });
    let left = take_stock(&shop, &history, plan.stock.len() as u64);
    check_audit(&shop);
    for (id, operations) in history.books.lock().unwrap().iter() {
        let place = *id as usize - 1;
        let (start, left) = (plan.stock[place], left[place]);
        let flaw = match linearizability::check(start, operations) {
            Err(CheckError::GaveUp) => {
                figures.gave_up += 1;
                None
            }
            Err(flaw) => Some(flaw.to_string()),
            Ok(()) if place + 1 == plan.stock.len() => None,
            Ok(()) => miscounted(start, left, operations),
        };
        if let Some(flaw) = flaw {
            let file = shop.folder().join(format!("history-of-book-{id}"));
            fs::write(file, written(operations)).unwrap();
            panic!("SEED={}: book {id}: {flaw}", plan.seed);
        }
        figures.count(operations);
    }
    assert!(0 < figures.bought, "no client got anything");
    figures
}

/// What is wrong with the number of copies that are left, of a book that is never restocked.
fn miscounted(start: u32, left: u32, operations: &[Operation]) -> Option<String> {
    let (mut sold_min, mut sold_max) = (0, 0);
    for operation in operations {
        if let Kind::Bought(copies) = operation.kind {
            sold_max += copies;
            sold_min += if operation.end.is_some() { copies } else { 0 };
        }
    }
    let right = start.saturating_sub(sold_max) <= left && left + sold_min <= start;
    let text = format!("{sold_min} to {sold_max} sold of {start}, {left} left");
    (!right).then_some(text)
}

/// A history as text, in the order of time.
fn written(operations: &[Operation]) -> String {
    let mut operations = operations.to_vec();
    operations.sort_by_key(|operation| operation.start);
    operations
        .iter()
        .fold(String::new(), |mut text, operation| {
            writeln!(text, "{operation}").expect("a text takes everything");
            text
        })
}

#[test]
fn whatever_crashes_each_book_is_linearizable_and_each_copy_is_sold_once() {
    let (seed, _) = seeded();
    let plan = Plan {
        seed,
        duration: Duration::from_secs(number("CHAOS_SECONDS").unwrap_or(12)),
        clients: 10,
        stock: &[60, 10_000, 10_000, 300],
        faults: FAULTS.to_vec(),
        members_fail: false,
        pressures: Vec::new(),
    };
    let figures = play(
        &plan,
        ShopOptions {
            catalogs: 3,
            orders: 3,
            default_timeouts: true,
            environment: plan.hedging(),
            ..ShopOptions::default()
        },
    );
    println!("{figures:?}");
    for stops in [false, true] {
        let happened = figures.faults.keys().any(|fault| fault.stops() == stops);
        assert!(happened, "stops={stops}: {figures:?}");
    }
    assert_eq!(figures.gave_up, 0, "SEED={seed}");
}

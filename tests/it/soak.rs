//! Clients without pause while servers are killed and started again: what the other servers use
//! does not grow, and what the clients saw could have happened at one shop with one copy of each
//! book.
//!
//! `SOAK_SECONDS=600 cargo test soak -- --nocapture` for the whole ten minutes, with a line of
//! figures every few seconds.

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bazar::testing::linearizability::{self, Kind, Operation};

use crate::harness::clients::number;
use crate::harness::history::{self, Buy, History};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use crate::orders::check_audit;

/// Long enough for some kills of each server, and for a beginning, a middle and an end to compare.
const SECONDS: u64 = 12;

/// So many samples at least of a server are compared with as many later ones.
const SAMPLES_MIN: usize = 3;

/// Histories are checked after each of these.
const ROUND: Duration = Duration::from_secs(2);

const BOOKS: Range<u64> = 1..4;
const CLIENTS_OF_A_BOOK: usize = 2;

/// Some hundred requests a second: the checker must follow, and so must two cores.
const PAUSE: Duration = Duration::from_millis(5);

/// A write whose outcome was unknown for so long has no effect any more: every server that worked
/// on it has given up.
const UNKNOWN_MAX: Duration = Duration::from_secs(15);

/// What a server uses may grow by so much between the middle and the end.
const MORE_KIB: u64 = 8 * 1024;
/// Beside that, a catalog has what was sold in its ledger.
const BYTES_OF_A_SALE: u64 = 1024;
const MORE_THREADS: u64 = 32;
const MORE_DESCRIPTORS: u64 = 64;

/// How many buys were told that they succeeded.
static SOLD: AtomicU64 = AtomicU64::new(0);

/// What a process uses, when so many copies were sold.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    sold: u64,
    kib: u64,
    threads: u64,
    descriptors: u64,
}

impl Usage {
    fn of(server: &Server) -> Usage {
        let folder = format!("/proc/{}", server.id());
        let count = |name: &str| fs::read_dir(format!("{folder}/{name}")).unwrap().count() as u64;
        Usage {
            sold: SOLD.load(Ordering::Relaxed),
            kib: server.resident_kib(),
            threads: count("task"),
            descriptors: count("fd"),
        }
    }

    fn most(samples: &[Usage]) -> Usage {
        samples.iter().fold(Usage::default(), |most, sample| Usage {
            sold: most.sold.max(sample.sold),
            kib: most.kib.max(sample.kib),
            threads: most.threads.max(sample.threads),
            descriptors: most.descriptors.max(sample.descriptors),
        })
    }
}

/// One server that lives through the whole test, and its samples.
struct Samples<'a> {
    server: &'a Server,
    usage: Vec<Usage>,
}

impl Samples<'_> {
    fn take(&mut self, elapsed: Duration) {
        let usage = Usage::of(self.server);
        println!(
            "{:4} s {:10} {usage:?}",
            elapsed.as_secs(),
            self.server.name
        );
        self.usage.push(usage);
    }

    /// Compares the last third with the middle one. The first third is for warming up: threads and
    /// connections are made when they are first needed.
    #[track_caller]
    fn check(&self) {
        let (_, warm) = self.usage.split_at(self.usage.len() / 3);
        let (middle, end) = warm.split_at(warm.len() / 2);
        let what = format!("{}: {:?}", self.server.name, self.usage);
        assert!(SAMPLES_MIN <= middle.len(), "too few samples: {what}");
        let (middle, end) = (Usage::most(middle), Usage::most(end));
        let ledger_kib = (end.sold - middle.sold) * BYTES_OF_A_SALE / 1024;
        assert!(end.kib <= middle.kib + MORE_KIB + ledger_kib, "{what}");
        assert!(end.threads <= middle.threads + MORE_THREADS, "{what}");
        let descriptors_max = middle.descriptors + MORE_DESCRIPTORS;
        assert!(end.descriptors <= descriptors_max, "{what}");
    }
}

/// A client of one book, until then.
fn buy_and_look_until(shop: &Shop, history: &History, id: u64, until: Instant) {
    while Instant::now() < until {
        match fastrand::u32(..20) {
            0 => history.restock(shop.catalog(1), id, fastrand::u32(10..40)),
            1..6 => buy(shop, history, id),
            6 => drop(shop.front_end().try_get("/search/t")),
            _ => history.look_up(shop.front_end(), "/lookup/", id),
        }
        thread::sleep(PAUSE);
    }
    history.look_up(shop.front_end(), "/lookup/", id);
}

fn buy(shop: &Shop, history: &History, id: u64) {
    let start = history.now();
    let copies = fastrand::u32(1..=3);
    match history::buy(shop.front_end(), id, copies, &[]) {
        Buy::Purchased => {
            SOLD.fetch_add(1, Ordering::Relaxed);
            history.record(id, Kind::Bought(copies), start, true);
        }
        Buy::SoldOut => history.record(id, Kind::SoldOut(copies), start, true),
        Buy::Failed => {}
        Buy::Unknown => history.record(id, Kind::Bought(copies), start, false),
    }
}

/// Checks what clients saw of each book since there were `quantities` copies. Then begins anew,
/// with the copies that there are now, and with the operations that may take effect yet.
#[track_caller]
fn check(shop: &Shop, history: &History, quantities: &mut [u32]) {
    for (id, quantity) in BOOKS.zip(quantities) {
        history.look_up(shop.front_end(), "/lookup/", id);
        let mut books = history.books.lock().unwrap();
        let operations = books.get_mut(&id).expect("clients look at every book");
        let is_answered_buy = |o: &&Operation| {
            matches!(o.kind, Kind::Bought(_) | Kind::SoldOut(_)) && o.end.is_some()
        };
        let answered = operations.iter().filter(is_answered_buy).count();
        assert!(0 < answered, "no buy of book {id} was answered");
        if let Err(flaw) = linearizability::check(*quantity, operations) {
            panic!("book {id}: {flaw}");
        }
        let Kind::Saw(now) = operations.last().expect("the last lookup").kind else {
            panic!("the last lookup was not answered");
        };
        *quantity = now;
        let now = history.now();
        operations.retain(|o| o.end.is_none() && now < o.start + UNKNOWN_MAX);
    }
}

/// One round of clients, and two kills in it. Samples are taken after each.
fn round(shop: &Shop, history: &History, victims: [&Server; 2], samples: &mut [Samples]) {
    let until = Instant::now() + ROUND;
    thread::scope(|scope| {
        for id in BOOKS {
            for _ in 0..CLIENTS_OF_A_BOOK {
                scope.spawn(move || buy_and_look_until(shop, history, id, until));
            }
        }
        for victim in victims {
            thread::sleep(ROUND / 8);
            victim.kill();
            thread::sleep(ROUND / 8);
            victim.start();
            samples.iter_mut().for_each(|s| s.take(history.now()));
        }
    });
}

#[test]
fn what_a_shop_uses_does_not_grow_and_what_clients_see_stays_linearizable() {
    let seconds = number("SOAK_SECONDS").unwrap_or(SECONDS);
    let shop = Shop::started(ShopOptions {
        environment: vec![("LOG", "info".into()), ("HEDGE_AFTER_MS", "0".into())],
        ..ShopOptions::default()
    });
    let mut samples = [shop.catalog(1), shop.order(1), shop.front_end()].map(|server| Samples {
        server,
        usage: Vec::new(),
    });
    let history = History::new();
    let mut quantities: Vec<u32> = BOOKS.map(|id| shop.quantity(id) as u32).collect();
    while history.now() < Duration::from_secs(seconds) {
        let victims = [shop.catalog(2), shop.order(2)];
        round(&shop, &history, victims, &mut samples);
        check(&shop, &history, &mut quantities);
    }
    check_audit(&shop);
    samples.iter().for_each(Samples::check);
}

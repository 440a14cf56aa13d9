//! Catalogs are killed again and again while many write: every acknowledged write is there.
//!
//! `SEED=…` repeats a run's choices, `CRASHES=100` makes it longer.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;

use crate::harness::clients::{number, seeded};
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use crate::orders::check_audit;

/// How often catalogs are killed, if the environment says nothing else.
const CRASHES: u64 = 6;

const WRITERS: u64 = 32;

/// In five files.
const BOOKS: u64 = 400;

/// The longest time between a start and the next crash. Whatever a catalog does in it is
/// interrupted by some crash.
const CRASH_WITHIN_MS: u64 = 300;

/// A writer whose catalog is down tries again after this.
const PAUSE: Duration = Duration::from_millis(5);

/// What one writer knows of its writes of a book that no other writer writes.
#[derive(Clone, Copy, Default)]
struct Writes {
    acknowledged: u64,
    /// The last one, acknowledged or not.
    tried: u64,
}

type AllWrites = HashMap<u64, Writes>;

#[test]
fn every_acknowledged_write_survives_crashes() {
    let (_, mut rng) = seeded();
    let crashes = number("CRASHES").unwrap_or(CRASHES);
    let shop = Shop::started(ShopOptions {
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    add_books(shop.catalog(1));
    let writes = crash_under_writers(&shop, crashes, &mut rng);
    for n in [1, 2] {
        shop.catalog(n).kill();
    }
    shop.start();
    for n in [1, 2] {
        check_folder(&shop.data_folder(n));
        check_books(shop.catalog(n), &writes);
    }
    check_audit(&shop);
    assert_eq!(writes.len() as u64, BOOKS);
}

fn add_books(catalog: &Server) {
    let book =
        |id| format!(r#"{{"id":{id},"title":"T","topic":"Crashes","quantity":0,"price":1}}"#);
    let books: Vec<String> = (8..=BOOKS).map(book).collect();
    let response = catalog.call("POST", "/add", &[], &format!("[{}]", books.join(",")));
    assert_eq!(response.status, 200, "{response:?}");
    // The first stock is written too.
    for id in 1..8 {
        let response = catalog.put(&format!("/update/{id}"), r#"{"quantity":0}"#);
        assert_eq!(response.status, 200, "{response:?}");
    }
}

/// Lets the writers write while catalogs are killed. Returns what they know in the end.
fn crash_under_writers(shop: &Shop, crashes: u64, rng: &mut Rng) -> AllWrites {
    let stop = AtomicBool::new(false);
    let all = Mutex::new(AllWrites::new());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (stop, all, seed) = (&stop, &all, rng.u64(..));
            scope.spawn(move || {
                let writes = write(shop, writer, stop, seed);
                all.lock().unwrap().extend(writes);
            });
        }
        // Writers must end even if this panics.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..crashes).for_each(|_| crash(shop, rng));
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    all.into_inner().unwrap()
}

/// Kills one catalog, or all at once, at some moment, and starts them again.
fn crash(shop: &Shop, rng: &mut Rng) {
    thread::sleep(Duration::from_millis(rng.u64(1..=CRASH_WITHIN_MS)));
    let which: &[usize] = match rng.u8(..4) {
        0 => &[1, 2],
        1 => &[1],
        _ => &[2],
    };
    which.iter().for_each(|n| shop.catalog(*n).kill());
    which
        .iter()
        .for_each(|n| check_files(&shop.data_folder(*n)));
    thread::scope(|scope| {
        for n in which {
            scope.spawn(|| shop.catalog(*n).start());
        }
    });
}

/// Writes ever larger quantities of its own books at any catalog, and reads them back, until
/// `stop` and each book was acknowledged once.
fn write(shop: &Shop, writer: u64, stop: &AtomicBool, seed: u64) -> AllWrites {
    let mut rng = Rng::with_seed(seed);
    let own: Vec<u64> = (1..=BOOKS).filter(|id| id % WRITERS == writer).collect();
    let mut writes: AllWrites = own.iter().map(|id| (*id, Writes::default())).collect();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) || writes.values().any(|a| a.acknowledged == 0) {
        let id = own[turn % own.len()];
        turn += 1;
        let known = writes.get_mut(&id).unwrap();
        let catalog = shop.catalog(rng.usize(1..=2));
        known.tried += 1;
        if put(catalog, id, known.tried) {
            known.acknowledged = known.tried;
        } else {
            thread::sleep(PAUSE);
        }
        if let Some(read) = quantity(shop.catalog(rng.usize(1..=2)), id) {
            check(id, *known, read);
        }
    }
    writes
}

fn put(catalog: &Server, id: u64, quantity: u64) -> bool {
    let body = format!(r#"{{"quantity":{quantity}}}"#);
    let response = http::call(
        &catalog.address,
        "PUT",
        &format!("/update/{id}"),
        &[],
        &body,
    );
    response.is_ok_and(|response| response.status == 200)
}

fn quantity(catalog: &Server, id: u64) -> Option<u64> {
    let response = catalog.try_get(&format!("/query/item/{id}")).ok()?;
    (response.status == 200).then(|| response.json()["quantity"].as_u64().unwrap())
}

#[track_caller]
fn check(id: u64, known: Writes, quantity: u64) {
    let Writes {
        acknowledged,
        tried,
    } = known;
    assert!(
        acknowledged <= quantity && quantity <= tried,
        "book {id}: {quantity} is there, {acknowledged} was acknowledged, {tried} written last"
    );
}

#[track_caller]
fn check_books(catalog: &Server, writes: &AllWrites) {
    let books = catalog.dump();
    assert_eq!(books.len() as u64, BOOKS);
    for book in books {
        let id = book["id"].as_u64().unwrap();
        check(id, writes[&id], book["quantity"].as_u64().unwrap());
    }
}

/// Every file parses. Temporary ones may be there after a crash.
#[track_caller]
fn check_files(folder: &Path) {
    let is_of_books = |name: &&String| name.starts_with("books-") && name.ends_with(".json");
    for name in names(folder).iter().filter(is_of_books) {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let books: Result<Vec<Value>, _> = serde_json::from_str(&text);
        assert!(books.is_ok_and(|books| !books.is_empty()), "{name}: {text}");
    }
}

/// Files of books and of the ledger, all of which parse, and nothing else.
#[track_caller]
fn check_folder(folder: &Path) {
    check_files(folder);
    let file = |n| format!("books-{:07}-{:07}.json", n * 200, n * 200 + 199);
    let ledger = folder.join("ledger");
    for name in self::names(&ledger) {
        // The catalog is at work: a file may just be replaced.
        let is_whole = name.ends_with(".json");
        assert!(is_whole || name.ends_with(".json.tmp"), "{name}");
        if is_whole {
            let text = fs::read_to_string(ledger.join(&name)).unwrap();
            let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
            assert!(!entries.is_empty(), "{name}: {text}");
        }
    }
    let names = names(folder);
    let is_own = |name: &&String| name.starts_with("standing.json") || *name == "ledger";
    let books: Vec<_> = names.iter().filter(|name| !is_own(name)).collect();
    assert!(books.into_iter().cloned().eq((0..3).map(file)), "{names:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

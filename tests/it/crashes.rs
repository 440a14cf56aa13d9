//! The plug is pulled again and again while many write: what was acknowledged is there.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;

use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// How often a plug is pulled; `BAZAR_CRASHES` says otherwise.
const CRASHES: usize = 6;

const WRITERS: u64 = 32;

/// In five files.
const BOOKS: u64 = 400;

/// Between a start and the next crash at most; whatever falls into it falls into a crash some time.
const CRASH_WITHIN_MS: u64 = 300;

/// A writer whose catalog is down tries again after this.
const PAUSE: Duration = Duration::from_millis(5);

/// What one writer knows of a book that only it writes.
#[derive(Clone, Copy, Default)]
struct Account {
    acknowledged: u64,
    /// Written last, acknowledged or not.
    tried: u64,
}

type Accounts = HashMap<u64, Account>;

#[test]
fn every_acknowledged_write_survives_crashes() {
    let seed = number("BAZAR_SEED").unwrap_or_else(|| fastrand::u64(..));
    let crashes = number("BAZAR_CRASHES").map_or(CRASHES, |n| n as usize);
    println!("BAZAR_SEED={seed}");
    let shop = Shop::started(ShopOptions {
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    add_books(shop.catalog(1));
    let mut rng = Rng::with_seed(seed);
    let accounts = crash_under_writers(&shop, crashes, &mut rng);
    for n in [1, 2] {
        shop.catalog(n).kill();
    }
    shop.start();
    for n in [1, 2] {
        check_folder(&shop.data_folder(n));
        check_books(shop.catalog(n), &accounts);
    }
    assert_eq!(accounts.len() as u64, BOOKS);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
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

/// Lets the writers write while plugs are pulled. Returns what they know in the end.
fn crash_under_writers(shop: &Shop, crashes: usize, rng: &mut Rng) -> Accounts {
    let stop = AtomicBool::new(false);
    let all = Mutex::new(Accounts::new());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (stop, all, seed) = (&stop, &all, rng.u64(..));
            scope.spawn(move || {
                let accounts = write(shop, writer, stop, seed);
                all.lock().unwrap().extend(accounts);
            });
        }
        // Writers must end, however this ends.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..crashes).for_each(|_| crash(shop, rng));
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    all.into_inner().unwrap()
}

/// One catalog, or all at once, at some moment.
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

/// Writes ever larger quantities of its own books at any catalog, and reads them back, until told
/// to stop and each book was acknowledged once.
fn write(shop: &Shop, writer: u64, stop: &AtomicBool, seed: u64) -> Accounts {
    let mut rng = Rng::with_seed(seed);
    let own: Vec<u64> = (1..=BOOKS).filter(|id| id % WRITERS == writer).collect();
    let mut accounts: Accounts = own.iter().map(|id| (*id, Account::default())).collect();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) || accounts.values().any(|a| a.acknowledged == 0) {
        let id = own[turn % own.len()];
        turn += 1;
        let account = accounts.get_mut(&id).unwrap();
        let catalog = shop.catalog(rng.usize(1..=2));
        account.tried += 1;
        if put(catalog, id, account.tried) {
            account.acknowledged = account.tried;
        } else {
            thread::sleep(PAUSE);
        }
        if let Some(read) = quantity(shop.catalog(rng.usize(1..=2)), id) {
            check(id, *account, read);
        }
    }
    accounts
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
    let response = catalog.try_get(&format!("/query/item/{id}"));
    let response = response.ok().filter(|response| response.status == 200)?;
    response.json()["quantity"].as_u64()
}

#[track_caller]
fn check(id: u64, account: Account, quantity: u64) {
    let Account {
        acknowledged,
        tried,
    } = account;
    assert!(
        acknowledged <= quantity && quantity <= tried,
        "book {id}: {quantity} is there, {acknowledged} was acknowledged, {tried} written last"
    );
}

#[track_caller]
fn check_books(catalog: &Server, accounts: &Accounts) {
    let dump = catalog.get("/dump/").json();
    let books = dump.as_array().unwrap();
    assert_eq!(books.len() as u64, BOOKS);
    for book in books {
        let id = book["id"].as_u64().unwrap();
        check(id, accounts[&id], book["quantity"].as_u64().unwrap());
    }
}

/// Every file parses. Temporary ones may be there: the plug was pulled.
#[track_caller]
fn check_files(folder: &Path) {
    for name in names(folder).iter().filter(|name| name.ends_with(".json")) {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let books: Result<Vec<Value>, _> = serde_json::from_str(&text);
        assert!(books.is_ok_and(|books| !books.is_empty()), "{name}: {text}");
    }
}

/// Files of books, all of which parse, and nothing else.
#[track_caller]
fn check_folder(folder: &Path) {
    check_files(folder);
    let file = |n| format!("books-{:07}-{:07}.json", n * 100, n * 100 + 99);
    assert_eq!(names(folder), (0..5).map(file).collect::<Vec<_>>());
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

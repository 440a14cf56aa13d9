//! Data folders that a catalog refuses, disks that refuse writes, and what a catalog fetches after
//! an outage.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::process::{BAZAR, await_end, eventually, run};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, own_folder};

const FIRST_FILE: &str = "books-0000000-0000199.json";

/// A catalog on this folder ends at once, with an error that has these words, and changes nothing.
#[track_caller]
fn check_refused(folder: &Path, words: &[&str]) {
    let before = contents(folder);
    let mut command = Command::new(BAZAR);
    command.args(["catalog", "--port", "0", "--data-dir"]);
    command.arg(folder).env_clear();
    let (code, stdout, stderr) = run(command);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    let has = |word: &&str| stderr.contains(*word);
    assert!(words.iter().all(has), "{words:?}: {stderr}");
    assert_eq!(contents(folder), before);
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn a_catalog_does_not_start_on_a_file_that_is_wrong() {
    let line = |id: u64, quantity: i64| {
        format!(
            r#"  {{"id":{id},"title":"T","topic":"P","quantity":{quantity},"price":1.0,"version":"0-0"}}"#
        )
    };
    let second = |second: String| format!("[\n{},\n{second}\n]\n", line(1, 1));
    for (text, words) in [
        (second("{\"id\" 2}".into()), ["line 3 column 7", "`:`"]),
        (second(line(200, 1)), ["line 3 column 3", "book 200"]),
        (second(line(1, 1)), ["line 3 column 3", "there already"]),
        (second(line(2, -1)), ["line 3 column", "-1"]),
    ] {
        let folder = own_folder();
        fs::write(folder.join(FIRST_FILE), text).unwrap();
        check_refused(&folder, &words);
        check_refused(&folder, &[FIRST_FILE]);
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let make = |fifo: &Path| {
        let status = Command::new("mkfifo").arg(fifo).status();
        assert!(status.unwrap().success());
    };
    for name in [FIRST_FILE, "standing.json"] {
        for make in [&make as &dyn Fn(&Path), &|folder| {
            fs::create_dir(folder).unwrap()
        }] {
            let folder = own_folder();
            make(&folder.join(name));
            check_not_opened(&folder, None, &[name, "plain file"]);
            fs::remove_dir_all(folder).unwrap();
        }
    }
    let folder = own_folder();
    let books = folder.join("books.fifo");
    make(&books);
    check_not_opened(
        &folder.join("data"),
        Some(&books),
        &["books.fifo", "plain file"],
    );
    fs::remove_dir_all(folder).unwrap();
}

/// A catalog on this folder ends at once, with an error that has these words.
#[track_caller]
fn check_not_opened(folder: &Path, books: Option<&Path>, words: &[&str]) {
    let mut command = Command::new(BAZAR);
    command.args(["catalog", "--port", "0", "--data-dir"]);
    command.arg(folder).env_clear();
    command.envs(books.map(|books| ("BOOKS", books)));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(await_end(&mut child).code(), Some(2));
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(
        words.iter().all(|word| stderr.contains(word)),
        "{words:?}: {stderr}"
    );
}

#[test]
fn with_one_catalog_and_a_full_disk_buyers_are_told_and_lookups_go_on() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::default()
    });
    let temporary = shop.data_folder(1).join(format!("{FIRST_FILE}.tmp"));
    symlink("/dev/full", &temporary).unwrap();
    let buy = |id: u64| shop.front_end().put(&format!("/buy/{id}"), "");
    let first = buy(3);
    assert_eq!(
        (first.status, first.header("Bazar-Outcome")),
        (507, "unknown")
    );
    eventually("the catalog is not ready", || {
        shop.front_end().get("/readyz").status == 503
    });
    // The book that has no valid copy any more; others; and again.
    for id in [3, 4, 3, 4, 5] {
        let response = buy(id);
        let outcome = response.header("Bazar-Outcome").to_string();
        let expected = [(507, "unknown"), (503, "none")];
        assert!(
            expected.contains(&(response.status, &outcome)),
            "{id}: {response:?}"
        );
        let message = response.json()["message"].as_str().unwrap().to_string();
        assert!(
            message.contains("disk") || message.contains("book"),
            "{message}"
        );
        shop.lookup(1);
    }
    fs::remove_file(&temporary).unwrap();
    // With a key: it may have been sold though nobody could be told.
    let again = || {
        let key = [("Idempotency-Key", "again")];
        shop.front_end().call("PUT", "/buy/3", &key, "")
    };
    eventually("it sells again by itself", || again().is_purchase());
}

#[test]
fn a_second_catalog_does_not_start_on_a_folder_that_is_in_use() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    check_refused(&shop.data_folder(1), &["another catalog"]);
    let sold = shop.catalog(1).put("/update/2", r#"{"quantity":4}"#);
    assert_eq!(sold.status, 200);
}

/// `refuse` lets the disk of catalog 1 refuse writes, and `accept` lets it accept them again, both
/// given where its temporary file goes.
fn check_refusing_disk(refuse: fn(&Path), accept: fn(&Path)) {
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let temporary = shop.data_folder(1).join(format!("{FIRST_FILE}.tmp"));
    refuse(&temporary);
    let before = contents_of_books(&shop, 1);
    let response = shop.catalog(1).put("/update/3", r#"{"quantity":77}"#);
    assert_eq!(response.status, 507, "{response:?}");
    let message = response.json()["message"].as_str().unwrap().to_string();
    // What failed is for the client, where it failed is for the log.
    assert!(message.contains("The disk refuses: "), "{message}");
    assert!(!message.contains(['/', '.']), "{message}");
    assert!(shop.catalog(1).stderr().contains(FIRST_FILE));
    eventually("the other catalog goes on without it", || {
        let response = shop.catalog(2).put("/update/2", r#"{"quantity":44}"#);
        response.status == 200
    });
    assert_eq!(on_disk(&shop, 2, 2)["quantity"], 44);
    // The catalog that cannot write acknowledges nothing.
    assert_ne!(
        shop.catalog(1)
            .put("/update/2", r#"{"quantity":43}"#)
            .status,
        200
    );
    assert_eq!(shop.catalog(1).get("/readyz").status, 503);
    assert_eq!(contents_of_books(&shop, 1), before);
    accept(&temporary);
    eventually("it works again by itself", || {
        shop.catalog(1).get("/readyz").status == 200
    });
    let put = |n: usize, body| shop.catalog(n).put("/update/2", body).status;
    eventually("it accepts writes", || put(1, r#"{"quantity":42}"#) == 200);
    for n in [1, 2] {
        assert_eq!(on_disk(&shop, n, 2)["quantity"], 42, "catalog {n}");
        assert_eq!(on_disk(&shop, n, 3), on_disk(&shop, 3 - n, 3));
        assert!(
            !shop
                .data_folder(n)
                .join(format!("{FIRST_FILE}.tmp"))
                .exists()
        );
    }
}

fn contents_of_books(shop: &Shop, n: usize) -> Vec<u8> {
    fs::read(shop.data_folder(n).join(FIRST_FILE)).unwrap()
}

/// A book in the file of catalog `n`, without the marks that are no part of its content.
fn on_disk(shop: &Shop, n: usize, id: u64) -> Value {
    let mut books: Vec<Value> = serde_json::from_slice(&contents_of_books(shop, n)).unwrap();
    let index = books.iter().position(|book| book["id"] == id).unwrap();
    let mut book = books.swap_remove(index);
    let fields = book.as_object_mut().unwrap();
    fields.remove("committed");
    fields.remove("diverged_at");
    book
}

#[test]
fn a_full_disk_loses_nothing_and_stops_no_other_catalog() {
    check_refusing_disk(
        |temporary| symlink("/dev/full", temporary).unwrap(),
        |temporary| fs::remove_file(temporary).unwrap(),
    );
}

#[test]
fn a_disk_that_takes_no_new_file_loses_nothing_and_stops_no_other_catalog() {
    check_refusing_disk(
        |temporary| fs::create_dir(temporary).unwrap(),
        |temporary| fs::remove_dir(temporary).unwrap(),
    );
}

/// Books can be saved, but not whom it leaves out.
#[test]
fn a_list_that_the_disk_refuses_is_one_line_of_the_log_until_it_is_saved() {
    let shop = Shop::started(ShopOptions::default());
    let temporary = shop.data_folder(1).join("standing.json.tmp");
    fs::create_dir(&temporary).unwrap();
    shop.kill(shop.catalog(2));
    let put = || shop.catalog(1).put("/update/2", r#"{"quantity":42}"#);
    eventually("it says what to do", || {
        put().body.contains("make room on it")
    });
    let missing = shop.catalog(1).get("/readyz").body;
    assert!(missing.contains("a disk that takes writes"), "{missing}");
    let log = shop.catalog(1).stderr();
    assert_eq!(log.matches("disk refuses").count(), 1, "{log}");
    fs::remove_dir(&temporary).unwrap();
    eventually("it goes on alone", || put().status == 200);
    let log = shop.catalog(1).stderr();
    assert_eq!(log.matches("disk is back").count(), 1, "{log}");
}

/// It must count its start on disk first.
#[test]
fn a_catalog_that_starts_on_a_full_disk_may_be_started_again() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(1).kill();
    let temporary = shop.data_folder(1).join("standing.json.tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = Command::new(BAZAR);
    command.args(["catalog", "--port", "0", "--data-dir"]);
    command.arg(shop.data_folder(1)).env_clear();
    let (code, stdout, stderr) = run(command);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("cannot save"), "{stderr}");
    fs::remove_dir(&temporary).unwrap();
    shop.catalog(1).start();
}

/// The peer cannot be struck off, as long as that cannot be saved.
#[test]
fn look_ups_go_on_while_a_full_disk_keeps_a_peer_from_coming_back() {
    let shop = Shop::started(ShopOptions::default());
    shop.kill(shop.catalog(2));
    let put = || shop.catalog(1).put("/update/2", r#"{"quantity":42}"#);
    eventually("it goes on alone", || put().status == 200);
    let temporary = shop.data_folder(1).join("standing.json.tmp");
    fs::create_dir(&temporary).unwrap();
    shop.catalog(2).launch();
    let log = || shop.catalog(1).stderr();
    eventually("its disk refuses", || log().contains("disk refuses"));
    for _ in 0..10 {
        let seen = shop.catalog(1).get("/query/item/2");
        assert_eq!((seen.status, &seen.json()["quantity"]), (200, &json!(42)));
    }
    fs::remove_dir(&temporary).unwrap();
    shop.catalog(2).await_ready();
    assert_eq!(shop.catalog(2).dump(), shop.catalog(1).dump());
}

#[test]
fn a_catalog_that_was_away_fetches_what_it_missed_and_nothing_else() {
    const MISSED: u64 = 20;
    let shop = Shop::started(ShopOptions {
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    let book = json!({"title": "T", "topic": "P", "quantity": 1, "price": 2.0});
    let books = Value::Array(vec![book; 900]).to_string();
    assert_eq!(
        shop.catalog(1).call("POST", "/add", &[], &books).status,
        200
    );
    shop.catalog(2).kill();
    let logged = fetched(shop.catalog(2)).len();
    for n in 0..MISSED {
        let path = format!("/update/{}", 10 + 40 * n);
        let response = shop.catalog(1).put(&path, r#"{"quantity":9}"#);
        assert_eq!(response.status, 200, "{response:?}");
    }
    shop.catalog(2).start();
    assert_eq!(shop.catalog(2).dump(), shop.catalog(1).dump());
    let fetched = fetched(shop.catalog(2)).split_off(logged);
    assert!(!fetched.is_empty());
    assert!(fetched.iter().all(|count| *count <= MISSED), "{fetched:?}");
}

/// How many books each catch-up fetched, according to the log.
fn fetched(catalog: &Server) -> Vec<u64> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().unwrap(),
        value => value.as_u64().unwrap(),
    };
    let lines = catalog.log("caught up");
    lines.iter().map(|line| number(&line["fetched"])).collect()
}

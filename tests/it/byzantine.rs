//! A catalog that lies, as one that responses and as one that asks: what cannot be is refused, or
//! dropped with a line in the log, and the others' books stay as they are.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::byzantine_peer::{Behaviour, ByzantinePeer, MESSAGES};
use crate::harness::connection::Connection;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// A book as catalogs tell it, with more copies than there are.
fn book(id: u64, version: &str) -> Value {
    json!({"id": id, "title": "Lies", "topic": "Lies", "quantity": 999, "price": 0.5, "version": version, "committed": true})
}

/// A list of books in the store's words.
fn books(catalog: &Server) -> Value {
    catalog.get("/dump/").json()
}

/// Catalog 1 with a liar as the other catalog: it shows nothing but its own books, says `line`, and
/// once the liar is gone has what it had, also on disk.
#[track_caller]
fn check_answerer(lie: Behaviour, line: &str) {
    let shop = Shop::new(ShopOptions {
        orders: 1,
        environment: vec![("LOG", "debug".into())],
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let catalog = shop.catalog(1);
    let liar = ByzantinePeer::begin(&shop.catalog(2).address, lie);
    catalog.launch();
    eventually(line, || {
        let response = catalog.get("/query/item/1");
        assert!(!response.body.contains("Lies"), "{response:?}");
        catalog.put("/update/1", r#"{"price": 25}"#);
        catalog.stderr().contains(line)
    });
    let status = fs::read_to_string(format!("/proc/{}/status", catalog.id())).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let mib = resident
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap()
        / 1024;
    assert!(mib < 400, "{mib} MiB");
    drop(liar);
    catalog.await_ready();
    let own = books(catalog);
    assert!(
        own.as_array().unwrap().len() == 7 && !own.to_string().contains("Lies"),
        "{own}"
    );
    let first = catalog.get("/query/item/1").json();
    assert_eq!(
        (&first["quantity"], &first["price"]),
        (&json!(10), &json!(25.0))
    );
    let own = books(catalog);
    catalog.kill();
    catalog.start();
    assert_eq!(books(catalog), own);
}

const DROPPED: &str = "a peer's answer makes no sense and was dropped";

#[test]
fn answers_that_are_no_json_change_nothing() {
    check_answerer(Behaviour::NotJson, DROPPED);
}

#[test]
fn answers_without_end_change_nothing_and_fill_no_memory() {
    check_answerer(Behaviour::EndlessBody, "catch-up begins again");
}

/// Says this of the book to whoever wants to know.
fn about(version: &'static str, told: u64) -> Behaviour {
    let says = move |path: &str| {
        let whole = book(told, version);
        match path.split('/').nth(2).unwrap_or_default() {
            "page" => (200, json!({"entries": [[1, version, "valid"]]})),
            "fetch" => (200, json!({"books": [[whole, "valid"]]})),
            "get" => (200, json!({"book": whole, "state": "valid"})),
            "check" => (409, json!({"book": whole, "state": "valid"})),
            _ => (409, json!({"conflicts": [[whole, "valid"]]})),
        }
    };
    Behaviour::Replies(Arc::new(says))
}

#[test]
fn answers_about_a_wrong_book_change_nothing() {
    check_answerer(about("5-5", 7), DROPPED);
    check_answerer(about("5-5", 999), DROPPED);
}

#[test]
fn versions_beyond_all_measure_change_nothing() {
    check_answerer(about("9223372036854775808-1", 1), DROPPED);
}

#[test]
fn another_content_at_the_same_version_changes_nothing() {
    let Behaviour::Replies(tells) = about("0-0", 1) else {
        unreachable!()
    };
    // Without pages, each book is asked for.
    let says = move |path: &str| match path {
        "/rep/page" => (503, json!({"message": "not now"})),
        _ => tells(path),
    };
    check_answerer(
        Behaviour::Replies(Arc::new(says)),
        "a peer has another content at the same version",
    );
}

#[track_caller]
fn check_sender(shop: &Shop, path: &str, body: &str, status: u16) {
    let response = shop.catalog(1).put(path, body);
    assert_eq!(response.status, status, "{path} {body}: {response:?}");
}

#[test]
fn a_sender_that_lies_is_refused() {
    let shop = Shop::started(ShopOptions::default());
    let before = books(shop.catalog(1));
    let update = |book: Value| json!({ "books": [book] }).to_string();
    for kind in MESSAGES {
        check_sender(&shop, &format!("/rep/{kind}"), "{\"books\": [", 400);
        check_sender(&shop, &format!("/rep/{kind}"), "[]", 422);
        check_sender(
            &shop,
            &format!("/rep/{kind}"),
            "{\"id\": -1, \"after\": \"x\"}",
            422,
        );
    }
    check_sender(&shop, "/rep/update/2", &update(book(1, "5-5")), 422);
    check_sender(
        &shop,
        "/rep/update/1",
        &update(book(1, "9223372036854775808-1")),
        422,
    );
    check_sender(&shop, "/rep/update/1", &update(book(1, "0-0")), 422);
    check_sender(
        &shop,
        "/rep/confirm/1",
        r#"{"versions": [[1, "9223372036854775808-1"]]}"#,
        422,
    );
    check_sender(
        &shop,
        "/rep/confirm/1",
        r#"{"versions": [[1, "5-5"]]}"#,
        200,
    );
    for (field, value) in [
        ("quantity", json!(-1)),
        ("quantity", json!(4_000_000_000_u64)),
        ("price", json!(-0.5)),
        ("title", json!("")),
        ("topic", json!("t".repeat(201))),
        ("id", json!(u64::MAX)),
    ] {
        let mut flawed = book(1, "5-5");
        flawed[field] = value;
        check_sender(&shop, "/rep/update", &update(flawed), 422);
    }
    let unknown_peer = json!({"from": "http://127.0.0.1:9"}).to_string();
    check_sender(&shop, "/rep/heartbeat", &unknown_peer, 403);
    send_without_end(shop.catalog(1));
    assert_eq!(books(shop.catalog(1)), before);
    assert_eq!(books(shop.catalog(2)), before);
    assert_eq!(shop.buy(1).json()["success"], true);
    assert_eq!(shop.quantity(1), 9);
}

/// A message whose body does not end: it is refused, or the connection ends.
fn send_without_end(catalog: &Server) {
    let mut connection = Connection::open(&catalog.address);
    let head = "PUT /rep/update HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head).unwrap();
    let chunk = format!("100000\r\n{}\r\n", "[".repeat(0x100000));
    let sent = (0..64)
        .take_while(|_| connection.send(&chunk).is_ok())
        .count();
    assert!(sent < 64, "64 MiB were taken");
    if let Ok(response) = connection.response() {
        assert_eq!(response.status, 413);
    }
}

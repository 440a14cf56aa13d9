//! A byzantine catalog, as the sender and as the receiver: malformed messages are refused, or
//! dropped with a line in the log, and the other catalogs' books stay as they are.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::connection::Connection;
use crate::harness::fake_server::{FakeServer, Replies, Reply};
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// What catalogs put to each other, below `/rep/`; where it is about one book, about book 1.
pub const MESSAGES: [&str; 12] = [
    "heartbeat",
    "get/1",
    "check/1",
    "update/1",
    "confirm/1",
    "page",
    "fetch",
    "claim",
    "return",
    "dropped",
    "ledger",
    "keys",
];

/// A book as catalogs send it, with more copies than there are.
fn book(id: u64, version: &str) -> Value {
    json!({"id": id, "title": "False", "topic": "False", "quantity": 999, "price": 0.5, "version": version, "committed": true})
}

/// Catalog 1 beside a byzantine catalog: it shows nothing but its own books, logs `line`, and once
/// the other is gone has what it had, also on disk.
#[track_caller]
fn check_replies(replies: Arc<Replies>, line: &str) {
    let shop = Shop::new(ShopOptions {
        orders: 1,
        environment: vec![("LOG", "debug".into())],
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let catalog = shop.catalog(1);
    shop.write_first_stock(1);
    let peer = FakeServer::live_catalog(&shop.catalog(2).address, replies);
    catalog.launch();
    eventually(line, || {
        let response = catalog.get("/query/item/1");
        assert!(!response.body.contains("False"), "{response:?}");
        catalog.put("/update/1", r#"{"price": 25}"#);
        catalog.stderr().contains(line)
    });
    let mib = catalog.resident_kib() / 1024;
    assert!(mib < 400, "{mib} MiB");
    drop(peer);
    catalog.kill();
    shop.leave_out(1, 2);
    catalog.start();
    assert_eq!(catalog.put("/update/1", r#"{"price": 25}"#).status, 200);
    let books = catalog.dump();
    let foreign = Value::from(books.clone()).to_string().contains("False");
    assert!(books.len() == 7 && !foreign, "{books:?}");
    let first = catalog.get("/query/item/1").json();
    let expected = (&json!(10), &json!(25.0));
    assert_eq!((&first["quantity"], &first["price"]), expected);
    let books = catalog.dump();
    catalog.kill();
    catalog.start();
    assert_eq!(catalog.dump(), books);
}

const DROPPED: &str = "a peer's answer makes no sense and was dropped";

#[test]
fn replies_that_are_not_json_change_nothing() {
    check_replies(Arc::new(|_| Reply::Text("{\"entries\": [[1,")), DROPPED);
}

#[test]
fn replies_without_end_change_nothing_and_fill_no_memory() {
    check_replies(Arc::new(|_| Reply::Endless), "not in step with a peer yet");
}

/// Replies with book `sent`, in this version, to every question about book 1.
fn about(version: &'static str, sent: u64) -> Arc<Replies> {
    Arc::new(move |request: &str| {
        let book = book(sent, version);
        let (status, body) = match request.split('/').nth(2).unwrap_or_default() {
            "page" => (200, json!({"entries": [[1, version, "valid"]]})),
            "fetch" => (200, json!({"books": [[book, "valid"]]})),
            "get" => (200, json!({"book": book, "state": "valid"})),
            "check" => (409, json!({"book": book, "state": "valid"})),
            _ => (409, json!({"against": [[book, "valid"]]})),
        };
        Reply::Json(status, body)
    })
}

#[test]
fn replies_about_a_wrong_book_change_nothing() {
    check_replies(about("5-5", 7), DROPPED);
    check_replies(about("5-5", 999), DROPPED);
}

#[test]
fn versions_beyond_the_limit_change_nothing() {
    check_replies(about("9223372036854775808-1", 1), DROPPED);
}

#[test]
fn another_content_at_the_same_version_changes_nothing() {
    let replies = about("0-0", 1);
    // It seems to have no books; each is asked for.
    let with_empty_pages = move |request: &str| match request {
        "PUT /rep/page" => Reply::Json(200, json!({"entries": []})),
        _ => replies(request),
    };
    check_replies(
        Arc::new(with_empty_pages),
        "a peer has another content at the same version",
    );
}

#[track_caller]
fn check_message(shop: &Shop, path: &str, body: &str, status: u16) {
    let response = shop.catalog(1).put(path, body);
    assert_eq!(response.status, status, "{path} {body}: {response:?}");
}

#[test]
fn malformed_messages_are_refused() {
    let shop = Shop::started(ShopOptions::default());
    let before = shop.catalog(1).dump();
    let update = |book: Value| json!({ "books": [book] }).to_string();
    for kind in MESSAGES {
        check_message(&shop, &format!("/rep/{kind}"), "{\"books\": [", 400);
        check_message(&shop, &format!("/rep/{kind}"), "[]", 422);
        check_message(
            &shop,
            &format!("/rep/{kind}"),
            "{\"id\": -1, \"after\": \"x\"}",
            422,
        );
    }
    check_message(&shop, "/rep/update/2", &update(book(1, "5-5")), 422);
    check_message(
        &shop,
        "/rep/update/1",
        &update(book(1, "9223372036854775808-1")),
        422,
    );
    check_message(&shop, "/rep/update/1", &update(book(1, "0-0")), 422);
    check_message(
        &shop,
        "/rep/confirm/1",
        r#"{"versions": [[1, "9223372036854775808-1"]]}"#,
        422,
    );
    check_message(
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
        check_message(&shop, "/rep/update", &update(flawed), 422);
    }
    let unknown_peer = json!({"from": "http://127.0.0.1:9"}).to_string();
    check_message(&shop, "/rep/heartbeat", &unknown_peer, 403);
    send_without_end(shop.catalog(1));
    assert_eq!(shop.catalog(1).dump(), before);
    assert_eq!(shop.catalog(2).dump(), before);
    assert!(shop.buy(1).is_purchase());
    assert_eq!(shop.quantity(1), 9);
}

/// A message whose body does not end is refused, or the connection ends.
fn send_without_end(catalog: &Server) {
    let mut connection = Connection::open(&catalog.address);
    let head = "PUT /rep/update HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
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

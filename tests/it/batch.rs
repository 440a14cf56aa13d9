//! Batches: buys of several books in one request, from front-end to order server to catalog.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::clients::concurrently;
use crate::harness::proxy::Action;
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

fn list(server: &Server, path: &str, body: Value) -> Vec<Value> {
    let response = server.put(path, &body.to_string());
    assert_eq!(response.status, 200, "{response:?}");
    response.json().as_array().expect("a list").clone()
}

fn statuses(lines: &[Value]) -> Vec<u64> {
    let status = |line: &Value| line["status"].as_u64().expect("a status");
    lines.iter().map(status).collect()
}

/// Reads the books one by one, so that the catalog finds out that their last change is committed.
/// Until then a batch does not get them.
fn read_repair(catalog: &Server, ids: &[u64]) {
    ids.iter().for_each(|id| drop(version(catalog, *id)));
}

/// The version of a book, as `If-Match` names it.
fn version(catalog: &Server, id: u64) -> String {
    let response = catalog.get(&format!("/query/item/{id}"));
    response.header("ETag").to_string()
}

#[test]
fn a_catalog_answers_each_book_as_it_would_alone() {
    let shop = Shop::started(ShopOptions::default());
    let catalog = shop.catalog(1);
    let sale = |id: u64, version: &str, left: u64, order: &str| json!({"id": id, "if_match": version, "quantity": left, "orders": [order]});
    let (first, second) = (version(catalog, 1), version(catalog, 2));
    let sales = json!([
        sale(1, &first, 9, "7.1; open=1"),
        sale(2, &second, 4, "7.2; open=1; key=k"),
        sale(3, "\"9-9\"", 9, "7.3; open=1"),
        sale(4, "nonsense", 9, "7.4; open=1"),
        sale(99, "*", 9, "7.5; open=1"),
    ]);
    let sold = list(catalog, "/batch/update", sales.clone());
    assert_eq!(statuses(&sold), [200, 200, 412, 400, 404]);
    let whole = json!({"price": 50.0, "quantity": 4, "title": "RPCs for Dummies", "topic": "Distributed Systems"});
    assert_eq!(sold[1]["body"], whole);
    for catalog in shop.catalogs() {
        read_repair(catalog, &[1, 2]);
        let looks = json!([
            {"id": 1, "orders": ["7.1; open=1", "7.9; open=1"]},
            {"id": 2, "orders": ["7.8; open=1; key=k"]},
            {"id": 3, "orders": ["7.3; open=1"]},
            {"id": 99, "orders": ["7.5; open=1"]},
        ]);
        let seen = list(catalog, "/batch/query", looks);
        assert_eq!(statuses(&seen), [200, 200, 200, 404]);
        assert_eq!(seen[0]["applied"], json!(["7.1"]));
        assert_eq!(seen[0]["etag"], version(catalog, 1));
        assert_eq!(seen[1]["applied"], json!(["7.8"]));
        assert_eq!(
            (&seen[1]["body"]["quantity"], &seen[2]["applied"]),
            (&json!(4), &Value::Null)
        );
    }
    let again = list(catalog, "/batch/update", sales);
    assert_eq!(statuses(&again)[..2], [409, 409]);
    assert_eq!(again[0]["body"]["applied"], json!(["7.1"]));
}

/// An update of a book that was not read may be on its way for long. A buyer who was told "out of
/// stock" meanwhile must not get a copy by it after a restock, whichever catalog it comes to.
#[test]
fn a_sale_without_a_read_that_comes_late_is_refused_once_copies_came_in() {
    let shop = Shop::started(ShopOptions::default());
    let number = |n: usize| {
        let version = version(shop.catalog(n), 2);
        let number = version.trim_matches('"').split('-').next().unwrap();
        number.parse::<u64>().unwrap()
    };
    let sell = |n: usize, since: u64, order: &str| {
        let sale = json!([{"id": 2, "not_restocked_since": since, "orders": [order]}]);
        list(shop.catalog(n), "/batch/update", sale)[0].clone()
    };
    // Whether copies came in before its first change is not known.
    assert_eq!(sell(1, number(1), "7.1; open=1")["status"], 412);
    shop.stock_up(2, 3);
    let then = number(1);
    let first = sell(1, then, "7.1; open=1");
    assert_eq!(
        (&first["status"], &first["body"]["quantity"]),
        (&json!(200), &json!(2))
    );
    assert_eq!(first["etag"], version(shop.catalog(1), 2));
    assert_eq!(sell(1, then, "7.2; open=1; copies=3")["status"], 412);
    assert_eq!(sell(1, then, "7.2; open=1; copies=2")["status"], 200);
    for quantity in [0, 1, 2000] {
        shop.stock_up(2, quantity);
        assert_eq!(sell(1, then, "7.3; open=1")["status"], 412, "{quantity}");
    }
    read_repair(shop.catalog(2), &[2]);
    assert_eq!(sell(2, then, "7.3; open=1")["status"], 412);
    shop.catalogs().iter().for_each(Server::kill);
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    read_repair(shop.catalog(2), &[2]);
    assert_eq!(sell(2, then, "7.3; open=1")["status"], 412);
    let now = number(2);
    assert_eq!(sell(2, now, "7.3; open=1")["status"], 200);
    assert_eq!(shop.quantity(2), 1999);
}

#[test]
fn an_order_server_sells_to_each_buyer_of_a_batch() {
    let shop = Shop::started(ShopOptions::default());
    let wanted =
        |id: u64, n: u64| json!({"id": id, "order": format!("7.{n}; open=1"), "request": "r"});
    // Book 2 has five copies.
    let mut batch: Vec<Value> = (1..=6).map(|n| wanted(2, n)).collect();
    batch.extend([wanted(1, 7), wanted(99, 8)]);
    let sold = list(shop.order(1), "/batch/buy", Value::from(batch.clone()));
    assert_eq!(statuses(&sold), [200, 200, 200, 200, 200, 200, 200, 404]);
    let success: Vec<&Value> = sold.iter().map(|line| &line["body"]["success"]).collect();
    assert_eq!(success[..5], [true; 5]);
    assert_eq!((success[5], success[6]), (&json!(false), &json!(true)));
    assert_eq!((shop.quantity(2), shop.quantity(1)), (0, 9));
    // The same orders at the other order server take nothing more.
    read_repair(shop.catalog(2), &[1, 2]);
    let again = list(shop.order(2), "/batch/buy", Value::from(batch));
    assert_eq!(again[0]["headers"]["Idempotent-Replayed"], "true");
    assert_eq!(again[5]["body"]["success"], false);
    assert_eq!((shop.quantity(2), shop.quantity(1)), (0, 9));
}

#[test]
fn two_buys_with_one_key_take_one_copy_and_delay_no_other() {
    let shop = Shop::started(ShopOptions::default());
    let wanted = |id: u64, order: &str| json!({"id": id, "order": order, "request": "r"});
    let batch = json!([
        wanted(1, "7.1; open=1; key=k"),
        wanted(1, "7.2; open=1; key=k"),
        wanted(2, "7.3; open=1"),
    ]);
    let sold = list(shop.order(1), "/batch/buy", batch);
    // The second click is sold to come alone.
    assert_eq!(statuses(&sold), [200, 503, 200]);
    assert_eq!((shop.quantity(1), shop.quantity(2)), (9, 4));
}

#[test]
fn a_whole_batch_of_buyers_of_one_book_with_the_longest_keys_is_sold() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, 300);
    let wanted = |n: usize| {
        let order = format!("7.{n}; open=1; key={n:0255}");
        json!({"id": 2, "order": order, "request": "r"})
    };
    let batch: Vec<Value> = (1..=256).map(wanted).collect();
    let sold = list(shop.order(1), "/batch/buy", Value::from(batch));
    assert_eq!(statuses(&sold), [200; 256]);
    assert_eq!(shop.quantity(2), 300 - 256);
}

#[test]
fn a_malformed_batch_is_refused_whole_and_changes_nothing() {
    let shop = Shop::started(ShopOptions::default());
    let (catalog, order) = (shop.catalog(1), shop.order(1));
    let many = Value::from(vec![json!({"id": 1, "orders": ["7.1; open=1"]}); 257]).to_string();
    let sale = r#"{"id":1,"if_match":"*","quantity":1,"orders":["7.1; open=1"]}"#;
    let no_version = r#"{"id":2,"quantity":1,"orders":["7.2; open=1"]}"#;
    let no_quantity = r#"{"id":2,"if_match":"*","orders":["7.2; open=1"]}"#;
    for (server, path, body, status) in [
        (catalog, "query", "", 400),
        (catalog, "query", "[]", 422),
        (catalog, "query", "{}", 422),
        (catalog, "query", &many, 422),
        (catalog, "query", r#"[{"id":1,"orders":[]}]"#, 422),
        (
            catalog,
            "query",
            r#"[{"id":"1","orders":["7.1; open=1"]}]"#,
            422,
        ),
        (catalog, "update", &format!(r#"[{sale},{{"id":1}}]"#), 422),
        (catalog, "update", &format!(r#"[{sale},{no_version}]"#), 422),
        (
            catalog,
            "update",
            &format!(r#"[{sale},{no_quantity}]"#),
            422,
        ),
        (catalog, "update", &format!(r#"[{sale},5]"#), 422),
        (catalog, "update", &format!(r#"[{sale}"#), 400),
        (order, "buy", r#"[{"id":1,"order":"x","request":"r"}]"#, 422),
        (
            order,
            "buy",
            r#"[{"id":1,"order":"7.1; open=1","request":"r","more":1}]"#,
            422,
        ),
        (order, "query", "[]", 404),
    ] {
        let response = server.put(&format!("/batch/{path}"), body);
        assert_eq!(response.status, status, "{path} {body}: {response:?}");
    }
    assert_eq!(catalog.get("/batch/update").status, 405);
    assert_eq!(order.get("/batch/buy").status, 405);
    assert_eq!(shop.quantity(1), 10);
}

/// 64 buys at once, each of one of the books 4 to 7. Returns how many got a copy.
fn buy_64(shop: &Shop) -> usize {
    let responses = concurrently(64, |n| shop.buy(4 + n as u64 % 4));
    responses.iter().filter(|r| r.is_purchase()).count()
}

fn left(shop: &Shop) -> u64 {
    (4..=7).map(|id| shop.quantity(id)).sum()
}

/// Half of what the front-end of such a shop waits for an order server.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Holds buys that go alone until a catalog is asked to update several books at once. So buys come
/// together however late they are, and the batch finds no book whose last change may be lost.
fn hold_lone_buys(shop: &Shop) {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    for catalog in ["catalog1", "catalog2"] {
        let shared = shared.clone();
        shop.proxy(catalog).first("PUT /batch/update", move || {
            *shared.0.lock().unwrap() = true;
            shared.1.notify_all();
            Action::Forward
        });
    }
    for order in ["order1", "order2"] {
        let shared = shared.clone();
        shop.proxy(order).set_rule(move |line| {
            if line.starts_with("PUT /buy/") {
                let (updated, changed) = &*shared;
                let updated = updated.lock().unwrap();
                let held = changed.wait_timeout_while(updated, HELD_MAX, |updated| !*updated);
                drop(held.unwrap());
            }
            Action::Forward
        });
    }
}

#[test]
fn buys_at_the_same_time_share_requests_and_each_gets_one_copy() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    for catalog in [1, 2] {
        read_repair(shop.catalog(catalog), &[4, 5, 6, 7]);
    }
    hold_lone_buys(&shop);
    assert_eq!(buy_64(&shop), 64);
    assert_eq!(left(&shop), 100 - 64);
    let messages = shop.trace.messages();
    for line in ["PUT /batch/buy", "PUT /batch/query", "PUT /batch/update"] {
        assert!(
            messages.iter().any(|m| m.line == line),
            "{line}: {messages:#?}"
        );
    }
}

#[test]
fn a_batch_whose_answer_is_lost_sells_no_copy_twice() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    for (server, line) in [
        ("order1", "PUT /batch/buy"),
        ("order2", "PUT /batch/buy"),
        ("catalog1", "PUT /batch/query"),
        ("catalog2", "PUT /batch/update"),
    ] {
        shop.proxy(server).once(line, Action::CloseBeforeResponse);
    }
    assert_eq!(buy_64(&shop), 64);
    assert_eq!(left(&shop), 100 - 64);
}

//! Buys of several books that travel together: between front-end, order server and catalog.

use std::thread;

use serde_json::{Value, json};

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

/// Asks for books alone, whereby a catalog that has not heard yet that their last change came true
/// finds out. Until then it does not response for them together.
fn settle(catalog: &Server, ids: &[u64]) {
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
        settle(catalog, &[1, 2]);
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

#[test]
fn an_order_server_sells_to_each_of_a_crowd() {
    let shop = Shop::started(ShopOptions::default());
    let wanted =
        |id: u64, n: u64| json!({"id": id, "order": format!("7.{n}; open=1"), "request": "r"});
    // Book 2 has five copies.
    let mut crowd: Vec<Value> = (1..=6).map(|n| wanted(2, n)).collect();
    crowd.extend([wanted(1, 7), wanted(99, 8)]);
    let told = list(shop.order(1), "/batch/buy", Value::from(crowd.clone()));
    assert_eq!(statuses(&told), [200, 200, 200, 200, 200, 200, 200, 404]);
    let success: Vec<&Value> = told.iter().map(|line| &line["body"]["success"]).collect();
    assert_eq!(success[..5], [true; 5]);
    assert_eq!((success[5], success[6]), (&json!(false), &json!(true)));
    assert_eq!((shop.quantity(2), shop.quantity(1)), (0, 9));
    // The same orders at the other order server take nothing more.
    settle(shop.catalog(2), &[1, 2]);
    let again = list(shop.order(2), "/batch/buy", Value::from(crowd));
    assert_eq!(again[0]["headers"]["Idempotent-Replayed"], "true");
    assert_eq!(again[5]["body"]["success"], false);
    assert_eq!((shop.quantity(2), shop.quantity(1)), (0, 9));
}

#[test]
fn two_clicks_with_one_key_take_one_copy_and_hold_up_nobody_else() {
    let shop = Shop::started(ShopOptions::default());
    let wanted = |id: u64, order: &str| json!({"id": id, "order": order, "request": "r"});
    let crowd = json!([
        wanted(1, "7.1; open=1; key=k"),
        wanted(1, "7.2; open=1; key=k"),
        wanted(2, "7.3; open=1"),
    ]);
    let told = list(shop.order(1), "/batch/buy", crowd);
    // The second click is told to come alone.
    assert_eq!(statuses(&told), [200, 503, 200]);
    assert_eq!((shop.quantity(1), shop.quantity(2)), (9, 4));
}

#[test]
fn nonsense_among_others_is_refused_and_changes_nothing() {
    let shop = Shop::started(ShopOptions::default());
    let (catalog, order) = (shop.catalog(1), shop.order(1));
    let many = Value::from(vec![json!({"id": 1, "orders": ["7.1; open=1"]}); 257]).to_string();
    let sale = r#"{"id":1,"if_match":"*","quantity":1,"orders":["7.1; open=1"]}"#;
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

/// So many customers at once, each with a copy of one of the books 4 to 7. Returns how many bought.
fn rush(shop: &Shop, customers: u64) -> usize {
    thread::scope(|scope| {
        let buy = |n: u64| scope.spawn(move || shop.buy(4 + n % 4));
        let all: Vec<_> = (0..customers).map(buy).collect();
        let responses = all
            .into_iter()
            .map(|one| one.join().expect("no customer panics"));
        responses
            .filter(|response| response.status == 200 && response.json()["success"] == true)
            .count()
    })
}

fn left(shop: &Shop) -> u64 {
    (4..=7).map(|id| shop.quantity(id)).sum()
}

#[test]
fn customers_who_come_at_once_travel_together_and_each_gets_one_copy() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    assert_eq!(rush(&shop, 64), 64);
    assert_eq!(left(&shop), 100 - 64);
    let lines: Vec<String> = shop
        .trace
        .messages()
        .iter()
        .map(|m| m.line.clone())
        .collect();
    for path in ["/batch/buy", "/batch/query", "/batch/update"] {
        assert!(
            lines.iter().any(|line| line.contains(path)),
            "{path}: {lines:#?}"
        );
    }
}

#[test]
fn a_request_that_breaks_on_its_way_sells_no_copy_twice() {
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
    assert_eq!(rush(&shop, 64), 64);
    assert_eq!(left(&shop), 100 - 64);
}

//! What was sold is in etcd: keys and orders, by whichever catalog they were sold.

use serde_json::{Value, json};

use crate::etcd::shop;
use crate::harness::clients::concurrently;
use crate::harness::http::Response;
use crate::harness::shop::Shop;
use crate::orders::check_audit;

fn buy_with_key(shop: &Shop, order_server: usize, id: u64, key: &str) -> Response {
    let headers = [("Idempotency-Key", key)];
    shop.order(order_server)
        .call("PUT", &format!("/buy/{id}"), &headers, "")
}

#[test]
fn one_key_that_buys_two_books_at_once_at_two_catalogs_gets_one() {
    let Some(shop) = shop(1) else { return };
    for id in [2, 3] {
        shop.stock_up(id, 50);
    }
    for round in 0..20 {
        let key = format!("k-{round}");
        let responses = concurrently(8, |n| {
            buy_with_key(&shop, 1 + n % 2, 2 + n as u64 % 2, &key)
        });
        let of_book = |id: usize| responses.iter().skip(id - 2).step_by(2);
        let sold = [2, 3].map(|id| of_book(id).all(Response::is_purchase));
        let refused = [2, 3].map(|id| of_book(id).all(|response| response.status == 422));
        let one = [[true, false], [false, true]];
        assert!(
            one.contains(&sold) && sold[0] == refused[1],
            "{responses:?}"
        );
    }
    let left: u64 = [2, 3].map(|id| shop.quantity(id)).iter().sum();
    assert_eq!(left, 80, "one copy for each key");
    check_audit(&shop);
}

#[test]
fn an_order_that_two_catalogs_take_back_at_once_comes_back_once() {
    let Some(shop) = shop(1) else { return };
    let before = shop.quantity(2);
    let order = shop.front_end().put("/buy/2", r#"{"quantity":3}"#);
    let path = order.header("Location").to_string();
    let responses = concurrently(8, |n| {
        shop.catalog(1 + n % 2).call("DELETE", &path, &[], "")
    });
    for response in responses {
        assert_eq!(response.json()["status"], "cancelled", "{response:?}");
    }
    assert_eq!(shop.quantity(2), before);
    check_audit(&shop);
}

#[test]
fn orders_are_listed_page_by_page_by_every_catalog() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 200);
    let bought = concurrently(24, |_| shop.buy(2));
    let mut bought: Vec<String> = bought
        .iter()
        .map(|response| response.header("Location").replace("/orders/", ""))
        .collect();
    let page = |catalog: usize, query: &str| -> Vec<String> {
        let list = shop
            .catalog(catalog)
            .get(&format!("/orders?{query}"))
            .list();
        let order = |order: &Value| order["order"].as_str().unwrap().to_string();
        list.iter().map(order).collect()
    };
    let all = page(1, "book=2");
    let mut paged = page(2, "limit=5");
    while let Some(last) = paged.last().cloned() {
        let next = page(2, &format!("limit=5&after={last}"));
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, all);
    bought.sort();
    paged.sort();
    assert_eq!(paged, bought);
    let none: Vec<String> = Vec::new();
    for query in ["book=3", "until=2020-01-01", "since=2199-01-01"] {
        assert_eq!(page(1, query), none, "{query}");
    }
}

#[test]
fn more_orders_and_keys_than_one_txn_takes_are_sold_or_refused_as_a_whole() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 1000);
    let sell = |count: usize, start: u64, key: &str| {
        let book = shop.catalog(1).get("/query/item/2");
        let left = book.json()["quantity"].as_u64().unwrap() - count as u64;
        let key = |n| match key {
            "" => String::new(),
            key => format!("; key={key}-{n}"),
        };
        let order = |n| format!("{start}.{n}; open=0{}", key(n));
        let orders: Vec<String> = (0..count).map(order).collect();
        let body = json!({"quantity": left, "orders": orders}).to_string();
        let headers = [("If-Match", book.header("ETag"))];
        shop.catalog(1)
            .call("PUT", "/update/2", &headers, &body)
            .status
    };
    assert_eq!(sell(256, 91, ""), 200);
    assert_eq!(sell(80, 92, "k"), 200);
    assert_eq!(sell(81, 93, "l"), 422);
    assert_eq!(sell(2, 94, "k"), 409, "the keys were used");
    assert_eq!(shop.quantities(2), [1000 - 256 - 80; 2]);
    let found = shop.catalog(2).get("/orders/91.255");
    assert_eq!(found.json()["status"], "sold", "{found:?}");
    check_audit(&shop);
}

/// etcd makes all of the batch or nothing, and then each sale by itself.
#[test]
fn a_key_that_was_used_before_does_not_keep_the_others_of_its_batch_from_their_copies() {
    let Some(shop) = shop(1) else { return };
    assert!(buy_with_key(&shop, 1, 1, "used").is_purchase());
    let before = [1, 2, 3].map(|id| shop.quantity(id));
    let catalog = shop.catalog(1);
    let sale = |id: u64, order: &str| {
        let book = catalog.get(&format!("/query/item/{id}"));
        let left = book.json()["quantity"].as_u64().unwrap() - 1;
        json!({"id": id, "if_match": book.header("ETag"), "quantity": left, "orders": [order]})
    };
    let sales = json!([
        sale(2, "7.1; open=1; key=new"),
        sale(3, "7.2; open=1; key=used"),
        sale(1, "7.3; open=1"),
    ]);
    let made = catalog.put("/batch/update", &sales.to_string());
    let status = |n: usize| made.json()[n]["status"].as_u64().unwrap();
    assert_eq!([0, 1, 2].map(status), [200, 422, 200], "{made:?}");
    let [first, second, third] = before;
    assert_eq!(shop.quantities(1), [first - 1; 2]);
    assert_eq!(shop.quantities(2), [second - 1; 2]);
    assert_eq!(shop.quantities(3), [third; 2]);
    check_audit(&shop);
}

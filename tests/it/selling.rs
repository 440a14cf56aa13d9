//! Many customers, few copies: every copy is sold once, whatever fails in the middle of a sale, and
//! every customer gets a true answer.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::clients::{buy_copies_until_definite, buy_until_definite, concurrently};
use crate::harness::http::{self, Response};
use crate::harness::process::{self, DEADLINE, eventually};
use crate::harness::proxy::Action;
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions, Store};

const CUSTOMERS: usize = 64;
const COPIES: usize = 50;

/// How often `CUSTOMERS` fight for `COPIES`.
const ROUNDS: usize = 20;

/// Exactly so many bought a copy, and the others were told that it is out of stock.
#[track_caller]
fn check_purchases(responses: &[Response], expected: usize) {
    let failed: Vec<_> = responses.iter().filter(|r| r.status != 200).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(
        responses.iter().filter(|r| r.is_purchase()).count(),
        expected
    );
}

#[test]
fn sixty_four_customers_buy_exactly_the_fifty_copies_there_are() {
    let shop = Shop::started(ShopOptions::default());
    for round in 0..ROUNDS {
        shop.stock_up(2, COPIES);
        let directly = round % 2 == 0;
        let responses = concurrently(CUSTOMERS, |n| {
            let server = if directly {
                shop.order(1 + n % 2)
            } else {
                shop.front_end()
            };
            buy_until_definite(&server.address, 2, &format!("{round}-{n}"))
        });
        check_purchases(&responses, COPIES);
        assert_eq!(shop.quantities(2), [0, 0], "round {round}");
    }
}

#[test]
fn after_the_first_sale_a_book_is_sold_without_reading_it_first_until_copies_come_in() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, 8);
    let mut sold = (0..4).map(|_| shop.order(1).put("/buy/2", ""));
    assert!(sold.all(|sold| sold.is_purchase()));
    // The first one reads, the others do not.
    let updates = || {
        let metric = |name| shop.order(1).metric(name);
        let unread = metric("bazar_sale_unread_updates_total");
        (metric("bazar_sale_updates_total"), unread)
    };
    assert_eq!(updates(), (4.0, 3.0));
    // The next one is refused, and reads.
    shop.stock_up(2, 6);
    assert!(shop.order(1).put("/buy/2", "").is_purchase());
    assert_eq!(updates(), (6.0, 4.0));
    assert!(shop.order(1).put("/buy/2", "").is_purchase());
    assert_eq!(updates(), (7.0, 5.0));
    assert_eq!(shop.quantities(2), [4, 4]);
}

/// Fifty customers want one to five copies each of fewer than they want in all, at front-end and
/// order servers at once.
#[test]
fn buyers_of_several_copies_get_all_of_them_or_none() {
    let shop = Shop::started(ShopOptions::default());
    for round in 0..ROUNDS / 2 {
        shop.stock_up(2, COPIES);
        let wanted = |n: usize| 1 + (n + round) % 5;
        let responses = concurrently(CUSTOMERS, |n| {
            let server = match n % 3 {
                0 => shop.order(1 + n % 2),
                _ => shop.front_end(),
            };
            buy_copies_until_definite(&server.address, 2, wanted(n), &format!("{round}-{n}"))
        });
        let (bought, refused): (Vec<_>, Vec<_>) =
            (0..CUSTOMERS).partition(|n| responses[*n].is_purchase());
        let sold: usize = bought.into_iter().map(wanted).sum();
        let left = (COPIES - sold) as u64;
        assert_eq!(shop.quantities(2), [left; 2], "round {round}: {sold} sold");
        let mut wishes = refused.into_iter().map(wanted);
        assert!(
            wishes.all(|wish| left < wish as u64),
            "round {round}: {left}"
        );
    }
}

#[test]
fn who_wants_three_of_two_copies_does_not_keep_the_next_one_from_them() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, 2);
    let buy = |body: &str| shop.front_end().put("/buy/2", body);
    let out_of_stock = json!({"message": "Book with the specified ID is out of stock",
        "success": false});
    assert_eq!(buy(r#"{"quantity":3}"#).json(), out_of_stock);
    assert!(buy(r#"{"quantity":2}"#).is_purchase());
    assert_eq!(buy("").json(), out_of_stock);
}

#[test]
fn a_key_that_comes_back_with_another_quantity_sells_nothing() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, COPIES);
    let buy = |body: &str| {
        let headers = [("Idempotency-Key", "k")];
        http::call(&shop.front_end().address, "PUT", "/buy/2", &headers, body).unwrap()
    };
    assert!(buy(r#"{"quantity":3}"#).is_purchase());
    for body in ["", r#"{"quantity":2}"#] {
        let refused = buy(body);
        assert_eq!(refused.status, 422, "{refused:?}");
        let message = refused.json()["message"].to_string();
        assert!(message.contains("another number of copies"), "{message}");
    }
    let again = buy(r#"{"quantity":3}"#);
    assert_eq!(
        (again.is_purchase(), again.header("Idempotent-Replayed")),
        (true, "true")
    );
    assert_eq!(shop.quantities(2), [COPIES as u64 - 3; 2]);
}

/// Two catalogs, of which catalog `victim` is killed when the first request that begins with `when`
/// is on its way to catalog `to`; then it is started again. Meanwhile all customers buy.
#[track_caller]
fn check_catalog_killed(victim: usize, to: &str, when: &'static str) {
    let shop = Shop::started(ShopOptions {
        store: Store::Own,
        proxies: Proxies::Everywhere,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    shop.stock_up(2, COPIES);
    let (id, (killed, when_killed)) = (shop.catalog(victim).id(), channel());
    shop.proxy(to).first(when, move || {
        process::signal("KILL", id);
        killed.send(()).unwrap();
        Action::Forward
    });
    let shop = &shop;
    let responses = thread::scope(|scope| {
        scope.spawn(move || {
            when_killed
                .recv_timeout(DEADLINE)
                .expect("the request is sent");
            shop.catalog(victim).kill();
            shop.catalog(victim).start();
        });
        concurrently(CUSTOMERS, |n| {
            let key = format!("customer-{n}");
            let server = [
                shop.front_end(),
                shop.order(1),
                shop.front_end(),
                shop.order(2),
            ][n % 4];
            buy_until_definite(&server.address, 2, &key)
        })
    });
    check_purchases(&responses, COPIES);
    assert_eq!(shop.quantities(2), [0, 0]);
}

#[test]
fn a_copy_is_sold_once_though_the_other_catalog_dies_during_the_sale() {
    check_catalog_killed(2, "catalog2", "PUT /rep/update/");
}

#[test]
fn a_copy_is_sold_once_though_the_selling_catalog_dies_before_the_others_know() {
    check_catalog_killed(1, "catalog1", "PUT /update/");
}

#[test]
fn a_copy_is_sold_once_though_the_selling_catalog_dies_before_its_answer() {
    check_catalog_killed(1, "catalog2", "PUT /rep/update/");
}

#[test]
fn a_copy_is_sold_once_though_the_selling_catalog_dies_before_it_confirms() {
    check_catalog_killed(1, "catalog2", "PUT /rep/confirm/");
}

/// A shop with one copy of book 2, whose front-end waits a second for a buy.
fn last_copy() -> Shop {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        environment: vec![("TIMEOUT_MS", "1000".into())],
        ..ShopOptions::default()
    });
    shop.stock_up(2, 1);
    shop
}

#[test]
fn a_buyer_whose_answer_was_lost_gets_it_with_the_same_key() {
    let shop = last_copy();
    for name in ["order1", "order2"] {
        shop.proxy(name).every(Action::HoldResponse);
    }
    let key = [("Idempotency-Key", "mine")];
    let first = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert_eq!(
        (first.status, first.header("Bazar-Outcome")),
        (504, "unknown")
    );
    assert_eq!(shop.quantities(2), [0, 0]);
    for name in ["order1", "order2"] {
        shop.proxy(name).every(Action::Forward);
    }
    let again = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert!(again.is_purchase(), "{again:?}");
    assert_eq!(again.header("Idempotent-Replayed"), "true");
    let other = shop.front_end().call("PUT", "/buy/2", &[], "");
    assert!(other.status == 200 && !other.is_purchase(), "{other:?}");
}

#[test]
fn the_last_copy_is_sold_though_the_answer_of_the_catalog_is_lost() {
    for action in [Action::CloseBeforeResponse, Action::HoldResponse] {
        let shop = last_copy();
        shop.proxy("catalog1").once("PUT /update/2", action);
        let response = shop.order(1).put("/buy/2", "");
        assert!(response.is_purchase(), "{action:?}: {response:?}");
        assert_eq!(shop.quantities(2), [0, 0]);
    }
}

/// Stops order server 1 as soon as its catalog gets an update of book 2, and reports it then.
fn stop_during_sale(shop: &Shop) -> Receiver<()> {
    let (id, (stopped, when)) = (shop.order(1).id(), channel());
    shop.proxy("catalog1").first("PUT /update/2", move || {
        process::stop(id);
        stopped.send(()).unwrap();
        Action::Forward
    });
    when
}

/// Buys at `address`; order server 1 is stopped for 3 s in the middle of the sale.
#[track_caller]
fn check_order_server_stopped(shop: &Shop, address: &str) {
    shop.stock_up(2, 5);
    let stopped = stop_during_sale(shop);
    thread::scope(|scope| {
        scope.spawn(move || {
            stopped.recv_timeout(DEADLINE).expect("it is stopped");
            thread::sleep(Duration::from_secs(3));
            shop.order(1).cont();
        });
        let response = http::call(address, "PUT", "/buy/2", &[], "").unwrap();
        assert!(response.is_purchase(), "{response:?}");
    });
    shop.order(1).await_ready();
    assert_eq!(shop.quantities(2), [4, 4]);
    // The sale of the server that was stopped takes no second copy later on.
    assert!(shop.order(1).put("/buy/2", "").is_purchase());
    assert_eq!(shop.quantities(2), [3, 3]);
}

#[test]
fn an_order_server_that_stops_for_three_seconds_sells_one_copy() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    check_order_server_stopped(&shop, &shop.order(1).address);
}

#[test]
fn the_other_order_server_finishes_for_one_that_stops() {
    let shop = Shop::started(ShopOptions {
        orders: 2,
        proxies: Proxies::Everywhere,
        environment: vec![("TIMEOUT_MS", "1000".into())],
        ..ShopOptions::default()
    });
    // Then order server 1 is the next.
    eventually("the last sale was by order server 2", || {
        assert!(shop.buy(4).status == 200);
        let messages = shop.trace.messages();
        let last = messages
            .iter()
            .rfind(|message| message.line == "PUT /buy/4");
        last.unwrap().to == "order2"
    });
    check_order_server_stopped(&shop, &shop.front_end().address);
}

/// A restock is not for those who were told that nothing is left.
#[test]
fn who_asks_again_with_a_key_is_not_told_out_of_stock_while_the_first_try_waits() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    shop.stock_up(2, 0);
    let (go_on, may_go_on) = channel::<()>();
    let waits = move || {
        may_go_on.recv().unwrap();
        Action::Forward
    };
    shop.proxy("order1").first("PUT /buy/2", waits);
    let buy = || {
        let key = [("Idempotency-Key", "mine")];
        shop.front_end().call("PUT", "/buy/2", &key, "")
    };
    eventually("order server 1 was asked", || buy().status == 504);
    let again = buy();
    assert_eq!(again.status, 504, "{again:?}");
    assert_eq!(again.header("Bazar-Outcome"), "unknown");
    shop.stock_up(2, 1);
    go_on.send(()).unwrap();
    eventually("the first try is sold a copy", || {
        shop.quantities(2) == [0, 0]
    });
    let again = buy();
    assert!(again.is_purchase(), "{again:?}");
    assert_eq!(again.header("Idempotent-Replayed"), "true");
}

#[test]
fn a_key_buys_one_copy_however_often_it_is_used() {
    let shop = Shop::started(ShopOptions::default());
    let buy = |server: &Server| server.call("PUT", "/buy/2", &[("Idempotency-Key", "k-1")], "");
    let first = buy(shop.front_end());
    assert!(first.is_purchase() && first.header("Idempotent-Replayed").is_empty());
    assert!(first.header("Location").starts_with("/orders/"));
    for server in [
        shop.front_end(),
        shop.order(1),
        shop.order(2),
        shop.front_end(),
    ] {
        let again = buy(server);
        assert!(again.is_purchase(), "{again:?}");
        assert_eq!(again.header("Idempotent-Replayed"), "true");
        assert_eq!(again.header("Location"), first.header("Location"));
    }
    assert_eq!(shop.quantities(2), [4, 4]);
}

#[test]
fn a_key_used_by_many_at_once_buys_one_copy() {
    let shop = Shop::started(ShopOptions::default());
    let responses = concurrently(CUSTOMERS, |n| {
        let server = [shop.front_end(), shop.order(1), shop.order(2)][n % 3];
        server.call("PUT", "/buy/2", &[("Idempotency-Key", "k-1")], "")
    });
    check_purchases(&responses, CUSTOMERS);
    let replayed = |response: &&Response| response.header("Idempotent-Replayed") == "true";
    assert_eq!(responses.iter().filter(replayed).count(), CUSTOMERS - 1);
    assert_eq!(shop.quantities(2), [4, 4]);
}

#[test]
fn a_malformed_key_is_refused() {
    let shop = Shop::started(ShopOptions::default());
    let long = "k".repeat(256);
    for server in [shop.front_end(), shop.order(1)] {
        for key in ["", "two words", "\"\"", "\"two words\"", &long] {
            let response = server.call("PUT", "/buy/2", &[("Idempotency-Key", key)], "");
            assert_eq!(
                response.status, 400,
                "{key:?} at {}: {response:?}",
                server.name
            );
        }
        let longest = &long[1..];
        for key in [longest, &format!("\"{longest}\"")] {
            let response = server.call("PUT", "/buy/2", &[("Idempotency-Key", key)], "");
            assert!(response.is_purchase(), "{response:?}");
        }
    }
    assert_eq!(shop.quantities(2), [4, 4]);
}

#[test]
fn a_key_that_comes_back_with_another_book_sells_nothing() {
    let shop = Shop::started(ShopOptions::default());
    let buy = |server: &Server, id: u64| {
        server.call(
            "PUT",
            &format!("/buy/{id}"),
            &[("Idempotency-Key", "k")],
            "",
        )
    };
    assert!(buy(shop.order(1), 2).is_purchase());
    for server in [shop.order(2), shop.front_end(), shop.order(1)] {
        let refused = buy(server, 3);
        assert_eq!(refused.status, 422, "{refused:?}");
        let message = refused.json()["message"].to_string();
        assert!(message.contains("another book"), "{message}");
    }
    assert!(
        buy(shop.front_end(), 2).is_purchase(),
        "the first one's answer"
    );
    assert_eq!(shop.quantities(2), [4, 4]);
}

/// Sells copies to many orders with keys of their own, and returns what is left.
fn sell_to_many(shop: &Shop, orders: usize) -> u64 {
    let path = "/query/item/2";
    // Of an etcd no txn takes more keys.
    let together = if shop.has_etcd() { 64 } else { 256 };
    for first in (0..orders).step_by(together) {
        let book = shop.catalog(1).get(path);
        let left = book.json()["quantity"].as_u64().unwrap() - together as u64;
        let order = |n: usize| format!("99.{n}; open={first}; key=other-{n}");
        let orders: Vec<String> = (first..first + together).map(order).collect();
        let body = json!({"quantity": left, "orders": orders}).to_string();
        let headers = [("If-Match", book.header("ETag"))];
        let sold = shop.catalog(1).call("PUT", "/update/2", &headers, &body);
        assert_eq!(sold.status, 200, "{sold:?}");
    }
    shop.quantity(2)
}

#[test]
fn a_key_sells_once_although_thousands_bought_since_and_all_servers_failed() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, 10_000);
    let keys = ["short", &"long".repeat(60)];
    let buy = |key: &str| {
        shop.front_end()
            .call("PUT", "/buy/2", &[("Idempotency-Key", key)], "")
    };
    assert!(keys.iter().all(|key| buy(key).is_purchase()));
    let left = sell_to_many(&shop, 2048);
    let check_known = || {
        for key in keys {
            let again = buy(key);
            let replayed = again.header("Idempotent-Replayed") == "true";
            assert!(again.is_purchase() && replayed, "{again:?}");
        }
        assert_eq!(shop.quantities(2), [left, left]);
    };
    check_known();
    shop.catalogs().iter().for_each(Server::kill);
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    eventually("the shop is ready", || {
        shop.front_end().get("/readyz").status == 200
    });
    check_known();
}

#[test]
fn many_buyers_with_the_longest_keys_are_served_at_once() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, CUSTOMERS);
    let responses = concurrently(CUSTOMERS, |n| {
        let key = format!("{n:0255}");
        shop.front_end()
            .call("PUT", "/buy/2", &[("Idempotency-Key", &key)], "")
    });
    check_purchases(&responses, CUSTOMERS);
}

#[test]
fn an_order_that_waited_in_a_stopped_order_server_sells_no_second_copy() {
    const STARTS: u64 = 12;
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(2, 100);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let buy_at = |order| buy_issued_at(shop.order(order), 1, now.as_millis() as u64);
    shop.order(1).stop();
    let waited = thread::scope(|scope| {
        let waits = scope.spawn(|| buy_at(1));
        assert!(buy_at(2).is_purchase());
        for _ in 0..STARTS {
            shop.front_end().kill();
            shop.front_end().start();
            assert!(shop.buy(2).is_purchase());
        }
        shop.order(1).cont();
        waits.join().unwrap()
    });
    assert_eq!(waited.header("Idempotent-Replayed"), "true", "{waited:?}");
    assert_eq!(shop.quantities(2), [99 - STARTS, 99 - STARTS]);
}

/// Buys with an order of a start of its own, that was issued then.
fn buy_issued_at(server: &Server, start: u64, at: u64) -> Response {
    let order = format!("{start}.0; open=0; at={at}");
    server.call("PUT", "/buy/2", &[("Bazar-Order", &order)], "")
}

#[test]
fn an_order_that_was_forgotten_is_closed_and_neither_sold_again_nor_out_of_stock() {
    const MINUTE: u64 = 60_000;
    let shop = Shop::started(ShopOptions::default());
    let order = shop.order(1);
    assert!(buy_issued_at(order, 1, 100 * MINUTE).is_purchase());
    assert!(buy_issued_at(order, 2, 111 * MINUTE).is_purchase());
    let check_closed = || {
        let again = buy_issued_at(order, 1, 100 * MINUTE);
        assert_eq!(
            (again.status, &again.json()["closed"][0]),
            (409, &"1.0".into())
        );
        // Its server issues later times than that of the newest order from then on.
        assert_eq!(again.json()["forgotten"], 111 * MINUTE);
    };
    check_closed();
    assert_eq!(shop.quantities(2), [3, 3]);
    for start in 3..6 {
        assert!(buy_issued_at(order, start, 111 * MINUTE).is_purchase());
    }
    check_closed();
    assert!(
        !buy_issued_at(order, 6, 111 * MINUTE).is_purchase(),
        "sold out"
    );
}

#[test]
fn a_front_end_whose_clock_is_behind_sells_after_the_first_customer() {
    let shop = Shop::started(ShopOptions::default());
    let year_2100 = 4_102_444_800_000;
    assert!(buy_issued_at(shop.order(1), 1, year_2100).is_purchase());
    assert!(buy_issued_at(shop.order(1), 2, 2 * year_2100).is_purchase());
    let first = shop.buy(2);
    assert_eq!(
        (first.status, first.header("Bazar-Outcome")),
        (504, "unknown")
    );
    assert!(shop.buy(2).is_purchase());
    assert_eq!(shop.quantities(2), [2, 2]);
}

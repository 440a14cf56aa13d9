//! Servers that are down, killed and started again: what customers notice, and that no sale is
//! lost.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::clients::buy_until_definite;
use crate::harness::fake_server::{FakeServer, Reply};
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// The sequence number of a book in a catalog's dump.
fn sequence_number(catalog: &Server, id: u64) -> u64 {
    let books = catalog.dump();
    let book = books.iter().find(|book| book["id"] == id).unwrap();
    book["sequence_number"].as_u64().unwrap()
}

#[track_caller]
fn buy(shop: &Shop, id: u64) {
    let response = shop.buy(id);
    assert!(response.is_purchase(), "{response:?}");
}

#[test]
fn a_catalog_that_was_away_reads_the_up_to_date_book() {
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        ..ShopOptions::default()
    });
    buy(&shop, 2);
    shop.catalog(1).kill();
    buy(&shop, 2);
    buy(&shop, 2);
    shop.catalog(1).start();
    assert_eq!(shop.catalog(1).quantity(2), 2);
    assert_eq!(shop.quantity(2), 2);
    eventually("all copies are equal", || {
        shop.catalogs()
            .iter()
            .all(|catalog| sequence_number(catalog, 2) == 3)
    });
}

#[test]
fn a_catalog_reads_the_up_to_date_book_before_it_has_caught_up() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(1).kill();
    buy(&shop, 2);
    shop.catalog(1).launch();
    assert_eq!(shop.catalog(1).quantity(2), 4);
}

/// Sells one copy that only catalog 2 knows of, kills both, and starts them again, `first` before
/// the other: it is alone for a moment, and may serve the books that it has.
fn restarted_after_total_failure(first: usize) -> Shop {
    let shop = Shop::started(ShopOptions::default());
    buy(&shop, 2);
    shop.catalog(1).kill();
    buy(&shop, 2);
    assert_eq!(sequence_number(shop.catalog(2), 2), 2);
    shop.catalog(2).kill();
    // One that is not the last to go waits for the other.
    shop.catalog(first).launch();
    shop.catalog(3 - first).launch();
    shop.catalogs().iter().for_each(Server::await_ready);
    shop
}

#[test]
fn after_total_failure_the_older_catalog_reads_the_newer_copy() {
    let shop = restarted_after_total_failure(2);
    assert_eq!(shop.catalog(1).quantity(2), 3);
    assert_eq!(shop.catalog(2).quantity(2), 3);
}

#[test]
fn after_total_failure_the_newer_catalog_keeps_its_sales() {
    let shop = restarted_after_total_failure(1);
    assert_eq!(shop.catalog(2).quantity(2), 3);
    assert_eq!(shop.catalog(1).quantity(2), 3);
    buy(&shop, 2);
    assert_eq!([1, 2].map(|n| shop.catalog(n).quantity(2)), [2, 2]);
}

#[test]
fn five_catalogs_with_different_copies_agree_on_the_newest() {
    let shop = Shop::new(ShopOptions {
        catalogs: 5,
        ..ShopOptions::default()
    });
    for (n, number) in [(1, 0), (2, 2), (3, 1), (4, 1), (5, 0)] {
        write_book_2(&shop, n, number);
    }
    shop.start();
    for catalog in shop.catalogs() {
        assert_eq!(catalog.quantity(2), 3, "{}", catalog.name);
    }
}

/// Puts one book into the folder of catalog `n`, of which `number` copies of five were sold.
fn write_book_2(shop: &Shop, n: usize, number: u64) {
    let quantity = 5 - number;
    let stamp = if number == 0 { 0 } else { 7 };
    let book = format!(
        r#"[{{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems","quantity":{quantity},"price":50.0,"version":"{number}-{stamp}"}}]"#
    );
    let folder = shop.data_folder(n);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("books-0000000-0000199.json"), book).unwrap();
}

#[test]
fn everything_is_kept_when_the_whole_shop_is_killed() {
    let shop = Shop::started(ShopOptions::default());
    for _ in 0..3 {
        buy(&shop, 2);
    }
    for server in shop.servers() {
        server.kill();
    }
    shop.start();
    assert_eq!(shop.quantity(2), 2);
}

/// Of the five copies of book 2, three are sold while catalog 2 is down. Then catalog 1 goes down,
/// and catalog 2 is started alone.
fn alone_after_one_failed_after_the_other() -> Shop {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(2).kill();
    (0..3).for_each(|_| buy(&shop, 2));
    shop.catalog(1).kill();
    shop.catalog(2).launch();
    shop
}

/// Waits until catalog 2 says that it waits for catalog 1.
#[track_caller]
fn await_waiting(shop: &Shop) {
    let waits = format!(r#"bazar_waits_for{{peer="{}"}}"#, shop.catalog(1).url());
    eventually("catalog 2 waits for catalog 1", || {
        shop.catalog(2).metric(&waits) == 1.0
    });
}

#[test]
fn catalogs_that_fail_one_after_another_sell_no_copy_twice() {
    let shop = alone_after_one_failed_after_the_other();
    await_waiting(&shop);
    let missing = shop.catalog(1).url();
    for response in [
        shop.catalog(2).get("/readyz"),
        shop.catalog(2).get("/query/item/2"),
        shop.catalog(2).put("/update/2", r#"{"quantity": 4}"#),
    ] {
        assert_eq!(response.status, 503, "{response:?}");
        assert!(response.body.contains(&missing), "{response:?}");
    }
    assert!(!shop.buy(2).is_purchase());

    shop.catalog(1).launch();
    shop.servers().for_each(Server::await_ready);
    (0..2).for_each(|_| buy(&shop, 2));
    assert!(!shop.buy(2).is_purchase());
    assert_eq!(shop.quantities(2), [0, 0]);
}

#[test]
fn an_operator_lets_a_catalog_go_on_without_one_that_is_lost() {
    let shop = alone_after_one_failed_after_the_other();
    await_waiting(&shop);
    shop.catalog(2).kill();
    let lost = shop.catalog(1).url();
    shop.catalog(2).launch_with(&["--go-on-without", &lost]);
    shop.catalog(2).await_ready();
    assert_eq!(shop.catalog(2).quantity(2), 5, "the sales are lost");

    // Its copies are dropped, though they were sold more often.
    shop.catalog(1).launch();
    shop.servers().for_each(Server::await_ready);
    assert_eq!(shop.quantities(2), [5, 5]);
}

#[test]
fn one_order_server_is_enough() {
    let shop = Shop::started(ShopOptions::default());
    shop.order(1).kill();
    for quantity in (0..5).rev() {
        buy(&shop, 2);
        assert_eq!(shop.quantity(2), quantity);
    }
    shop.order(1).start();
    shop.order(2).kill();
    buy(&shop, 3);
}

#[test]
fn one_catalog_is_enough() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(2).kill();
    for quantity in (0..5).rev() {
        // Order server 2, whose catalog is down, counts as down too.
        buy(&shop, 2);
        assert_eq!(shop.quantity(2), quantity);
        assert_eq!(shop.front_end().get("/search/distributed").status, 200);
    }
    assert_eq!(shop.order(2).put("/buy/3", "").status, 504);
}

#[test]
fn with_every_server_down_a_customer_gets_504() {
    let shop = Shop::started(ShopOptions::default());
    let statuses = || {
        let get = |path| shop.front_end().get(path).status;
        [get("/search/t"), get("/lookup/2"), shop.buy(2).status]
    };
    assert_eq!(statuses(), [200, 200, 200]);
    shop.order(1).kill();
    shop.order(2).kill();
    assert_eq!(shop.buy(2).status, 504);
    assert_eq!(shop.quantity(2), 4);
    shop.catalog(1).kill();
    shop.catalog(2).kill();
    // Cached answers are still valid: dead catalogs sell nothing.
    shop.front_end()
        .call("DELETE", "/invalidate/item/", &[], "");
    shop.front_end()
        .call("DELETE", "/invalidate/topic/", &[], "");
    assert_eq!(statuses(), [504, 504, 504]);
    for n in [1, 2] {
        shop.catalog(n).launch();
        shop.order(n).launch();
    }
    eventually("the front-end finds them again", || {
        shop.front_end().get("/readyz").status == 200
    });
    eventually("the shop sells again", || statuses() == [200, 200, 200]);
}

/// As a catalog does whose disk is full while the machine is busy.
fn slow_and_not_ready(request: &str) -> Reply {
    match request {
        "GET /readyz" => Reply::Json(503, json!({"ready": false, "server": "catalog"})),
        _ => {
            thread::sleep(Duration::from_millis(400));
            Reply::Json(503, json!({"message": "The disk refuses: full"}))
        }
    }
}

#[test]
fn a_buyer_is_told_why_a_slow_catalog_does_not_sell_and_not_that_it_cannot_be_reached() {
    let shop = Shop::new(ShopOptions {
        catalogs: 1,
        orders: 1,
        front_ends: 0,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let _catalog = FakeServer::start(&shop.catalog(1).address, Arc::new(slow_and_not_ready));
    shop.order(1).launch();
    eventually("the catalog is checked", || {
        shop.order(1).get("/readyz").status == 503
    });
    let response = shop.order(1).put("/buy/2", "");
    assert_eq!(response.status, 503, "{response:?}");
    assert!(
        response.json()["message"]
            .as_str()
            .unwrap()
            .contains("disk")
    );
}

#[test]
fn an_update_succeeds_while_the_front_end_is_down() {
    let shop = Shop::started(ShopOptions::default());
    assert_eq!(shop.quantity(2), 5);
    shop.front_end().kill();
    assert_eq!(
        shop.catalog(1)
            .put("/update/2", r#"{"quantity":50}"#)
            .status,
        200
    );
    assert!(shop.order(1).put("/buy/2", "").is_purchase());
    shop.front_end().start();
    assert_eq!(shop.quantity(2), 49);
}

#[test]
fn a_stopped_catalog_costs_time_but_no_sale() {
    const COPIES: usize = 20;
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..ShopOptions::default()
    });
    shop.stock_up(2, COPIES);
    shop.catalog(2).stop();
    let sales = (0..COPIES / 2).map(|n| {
        let response = buy_until_definite(&shop.front_end().address, 2, &format!("buy-{n}"));
        response.is_purchase()
    });
    let acknowledged = sales.filter(|sold| *sold).count();
    assert_eq!(acknowledged, COPIES / 2);
    let left = (COPIES - acknowledged) as u64;
    assert_eq!(shop.quantity(2), left);
    assert_eq!(shop.catalog(1).quantity(2), left);
    shop.catalog(2).cont();
    eventually("it knows what it missed", || {
        let response = shop.catalog(2).get("/query/item/2");
        response.status == 200 && response.json()["quantity"] == left
    });
}

#[test]
fn a_stopped_front_end_delays_an_update_and_answers_nothing_old_afterwards() {
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..ShopOptions::default()
    });
    assert_eq!(shop.quantity(2), 5);
    shop.front_end().stop();
    assert_eq!(
        shop.catalog(1)
            .put("/update/2", r#"{"quantity":50}"#)
            .status,
        200
    );
    shop.front_end().cont();
    assert_eq!(shop.quantity(2), 50);
}

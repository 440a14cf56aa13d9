//! Servers that are down, killed and started again: what the customers notice, and that no sale is
//! lost.

use std::fs;

use serde_json::Value;

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// What a catalog says that is left of a book.
#[track_caller]
fn left(catalog: &Server, id: u64) -> u64 {
    let response = catalog.get(&format!("/query/item/{id}"));
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["quantity"].as_u64().unwrap()
}

/// The sequence number of a book in a catalog's dump.
fn number(catalog: &Server, id: u64) -> u64 {
    let dump = catalog.get("/dump/").json();
    let is_it = |book: &&Value| book["id"] == id;
    let books = dump.as_array().unwrap();
    books.iter().find(is_it).unwrap()["sequence_number"]
        .as_u64()
        .unwrap()
}

#[track_caller]
fn bought(shop: &Shop, id: u64) {
    let response = shop.buy(id);
    assert_eq!(
        (response.status, &response.json()["success"]),
        (200, &Value::Bool(true)),
        "{response:?}"
    );
}

#[test]
fn a_catalog_that_was_away_reads_the_up_to_date_book() {
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        ..ShopOptions::default()
    });
    bought(&shop, 2);
    shop.catalog(1).kill();
    bought(&shop, 2);
    bought(&shop, 2);
    shop.catalog(1).start();
    assert_eq!(left(shop.catalog(1), 2), 2);
    assert_eq!(shop.quantity(2), 2);
    eventually("all copies are equal", || {
        shop.catalogs()
            .iter()
            .all(|catalog| number(catalog, 2) == 3)
    });
}

#[test]
fn a_catalog_reads_the_up_to_date_book_before_it_has_caught_up() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(1).kill();
    bought(&shop, 2);
    shop.catalog(1).launch();
    assert_eq!(left(shop.catalog(1), 2), 4);
}

/// Sells one copy that only catalog 2 has, kills both, and starts them again, this one first: it is
/// alone for a moment, and may go on with what it has.
fn after_total_failure(first: usize) -> Shop {
    let shop = Shop::started(ShopOptions::default());
    bought(&shop, 2);
    shop.catalog(1).kill();
    bought(&shop, 2);
    assert_eq!(number(shop.catalog(2), 2), 2);
    shop.catalog(2).kill();
    shop.catalog(first).start();
    shop.catalog(3 - first).launch();
    shop
}

#[test]
fn after_total_failure_the_older_catalog_reads_the_newer_copy() {
    let shop = after_total_failure(2);
    assert_eq!(left(shop.catalog(1), 2), 3);
    assert_eq!(left(shop.catalog(2), 2), 3);
}

#[test]
fn after_total_failure_the_newer_catalog_keeps_its_sales() {
    let shop = after_total_failure(1);
    assert_eq!(left(shop.catalog(2), 2), 3);
    assert_eq!(left(shop.catalog(1), 2), 3);
    bought(&shop, 2);
    assert_eq!([1, 2].map(|n| left(shop.catalog(n), 2)), [2, 2]);
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
        assert_eq!(left(catalog, 2), 3, "{}", catalog.name);
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
    fs::write(folder.join("books-0000000-0000099.json"), book).unwrap();
}

#[test]
fn everything_is_kept_when_the_whole_shop_is_killed() {
    let shop = Shop::started(ShopOptions::default());
    for _ in 0..3 {
        bought(&shop, 2);
    }
    for server in shop.servers() {
        server.kill();
    }
    shop.start();
    assert_eq!(shop.quantity(2), 2);
}

#[test]
fn one_order_server_is_enough() {
    let shop = Shop::started(ShopOptions::default());
    shop.order(1).kill();
    for quantity in (0..5).rev() {
        bought(&shop, 2);
        assert_eq!(shop.quantity(2), quantity);
    }
    shop.order(1).start();
    shop.order(2).kill();
    bought(&shop, 3);
}

#[test]
fn one_catalog_is_enough() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(2).kill();
    for quantity in (0..5).rev() {
        // Order server 2, whose catalog is down, counts as down too.
        bought(&shop, 2);
        assert_eq!(shop.quantity(2), quantity);
        assert_eq!(shop.front_end().get("/search/distributed").status, 200);
    }
    assert_eq!(shop.order(2).put("/buy/3", "").status, 504);
}

#[test]
fn with_everything_down_the_customer_is_told() {
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
    // What is in the cache may be answered: dead catalogs sell nothing.
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
    assert_eq!(shop.order(1).put("/buy/2", "").json()["success"], true);
    shop.front_end().start();
    assert_eq!(shop.quantity(2), 49);
}

#[test]
fn a_stopped_catalog_costs_time_but_no_sale() {
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..ShopOptions::default()
    });
    bought(&shop, 2);
    shop.catalog(2).stop();
    eventually("the shop sells without it", || {
        shop.buy(2).json()["success"] == true
    });
    let sold = 5 - shop.quantity(2);
    shop.catalog(2).cont();
    eventually("it knows what it missed", || {
        let response = shop.catalog(2).get("/query/item/2");
        response.status == 200 && response.json()["quantity"] == 5 - sold
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

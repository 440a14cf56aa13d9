//! The interface of every server is the one of `src/API.md`: each row of the page has cases here,
//! and each case has its row there.

mod catalog;
mod every_server;
mod front_end;
mod order;
mod schema;
mod table;

use std::fs;
use std::sync::Arc;

use serde_json::json;

use crate::harness::fake_server::{self, FakeServer, Reply};
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, Store};
use table::{check, check_coverage, check_described, check_with};

const PAGE: &str = include_str!("../../../src/API.md");

#[test]
fn the_cases_cover_exactly_the_rows_of_the_page() {
    use catalog::{
        BATCH, BETWEEN_CATALOGS, CREATE, DISK, KEY_IN_USE, LEFT_OUT, OUTDATED, REMOVE, STOPPED,
        USUAL,
    };
    let every_server = [
        every_server::USUAL,
        every_server::ALONE,
        every_server::TOKEN,
    ];
    check_coverage(PAGE, "Every server", &every_server);
    let front_end = [
        front_end::USUAL,
        order::REFUSED,
        order::SOLD_OUT,
        front_end::ALONE,
        order::CONFLICTS,
        order::KEY_IN_USE,
        order::DISK,
    ];
    check_coverage(PAGE, "Front-end", &front_end);
    let order = [
        order::USUAL,
        order::REFUSED,
        order::SOLD_OUT,
        order::ALONE,
        order::CONFLICTS,
        order::KEY_IN_USE,
        order::DISK,
    ];
    check_coverage(PAGE, "Order server", &order);
    let catalog = [
        USUAL, CREATE, REMOVE, BATCH, OUTDATED, STOPPED, KEY_IN_USE, DISK,
    ];
    check_coverage(PAGE, "Catalog", &catalog);
    check_coverage(PAGE, "Between catalogs", &[BETWEEN_CATALOGS, LEFT_OUT]);
}

#[test]
fn front_end_order_server_and_catalog_answer_as_documented() {
    let shop = Shop::started(ShopOptions::own());
    check(shop.front_end(), front_end::USUAL);
    check(shop.order(1), order::USUAL);
    check(shop.front_end(), order::REFUSED);
    check(shop.order(1), order::REFUSED);
    check(shop.catalog(1), catalog::USUAL);
    for server in [shop.front_end(), shop.order(2), shop.catalog(2)] {
        check(server, every_server::USUAL);
    }
    let third = json!({"id": 3, "price": 14.5, "quantity": 9, "sequence_number": 2,
        "title": "Xen", "topic": "Virtual Machines"});
    for catalog in shop.catalogs() {
        assert_eq!(catalog.dump()[2], third, "{}", catalog.name);
    }
    shop.stock_up(1, 0);
    check(shop.front_end(), order::SOLD_OUT);
    check(shop.order(1), order::SOLD_OUT);
}

#[test]
fn each_server_describes_what_it_answers() {
    use catalog::{CREATE, DISK, KEY_IN_USE, OUTDATED, REMOVE, STOPPED, USUAL};
    let shop = Shop::started(ShopOptions::default());
    let check = |server: &Server, tables: &[&str]| {
        let document = server.get("/openapi.json").json();
        let of_all = [every_server::USUAL, every_server::ALONE];
        let described = check_described(&document, &[tables, &of_all].concat());
        assert!(10 < described, "{}: {described}", server.name);
    };
    check(
        shop.catalog(1),
        &[USUAL, CREATE, REMOVE, OUTDATED, STOPPED, KEY_IN_USE, DISK],
    );
    let buys = [
        order::REFUSED,
        order::SOLD_OUT,
        order::CONFLICTS,
        order::KEY_IN_USE,
        order::DISK,
    ];
    check(
        shop.order(1),
        &[&[order::USUAL, order::ALONE], &buys[..]].concat(),
    );
    let own = [front_end::USUAL, front_end::ALONE];
    check(shop.front_end(), &[&own, &buys[..]].concat());
}

#[test]
fn new_books_batches_and_removals_are_answered_as_documented() {
    let shop = Shop::started(ShopOptions::own());
    check(shop.catalog(1), catalog::CREATE);
    let new = shop.catalog(2).get("/query/topic/new").list();
    assert_eq!(new, shop.catalog(1).get("/query/topic/new").list());
    assert_eq!(new.len(), 3);
    check(shop.catalog(1), catalog::BATCH);
    let shop = Shop::started(ShopOptions::own());
    check(shop.catalog(1), catalog::REMOVE);
}

#[test]
fn messages_between_catalogs_are_answered_as_documented() {
    let shop = alone_with_first_stock();
    let catalog = shop.catalog(1);
    let agrees = |request: &str| match request {
        "PUT /rep/page" => Reply::Json(200, json!({"entries": []})),
        _ if request.starts_with("PUT /rep/get/") => Reply::Json(409, json!({})),
        _ => Reply::Json(200, json!({"start": 5, "differing": []})),
    };
    let _peer = FakeServer::live_catalog(&shop.catalog(2).address, Arc::new(agrees));
    catalog.launch();
    eventually("it serves", || catalog.get("/query/item/1").status == 200);
    check_as_catalog2(&shop, catalog::BETWEEN_CATALOGS);
}

#[test]
fn messages_of_a_catalog_that_is_left_out_are_answered_as_documented() {
    let shop = alone_with_first_stock();
    shop.leave_out(1, 2);
    shop.catalog(1).start();
    check_as_catalog2(&shop, catalog::LEFT_OUT);
}

/// Catalog 1 has the first stock in its folder, and catalog 2 is not started.
fn alone_with_first_stock() -> Shop {
    let shop = Shop::new(ShopOptions {
        store: Store::Own,
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    shop.write_first_stock(1);
    shop
}

/// What catalog 1 answers to catalog 2, whose part the test plays.
#[track_caller]
fn check_as_catalog2(shop: &Shop, table: &str) {
    let catalog2 = &shop.catalog(2);
    let standing = fake_server::standing(&catalog2.address);
    let heartbeat = json!({"from": catalog2.url(), "standing": standing, "known_listers": []});
    let answer = shop
        .catalog(1)
        .put("/rep/heartbeat", &heartbeat.to_string())
        .json();
    let sender = json!({"standing": standing, "token": answer["token"]});
    let values = [
        ("catalog2", catalog2.url()),
        ("standing", standing.to_string()),
        ("sender", sender.to_string()),
    ];
    let values: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    check_with(shop.catalog(1), table, &values);
}

#[test]
fn with_a_token_the_rest_is_refused() {
    let shop = Shop::started(ShopOptions {
        environment: vec![("SERVICE_TOKEN", "secret".into())],
        ..ShopOptions::default()
    });
    for server in [shop.front_end(), shop.order(1), shop.catalog(1)] {
        check(server, every_server::TOKEN);
    }
}

#[test]
fn a_server_without_the_servers_behind_it_says_so() {
    let shop = Shop::new(ShopOptions::own());
    shop.front_end().launch();
    shop.order(1).launch();
    check(shop.front_end(), front_end::ALONE);
    check(shop.order(1), order::ALONE);
    for server in [shop.front_end(), shop.order(1)] {
        check(server, every_server::ALONE);
    }
}

#[test]
fn a_disk_that_refuses_is_reported() {
    // Afterwards the catalog is not ready, and so the servers before it are not: a shop for each.
    let check_in_a_shop = |server: fn(&Shop) -> &Server, table| {
        let shop = Shop::started(ShopOptions {
            store: Store::Own,
            catalogs: 1,
            orders: 1,
            ..ShopOptions::default()
        });
        let blocker = shop.data_folder(1).join("books-0000000-0000199.json.tmp");
        fs::create_dir(blocker).unwrap();
        check(server(&shop), table);
    };
    check_in_a_shop(|shop| shop.catalog(1), catalog::DISK);
    check_in_a_shop(|shop| shop.order(1), order::DISK);
    check_in_a_shop(|shop| shop.front_end(), order::DISK);
}

#[test]
fn a_key_that_is_in_use_is_reported() {
    let shop = Shop::new(ShopOptions {
        orders: 1,
        ..ShopOptions::own()
    });
    shop.write_first_stock(1);
    let has_key = |request: &str| match request {
        "PUT /rep/keys" => Reply::Json(200, json!({"in_use": ["k"], "sold": []})),
        "PUT /rep/page" => Reply::Json(200, json!({"entries": []})),
        _ => Reply::Json(200, json!({"start": 5, "differing": []})),
    };
    let _peer = FakeServer::live_catalog(&shop.catalog(2).address, Arc::new(has_key));
    shop.catalog(1).start();
    shop.order(1).start();
    shop.front_end().start();
    check(shop.catalog(1), catalog::KEY_IN_USE);
    check(shop.order(1), order::KEY_IN_USE);
    check(shop.front_end(), order::KEY_IN_USE);
}

#[test]
fn conflicts_for_three_seconds_are_reported() {
    let shop = Shop::new(ShopOptions {
        store: Store::Own,
        catalogs: 1,
        orders: 1,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let _catalog = FakeServer::start(&shop.catalog(1).address, Arc::new(always_conflicting));
    shop.order(1).start();
    check(shop.order(1), order::CONFLICTS);
    shop.front_end().start();
    check(shop.front_end(), order::CONFLICTS);
}

#[test]
fn an_update_of_an_outdated_copy_is_refused() {
    let shop = Shop::new(ShopOptions {
        store: Store::Own,
        catalogs: 2,
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    shop.write_first_stock(1);
    let peer = Arc::new(with_a_newer_copy);
    let _peer = FakeServer::live_catalog(&shop.catalog(2).address, peer);
    shop.catalog(1).launch();
    check(shop.catalog(1), catalog::OUTDATED);
}

#[test]
fn an_update_beside_a_stopped_catalog_may_be_committed_later() {
    let shop = Shop::started(ShopOptions {
        store: Store::Own,
        orders: 0,
        front_ends: 0,
        environment: vec![("TIMEOUT_MS", "500".into())],
        ..ShopOptions::default()
    });
    shop.catalog(2).stop();
    check(shop.catalog(1), catalog::STOPPED);
}

/// Shows copies of every book, and sells none: another buyer was always faster.
fn always_conflicting(request: &str) -> Reply {
    if request == "GET /readyz" {
        Reply::Json(200, json!({"ready": true, "server": "catalog"}))
    } else if request.starts_with("GET") {
        Reply::Json(200, json!({"price": 1.0, "quantity": 9, "title": "Wanted"}))
    } else {
        Reply::Json(412, json!({"message": "too late"}))
    }
}

/// Has a newer copy of book 2, but its pages do not show it.
fn with_a_newer_copy(request: &str) -> Reply {
    let book = json!({"id": 2, "title": "RPCs for Dummies", "topic": "Distributed Systems",
        "quantity": 1, "price": 50.0, "version": "4-7"});
    match request {
        "PUT /rep/page" => Reply::Json(200, json!({"entries": []})),
        "PUT /rep/check/2" => Reply::Json(409, json!({"book": book, "state": "valid"})),
        _ => Reply::Json(503, json!({})),
    }
}

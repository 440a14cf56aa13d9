//! Buys that some server cannot serve, and buys of a book that changes meanwhile.
//!
//! A health check finds out within 100 ms that a server is down, and that one is asked last from
//! then on. So that it is asked first here, no other one is known to be up: its answers to health
//! checks are lost.

use crate::figures::{check, traced};
use crate::harness::http;
use crate::harness::process::eventually;
use crate::harness::proxy::Action;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

fn shop() -> Shop {
    Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    })
}

/// Order server 2 is not known to be up.
fn lose_health_checks_of_order_2(shop: &Shop) {
    shop.proxy("order2").set_rule(|request| match request {
        "GET /readyz" => Action::BlackHole,
        _ => Action::Forward,
    });
}

#[track_caller]
fn traced_buy_without_order_servers_up(shop: &Shop) -> String {
    eventually("no order server is known to be up", || {
        let up = r#"bazar_servers_up{tier="order"}"#;
        shop.front_end().metric(up) == 0.0
    });
    traced(shop.front_end(), &["PUT", "/buy/2"])
}

#[test]
fn a_buy_goes_to_the_next_order_server_when_one_is_down() {
    check(|| {
        let shop = shop();
        shop.kill(shop.order(1));
        lose_health_checks_of_order_2(&shop);
        vec![("buy_fail_over", traced_buy_without_order_servers_up(&shop))]
    });
}

#[test]
fn a_buy_goes_to_the_next_order_server_when_the_catalog_of_one_is_down() {
    check(|| {
        let shop = shop();
        shop.kill(shop.catalog(1));
        lose_health_checks_of_order_2(&shop);
        eventually("catalog 2 serves alone", || {
            shop.catalog(2).put("/update/3", r#"{"price":20}"#).status == 200
        });
        let picture = traced_buy_without_order_servers_up(&shop);
        vec![("buy_fail_over_504", picture)]
    });
}

#[test]
fn a_buy_asks_every_order_server_once_before_it_fails() {
    check(|| {
        let shop = shop();
        shop.kill(shop.order(1));
        shop.kill(shop.order(2));
        vec![("buy_all_down", traced_buy_without_order_servers_up(&shop))]
    });
}

#[test]
fn a_buy_of_a_book_that_changes_meanwhile_begins_again() {
    check(|| {
        let shop = Shop::started(ShopOptions {
            orders: 1,
            front_ends: 0,
            proxies: Proxies::Everywhere,
            ..ShopOptions::default()
        });
        let catalogs = [1, 2].map(|n| shop.catalog(n).address.clone());
        let change = move || {
            let [here, there] = &catalogs;
            let path = "/update/2";
            let answer = http::call(there, "PUT", path, &[], r#"{"price":45}"#).unwrap();
            assert_eq!(answer.status, 200);
            // Answered once the copy here is valid.
            let answer = http::call(here, "GET", "/query/item/2", &[], "").unwrap();
            assert_eq!(answer.status, 200);
            Action::Forward
        };
        shop.proxy("catalog1").first("PUT /update/2", change);
        let picture = traced(shop.order(1), &["PUT", "/buy/2"]);
        vec![("buy_changed_meanwhile", picture)]
    });
}

//! Nobody waits for a server that hangs: what the slowest request costs when a server is stopped or
//! killed, with the default time limits. The limits are ten times what `bazar bench` has as its
//! targets; what was measured is printed.

use std::time::{Duration, Instant};

use crate::harness::clients::buy_until_definite;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, list};

const COPIES: usize = 10_000;

/// So long after a fault requests are sent.
const WATCHED: Duration = Duration::from_millis(1500);

fn shop(options: ShopOptions) -> Shop {
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..options
    });
    shop.stock_up(2, COPIES);
    shop
}

/// Sends requests one after another from the moment of the fault on. Returns how long the slowest
/// took; each must succeed.
#[track_caller]
fn slowest(what: &str, fault: impl FnOnce(), mut request: impl FnMut()) -> Duration {
    (0..20).for_each(|_| request());
    fault();
    let (mut slowest, mut count) = (Duration::ZERO, 0);
    let begun = Instant::now();
    while begun.elapsed() < WATCHED || count < 20 {
        let sent = Instant::now();
        request();
        slowest = slowest.max(sent.elapsed());
        count += 1;
    }
    println!("{what}: slowest of {count} {slowest:?}");
    slowest
}

#[track_caller]
fn buy_at(front_end: &Server) {
    let response = front_end.put("/buy/2", "");
    assert!(response.is_purchase(), "{response:?}");
}

#[track_caller]
fn check_buys(what: &str, limit_ms: u64, options: ShopOptions, fault: impl FnOnce(&Shop)) {
    let shop = shop(options);
    let buy = || buy_at(shop.front_end());
    let slowest = slowest(what, || fault(&shop), buy);
    assert!(slowest < Duration::from_millis(limit_ms), "{slowest:?}");
}

#[test]
fn a_buy_does_not_wait_for_an_order_server_that_is_stopped() {
    let what = "an order server is stopped, buys";
    check_buys(what, 1_500, ShopOptions::default(), |s| s.order(2).stop());
}

#[test]
fn a_buy_waits_for_the_lease_of_a_catalog_that_is_stopped_and_no_longer() {
    let what = "a catalog is stopped, buys";
    check_buys(what, 10_000, ShopOptions::default(), |shop| {
        shop.catalog(2).stop();
    });
}

#[test]
fn a_buy_waits_for_the_lease_of_a_front_end_that_is_stopped_and_no_longer() {
    let options = ShopOptions {
        front_ends: 2,
        ..ShopOptions::default()
    };
    check_buys("a front-end is stopped, buys", 10_000, options, |shop| {
        shop.front_end_number(2).stop();
    });
}

#[test]
fn a_read_does_not_wait_for_a_catalog_that_is_stopped() {
    let shop = shop(ShopOptions {
        environment: vec![("LOOKUP_CACHE_SIZE", "0".into())],
        ..ShopOptions::default()
    });
    let stop = || shop.catalog(2).stop();
    let slowest = slowest("a catalog is stopped, reads", stop, || {
        shop.quantity(2);
    });
    assert!(slowest < Duration::from_millis(600), "{slowest:?}");
}

#[test]
fn no_request_waits_for_a_server_that_is_killed() {
    let usual = ShopOptions::default;
    check_buys("an order server is killed", 500, usual(), |shop| {
        shop.order(2).kill();
    });
    check_buys("a catalog is killed", 500, usual(), |shop| {
        shop.catalog(2).kill();
    });
}

#[test]
fn a_healthy_shop_asks_hardly_ever_twice() {
    let shop = shop(ShopOptions::default());
    (0..200).for_each(|_| buy_at(shop.front_end()));
    let sent = shop
        .front_end()
        .metric(r#"bazar_hedges_total{of="buy",outcome="sent"}"#);
    println!("200 buys, {sent} asked twice");
    assert!(sent <= 200.0 * 0.02 * 10.0, "{sent}");
}

#[test]
fn a_lone_order_server_turns_to_the_next_catalog_of_its_list() {
    let shop = Shop::new(ShopOptions {
        orders: 1,
        ..ShopOptions::default()
    });
    let catalogs = list(shop.catalogs().iter().rev().map(|c| c.address.clone()));
    let option = ["--catalog-address", catalogs.as_str()];
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    shop.order(1).launch_with(&option);
    shop.order(1).await_ready();
    let buy = |key: &str| buy_until_definite(&shop.order(1).address, 2, key);
    assert!(buy("all-are-well").is_purchase());
    shop.catalog(2).stop();
    assert!(buy("its-own-hangs").is_purchase());
    shop.catalog(2).cont();
    eventually("catalog 2 sells again", || {
        let update = shop.catalog(2).put("/update/2", r#"{"quantity": 2}"#);
        update.status == 200
    });
    shop.catalog(1).kill();
    assert!(buy("another-is-down").is_purchase());
    shop.catalog(1).start();
    shop.catalog(2).kill();
    assert!(buy("its-own-is-down").is_purchase());
    assert_eq!(shop.catalog(1).quantity(2), 0);
}

#[test]
fn a_server_that_hangs_for_a_moment_is_asked_again_soon() {
    let shop = shop(ShopOptions::default());
    buy_at(shop.front_end());
    shop.order(2).stop();
    buy_at(shop.front_end());
    buy_at(shop.front_end());
    shop.order(2).cont();
    let bought = || {
        shop.order(2)
            .metric(r#"bazar_buys_total{outcome="purchased"}"#)
    };
    let before = bought();
    let begun = Instant::now();
    eventually("it sells again", || {
        buy_at(shop.front_end());
        before < bought()
    });
    let took = begun.elapsed();
    println!("asked again after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn each_buy_takes_one_copy_when_all_are_asked_twice() {
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        orders: 3,
        environment: vec![("HEDGE_AFTER_MS", "0".into())],
        ..ShopOptions::default()
    });
    shop.stock_up(3, 200);
    let responses = crate::harness::clients::concurrently(8, |_| {
        let responses = (0..20).map(|_| shop.front_end().put("/buy/3", ""));
        let sold = responses.filter(|response| {
            assert_eq!(response.status, 200, "{response:?}");
            response.is_purchase()
        });
        let sold = sold.count();
        crate::harness::http::Response {
            status: sold as u16,
            headers: Vec::new(),
            body: String::new(),
        }
    });
    let sold: u64 = responses.iter().map(|one| u64::from(one.status)).sum();
    assert_eq!(sold, 160);
    eventually("no hedge is under way", || shop.quantities(3) == [40; 3]);
    let hedges = shop
        .front_end()
        .metric(r#"bazar_hedges_total{of="buy",outcome="sent"}"#);
    assert!(0.0 < hedges);
}

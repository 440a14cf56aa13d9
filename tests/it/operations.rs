//! What the README tells an operator to do with a shop that sells on: a catalog more, one less, a
//! machine replaced.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use crate::harness::clients::buy_until_definite;
use crate::harness::http::Response;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, list};

const COPIES: u64 = 1_000_000;

/// Of three catalogs with an order server each, and two front-ends, all but the third pair run, and
/// know nothing of it.
fn shop_of_two() -> Shop {
    let shop = Shop::new(options());
    for n in [1, 2] {
        launch_catalog(&shop, n, &[1, 2]);
    }
    [1, 2].iter().for_each(|n| shop.catalog(*n).await_ready());
    [1, 2].iter().for_each(|n| shop.order(*n).start());
    for n in [1, 2] {
        launch_front_end(&shop, n, &[1, 2]);
        shop.front_end_number(n).await_ready();
    }
    stock_up(&shop);
    shop
}

fn shop_of_three() -> Shop {
    let shop = Shop::started(options());
    stock_up(&shop);
    shop
}

fn options() -> ShopOptions {
    ShopOptions {
        catalogs: 3,
        orders: 3,
        front_ends: 2,
        ..ShopOptions::default()
    }
}

fn stock_up(shop: &Shop) {
    shop.stock_up(2, COPIES as usize);
}

/// These servers as a setting.
fn urls<'a>(servers: impl Iterator<Item = &'a Server>) -> String {
    list(servers.map(|server| server.address.clone()))
}

/// Starts catalog `n` in a shop of these catalogs.
fn launch_catalog(shop: &Shop, n: usize, all: &[usize]) {
    let others = all.iter().filter(|other| **other != n);
    let others = urls(others.map(|other| shop.catalog(*other)));
    let catalog = shop.catalog(n);
    catalog.launch_with(&["--catalog-addresses", &others]);
}

/// Starts front-end `n` in a shop of these catalogs and order servers.
fn launch_front_end(shop: &Shop, n: usize, all: &[usize]) {
    let catalogs = urls(all.iter().map(|n| shop.catalog(*n)));
    let orders = urls(all.iter().map(|n| shop.order(*n)));
    let lists = [
        "--catalog-addresses",
        &catalogs,
        "--order-addresses",
        &orders,
    ];
    shop.front_end_number(n).launch_with(&lists);
}

/// Waits until these catalogs are ready without catalog `n`.
fn await_noticed(shop: &Shop, n: usize, others: &[usize]) {
    let live = format!(r#"bazar_peer_live{{peer="{}"}}"#, shop.catalog(n).url());
    for other in others {
        let catalog = shop.catalog(*other);
        eventually("a stopped catalog is noticed", || {
            catalog.metric(&live) == 0.0
        });
        catalog.await_ready();
    }
}

fn restart_catalog(shop: &Shop, n: usize, all: &[usize]) {
    shop.catalog(n).kill();
    launch_catalog(shop, n, all);
    shop.catalog(n).await_ready();
    shop.order(n).await_ready();
}

fn restart_front_end(shop: &Shop, n: usize, all: &[usize]) {
    shop.front_end_number(n).kill();
    launch_front_end(shop, n, all);
    shop.front_end_number(n).await_ready();
}

/// A customer may be told 503 or 504 so often: the request was under way at a server that was
/// killed, on a machine so busy that the others needed seconds to notice. On a quiet one nobody is.
const ERRORS_MAX: u64 = 3;

/// Does it while customers buy and look books up at front-end 1. No sale is lost, and at the end
/// these catalogs are equal.
fn under_load(shop: &Shop, catalogs_after: &[usize], work: impl FnOnce()) {
    let (done, errors) = (AtomicBool::new(false), AtomicU64::new(0));
    let front_end = shop.front_end_number(1);
    let note = &|response: Response| {
        let error = response.status != 200;
        assert!(
            !error || matches!(response.status, 503 | 504),
            "{response:?}"
        );
        errors.fetch_add(u64::from(error), Relaxed);
        error
    };
    let buys = &|buyer: usize| {
        let mut sold = 0;
        while !done.load(Relaxed) {
            let key = format!("{buyer}-{sold}");
            let headers = [("Idempotency-Key", &*key)];
            while note(front_end.call("PUT", "/buy/2", &headers, "")) {}
            sold += 1;
        }
        sold
    };
    let looks = || {
        while !done.load(Relaxed) {
            note(front_end.get("/lookup/2"));
            note(front_end.get("/search/Distributed%20Systems"));
        }
    };
    let sold: u64 = thread::scope(|scope| {
        let buyers = [1, 2].map(|buyer| scope.spawn(move || buys(buyer)));
        scope.spawn(looks);
        let finished = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Relaxed);
        let sold = buyers.into_iter().map(|buyer| buyer.join().unwrap()).sum();
        finished.unwrap();
        sold
    });
    let errors = errors.into_inner();
    println!("{sold} copies were sold, {errors} requests failed");
    assert!(0 < sold && errors <= ERRORS_MAX, "{errors} errors");
    let left = COPIES - sold;
    for n in catalogs_after {
        let catalog = shop.catalog(*n);
        eventually("it is equal", || catalog.quantity(2) == left);
    }
}

#[test]
fn a_catalog_more_joins_while_the_shop_sells() {
    let shop = shop_of_two();
    under_load(&shop, &[1, 2, 3], || {
        launch_catalog(&shop, 3, &[1, 2, 3]);
        restart_catalog(&shop, 1, &[1, 2, 3]);
        restart_catalog(&shop, 2, &[1, 2, 3]);
        shop.catalog(3).await_ready();
        shop.order(3).start();
        restart_front_end(&shop, 2, &[1, 2, 3]);
    });
    // The customers move to front-end 2, and front-end 1 has its turn.
    restart_front_end(&shop, 1, &[1, 2, 3]);
    let url = &shop.front_end_number(1).address;
    shop.catalog(1).kill();
    shop.catalog(2).kill();
    assert!(
        buy_until_definite(url, 2, "after").is_purchase(),
        "catalog 3 sells alone"
    );
}

#[test]
fn a_catalog_less_leaves_while_the_shop_sells() {
    let shop = shop_of_three();
    under_load(&shop, &[1, 2], || {
        shop.order(3).kill();
        shop.catalog(3).kill();
        await_noticed(&shop, 3, &[1, 2]);
        restart_catalog(&shop, 1, &[1, 2]);
        restart_catalog(&shop, 2, &[1, 2]);
        restart_front_end(&shop, 2, &[1, 2]);
    });
    restart_front_end(&shop, 1, &[1, 2]);
    assert!(shop.buy(2).is_purchase());
}

#[test]
fn a_catalog_that_no_longer_knows_one_that_left_comes_back_to_one_that_does() {
    let shop = shop_of_three();
    shop.catalog(3).kill();
    await_noticed(&shop, 3, &[1, 2]);
    shop.catalog(1).kill();
    // Catalog 2 goes on without both, and says so on disk.
    assert!(shop.order(2).put("/buy/2", "").is_purchase());
    launch_catalog(&shop, 1, &[1, 2]);
    shop.catalog(1).await_ready();
    assert_eq!(shop.catalog(1).quantity(2), COPIES - 1);
}

#[test]
fn a_machine_is_replaced_while_the_shop_sells() {
    let shop = shop_of_three();
    under_load(&shop, &[1, 2, 3], || {
        shop.order(3).kill();
        shop.catalog(3).kill();
        fs::remove_dir_all(shop.data_folder(3)).unwrap();
        shop.catalog(3).start();
        shop.order(3).start();
    });
}

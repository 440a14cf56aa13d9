//! An answer that says "it did not happen" is true: of changes by an operator and of new books,
//! while a stopped front-end makes every invalidation slow.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use crate::harness::clients::buy_until_definite;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

const COPIES: u64 = 100_000;

/// How many copies an operator adds at a time.
const MORE: u64 = 1_000_000;

fn shop_with_two_front_ends() -> Shop {
    let shop = Shop::started(ShopOptions {
        front_ends: 2,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    shop.stock_up(2, COPIES as usize);
    shop
}

/// Does it while the second front-end is stopped, and has been live until now.
fn while_a_front_end_is_stopped<T>(shop: &Shop, work: impl FnOnce() -> T) -> T {
    let front_end = shop.front_end_number(2);
    let catalogs = shop.catalogs().len() as f64;
    eventually("the front-end is live", || {
        front_end.metric("bazar_peers_live") == catalogs && front_end.metric("bazar_lease") == 1.0
    });
    front_end.stop();
    let outcome = work();
    front_end.cont();
    outcome
}

/// Adds copies, as the README shows it: with `If-Match`, again after 409 and 412. Returns the
/// status of the answer that ended it.
fn restock(catalog: &Server) -> u16 {
    loop {
        let read = catalog.get("/query/item/2");
        let quantity = read.json()["quantity"].as_u64().unwrap() + MORE;
        let headers = [("If-Match", read.header("ETag"))];
        let body = format!(r#"{{"quantity":{quantity}}}"#);
        let status = catalog.call("PUT", "/update/2", &headers, &body).status;
        if !matches!(status, 409 | 412) {
            return status;
        }
    }
}

#[test]
fn a_restock_that_was_refused_and_sent_again_adds_its_copies_once() {
    const RESTOCKS: u64 = 6;
    const BUYERS: usize = 4;
    let shop = shop_with_two_front_ends();
    let (restocked, sold) = (AtomicBool::new(false), AtomicU64::new(0));
    let statuses: Vec<u16> = thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let (shop, restocked, sold) = (&shop, &restocked, &sold);
            scope.spawn(move || {
                for count in 0.. {
                    if restocked.load(Relaxed) {
                        break;
                    }
                    let key = format!("{buyer}-{count}");
                    let response = buy_until_definite(&shop.order(2).address, 2, &key);
                    sold.fetch_add(u64::from(response.is_purchase()), Relaxed);
                }
            });
        }
        let restock = || while_a_front_end_is_stopped(&shop, || restock(shop.catalog(1)));
        let statuses = (0..RESTOCKS).map(|_| restock()).collect();
        restocked.store(true, Relaxed);
        statuses
    });
    let done = statuses.iter().filter(|status| **status == 200).count() as u64;
    let unknown = statuses.iter().filter(|status| **status == 504).count() as u64;
    assert_eq!(done + unknown, RESTOCKS, "{statuses:?}");
    assert!(0 < done && 0 < sold.load(Relaxed));
    let added = shop.catalog(1).quantity(2) + sold.load(Relaxed) - COPIES;
    assert!(
        (done * MORE..=(done + unknown) * MORE).contains(&added) && added.is_multiple_of(MORE),
        "{added} copies were added by {statuses:?}"
    );
}

#[test]
fn copies_that_are_added_with_a_key_are_added_once_however_often_it_is_asked() {
    const RESTOCKS: u64 = 4;
    let shop = shop_with_two_front_ends();
    for number in 0..RESTOCKS {
        let headers = [("Idempotency-Key", &*format!("delivery-{number}"))];
        let body = format!(r#"{{"quantity":{{"add":{MORE}}}}}"#);
        let mut catalogs = shop.catalogs().iter().cycle();
        let mut ask = || {
            let catalog = catalogs.next().unwrap();
            catalog.call("PATCH", "/update/2", &headers, &body).status
        };
        let first = while_a_front_end_is_stopped(&shop, || [ask(), ask()]);
        assert!(
            first.iter().all(|status| matches!(status, 200 | 409 | 504)),
            "{first:?}"
        );
        eventually("it is known that they were added", || ask() == 200);
    }
    assert_eq!(shop.catalog(1).quantity(2), COPIES + RESTOCKS * MORE);
}

#[test]
fn a_book_that_is_added_once_is_there_once_although_another_catalog_changed_it_meanwhile() {
    let shop = shop_with_two_front_ends();
    let book = r#"{"title":"Once","topic":"t","quantity":1,"price":1}"#;
    let id = shop.catalog(1).dump().last().unwrap()["id"]
        .as_u64()
        .unwrap()
        + 1;
    let add = || {
        thread::scope(|scope| {
            let added = scope.spawn(|| shop.catalog(1).call("POST", "/add", &[], book));
            let change = || {
                shop.catalog(2)
                    .put(&format!("/update/{id}"), r#"{"price":2}"#)
            };
            eventually("the new book can be changed", || change().status == 200);
            added.join().unwrap()
        })
    };
    let added = while_a_front_end_is_stopped(&shop, add);
    assert_eq!((added.status, added.json()["id"].as_u64()), (201, Some(id)));
    for catalog in shop.catalogs() {
        let books = catalog.dump();
        let once = books.iter().filter(|book| book["title"] == "Once").count();
        assert_eq!(once, 1, "{books:?}");
    }
}

//! Catalogs that keep their books in etcd: what they promise as those with folders do, and what
//! they promise more. Skipped when etcd is not installed.
//!
//! With `TEST_STORE=etcd` the shops of other tests are on etcd, too: `.ci/run` does so with those
//! that are not about folders, or about how catalogs agree.

mod caches;
mod cut;
mod ledger;
mod members;
mod migrating;

use serde_json::json;

use crate::harness::clients::concurrently;
use crate::harness::etcd;
use crate::harness::process::eventually;
use crate::harness::shop::{Shop, ShopOptions, Store};

/// A shop on an etcd of so many members; `None` if etcd is not installed.
#[track_caller]
fn shop(members: usize) -> Option<Shop> {
    etcd::is_installed().then(|| {
        Shop::started(ShopOptions {
            store: Store::Etcd(members),
            // A member that fails costs half of it.
            environment: vec![("TIMEOUT_MS", "3000".into())],
            ..ShopOptions::default()
        })
    })
}

#[test]
fn what_one_catalog_sells_every_catalog_has_sold() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 5);
    assert!(shop.buy(2).is_purchase());
    assert_eq!(shop.quantities(2), [4, 4]);
    assert_eq!(shop.quantity(2), 4);
    let dumps: Vec<_> = shop
        .catalogs()
        .iter()
        .map(|catalog| catalog.dump())
        .collect();
    assert_eq!(dumps[0], dumps[1]);
    assert_eq!(dumps[0].len(), 7);
}

#[test]
fn thirty_copies_are_sold_to_thirty_of_sixty_buyers() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(3, 30);
    let responses = concurrently(60, |_| shop.buy(3));
    let sold = responses.iter().filter(|response| response.is_purchase());
    assert_eq!(sold.count(), 30, "{responses:?}");
    assert_eq!(shop.quantities(3), [0, 0]);
}

#[test]
fn a_version_is_that_of_etcd_and_a_change_of_another_one_is_refused() {
    let Some(shop) = shop(1) else { return };
    let first = shop.catalog(1).get("/query/item/1");
    let etag = first.header("ETag").to_string();
    let change = |etag: &str| {
        let body = json!({"price": 7.5}).to_string();
        shop.catalog(2)
            .call("PUT", "/update/1", &[("If-Match", etag)], &body)
    };
    let changed = change(&etag);
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_ne!(changed.header("ETag"), etag);
    assert_eq!(change(&etag).status, 412);
    let newest = shop.catalog(1).get("/query/item/1");
    assert_eq!(newest.header("ETag"), changed.header("ETag"));
    let number = newest
        .header("ETag")
        .trim_matches('"')
        .split('-')
        .next()
        .unwrap()
        .to_string();
    let dumped = &shop.catalog(1).dump()[0];
    assert_eq!(dumped["sequence_number"].to_string(), number);
}

#[test]
fn a_search_at_one_catalog_finds_what_another_one_has_just_changed() {
    let Some(shop) = shop(1) else { return };
    for n in 0..20 {
        let (topic, title) = (format!("Topic {n}"), format!("Title {n}"));
        let body = json!({"topic": topic, "title": title}).to_string();
        assert_eq!(shop.catalog(1).put("/update/4", &body).status, 200);
        let found = shop
            .catalog(2)
            .get(&format!("/query/topic/Topic%20{n}"))
            .list();
        assert_eq!(found.len(), 1, "{topic}");
        let found = shop.catalog(2).get(&format!("/titles/Title%20{n}")).list();
        assert_eq!(found.len(), 1, "{title}");
    }
}

#[test]
fn books_are_added_removed_and_added_again() {
    let Some(shop) = shop(1) else { return };
    let book = |id: Option<u64>| {
        let mut book = json!({"title": "New", "topic": "News", "quantity": 3, "price": 2.5});
        if let Some(id) = id {
            book["id"] = id.into();
        }
        book.to_string()
    };
    let added = shop.catalog(1).call("POST", "/add", &[], &book(None));
    assert_eq!((added.status, added.json()["id"].as_u64()), (201, Some(8)));
    let taken = shop.catalog(2).call("POST", "/add", &[], &book(Some(8)));
    assert_eq!(taken.status, 409);
    let next = shop.catalog(2).call("POST", "/add", &[], &book(None));
    assert_eq!(next.json()["id"], 9);
    assert_eq!(
        shop.catalog(2).call("DELETE", "/book/8", &[], "").status,
        204
    );
    assert_eq!(shop.catalog(1).get("/query/item/8").status, 404);
    assert_eq!(shop.catalog(1).dump().len(), 8);
    let again = shop.catalog(1).call("POST", "/add", &[], &book(Some(8)));
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(shop.quantities(8), [3, 3]);
}

#[test]
fn a_catalog_that_is_started_again_has_every_book_and_needs_no_folder() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 5);
    shop.catalogs().iter().for_each(|catalog| catalog.kill());
    shop.catalogs().iter().for_each(|catalog| catalog.start());
    assert_eq!(shop.quantities(2), [5, 5]);
    eventually("the shop sells again", || shop.buy(2).is_purchase());
    assert!(!shop.data_folder(1).exists());
}

#[test]
fn a_catalog_without_etcd_says_so_and_is_well_again_with_it() {
    let Some(shop) = shop(1) else { return };
    let member = shop.etcd().member(0);
    member.kill();
    let unready = |word: &str| {
        let answer = shop.catalog(1).get("/readyz");
        answer.status == 503 && answer.body.contains(word)
    };
    eventually("the catalog says what is missing", || unready("etcd"));
    let refused = shop.catalog(1).put("/update/1", r#"{"quantity":9}"#);
    assert!(matches!(refused.status, 503 | 504), "{refused:?}");
    member.launch();
    shop.catalog(1).await_ready();
    assert_eq!(
        shop.catalog(1).put("/update/1", r#"{"quantity":9}"#).status,
        200
    );
    assert_eq!(shop.quantities(1), [9, 9]);
}

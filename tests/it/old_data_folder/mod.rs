//! Data folders that were written before the fields of a book had their present names still open.
//!
//! `catalog1.json` and `catalog2.json` are what two catalogs of that time left on disk. Catalog 2
//! was down when the last copy was sold, so book 3 is marked as diverged in the file of catalog 1.

use std::fs;

use serde_json::json;

use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use crate::orders::check_audit;

/// Then a file held the books of a hundred ids.
const OLD_FILE: &str = "books-0000000-0000099.json";
const FILE: &str = "books-0000000-0000199.json";
const OLD: [&str; 2] = [include_str!("catalog1.json"), include_str!("catalog2.json")];
const FORMER_NAMES: [&str; 4] = ["came_true", "apart", "orders", "starts"];

/// The file of catalog `n`.
fn file(shop: &Shop, n: usize) -> String {
    fs::read_to_string(shop.data_folder(n).join(FILE)).unwrap()
}

fn names(text: &str, name: &str) -> bool {
    text.contains(&format!("\"{name}\":"))
}

/// Checks that a file has all of these names, and no former one.
#[track_caller]
fn check_names(text: &str, present: &[&str]) {
    assert!(present.iter().all(|name| names(text, name)), "{text}");
    assert!(!FORMER_NAMES.iter().any(|name| names(text, name)), "{text}");
}

/// A shop whose catalogs have these folders.
fn shop_with_old_folders() -> Shop {
    let shop = Shop::new(ShopOptions {
        front_ends: 0,
        ..ShopOptions::default()
    });
    for (n, text) in (1..).zip(OLD) {
        fs::create_dir_all(shop.data_folder(n)).unwrap();
        fs::write(shop.data_folder(n).join(OLD_FILE), text).unwrap();
    }
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    shop.order(1).start();
    shop
}

#[test]
fn an_old_data_folder_opens_and_is_rewritten_with_the_present_names() {
    assert!(FORMER_NAMES.iter().all(|name| names(OLD[0], name)));
    let shop = shop_with_old_folders();
    assert_eq!([1, 2, 3].map(|id| shop.catalog(1).quantity(id)), [8, 40, 9]);
    let buy = |id: u64, key: &str| {
        let headers = [("Idempotency-Key", key)];
        let response = shop
            .order(1)
            .call("PUT", &format!("/buy/{id}"), &headers, "");
        assert!(response.is_purchase(), "{response:?}");
        response.header("Idempotent-Replayed") == "true"
    };
    assert!(buy(1, "key-1") && buy(3, "key-2"), "old orders are known");
    assert!(!buy(3, "key-3"));
    check_names(&file(&shop, 1), &["applied_orders", "issuers"]);

    let quantities = |n: usize| [1, 2, 3].map(|id| shop.catalog(n).quantity(id));
    assert_eq!([1, 2].map(quantities), [[8, 40, 8]; 2]);
    check_names(&file(&shop, 2), &["applied_orders", "issuers"]);
}

#[test]
fn a_shop_without_a_ledger_goes_on_with_one_that_begins_with_what_it_had() {
    let shop = shop_with_old_folders();
    check_audit(&shop);
    let buy = shop.order(1).put("/buy/1", "");
    assert!(buy.is_purchase(), "{buy:?}");
    let order = buy.header("Location").to_string();
    let check = || {
        let books = check_audit(&shop)["books"].clone();
        let sold =
            json!({"id": 1, "first": 8, "sold": 1, "cancelled": 0, "changed": 0, "quantity": 7});
        assert_eq!(books, json!([sold]));
        let orders = shop.catalogs().iter().map(|catalog| catalog.get(&order));
        assert!(orders.map(|order| order.status).all(|status| status == 200));
    };
    check();
    let entries = shop.catalog(1).get("/ledger").json();
    assert_eq!(
        (&entries[0]["opens"], &entries[1]),
        (&json!("older"), &json!(null))
    );
    // And from folders with one.
    shop.catalogs().iter().for_each(Server::kill);
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    check();
}

//! Data folders that were written before the fields of a book had their present names still open.
//!
//! `catalog1.json` and `catalog2.json` are what two catalogs of that time left on disk. Catalog 2
//! was down when the last copy was sold, so book 3 is marked as diverged in the file of catalog 1.

use std::fs;

use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

const FILE: &str = "books-0000000-0000099.json";
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

#[test]
fn an_old_data_folder_opens_and_is_rewritten_with_the_present_names() {
    let shop = Shop::new(ShopOptions {
        front_ends: 0,
        ..ShopOptions::default()
    });
    let old = [include_str!("catalog1.json"), include_str!("catalog2.json")];
    for (n, text) in (1..).zip(old) {
        fs::create_dir_all(shop.data_folder(n)).unwrap();
        fs::write(shop.data_folder(n).join(FILE), text).unwrap();
    }
    assert!(FORMER_NAMES.iter().all(|name| names(old[0], name)));

    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    shop.order(1).start();
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

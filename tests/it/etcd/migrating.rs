//! `bazar migrate`: from a folder to etcd, and back.

use std::path::Path;
use std::process::Command;

use crate::harness::etcd::Etcd;
use crate::harness::process::{BAZAR, run};
use crate::harness::shop::{Shop, ShopOptions};
use crate::orders::check_audit;

/// Runs `bazar migrate`. Returns its exit code, and what it says.
fn migrate(from: &str, to: &str, etcd: &Etcd) -> (Option<i32>, String) {
    let mut program = Command::new(BAZAR);
    program.args([
        "migrate",
        "--from",
        from,
        "--to",
        to,
        "--etcd",
        &etcd.urls(),
    ]);
    let (code, stdout, stderr) = run(program);
    (code, stdout + &stderr)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn buy(shop: &Shop) -> String {
    let key = [("Idempotency-Key", "mine")];
    let bought = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert!(bought.is_purchase(), "{bought:?}");
    bought.header("Idempotent-Replayed").to_string()
}

#[test]
fn a_shop_goes_to_etcd_and_back_with_its_books_and_ledger() {
    let Some(etcd) = Etcd::started(1) else { return };
    let alone = || ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::own()
    };
    let shop = Shop::started(alone());
    assert_eq!(buy(&shop), "");
    let left = shop.quantity(2);
    let order = shop.buy(3).header("Location").to_string();
    let order_of = |shop: &Shop| {
        check_audit(shop);
        shop.catalog(1).get(&order).json()
    };
    let sold = order_of(&shop);
    assert_eq!(sold["status"], "sold");
    let folder = text(&shop.data_folder(1));
    let (code, said) = migrate(&folder, "etcd", &etcd);
    assert_ne!(code, Some(0), "a catalog uses it: {said}");
    shop.servers().for_each(|server| server.kill());
    let (code, said) = migrate(&folder, "etcd", &etcd);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("7 books are in etcd"), "{said}");
    let (code, said) = migrate(&folder, "etcd", &etcd);
    assert!(
        code == Some(1) && said.contains("not overwritten"),
        "{said}"
    );

    let on_etcd = Shop::started(ShopOptions {
        environment: vec![("STORE", "etcd".into()), ("ETCD", etcd.urls())],
        ..alone()
    });
    assert_eq!(on_etcd.quantity(2), left);
    assert_eq!(buy(&on_etcd), "true");
    assert_eq!(order_of(&on_etcd), sold);
    let taken_back = on_etcd.catalog(1).call("DELETE", &order, &[], "").json();
    assert_eq!(taken_back["status"], "cancelled");
    on_etcd.stock_up(3, 77);
    assert_eq!(order_of(&on_etcd), taken_back);
    on_etcd.servers().for_each(|server| server.kill());

    let back = Shop::new(alone());
    let new = text(&back.data_folder(1));
    let (code, said) = migrate("etcd", &folder, &etcd);
    assert!(
        code == Some(1) && said.contains("not overwritten"),
        "{said}"
    );
    let (code, said) = migrate("etcd", &new, &etcd);
    assert_eq!(code, Some(0), "{said}");
    back.start();
    assert_eq!((back.quantity(2), back.quantity(3)), (left, 77));
    assert_eq!(buy(&back), "true");
    assert_eq!(order_of(&back), taken_back);
    assert_eq!(back.catalog(1).get("/orders").list().len(), 2);
}

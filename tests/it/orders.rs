//! What was sold can be listed, found, taken back and proved: the ledger as an owner and a buyer see
//! it, `bazar orders` and `bazar audit`.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::clients::{buy_until_definite, concurrently};
use crate::harness::process::{BAZAR, eventually, run};
use crate::harness::proxy::Proxy;
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

fn bazar(shop: &Shop, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(BAZAR);
    let urls: Vec<String> = shop.catalogs().iter().map(Server::url).collect();
    match args[0] {
        "audit" => command.args(args).args(["--catalogs", &urls.join("|")]),
        _ => command.args(args).args(["--catalog", &urls[0]]),
    };
    command.env_clear();
    run(command)
}

/// The audit finds nothing wrong. Returns what it says.
#[track_caller]
pub fn check_audit(shop: &Shop) -> Value {
    let (code, stdout, stderr) = bazar(shop, &["audit", "--json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn a_buy_names_its_order_which_every_server_shows_and_which_is_taken_back_once() {
    let shop = Shop::started(ShopOptions::default());
    let before = shop.quantity(2);
    let buy = shop.front_end().put("/buy/2", r#"{"quantity":3}"#);
    assert!(buy.is_purchase(), "{buy:?}");
    let path = buy.header("Location").to_string();
    let servers = [
        shop.front_end(),
        shop.order(1),
        shop.order(2),
        shop.catalog(1),
        shop.catalog(2),
    ];
    for server in servers {
        let order = server.get(&path).json();
        assert_eq!(
            format!("/orders/{}", order["order"].as_str().unwrap()),
            path
        );
        let expected = [
            json!(2),
            json!("RPCs for Dummies"),
            json!(3),
            json!(50.0),
            json!(150.0),
        ];
        let names = ["id", "title", "quantity", "price", "total"];
        assert_eq!(names.map(|name| order[name].clone()), expected);
        assert_eq!(order["status"], "sold");
    }
    assert_eq!(shop.quantity(2), before - 3);
    for catalog in [1, 2, 1] {
        let taken_back = shop.catalog(catalog).call("DELETE", &path, &[], "");
        assert_eq!(taken_back.status, 200, "{taken_back:?}");
        assert_eq!(taken_back.json()["status"], "cancelled");
        assert_eq!(
            shop.quantity(2),
            before,
            "the copies are back, and no cache offers less"
        );
    }
    for server in servers {
        eventually("all know that it was taken back", || {
            server.get(&path).json()["status"] == "cancelled"
        });
    }
    let audit = check_audit(&shop);
    let book = json!({"id": 2, "first": before, "sold": 3, "cancelled": 3, "changed": 0, "quantity": before});
    assert_eq!(audit["books"], json!([book]));
}

#[test]
fn the_orders_of_today_are_listed_as_a_table_and_as_csv() {
    let shop = Shop::started(ShopOptions::default());
    let orders: Vec<String> = [2, 3, 2]
        .map(|id| shop.buy(id).header("Location").replace("/orders/", ""))
        .into();
    shop.catalog(1)
        .call("DELETE", &format!("/orders/{}", orders[2]), &[], "");
    let (code, table, stderr) = bazar(&shop, &["orders", "--since", "today"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        orders.iter().all(|order| table.contains(order.as_str())),
        "{table}"
    );
    assert!(
        table.ends_with("2 orders, 2 copies, 65.00 in all, without what was cancelled\n"),
        "{table}"
    );
    let (_, csv, _) = bazar(&shop, &["orders", "--book", "2", "--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "time,order,id,title,quantity,price,total,status");
    let ends = [
        format!("{},2,RPCs for Dummies,1,50,50,sold", orders[0]),
        format!("{},2,RPCs for Dummies,1,50,50,cancelled", orders[2]),
    ];
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1].ends_with(&ends[0]) && lines[2].ends_with(&ends[1]),
        "{csv}"
    );
    let (code, _, stderr) = bazar(&shop, &["orders", "--since", "soon"]);
    assert!(code != Some(0) && stderr.contains("SINCE"), "{stderr}");
}

/// At two order servers, each of which has a catalog of its own.
#[test]
fn a_key_that_comes_with_two_books_at_once_buys_one_of_them() {
    const KEYS: usize = 40;
    let shop = Shop::started(ShopOptions::own());
    let stocked = [1, 3].map(|book| {
        shop.stock_up(book, KEYS);
        KEYS as u64
    });
    for number in 0..KEYS {
        let key = format!("key-{number}");
        let buy = |n: usize| {
            let path = ["/buy/1", "/buy/3"][n];
            let headers = [("Idempotency-Key", key.as_str())];
            shop.order(n + 1).call("PUT", path, &headers, "")
        };
        let buys = concurrently(2, buy);
        let sold = buys.iter().filter(|buy| buy.is_purchase()).count();
        assert!(sold <= 1, "{buys:?}");
        let mut others = buys.iter().filter(|buy| !buy.is_purchase());
        assert!(
            others.all(|buy| matches!(buy.status, 409 | 422)),
            "{buys:?}"
        );
        eventually("one of the two is bought", || {
            [0, 1].iter().any(|n| buy(*n).is_purchase())
        });
    }
    let left: u64 = [1, 3].iter().map(|book| shop.quantity(*book)).sum();
    assert_eq!(stocked.iter().sum::<u64>() - left, KEYS as u64);
    check_audit(&shop);
}

/// Ends the sale, also when the test fails.
struct StopsSelling<'a>(&'a AtomicBool);

impl Drop for StopsSelling<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn an_audit_is_clean_under_load_and_after_every_catalog_was_killed() {
    let shop = Shop::started(ShopOptions::default());
    shop.stock_up(1, 1_000_000);
    let sells = AtomicBool::new(true);
    let orders: Vec<String> = thread::scope(|scope| {
        let stops = StopsSelling(&sells);
        let buyers: Vec<_> = (1..=4)
            .map(|copies| {
                let (shop, sells) = (&shop, &sells);
                scope.spawn(move || {
                    let (mut orders, body) =
                        (Vec::new(), json!({ "quantity": copies }).to_string());
                    while sells.load(Ordering::Relaxed) {
                        let buy = shop.front_end().put("/buy/1", &body);
                        if buy.is_purchase() {
                            orders.push(buy.header("Location").to_string());
                        }
                    }
                    orders
                })
            })
            .collect();
        check_audit(&shop);
        for n in [2, 1] {
            shop.kill(shop.catalog(n));
            thread::sleep(Duration::from_millis(300));
            shop.launch(shop.catalog(n));
            shop.catalog(n).await_ready();
            check_audit(&shop);
        }
        drop(stops);
        buyers
            .into_iter()
            .flat_map(|buyer| buyer.join().unwrap())
            .collect()
    });
    // All at once: what is in no ledger's file is in the books' records.
    shop.catalogs().iter().for_each(Server::kill);
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    check_audit(&shop);
    assert!(10 < orders.len());
    for order in &orders {
        let found = shop.catalog(1).get(order);
        assert_eq!(found.status, 200, "{order}: {found:?}");
    }
}

#[test]
fn an_audit_names_what_two_sides_of_a_cut_sold_twice_until_it_is_taken_back() {
    let shop = Shop::started(ShopOptions {
        orders: 2,
        proxies: Proxies::BetweenCatalogs,
        default_timeouts: true,
        ..ShopOptions::own()
    });
    let sell = |n: usize, copies: usize| -> Vec<String> {
        let sold = |_| {
            let mut order = String::new();
            eventually("this side sells", || {
                let buy = shop.order(n).put("/buy/4", "");
                order = buy.header("Location").replace("/orders/", "");
                buy.is_purchase()
            });
            order
        };
        (0..copies).map(sold).collect()
    };
    sell(1, 1);
    let proxies = [shop.proxy("catalog1"), shop.proxy("catalog2")];
    Proxy::cut_all(&proxies);
    let lost = sell(1, 2);
    sell(2, 3);
    proxies.iter().for_each(|proxy| proxy.heal());
    let left = |catalog: &Server| catalog.get("/query/item/4").json()["quantity"] == 21;
    eventually("both are equal", || shop.catalogs().iter().all(left));
    let twice = || {
        let (code, stdout, stderr) = bazar(&shop, &["audit", "--json"]);
        let found: Value = serde_json::from_str(&stdout).expect(&stderr);
        let orders = found["sold_twice"].as_array().unwrap().clone();
        let orders = orders
            .iter()
            .map(|order| order["order"].as_str().unwrap().to_string());
        let mut orders: Vec<String> = orders.collect();
        orders.sort();
        (code, found["problems"].clone(), orders)
    };
    let mut expected = lost.clone();
    expected.sort();
    assert_eq!(twice(), (Some(1), json!([]), expected));
    for order in &lost {
        let path = format!("/orders/{order}");
        eventually("it is taken back", || {
            shop.catalog(2).call("DELETE", &path, &[], "").status == 200
        });
    }
    assert!(
        shop.catalogs().iter().all(left),
        "no copy of theirs was missing"
    );
    assert_eq!(twice(), (Some(0), json!([]), vec![]));
}

/// One side of a cut takes an order back that both know, and gives way to the other one.
#[test]
fn what_the_side_that_gave_way_took_back_is_named_until_it_is_taken_back_again() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::BetweenCatalogs,
        default_timeouts: true,
        ..ShopOptions::own()
    });
    let sell = |n: usize| {
        let key = format!("{:016x}", fastrand::u64(..));
        let buy = buy_until_definite(&shop.order(n).address, 4, &key);
        assert!(buy.is_purchase(), "{buy:?}");
        buy.header("Location").to_string()
    };
    let path = sell(1);
    let take_back = |n: usize| shop.catalog(n).call("DELETE", &path, &[], "").status == 200;
    let proxies = [shop.proxy("catalog1"), shop.proxy("catalog2")];
    Proxy::cut_all(&proxies);
    eventually("this side takes it back", || take_back(1));
    for _ in 0..3 {
        sell(2);
    }
    proxies.iter().for_each(|proxy| proxy.heal());
    let have = |left: u64| {
        let has = |catalog: &Server| catalog.get("/query/item/4").json()["quantity"] == left;
        shop.catalogs().iter().all(has)
    };
    eventually("both are equal", || have(21));
    let audit = || {
        let (code, stdout, stderr) = bazar(&shop, &["audit", "--json"]);
        let found: Value = serde_json::from_str(&stdout).expect(&stderr);
        let orders = found["not_returned"].as_array().unwrap();
        let orders = orders.iter().map(|order| order["order"].clone());
        (code, found["problems"].clone(), orders.collect::<Vec<_>>())
    };
    let first = json!(path.replace("/orders/", ""));
    assert_eq!(audit(), (Some(1), json!([]), vec![first]));
    for n in [2, 1, 2] {
        eventually("it is taken back again", || take_back(n));
        assert!(have(22), "its copy is in stock again, once");
    }
    assert_eq!(audit(), (Some(0), json!([]), vec![]));
}

//! Two versions of Bazar in one shop, as while it is upgraded: `OLD_BAZAR=/usr/bin/bazar cargo test
//! --test it upgrade::` starts each server first with that one, and later with this one. Without it
//! this one is both, and what is left to show is that buyers with keys notice nothing of restarts.

use serde_json::json;

use crate::harness::clients::buy_copies_until_definite;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};
use crate::orders::check_audit;

/// What was bought so far, by key.
struct Sales<'a> {
    shop: &'a Shop,
    /// Keys, copies, and where the order is.
    bought: Vec<(String, usize, String)>,
    cancelled: usize,
}

impl Sales<'_> {
    /// Everybody buys, everything that was bought before is asked for again, an order is taken back,
    /// and copies are added. All servers tell the same.
    #[track_caller]
    fn trade(&mut self) {
        let shop = self.shop;
        let sellers: Vec<&Server> = shop.front_ends().iter().chain(shop.orders()).collect();
        for seller in &sellers {
            let (number, copies) = (self.bought.len(), 1 + self.bought.len() % 3);
            let key = format!("key-{number}");
            let buy = buy_copies_until_definite(&seller.address, 2, copies, &key);
            assert!(buy.is_purchase(), "{buy:?}");
            let order = buy.header("Location").to_string();
            self.bought.push((key, copies, order));
        }
        for (number, (key, copies, order)) in self.bought.iter().enumerate() {
            let seller = sellers[number % sellers.len()];
            let again = buy_copies_until_definite(&seller.address, 2, *copies, key);
            assert_eq!(again.header("Idempotent-Replayed"), "true", "{again:?}");
            assert_eq!(again.header("Location"), order);
        }
        let (_, _, order) = &self.bought[self.cancelled];
        for catalog in shop.catalogs() {
            let back = || catalog.call("DELETE", order, &[], "").status == 200;
            eventually("it is taken back", back);
        }
        self.cancelled += 1;
        for catalog in shop.catalogs() {
            let key = format!("delivery-{}", self.cancelled);
            let headers = [("Idempotency-Key", key.as_str())];
            let body = r#"{"quantity":{"add":10}}"#;
            let add = || catalog.call("PATCH", "/update/2", &headers, body).status == 200;
            eventually("copies are added", add);
        }
        let left = self.left();
        assert_eq!(shop.quantities(2), vec![left; shop.catalogs().len()]);
        for front_end in shop.front_ends() {
            assert_eq!(front_end.get("/lookup/2").json()["quantity"], left);
            let status = front_end.get(order).json()["status"].clone();
            assert_eq!(status, "cancelled");
        }
    }

    fn left(&self) -> u64 {
        let kept = self.bought.iter().skip(self.cancelled);
        let sold: usize = kept.map(|(_, copies, _)| copies).sum();
        (START + 10 * self.cancelled - sold) as u64
    }
}

const START: usize = 1000;

#[test]
fn a_shop_is_upgraded_server_by_server_and_knows_every_order() {
    let shop = Shop::started(ShopOptions {
        front_ends: 2,
        ..ShopOptions::own()
    });
    shop.stock_up(2, START);
    let mut sales = Sales {
        shop: &shop,
        bought: Vec::new(),
        cancelled: 0,
    };
    sales.trade();
    for server in shop.servers() {
        server.terminate();
        server.start();
        shop.servers().for_each(Server::await_ready);
        sales.trade();
    }
    let audit = check_audit(&shop);
    let book = json!([{"id": 2, "first": 5, "changed": START - 5 + 10 * sales.cancelled,
        "sold": sales.bought.iter().map(|(_, copies, _)| copies).sum::<usize>(),
        "cancelled": sales.bought[..sales.cancelled].iter().map(|it| it.1).sum::<usize>(),
        "quantity": sales.left()}]);
    assert_eq!(audit["books"], book);
}

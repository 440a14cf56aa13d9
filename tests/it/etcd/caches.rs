//! What front-ends keep while changes are under way in etcd.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::json;

use super::shop;
use crate::harness::etcd::Etcd;
use crate::harness::process::eventually;
use crate::harness::shop::{Shop, ShopOptions, own_host};
use crate::orders::check_audit;

const HIT: &str = "bazar; hit";

impl Shop {
    fn looked_up(&self, id: u64) -> (String, u64) {
        let answer = self.front_end().get(&format!("/lookup/{id}"));
        let status = answer.header("Cache-Status").to_string();
        (status, answer.json()["quantity"].as_u64().unwrap())
    }

    /// Waits until a look-up comes from the cache.
    #[track_caller]
    fn await_hit(&self, id: u64) {
        eventually("the look-up is cached", || self.looked_up(id).0 == HIT);
    }
}

#[test]
fn a_sale_is_seen_in_every_cache_before_it_is_answered() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 50);
    for left in (40..50).rev() {
        shop.await_hit(2);
        assert!(shop.buy(2).is_purchase());
        assert_eq!(shop.looked_up(2).1, left);
    }
}

#[test]
fn a_book_whose_change_has_ended_is_cached_again() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 50);
    shop.await_hit(2);
    assert!(shop.buy(2).is_purchase());
    shop.await_hit(2);
    assert_eq!(shop.looked_up(2), (HIT.into(), 49));
}

#[test]
fn a_front_end_that_does_not_answer_is_waited_for_no_longer_than_its_lease() {
    let Some(shop) = shop(1) else { return };
    shop.stock_up(2, 50);
    shop.await_hit(2);
    shop.front_end().stop();
    let changed = shop.catalog(1).put("/update/2", r#"{"quantity":7}"#);
    assert_eq!(changed.status, 200, "{changed:?}");
    shop.front_end().cont();
    assert_eq!(shop.looked_up(2).1, 7);
    shop.await_hit(2);
}

#[test]
fn nothing_is_cached_while_a_catalog_is_down() {
    let Some(shop) = shop(1) else { return };
    shop.await_hit(2);
    shop.catalog(2).kill();
    eventually("nothing is cached", || shop.looked_up(2).0 != HIT);
    assert!(shop.buy(2).is_purchase());
    shop.catalog(2).start();
    shop.await_hit(2);
}

/// Holds requests back while it is closed.
#[derive(Default)]
struct Gate {
    closed: AtomicBool,
    open: (Mutex<()>, Condvar),
}

impl Gate {
    fn pass(&self) {
        let (lock, bell) = &self.open;
        let guard = lock.lock().unwrap();
        let is_closed = |_: &mut ()| self.closed.load(Ordering::Relaxed);
        drop(bell.wait_while(guard, is_closed).unwrap());
    }

    fn open(&self) {
        let _guard = self.open.0.lock().unwrap();
        self.closed.store(false, Ordering::Relaxed);
        self.open.1.notify_all();
    }
}

/// A way to a server, on which requests or answers are held back while their gate is closed.
/// Requests arrive, late, even if their sender has gone.
fn way(target: &str, requests: &Arc<Gate>, answers: &Arc<Gate>) -> String {
    let listener = TcpListener::bind((own_host(), 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = target.to_string();
    let (requests, answers) = (requests.clone(), answers.clone());
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&target) else {
                return;
            };
            let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let (requests, answers) = (requests.clone(), answers.clone());
            thread::spawn(move || copy(from, to, &answers));
            thread::spawn(move || copy(client, server, &requests));
        }
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut buffer = vec![0; 1 << 16];
    let mut pass = || -> io::Result<bool> {
        let count = from.read(&mut buffer)?;
        gate.pass();
        to.write_all(&buffer[..count])?;
        Ok(0 < count)
    };
    while pass().is_ok_and(|goes_on| goes_on) {}
    let _ = to.shutdown(Shutdown::Write);
}

/// A shop with two ways to one etcd, of which the first has these gates.
fn shop_with_two_ways(etcd: &Etcd, requests: &Arc<Gate>, answers: &Arc<Gate>) -> Shop {
    let target = etcd.member(0).url().replace("http://", "");
    let first = way(&target, requests, answers);
    let second = way(&target, &Arc::default(), &Arc::default());
    let ways = format!("http://{first}|http://{second}");
    Shop::started(ShopOptions {
        environment: vec![
            ("STORE", "etcd".into()),
            ("ETCD", ways),
            ("TIMEOUT_MS", "3000".into()),
        ],
        ..ShopOptions::default()
    })
}

#[test]
fn a_change_that_reaches_etcd_late_changes_nothing() {
    let Some(etcd) = Etcd::started(1) else { return };
    let gate = Arc::new(Gate::default());
    let shop = shop_with_two_ways(&etcd, &gate, &Arc::default());
    shop.stock_up(2, 50);
    shop.stock_up(3, 50);
    shop.await_hit(2);
    gate.closed.store(true, Ordering::Relaxed);
    // Each is first sent on the way that is slow.
    for catalog in shop.catalogs() {
        assert_eq!(catalog.put("/update/3", r#"{"quantity":7}"#).status, 200);
    }
    assert!(shop.buy(2).is_purchase());
    let dump = shop.catalog(1).dump();
    shop.await_hit(2);
    gate.open();
    // As many requests more as were late, on both ways.
    for _ in 0..20 {
        assert_eq!(shop.quantities(2), [49, 49]);
        assert_eq!(shop.quantities(3), [7, 7]);
        assert_eq!(shop.looked_up(2).1, 49);
    }
    assert_eq!(shop.catalog(2).dump(), dump);
}

/// It is sent again, as a whole and then each sale by itself, and each finds what it did.
#[test]
fn a_batch_of_sales_whose_answer_is_late_is_made_once() {
    let Some(etcd) = Etcd::started(1) else { return };
    let gate = Arc::new(Gate::default());
    let shop = shop_with_two_ways(&etcd, &Arc::default(), &gate);
    let catalog = shop.catalog(1);
    let sale = |id: u64| {
        let book = catalog.get(&format!("/query/item/{id}"));
        let left = book.json()["quantity"].as_u64().unwrap() - 1;
        json!({"id": id, "if_match": book.header("ETag"), "quantity": left, "orders": [format!("7.{id}; open=1")]})
    };
    let mut sales = [1, 2, 3].map(sale);
    sales[2]["if_match"] = json!("\"1-1\"");
    let before = [1, 2, 3].map(|id| shop.quantity(id));
    gate.closed.store(true, Ordering::Relaxed);
    let made = catalog.put("/batch/update", &json!(sales).to_string());
    let status = |n: usize| made.json()[n]["status"].as_u64().unwrap();
    assert_eq!([0, 1, 2].map(status), [200, 200, 412], "{made:?}");
    gate.open();
    let [first, second, third] = before;
    assert_eq!(shop.quantities(1), [first - 1; 2]);
    assert_eq!(shop.quantities(2), [second - 1; 2]);
    assert_eq!(shop.quantities(3), [third; 2]);
    check_audit(&shop);
}

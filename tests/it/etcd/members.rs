//! Members of etcd that fail.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::shop;
use crate::harness::clients::{buy_until_definite, concurrently};
use crate::harness::shop::Shop;

/// So many buyers, each with a key, of a book that has `copies`. Meanwhile `fail` runs.
fn sell_while(shop: &Shop, copies: usize, buyers: usize, fail: impl Fn() + Sync) {
    shop.stock_up(2, copies);
    let begun = AtomicUsize::new(0);
    let responses = concurrently(buyers, |n| {
        if begun.fetch_add(1, Ordering::Relaxed) == buyers / 4 {
            fail();
        }
        buy_until_definite(&shop.front_end().address, 2, &format!("{copies}-{n}"))
    });
    let sold = responses
        .iter()
        .filter(|response| response.is_purchase())
        .count();
    assert_eq!(sold, copies.min(buyers), "{responses:?}");
    assert_eq!(shop.quantities(2), [(copies - sold) as u64; 2]);
}

#[test]
fn a_member_that_is_killed_costs_no_sale() {
    let Some(shop) = shop(3) else { return };
    let leader = shop.etcd().leader();
    sell_while(&shop, 40, 60, || shop.etcd().member(leader).kill());
}

#[test]
fn a_leader_that_is_stopped_costs_no_sale_and_sells_no_copy_twice() {
    let Some(shop) = shop(3) else { return };
    let leader = shop.etcd().leader();
    sell_while(&shop, 40, 60, || shop.etcd().member(leader).stop());
    // What it still had to do comes too late.
    shop.etcd().member(leader).cont();
    // Nobody who was told "out of stock" takes a copy of the next ones.
    sell_while(&shop, 20, 30, || ());
}

#[test]
fn a_minority_answers_no_read_and_sells_nothing() {
    let Some(shop) = shop(3) else { return };
    shop.stock_up(2, 5);
    shop.etcd().member(0).kill();
    shop.etcd().member(1).kill();
    let sold = shop.buy(2);
    assert!(matches!(sold.status, 503 | 504), "{sold:?}");
    let read = shop.catalog(1).get("/query/item/2");
    assert!(matches!(read.status, 503 | 504), "{read:?}");
    shop.etcd().member(0).launch();
    shop.etcd().member(0).await_ready();
    let key = "waits";
    assert!(buy_until_definite(&shop.front_end().address, 2, key).is_purchase());
}

//! Orders: each is found, and taken back once, and its key is used once.

use std::sync::Arc;

use super::{MS, Scenario, Schedule, sleep_until};
use crate::catalog::replication::write::Update;
use crate::catalog::sim::clients::calls;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::parameters::{BOOK, OTHER_BOOK};
use crate::model::book::Change;
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};

const SOLD: OrderId = OrderId { start: 7, count: 1 };

/// So many orders with keys of so many characters make a book's record forget the keys before.
const KEYED: u64 = 300;
const KEY_CHARS: usize = 255;

/// What is sold and taken back is counted here.
#[track_caller]
fn check(schedule: Schedule) {
    let scenario = Scenario {
        linearizable: false,
        ledger: true,
        ..Scenario::of(2, schedule)
    };
    scenario.check_right();
}

fn order(cluster: &Cluster, id: OrderId, key: Option<&str>) -> Order {
    Order {
        id,
        open: 0,
        at: cluster.unix_ms(),
        copies: 1,
        key: key.map(Into::into),
    }
}

fn sell(cluster: &Arc<Cluster>, catalog: usize, orders: Vec<Order>) {
    let update = Update {
        change: Change {
            added: Some(-(orders.len() as i64)),
            ..Change::default()
        },
        orders,
        all_or_none: true,
        ..Update::default()
    };
    let sold = calls::write_book(cluster, catalog, BOOK, update);
    assert!(matches!(sold, Some(Ok(_))), "{sold:?}");
}

fn sell_with_keys(cluster: &Arc<Cluster>, catalog: usize) {
    let keyed = (0..KEYED).map(|count| {
        let key = format!("{count:0KEY_CHARS$}");
        order(cluster, OrderId { start: 8, count }, Some(&key))
    });
    sell(cluster, catalog, keyed.collect());
}

fn take_back(cluster: &Arc<Cluster>, catalog: usize) {
    let taken_back = calls::cancel(cluster, catalog, SOLD);
    assert!(matches!(taken_back, Some(Ok(_))), "{taken_back:?}");
}

fn quantity(cluster: &Arc<Cluster>, catalog: usize) -> u32 {
    calls::lookup(cluster, catalog).expect("it serves")
}

/// Catalog 1 has decided what takes the order back, and is stopped. Catalog 0 takes it back, and
/// sells until the book's record has forgotten that.
#[test]
fn an_order_whose_second_delete_was_delayed_is_taken_back_once() {
    check(|cluster| {
        let scheduler = &cluster.scheduler;
        let added = calls::add_difference(cluster, 0, 1000, "delivery");
        assert!(matches!(added, Some(Ok(_))), "{added:?}");
        sell(cluster, 0, vec![order(cluster, SOLD, None)]);
        scheduler.sleep(200 * MS);
        let late = cluster.replica(1).cancellation(BOOK, SOLD);
        let late = late.expect("catalog 1 serves").expect("it was sold");
        take_back(cluster, 0);
        // What is in the ledger's files is forgotten by the next change.
        scheduler.sleep(200 * MS);
        sell_with_keys(cluster, 0);
        let left = quantity(cluster, 0);
        let said = calls::write_book(cluster, 1, BOOK, late);
        let is_refused = matches!(said, Some(Err(Error::OutOfDate)));
        assert!(is_refused, "the order is taken back twice");
        take_back(cluster, 1);
        assert_eq!(quantity(cluster, 1), left);
    });
}

/// The record has forgotten the key, so it is in the ledger only.
#[test]
fn a_change_with_an_order_and_a_key_is_made_once_and_its_key_buys_nothing() {
    check(|cluster| {
        let scheduler = &cluster.scheduler;
        let change = |count, price| {
            let id = OrderId { start: 9, count };
            Update {
                orders: vec![order(cluster, id, Some("delivery"))],
                ..calls::set_price(price)
            }
        };
        let write = |book, update| calls::write_book(cluster, 0, book, update);
        let added = calls::add_difference(cluster, 0, 1000, "copies");
        assert!(matches!(added, Some(Ok(_))), "{added:?}");
        let first = write(BOOK, change(1, 7.0));
        assert!(matches!(first, Some(Ok(updated)) if !updated.replayed));
        scheduler.sleep(200 * MS);
        sell_with_keys(cluster, 0);
        scheduler.sleep(200 * MS);
        let again = write(BOOK, change(2, 8.0));
        assert!(matches!(again, Some(Ok(updated)) if updated.replayed));
        let other = write(OTHER_BOOK, change(3, 9.0));
        assert!(matches!(other, Some(Err(Error::OtherPurchase(_)))));
        let buy = Update {
            change: Change {
                added: Some(-1),
                ..Change::default()
            },
            all_or_none: true,
            ..change(4, 7.0)
        };
        let bought = write(BOOK, buy);
        assert!(matches!(bought, Some(Err(Error::OtherPurchase(_)))));
    });
}

/// Two starts of a front-end whose clock is a day ahead sell the book.
#[test]
fn after_a_clock_was_a_day_ahead_keyed_changes_are_made_and_orders_taken_back() {
    check(|cluster| {
        sell(cluster, 0, vec![order(cluster, SOLD, None)]);
        for (start, minutes) in [(61, 24 * 60), (62, 24 * 60 + 11)] {
            let mut ahead = order(cluster, OrderId { start, count: 1 }, None);
            ahead.at += minutes * 60_000;
            sell(cluster, 0, vec![ahead]);
        }
        for (node, key) in [(0, "first"), (1, "second"), (1, "third")] {
            let added = calls::add_difference(cluster, node, 1, key);
            assert!(matches!(added, Some(Ok(_))), "{added:?}");
        }
        let left = quantity(cluster, 0);
        take_back(cluster, 0);
        assert_eq!(quantity(cluster, 1), left + 1);
    });
}

/// All catalogs crash before the sale is in a ledger's file. From then on it is found, or nobody
/// knows yet.
#[test]
fn an_order_that_was_acknowledged_is_not_missing_after_all_catalogs_started_again() {
    check(|cluster| {
        sell(cluster, 0, vec![order(cluster, SOLD, None)]);
        (0..2).for_each(|node| cluster.crash(node));
        (0..2).for_each(|node| cluster.start(node));
        let found = (0..100).any(|_| {
            cluster.scheduler.sleep(20 * MS);
            let said = cluster.replica(1).order(SOLD);
            assert!(
                !matches!(said, Ok(None)),
                "an acknowledged order is missing"
            );
            said.is_ok()
        });
        assert!(found);
    });
}

/// Each side of a cut sells the order, so one of the sales is not in the book's history.
fn take_back_after_a_cut(cluster: &Arc<Cluster>, catalog: usize) {
    cluster.network.cut([(0, 1)]);
    sleep_until(cluster, 2000.0);
    for node in 0..2 {
        sell(cluster, node, vec![order(cluster, SOLD, None)]);
    }
    cluster.network.heal();
    sleep_until(cluster, 8000.0);
    let left = quantity(cluster, catalog);
    take_back(cluster, catalog);
    assert_eq!(quantity(cluster, catalog), left + 1);
    take_back(cluster, 1 - catalog);
    assert_eq!(quantity(cluster, catalog), left + 1);
}

#[test]
fn the_copy_of_an_order_that_both_sides_of_a_cut_sold_is_returned_once() {
    check(|cluster| take_back_after_a_cut(cluster, 0));
    check(|cluster| take_back_after_a_cut(cluster, 1));
}

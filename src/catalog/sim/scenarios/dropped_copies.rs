//! Copies that are dropped after a cut: none vanishes silently, and the best one stays.

use std::sync::Arc;

use super::{MS, Scenario, Schedule};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::parameters::BOOK;
use crate::model::book::Version;

fn scenario(schedule: Schedule) -> Scenario {
    Scenario {
        linearizable: false,
        ..Scenario::of(3, schedule)
    }
}

#[track_caller]
fn check(schedule: Schedule) {
    scenario(schedule).check_right();
}

#[track_caller]
fn check_rule(rule: Rule, schedule: Schedule) {
    scenario(schedule).check(rule);
}

/// Waits until the sides are one again. Fails the run unless this quantity is left, and each
/// catalog has dropped so many copies.
fn check_dropped(cluster: &Arc<Cluster>, quantity: u32, counts: [u64; 3]) {
    cluster.scheduler.sleep(4000 * MS);
    for (node, count) in counts.into_iter().enumerate() {
        let replica = cluster.replica(node);
        let dropped = replica.health().copies_dropped;
        let left = replica.peek(BOOK).expect("it has the book").0.quantity;
        if (left, dropped) != (quantity, count) {
            let why = format!("after the cut {node} has {left}, and has dropped {dropped}");
            cluster.scheduler.fail(why);
        }
    }
}

fn cut_all(cluster: &Arc<Cluster>) {
    cluster.network.cut([(0, 1), (0, 2), (1, 2)]);
    cluster.scheduler.sleep(1200 * MS);
}

#[test]
fn of_three_sides_the_one_that_sold_most_often_wins_and_the_others_log_what_they_drop() {
    check(|cluster| {
        cut_all(cluster);
        for (node, left) in [(0, 4), (1, 4), (1, 3), (1, 2), (2, 4), (2, 3)] {
            set(cluster, node, left);
        }
        cluster.network.heal();
        check_dropped(cluster, 2, [1, 0, 1]);
    });
}

/// Catalogs 0 and 2 meet first.
#[test]
fn a_side_that_meets_the_best_one_last_does_not_win() {
    check(|cluster| {
        cut_all(cluster);
        for (node, left) in [(0, 4), (1, 4), (1, 3), (1, 2), (2, 4), (2, 3)] {
            set(cluster, node, left);
        }
        cluster.network.heal();
        cluster.network.cut([(0, 1), (1, 2)]);
        cluster.scheduler.sleep(1500 * MS);
        cluster.network.heal();
        check_dropped(cluster, 2, [2, 0, 1]);
    });
}

/// It does not remember what it sold alone before.
#[test]
fn a_side_that_starts_again_during_the_cut_logs_what_it_drops() {
    check(|cluster| {
        cut_all(cluster);
        for (node, left) in [(0, 4), (1, 4), (1, 3)] {
            set(cluster, node, left);
        }
        cluster.crash(0);
        cluster.start(0);
        cluster.scheduler.sleep(1200 * MS);
        cluster.network.heal();
        // Catalog 2 has taken over the copy of catalog 0 meanwhile.
        check_dropped(cluster, 3, [1, 0, 1]);
    });
}

/// Each waits for the next one, so nobody serves, until all forgive each other.
#[test]
fn without_forgiving_a_circle_nobody_opens_and_what_is_dropped_after_it_is_logged() {
    check_rule(Rule::Circle, |cluster| {
        (0..3).for_each(|node| cluster.crash(node));
        for node in 0..3 {
            let disk = &mut cluster.state().catalogs[node].disk;
            disk.record.left_out = [Cluster::address((node + 1) % 3)].into();
            let book = disk.books.iter_mut().find(|book| book.id == BOOK);
            let book = book.expect("it has the book");
            (book.version, book.quantity) = (
                Version {
                    number: 2 + node as u64,
                    stamp: 7 + node as u64,
                },
                4 - node as u32,
            );
            book.applied_orders.set_created(70 + node as u64);
        }
        (0..3).for_each(|node| cluster.start(node));
        // Catalog 0 has taken over the copy of catalog 1 meanwhile.
        check_dropped(cluster, 2, [2, 1, 0]);
    });
}

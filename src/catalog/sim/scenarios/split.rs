//! Two catalogs that list each other although they reach each other: `PROTOCOL.md`, "Split".

use std::sync::Arc;

use super::{MS, check, look, request};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;

/// Catalogs 0 and 1 starve, so that each leaves the other out. They hear of that, and catalog 1
/// crashes before they are one again.
fn split_and_lose_one(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    cluster.network.cut([(0, 1)]);
    scheduler.sleep(1200 * MS);
    for held in [request(0, 1, "page"), request(1, 0, "page")] {
        cluster.network.hold(held);
    }
    cluster.network.heal();
    scheduler.sleep(250 * MS);
    cluster.crash(1);
    for held in [request(0, 1, "page"), request(1, 0, "page")] {
        cluster.network.stop_holding(held);
    }
    scheduler.sleep(150 * MS);
}

/// Catalog 0 would sell, and catalog 1, alone later, would offer what was sold.
fn sell_at_one_then_look_at_the_other(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    set(cluster, 0, 8);
    cluster.crash(0);
    cluster.start(1);
    scheduler.sleep(1000 * MS);
    look(cluster, 1);
    cluster.start(0);
}

#[test]
fn without_waiting_for_the_other_one_of_two_that_starved_sells_what_the_other_offers() {
    check(Rule::SplitWaits, 2, |cluster| {
        split_and_lose_one(cluster);
        sell_at_one_then_look_at_the_other(cluster);
    });
}

#[test]
fn without_the_split_on_disk_a_restart_forgets_that_the_other_goes_on_alone() {
    check(Rule::SplitOnDisk, 2, |cluster| {
        split_and_lose_one(cluster);
        cluster.crash(0);
        cluster.start(0);
        cluster.scheduler.sleep(1000 * MS);
        sell_at_one_then_look_at_the_other(cluster);
    });
}

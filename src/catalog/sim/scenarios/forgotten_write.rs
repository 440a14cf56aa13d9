//! A write that its writer has forgotten, but that a peer has: it would win over another one of its
//! number that was acknowledged without it. `PROTOCOL.md`, "Forgotten writes".

use std::sync::Arc;

use super::{MS, Scenario, check, look, request, sell, sleep_until};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::calls::{set_quantity, write};
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::network::hold::Held;

/// The write of catalog 1 on its way to catalog 0, and to catalog 2.
const OTHER: Held = request(1, 0, "update");
const OTHER_AGAIN: Held = request(1, 2, "update");

/// Catalog 0 compares its copies with those of catalog 2.
const COMPARED: Held = request(0, 2, "page");

/// Sets the quantity in the background.
fn set_meanwhile(cluster: &Arc<Cluster>, catalog: usize, quantity: u32) {
    let own = cluster.clone();
    let set = move || set(&own, catalog, quantity);
    cluster.scheduler.spawn_in(0, None, set);
}

/// Catalog 0 sends a sale, and crashes, or does `end`, before anybody has it. It reaches catalog 2
/// alone, and late: that one has just acknowledged a write of catalog 1. This goes to catalog 0,
/// too, but is held back.
fn forgotten_write(cluster: &Arc<Cluster>, end: fn(&Arc<Cluster>, usize)) {
    let (late, lost) = (request(0, 2, "update"), request(0, 1, "update"));
    for held in [late, lost, OTHER] {
        cluster.network.hold(held);
    }
    sell(cluster, 0, 4);
    cluster.scheduler.sleep(MS + MS / 2);
    end(cluster, 0);
    set_meanwhile(cluster, 1, 9);
    cluster.scheduler.sleep(5 * MS);
    cluster.network.stop_holding(lost);
    cluster.network.release(late);
}

/// Catalog 0 is back before anybody has left it out, and is asked for its acknowledgement before it
/// has compared its copies.
#[test]
fn without_a_look_for_what_it_forgot_a_catalog_that_started_acknowledges_what_loses_to_it() {
    check(Rule::ForgottenFirst, 3, |cluster| {
        forgotten_write(cluster, Cluster::crash);
        cluster.network.hold(COMPARED);
        cluster.start(0);
        cluster.scheduler.sleep(10 * MS);
        cluster.network.release(OTHER);
        cluster.scheduler.sleep(60 * MS);
        look(cluster, 1);
        cluster.network.release(COMPARED);
    });
}

/// Catalog 0 comes back to catalog 1, which has left it out, and waits for its acknowledgement while
/// it is live. Catalog 2 was not told.
#[test]
fn without_a_look_for_what_it_forgot_a_catalog_that_comes_back_acknowledges_what_loses_to_it() {
    check(Rule::ForgottenFirst, 3, |cluster| {
        let heartbeats = request(2, 0, "heartbeat");
        forgotten_write(cluster, Cluster::crash);
        cluster.network.hold(heartbeats);
        cluster.network.hold(OTHER_AGAIN);
        sleep_until(cluster, 615.0);
        cluster.network.hold(COMPARED);
        cluster.start(0);
        cluster.network.release(OTHER);
        cluster.scheduler.sleep(200 * MS);
        look(cluster, 1);
        for held in [COMPARED, OTHER_AGAIN, heartbeats] {
            cluster.network.release(held);
        }
    });
}

/// Catalog 0 was stopped, not killed. Catalog 1 goes on without it, and catalog 2, which was stopped
/// for a moment itself, does not yet. So the sale at catalog 0 loses outright.
#[test]
fn without_a_look_for_what_it_lost_outright_a_catalog_acknowledges_what_loses_to_it() {
    check(Rule::ForgottenFirst, 3, |cluster| {
        let repaired = request(2, 1, "update");
        forgotten_write(cluster, Cluster::stop);
        cluster.network.hold(OTHER_AGAIN);
        cluster.network.hold(repaired);
        sleep_until(cluster, 900.0);
        cluster.stop(2);
        sleep_until(cluster, 1300.0);
        cluster.resume(2);
        sleep_until(cluster, 1400.0);
        cluster.resume(0);
        cluster.network.hold(COMPARED);
        cluster.network.release(OTHER);
        cluster.scheduler.sleep(300 * MS);
        look(cluster, 1);
        for held in [COMPARED, OTHER_AGAIN, repaired] {
            cluster.network.release(held);
        }
    });
}

/// Catalog 0 starts again while it does not reach catalog 1, so it cannot look there. Catalog 2
/// reaches both, and would wait for its acknowledgement until the cut has healed.
#[test]
fn a_catalog_that_cannot_look_for_what_it_forgot_stops_nobody() {
    let scenario = Scenario::of(3, |cluster| {
        cluster.network.cut([(0, 1)]);
        cluster.crash(0);
        cluster.start(0);
        cluster.scheduler.sleep(1500 * MS);
        let written = write(cluster, 2, set_quantity(9));
        if !matches!(written, Some(Ok(_))) {
            cluster.scheduler.fail(format!("{written:?}"));
        }
        cluster.network.heal();
    });
    Scenario {
        linearizable: false,
        ..scenario
    }
    .check_right();
}

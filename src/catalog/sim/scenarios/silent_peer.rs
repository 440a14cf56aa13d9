//! A peer that is silent must not make the others count themselves as stalled.

use std::sync::Arc;

use super::{MS, Scenario};
use crate::catalog::replication::rules::Rules;
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;

/// Fails the run if the catalog does not serve now.
fn check_serves(cluster: &Arc<Cluster>, node: usize) {
    if let Some(reason) = cluster.replica(node).health().not_serving {
        cluster
            .scheduler
            .fail(format!("{node} does not serve: {reason:?}"));
    }
}

/// Catalog 1 is stopped for long, and catalog 0, which has started since, must wait for it. Nothing
/// comes of looking at the clock every 10 ms.
#[test]
fn leases_that_are_over_are_looked_at_no_more() {
    let scenario = Scenario::of(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.stop(1);
        cluster.crash(0);
        cluster.start(0);
        scheduler.sleep(400 * MS);
        let awaits = |cluster: &Cluster| cluster.replica(0).awaits_a_lease();
        assert!(awaits(cluster));
        scheduler.sleep(400 * MS);
        assert!(!awaits(cluster));
        cluster.resume(1);
    });
    scenario.check_right();
}

/// Catalog 2 is stopped. The others wait until its lease is over, and then serve all the time.
#[test]
fn without_a_timer_of_its_own_a_silent_peer_stops_the_others() {
    let scenario = Scenario::of(3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.stop(2);
        scheduler.sleep(900 * MS);
        for turn in 0..40 {
            check_serves(cluster, 0);
            check_serves(cluster, 1);
            set(cluster, turn % 2, 6 + turn as u32);
            scheduler.sleep(50 * MS);
        }
        cluster.resume(2);
    });
    scenario.check_right();
    let without = Scenario {
        own_timer: false,
        ..scenario
    };
    without.check_wrong(Rules::all());
}

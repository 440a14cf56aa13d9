//! A catalog that is stopped in the middle of its write, while its peers go on.

use std::sync::Arc;

use super::{MS, check, check_right};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::calls::{lookup, set_price, set_quantity, write};
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::model::error::Error;
use crate::testing::linearizability::Kind;

/// Sets the quantity at a catalog in the background. A 409 is taken at its word: nothing happened.
fn set_unless_refused(cluster: &Arc<Cluster>, catalog: usize, quantity: u32) {
    let cluster = cluster.clone();
    let scheduler = cluster.scheduler.clone();
    scheduler.spawn_in(0, None, move || {
        let start = cluster.scheduler.now();
        let written = write(&cluster, catalog, set_quantity(quantity));
        if !matches!(written, Some(Err(Error::OutOfDate))) {
            let now = cluster.scheduler.now();
            let end = matches!(written, Some(Ok(_))).then_some(now);
            cluster.history.record(Kind::Set(quantity), start, end);
        }
    });
}

/// Catalog 0 waits until the lease of catalog 1 is over, to go on without it. It sleeps through
/// that moment, while catalog 1 comes back and waits for the lease of catalog 0.
#[test]
fn a_writer_that_slept_does_not_go_on_without_a_peer_that_is_back() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.stop(1);
        scheduler.sleep(400 * MS);
        // Catalog 0 counts catalog 1 as down. The one message that tells it of the write is lost.
        cluster.network.cut([(0, 1)]);
        set_unless_refused(cluster, 0, 7);
        scheduler.sleep(5 * MS);
        cluster.network.heal();
        cluster.stop(0);
        // Catalog 1 answers the heartbeats of catalog 0 after these have timed out.
        scheduler.sleep(300 * MS);
        cluster.resume(1);
        scheduler.sleep(300 * MS);
        set(cluster, 1, 8);
        cluster.resume(0);
    });
}

/// Catalogs 0 and 1 write at the same time. Catalog 0 has the higher stamp, refuses the write of
/// catalog 1, and crashes. Catalog 1 is stopped before it receives the refusal; its write is
/// committed by catalog 2.
#[test]
fn without_own_write_a_write_is_refused_that_was_committed() {
    check(Rule::OwnWrite, 3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.network.cut([(0, 1), (0, 2)]);
        let own = cluster.clone();
        scheduler.spawn_in(0, None, move || {
            write(&own, 0, set_price(1.0));
        });
        scheduler.sleep(5 * MS);
        cluster.network.heal();
        set_unless_refused(cluster, 1, 9);
        scheduler.sleep(2 * MS + MS / 2);
        cluster.stop(1);
        scheduler.sleep(MS);
        cluster.crash(0);
        scheduler.sleep(900 * MS);
        let start = scheduler.now();
        let seen = lookup(cluster, 2).expect("catalog 2 answers");
        assert_eq!(seen, 9);
        cluster
            .history
            .record(Kind::Saw(seen), start, Some(scheduler.now()));
        cluster.resume(1);
        scheduler.sleep(500 * MS);
        cluster.start(0);
    });
}

//! A write that only its writer has on disk, and another one of the same number that is
//! acknowledged.

use std::sync::Arc;

use super::{MS, check, check_right, sell};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::calls::{set_price, write};
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;

/// Catalog 0 has a write on disk that it could send to nobody, and crashes. Catalog 1 acknowledges
/// another one of the same number and a lower stamp. Catalog 0 starts again.
fn unacknowledged_write(cluster: &Arc<Cluster>) {
    cluster.network.cut([(0, 1)]);
    sell(cluster, 0, 4);
    cluster.scheduler.sleep(5 * MS);
    cluster.crash(0);
    cluster.network.heal();
    set(cluster, 1, 9);
    cluster.start(0);
}

#[test]
fn an_unacknowledged_write_does_not_beat_an_acknowledged_one() {
    check(Rule::LoseOutright, 2, unacknowledged_write);
}

#[test]
fn no_write_is_made_on_top_of_an_unacknowledged_one() {
    check_right(2, |cluster| {
        unacknowledged_write(cluster);
        // Catalog 0 has done its first round of heartbeats, and repairs nothing before its next.
        cluster.scheduler.sleep(50 * MS);
        write(cluster, 0, set_price(1.0));
    });
}

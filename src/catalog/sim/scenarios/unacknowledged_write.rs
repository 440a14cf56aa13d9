//! A write that only its writer has on disk, and another one of the same number that is
//! acknowledged.

use std::sync::Arc;

use super::{MS, check_right};
use crate::catalog::sim::clients::calls::{set_price, set_quantity, write};
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::testing::linearizability::Kind;

/// Catalog 0 has a write on disk that it could send to nobody, and crashes. Catalog 1 acknowledges
/// another one of the same number and a lower stamp. Catalog 0 starts again.
fn unacknowledged_write(cluster: &Arc<Cluster>) {
    cluster.network.cut([(0, 1)]);
    // A purchase, because an update might rightly happen at any later time.
    let now = cluster.scheduler.now();
    cluster.history.record(Kind::Bought, now, None);
    let own = cluster.clone();
    cluster.scheduler.spawn_in(0, None, move || {
        write(&own, 0, set_quantity(4));
    });
    cluster.scheduler.sleep(5 * MS);
    cluster.crash(0);
    cluster.network.heal();
    set(cluster, 1, 9);
    cluster.start(0);
}

#[test]
fn an_unacknowledged_write_does_not_beat_an_acknowledged_one() {
    check_right(2, unacknowledged_write);
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

//! Messages that arrive when they no longer say how things are.

use super::{MS, check, look, request, sleep_until};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::set;

/// A heartbeat of an earlier start of catalog 0 arrives, and looks as if an older folder had been put
/// back there. Catalog 1 would leave it out, and crash before catalog 0 knows that.
#[test]
fn without_a_look_at_the_start_a_late_heartbeat_parts_two_catalogs() {
    check(Rule::OlderStart, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        let late = request(0, 1, "heartbeat");
        sleep_until(cluster, 595.0);
        cluster.network.hold(late);
        sleep_until(cluster, 605.0);
        cluster.crash(0);
        cluster.network.stop_holding(late);
        sleep_until(cluster, 650.0);
        cluster.start(0);
        sleep_until(cluster, 1001.0);
        cluster.network.release(late);
        sleep_until(cluster, 1010.0);
        cluster.crash(1);
        sleep_until(cluster, 1060.0);
        set(cluster, 0, 8);
        cluster.crash(0);
        scheduler.sleep(10 * MS);
        cluster.start(1);
        scheduler.sleep(700 * MS);
        look(cluster, 1);
        cluster.start(0);
    });
}

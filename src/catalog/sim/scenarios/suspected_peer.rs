//! A catalog that its peers count as down, although it is well.

use std::sync::Arc;

use super::{MS, check};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::{Cluster, Task};

#[test]
fn without_updates_to_suspects_two_healthy_catalogs_sell_the_same_copy() {
    check(Rule::UpdateAll, 2, |cluster| {
        // No heartbeat is answered, so each counts the other as down, and all leases end.
        for catalog in [0, 1] {
            cluster.network.starve(catalog, 1500 * MS);
        }
        cluster.scheduler.sleep(900 * MS);
        let set_at = |catalog: usize| {
            let quantity = 7 + catalog as u32;
            Box::new(move |cluster: &Arc<Cluster>| set(cluster, catalog, quantity)) as Task
        };
        cluster.run_tasks([0, 1].map(set_at).into());
    });
}

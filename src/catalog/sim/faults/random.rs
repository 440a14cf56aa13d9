//! Crashes, stops and starvations of single servers, one after another.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

/// The faults are shared among as many tasks as catalogs may fail at once.
pub(crate) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let among = (parameters.catalogs - 1).max(1);
    let shares = (0..among).map(|i| (parameters.faults.random + i) / among);
    shares
        .map(|share| Box::new(move |cluster: &Arc<Cluster>| fail(cluster, share)) as Task)
        .collect()
}

fn fail(cluster: &Arc<Cluster>, faults: usize) {
    let parameters = &cluster.parameters;
    for _ in 0..faults {
        let pause = cluster.either_between((0.0, 30.0), (0.0, 300.0));
        cluster.scheduler.sleep(pause);
        let servers = parameters.servers();
        let node = cluster.scheduler.draw(|rng| rng.usize(..servers));
        if !cluster.may_fail(node) {
            continue;
        }
        // Two that starve at once may leave each other out: that is a cut.
        let may_starve = node < parameters.catalogs && !cluster.network.starves();
        if may_starve && cluster.scheduler.chance(parameters.faults.starvation) {
            let time = cluster.either_between((100.0, 450.0), (300.0, 1200.0));
            cluster.network.starve(node, time);
        } else {
            cluster.outage(node);
        }
    }
}

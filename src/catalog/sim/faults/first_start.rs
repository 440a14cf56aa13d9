//! Catalogs crash within the first moments of their first start.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

/// How often one of them crashes.
const CRASHES: usize = 3;

pub(crate) fn tasks(_: &Parameters) -> Vec<Task> {
    vec![Box::new(|cluster: &Arc<Cluster>| {
        (0..CRASHES).for_each(|_| crash_soon(cluster))
    })]
}

fn crash_soon(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(0.0, 150.0));
    let catalogs = cluster.parameters.catalogs;
    let node = scheduler.draw(|rng| rng.usize(..catalogs));
    if scheduler.is_up(node) {
        cluster.trace.count("crash in the first start");
        cluster.crash(node);
        scheduler.sleep(cluster.either_between((0.0, 30.0), (100.0, 900.0)));
        cluster.start_if_down(node);
    }
}

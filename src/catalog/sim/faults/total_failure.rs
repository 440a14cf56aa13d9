//! All catalogs crash, one after another or at once, and start again in any order.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

pub(crate) fn tasks(_: &Parameters) -> Vec<Task> {
    vec![Box::new(total_failure)]
}

fn total_failure(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(300.0, 2500.0));
    cluster.trace.count("total failure");
    let mut catalogs: Vec<usize> = (0..cluster.parameters.catalogs).collect();
    scheduler.draw(|rng| rng.shuffle(&mut catalogs));
    for node in &catalogs {
        if scheduler.is_up(*node) {
            cluster.crash(*node);
        }
        scheduler.sleep(cluster.either_between((0.0, 0.1), (0.0, 400.0)));
    }
    scheduler.draw(|rng| rng.shuffle(&mut catalogs));
    for node in catalogs {
        cluster.start_if_down(node);
        scheduler.sleep(cluster.either_between((0.0, 0.1), (0.0, 900.0)));
    }
}

//! Catalogs crash one after another until none is left, and some of them start again, in any order.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::event_queue::Micros;

pub(in crate::catalog::sim) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let times = parameters.faults.staggered;
    vec![Box::new(move |cluster: &Arc<Cluster>| {
        (0..times).for_each(|_| staggered_failure(cluster))
    })]
}

fn staggered_failure(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(100.0, 1500.0));
    cluster.trace.count("staggered failure");
    let mut catalogs: Vec<usize> = (0..cluster.parameters.catalogs).collect();
    scheduler.draw(|rng| rng.shuffle(&mut catalogs));
    for node in &catalogs {
        if scheduler.is_up(*node) {
            cluster.crash(*node);
        }
        scheduler.sleep(gap(cluster));
    }
    match scheduler.draw(|rng| rng.u8(..3)) {
        0 => scheduler.draw(|rng| rng.shuffle(&mut catalogs)),
        1 => catalogs.reverse(),
        _ => {}
    }
    let count = scheduler.draw(|rng| rng.usize(1..=catalogs.len()));
    for node in &catalogs[..count] {
        cluster.start_if_down(*node);
        scheduler.sleep(gap(cluster));
        if scheduler.chance(0.25) && scheduler.is_up(*node) {
            cluster.crash(*node);
            scheduler.sleep(gap(cluster));
        }
    }
    for node in catalogs {
        cluster.start_if_down(node);
    }
}

fn gap(cluster: &Cluster) -> Micros {
    cluster.either_between((0.0, 30.0), (100.0, 1500.0))
}

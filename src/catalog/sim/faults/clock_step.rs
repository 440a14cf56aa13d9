//! The wall clock of a server steps, forwards or back.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::event_queue::Micros;

/// How often a run has that.
const STEPS: usize = 12;

pub(crate) fn tasks(_: &Parameters) -> Vec<Task> {
    vec![Box::new(|cluster: &Arc<Cluster>| {
        (0..STEPS).for_each(|_| clock_step(cluster))
    })]
}

fn clock_step(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(50.0, 900.0));
    let servers = cluster.parameters.servers();
    let node = scheduler.draw(|rng| rng.usize(..servers));
    let ahead: Micros = cluster.either_between((0.0, 700.0), (0.0, 3_600_000.0));
    cluster.set_wall_clock(node, ahead);
}

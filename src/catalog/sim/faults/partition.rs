//! A cut that divides the servers into two sides for a while.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

pub(crate) fn tasks(_: &Parameters) -> Vec<Task> {
    vec![Box::new(partition)]
}

fn partition(cluster: &Arc<Cluster>) {
    cluster
        .scheduler
        .sleep(cluster.scheduler.between(100.0, 1500.0));
    let servers = cluster.parameters.servers();
    let sides: Vec<bool> = cluster
        .scheduler
        .draw(|rng| (0..servers).map(|_| rng.bool()).collect());
    let pairs = (0..servers).flat_map(|a| (0..a).map(move |b| (a, b)));
    cluster
        .network
        .cut(pairs.filter(|(a, b)| sides[*a] != sides[*b]));
    let time = cluster.either_between((200.0, 900.0), (600.0, 4000.0));
    cluster.scheduler.sleep(time);
    cluster.network.heal();
}

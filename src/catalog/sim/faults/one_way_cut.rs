//! Cuts of one direction: what A asks of B is lost, while B reaches A.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

pub(crate) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let cuts = parameters.faults.cuts;
    vec![Box::new(move |cluster: &Arc<Cluster>| {
        (0..cuts).for_each(|_| one_way_cut(cluster))
    })]
}

fn one_way_cut(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(100.0, 1500.0));
    let catalogs = cluster.parameters.catalogs;
    // Never both directions between two.
    let falls = scheduler.draw(|rng| rng.bool());
    for _ in 0..scheduler.draw(|rng| rng.usize(1..3)) {
        let high = scheduler.draw(|rng| rng.usize(1..catalogs));
        let low = scheduler.draw(|rng| rng.usize(..high));
        let (from, to) = if falls { (high, low) } else { (low, high) };
        cluster.trace.count("cut of one direction");
        cluster.network.cut_one_way(from, to);
    }
    let time = cluster.either_between((200.0, 900.0), (600.0, 4000.0));
    scheduler.sleep(time);
    cluster.network.heal();
}

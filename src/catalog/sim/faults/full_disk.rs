//! A catalog's disk, or each one, refuses writes for a while.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

pub(crate) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let times = parameters.faults.full_disks;
    vec![Box::new(move |cluster: &Arc<Cluster>| {
        (0..times).for_each(|_| full_disk(cluster))
    })]
}

fn full_disk(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(50.0, 1200.0));
    let catalogs = cluster.parameters.catalogs;
    let (all, one) = scheduler.draw(|rng| (rng.u8(..8) == 0, rng.usize(..catalogs)));
    let set = |refuses| {
        let mut state = cluster.state();
        let disks = state.catalogs.iter_mut().enumerate();
        let disks = disks.filter(|(node, _)| all || *node == one);
        disks.for_each(|(_, catalog)| catalog.disk.refuses = refuses);
    };
    cluster.trace.count("full disk");
    set(true);
    let time = cluster.either_between((1.0, 300.0), (300.0, 3000.0));
    scheduler.sleep(time);
    set(false);
}

//! Cuts between single pairs of servers: A reaches B and B reaches C, but A does not reach C.

use std::sync::Arc;

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;

pub(crate) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let cuts = parameters.faults.cuts;
    vec![Box::new(move |cluster: &Arc<Cluster>| {
        (0..cuts).for_each(|_| unclean_cut(cluster))
    })]
}

fn unclean_cut(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    scheduler.sleep(scheduler.between(100.0, 1500.0));
    let servers = cluster.parameters.servers();
    let pair = |rng: &mut fastrand::Rng| {
        let a = rng.usize(..servers);
        (a, (a + rng.usize(1..servers)) % servers)
    };
    let pairs: Vec<_> = scheduler.draw(|rng| (0..rng.usize(1..3)).map(|_| pair(rng)).collect());
    cluster.network.cut(pairs);
    let time = cluster.either_between((200.0, 900.0), (600.0, 4000.0));
    scheduler.sleep(time);
    cluster.network.heal();
}

//! An hour of a shop's life: buys of one to five copies, keys that are sent twice, orders that are
//! taken back, restocks, removals, kills, stops and a cut. In the end the audit is clean but for
//! what the two sides of the cut sold both, which it names.

use std::sync::Arc;

use crate::catalog::sim::clients;
use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::{Parameters, other_book};
use crate::catalog::sim::runner::number;
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::catalog::sim::world::World;

const SECOND: Micros = 1_000_000;

/// When the cut begins, and how long it lasts.
const CUT_AT: Micros = 1800 * SECOND;
const CUT_TIME: Micros = 120 * SECOND;

const FAULTS: usize = 50;

fn world() -> World {
    let mut parameters = Parameters::healthy(3, 400);
    parameters.stock.push(other_book());
    parameters.ledger = true;
    parameters.linearizable = false;
    parameters.front_ends = 2;
    parameters.faults.crash = 0.5;
    let clients = &mut parameters.clients;
    // Half of the pauses are short ones, and the others half as long as the longest.
    (clients.count, clients.operations, clients.think_ms) = (6, 300, 48_000.0);
    (clients.copies_max, clients.duplicated, clients.batched) = (5, 0.2, 0.2);
    (clients.restock, clients.remove) = (0.3, 0.01);
    World {
        parameters,
        tasks: vec![clients::tasks, outages, cut],
    }
}

/// One server after another crashes or is stopped, every minute or so.
fn outages(_: &Parameters) -> Vec<Task> {
    vec![Box::new(|cluster: &Arc<Cluster>| {
        let scheduler = &cluster.scheduler;
        for _ in 0..FAULTS {
            scheduler.sleep(scheduler.between(20_000.0, 100_000.0));
            let servers = cluster.parameters.servers();
            let node = scheduler.draw(|rng| rng.usize(..servers));
            if cluster.may_fail(node) {
                cluster.outage(node);
            }
        }
    })]
}

/// Catalog 0 is alone on its side.
fn cut(_: &Parameters) -> Vec<Task> {
    vec![Box::new(|cluster: &Arc<Cluster>| {
        cluster.scheduler.sleep(CUT_AT);
        let others = 1..cluster.parameters.catalogs;
        cluster.network.cut(others.map(|other| (0, other)));
        cluster.scheduler.sleep(CUT_TIME);
        cluster.network.heal();
    })]
}

/// It takes some seconds: an hour has 36,000 heartbeats of each server.
#[test]
fn an_hour_of_sales_and_faults_ends_with_an_audit_that_names_what_a_cut_sold_twice() {
    // A seed with which both sides of the cut sell the same copies; one of eight does.
    let seed = number("SEED").unwrap_or(1);
    let run = world().run(seed, number("SEED").is_some());
    run.lines.iter().for_each(|line| println!("{line}"));
    assert!(run.outcome.is_ok(), "SEED={seed}: {:?}", run.outcome);
    println!("{:?}", run.counts);
    let sales = ["bought several", "key again", "sold twice", "taken back"];
    let others = ["crash", "removed", "restocked", "stop"];
    for event in sales.iter().chain(&others) {
        assert!(run.counts.contains_key(event), "{event}: {:?}", run.counts);
    }
}

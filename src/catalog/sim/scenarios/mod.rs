//! Holes that random seeds seldom meet. Each has a schedule of its own, which is right with all
//! rules of the protocol and wrong without the one that it shows.
//!
//! Nothing is random here: a message, and a write to disk, takes one millisecond.

mod one_after_another;
mod stopped_writer;
mod unacknowledged_write;

use std::sync::Arc;

use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::catalog::sim::world::{QUIET, Verdict, check_end};

/// The first round of heartbeats is over by then, and the book valid everywhere.
const SETTLED: Micros = 500_000;

const MS: Micros = 1000;

type Schedule = fn(&Arc<Cluster>);

fn run(catalogs: usize, rules: Rules, schedule: Schedule) -> Result<Verdict, String> {
    let parameters = Parameters {
        steady: true,
        front_ends: 0,
        rules,
        ..Parameters::healthy(catalogs, 5)
    };
    Cluster::new(1, parameters, false).run(move |cluster| {
        (0..catalogs).for_each(|node| cluster.start(node));
        cluster.scheduler.sleep(SETTLED);
        schedule(cluster);
        cluster.scheduler.sleep(QUIET);
        check_end(cluster)
    })
}

#[track_caller]
fn check(rule: Rule, catalogs: usize, schedule: Schedule) {
    let whole = run(catalogs, Rules::all(), schedule);
    assert_eq!(whole, Ok(Verdict::Right));
    let mutated = run(catalogs, Rules::all().without(rule), schedule);
    let why = mutated.expect_err("a rule is left out, and nothing is wrong");
    let known = why.contains("not linearizable") || why.contains("both valid");
    assert!(known, "{why}");
}

/// With all rules the schedule is right: no single rule that may be left out is behind it.
#[track_caller]
fn check_right(catalogs: usize, schedule: Schedule) {
    let whole = run(catalogs, Rules::all(), schedule);
    assert_eq!(whole, Ok(Verdict::Right));
}

//! Holes that random seeds seldom meet: a schedule made for each, once with all rules and once with
//! the one left out.

use std::sync::Arc;

use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::replication::write::Update;
use crate::catalog::sim::clients::{Ledger, write};
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::{QUIET, all, judge};
use crate::model::book::Change;
use crate::testing::linearizability::What;

/// The first round of heartbeat is over, and the book settled, by then.
const SETTLED: u64 = 500_000;

type Schedule = fn(&Arc<Cluster>, &Arc<Ledger>);

/// Two catalogs in a world without chance.
fn outcome(rules: Rules, schedule: Schedule) -> Result<(), String> {
    let setting = Parameters {
        steady: true,
        front_ends: 0,
        rules,
        ..Parameters::healthy(2, 5)
    };
    let world = Cluster::new(1, setting, false);
    let own = world.clone();
    let outcome = world.baton.play(move || {
        let ledger = Arc::default();
        own.start(0);
        own.start(1);
        own.baton.pause(SETTLED);
        schedule(&own, &ledger);
        own.baton.pause(QUIET);
        if let Err(why) = judge(&own, &ledger) {
            own.baton.fail(why);
        }
    });
    world.inside().catalogs.clear();
    outcome
}

#[track_caller]
fn check(rule: Rule, schedule: Schedule) {
    assert_eq!(outcome(Rules::all(), schedule), Ok(()));
    let found = outcome(Rules::all().without(rule), schedule);
    let why = found.expect_err("a rule is left out, and nothing is wrong");
    assert!(
        why.contains("not linearizable") || why.contains("both valid"),
        "{why}"
    );
}

/// A customer sets the quantity at a catalog, and writes down what came of it.
fn set(world: &Arc<Cluster>, ledger: &Ledger, catalog: usize, quantity: u32) {
    let start = world.baton.now();
    let change = Change {
        quantity: Some(quantity),
        ..Change::default()
    };
    let told = write(
        world,
        catalog,
        Update {
            change,
            ..Update::default()
        },
    );
    let done = matches!(told, Some(Ok(_)));
    ledger.write(What::Set(quantity), start, done.then(|| world.baton.now()));
}

/// Catalog 0 has a write on disk that nobody heard of, and crashes; catalog 1 acknowledges another
/// of the same number and a lower stamp; catalog 0 starts again.
fn a_write_that_nobody_heard_of(world: &Arc<Cluster>, ledger: &Arc<Ledger>) {
    world.inside().sides = Some(vec![true, false]);
    // One of five is bought: not an update, which might come true at any later time without being
    // wrong.
    ledger.write(What::Bought, world.baton.now(), None);
    let own = world.clone();
    world.baton.task_in(0, None, move || {
        let change = Change {
            quantity: Some(4),
            ..Change::default()
        };
        write(
            &own,
            0,
            Update {
                change,
                ..Update::default()
            },
        );
    });
    world.baton.pause(5_000);
    world.crash(0);
    world.inside().sides = None;
    set(world, ledger, 1, 9);
    world.start(0);
}

#[test]
fn without_sticky_a_write_that_nobody_heard_of_beats_an_acknowledged_one() {
    check(Rule::Committed, a_write_that_nobody_heard_of);
}

#[test]
fn without_checkrank_a_change_is_made_on_top_of_a_write_that_nobody_heard_of() {
    check(Rule::CheckRank, |world, ledger| {
        a_write_that_nobody_heard_of(world, ledger);
        // It has greeted, and does not catch up in the background before its next heartbeat.
        world.baton.pause(50_000);
        let change = Change {
            price: Some(1.0),
            ..Change::default()
        };
        write(
            world,
            0,
            Update {
                change,
                ..Update::default()
            },
        );
    });
}

#[test]
fn without_updates_to_the_suspected_two_healthy_catalogs_sell_the_same_copy() {
    check(Rule::UpdateAll, |world, ledger| {
        // Nobody answers heartbeat, so each counts the other as down, and each lends no lease any
        // more.
        let until = world.baton.now() + 1_500_000;
        world
            .inside()
            .catalogs
            .iter_mut()
            .for_each(|catalog| catalog.starved_until = until);
        world.baton.pause(900_000);
        let sets = [0, 1].map(|catalog| {
            let ledger = ledger.clone();
            let set = move |world: &Arc<Cluster>| set(world, &ledger, catalog, 7 + catalog as u32);
            Box::new(set) as super::Doing
        });
        all(world, sets.into());
    });
}

//! The check can fail: with one rule of the protocol left out, a wrong history is found.

use std::iter;
use std::path::Path;

use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::sim::world::World;
use crate::catalog::sim::worlds;

const WRONG_HISTORY: &str = "not linearizable";

/// With the mutation, one of the first seeds goes wrong, and what is wrong reads so. The same seed
/// without the mutation is right.
#[track_caller]
fn check_found(
    mut seeds: impl Iterator<Item = u64>,
    wrong: &str,
    world: impl Fn(u64) -> World,
    mutate: impl Fn(&mut World),
) {
    let goes_wrong = |seed: &u64| {
        let mut mutated = world(*seed);
        mutate(&mut mutated);
        let outcome = mutated.run(*seed, false).outcome;
        outcome.is_err_and(|why| why.contains(wrong))
    };
    let found = seeds.find(goes_wrong);
    let seed = found.expect("a rule is left out, and no seed goes wrong");
    println!("SEED={seed}");
    let whole = world(seed).run(seed, false).outcome;
    assert!(whole.is_ok(), "seed {seed} goes wrong anyway: {whole:?}");
}

/// In worlds of this row, with the ledgers' checks.
#[track_caller]
fn check_rule_with_ledger(
    row: worlds::Row,
    rule: Rule,
    seeds: impl Iterator<Item = u64>,
    wrong: &str,
) {
    let whole = |seed| {
        let mut world = worlds::world(row, seed);
        world.parameters.ledger = true;
        world
    };
    check_found(seeds, wrong, whole, |world| {
        world.parameters.rules = Rules::all().without(rule);
    });
}

#[track_caller]
fn check_rule(rule: Rule, seeds: u64, wrong: &str) {
    check_found(0..seeds, wrong, World::of_seed, |world| {
        world.parameters.rules = Rules::all().without(rule);
    });
}

#[test]
fn without_confirm_a_sale_is_seen_that_never_was() {
    check_rule(Rule::Confirm, 2000, WRONG_HISTORY);
}

/// Each of the two does here.
#[test]
fn without_the_ledger_first_and_what_is_due_a_total_failure_loses_an_entry() {
    let world = |seed| {
        let mut world = World::of_seed(seed).with_total_failure();
        world.parameters.ledger = true;
        world
    };
    check_found(0..1000, "ledger", world, |world| {
        let rules = Rules::all().without(Rule::LedgerFirst);
        world.parameters.rules = rules.without(Rule::LedgerDue);
    });
}

/// Who sold alone crashes at once, and its copy gives way to one of the other side.
#[test]
fn without_the_ledger_on_disk_a_sale_of_the_side_that_gives_way_is_forgotten() {
    let seeds = iter::once(3682).chain(0..4000);
    check_rule_with_ledger(worlds::ADDS_IN_A_CUT, Rule::LedgerAlone, seeds, "ledger");
}

/// The folders of two catalogs are lost, one after the other.
#[test]
fn without_the_ledger_in_a_return_lost_folders_lose_an_entry() {
    check_rule_with_ledger(worlds::REMOVALS, Rule::LedgerBack, 0..2000, "ledger");
}

/// Each of some is on the list of another one of them, and none serves; but the fifth one does.
#[test]
fn without_a_catalog_that_leaves_a_circle_out_those_in_it_wait_without_end() {
    // Updates that name only whom they go without put hardly anybody into one.
    let [circle, names] = [Rule::LeaveCircle, Rule::WithoutOnly];
    let world = |rules, seed| {
        let mut world = worlds::world(worlds::FIVE_RETURNS, seed);
        world.parameters.ledger = true;
        world.parameters.rules = rules;
        world
    };
    let without_both = Rules::all().without(circle).without(names);
    let seeds = iter::once(243).chain(0..3000);
    for enough in [circle, names] {
        let one = |seed| world(Rules::all().without(enough), seed);
        let both = |world: &mut World| world.parameters.rules = without_both;
        check_found(seeds.clone(), "after quiet", one, both);
    }
}

/// Each does for both where the record has the key still.
#[test]
fn without_keys_in_record_and_ledger_a_buy_that_is_sent_again_sells_twice() {
    let world = |seed| {
        let mut world = World::of_seed(seed);
        world.parameters.ledger = true;
        world
    };
    for enough in [Rule::RecordKeys, Rule::LedgerKeys] {
        for seed in 0..20 {
            let mut one = world(seed);
            one.parameters.rules = Rules::all().without(enough);
            let outcome = one.run(seed, false).outcome;
            assert!(
                outcome.is_ok(),
                "without {enough:?}, seed {seed}: {outcome:?}"
            );
        }
    }
    check_found(0..200, WRONG_HISTORY, world, |world| {
        let rules = Rules::all().without(Rule::RecordKeys);
        world.parameters.rules = rules.without(Rule::LedgerKeys);
    });
}

#[test]
fn without_lease_an_old_quantity_is_seen() {
    check_rule(Rule::Lease, 400, WRONG_HISTORY);
}

#[test]
fn without_tie_a_copy_gives_way_to_a_worse_one_of_its_number() {
    let seeds = iter::once(656).chain(0..4000);
    check_found(seeds, WRONG_HISTORY, World::of_seed, |world| {
        world.parameters.rules = Rules::all().without(Rule::Tie);
    });
}

#[test]
fn without_if_match_a_copy_is_sold_twice() {
    check_rule(Rule::IfMatch, 100, WRONG_HISTORY);
}

#[test]
fn without_order_ids_one_click_sells_two_copies() {
    check_rule(Rule::Idempotency, 100, WRONG_HISTORY);
}

#[test]
fn without_order_ids_copies_are_added_twice() {
    check_rule_in(worlds::DIFFERENCES, Rule::Idempotency, 0..100);
}

#[test]
fn without_invalidation_a_cache_offers_what_is_sold() {
    check_rule(Rule::Invalidate, 100, WRONG_HISTORY);
}

#[test]
fn without_a_second_look_at_the_disk_a_sale_is_acknowledged_that_a_crash_loses() {
    check_rule(Rule::AckOnceOnDisk, 100, "which is not on disk");
}

#[test]
fn without_ids_of_changes_one_that_happened_is_refused() {
    let world = |seed| World::of_seed(seed).with_more_changes();
    check_found(0..200, WRONG_HISTORY, world, |world| {
        world.parameters.rules = Rules::all().without(Rule::WriteId);
    });
}

#[test]
fn without_repair_a_dead_writers_copy_stays_tentative() {
    check_rule(Rule::Repair, 300, "after quiet");
}

#[test]
fn without_guard_a_cache_keeps_what_was_invalidated_before_it_came() {
    check_found(0..100, WRONG_HISTORY, World::of_seed, |world| {
        world.parameters.fill_guard = false;
    });
}

#[test]
fn without_a_look_at_the_order_a_buyer_of_the_last_copy_is_told_out_of_stock() {
    check_found(0..100, WRONG_HISTORY, World::of_seed, |world| {
        world.parameters.order_read = false;
    });
}

#[track_caller]
fn check_rule_in(row: worlds::Row, rule: Rule, seeds: impl Iterator<Item = u64>) {
    let whole = |seed| worlds::world(row, seed);
    check_found(seeds, "", whole, |world| {
        world.parameters.rules = Rules::all().without(rule);
    });
}

#[test]
fn without_closed_orders_one_that_waited_is_applied_twice() {
    check_rule_in(worlds::WAITING_ORDERS, Rule::ForgottenOrders, 0..100);
}

#[test]
fn without_the_stamp_of_the_first_version_a_book_is_added_twice() {
    check_rule_in(worlds::ADDS_WHILE_STOPPED, Rule::Created, 0..600);
}

/// Few seeds show it, so the known one comes first. If it shows it no longer, because the worlds have
/// changed, the search takes minutes, and prints another to put in its place.
#[test]
fn without_taking_over_first_a_catalog_acknowledges_what_it_then_loses() {
    let seeds = iter::once(266).chain(0..4000);
    check_rule_in(worlds::RETURNS, Rule::YieldFirst, seeds);
}

/// Of each row no schedule and no seed has shown that the first rule is missed while the others
/// hold: it is a second lock. Without all of them it is missed, and while one of them holds it is not.
#[test]
fn without_all_of_some_rules_some_seed_goes_wrong() {
    // Whoever looks for what it forgot finds most of what another rule did not prevent.
    let second = |rule| [rule, Rule::ForgottenFirst];
    let rows: [(worlds::Row, &[Rule], u64); 6] = [
        (worlds::THREE_BUSY, &second(Rule::StrikeEqualList), 507),
        (worlds::FULL_DISKS, &second(Rule::PresentPeriod), 3281),
        (worlds::THREE_BUSY, &second(Rule::PeriodKnown), 6801),
        (worlds::RETURNS, &second(Rule::StandingOrder), 30),
        (
            worlds::THREE_BUSY,
            &[Rule::ServingLeaves, Rule::InStepLeaves, Rule::SplitWaits],
            480,
        ),
        (
            worlds::THREE_BUSY,
            &[Rule::PresentStart, Rule::ListOnDisk],
            280,
        ),
    ];
    for (row, rules, known) in rows {
        let is_right = |seed, rules: &[Rule]| {
            let mut world = worlds::world(row, seed);
            // As when `RULE` leaves them out.
            world.parameters.ledger = true;
            world.parameters.rules = rules
                .iter()
                .fold(Rules::all(), |all, rule| all.without(*rule));
            world.run(seed, false).outcome.is_ok()
        };
        let all_but = |i: usize| [&rules[..i], &rules[i + 1..]].concat();
        let shows = |seed: &u64| {
            !is_right(*seed, rules) && (0..rules.len()).all(|i| is_right(*seed, &all_but(i)))
        };
        let seed = iter::once(known).chain(0..2000).find(shows);
        let seed = seed.unwrap_or_else(|| panic!("nothing goes wrong without {rules:?}"));
        println!("{rules:?}: SEED={seed}");
    }
}

#[test]
fn a_test_leaves_out_each_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut tests = read(&folder.join("sim/rule_mutations.rs"));
    for entry in folder.join("sim/scenarios").read_dir().unwrap() {
        tests += &read(&entry.unwrap().path());
    }
    let rules = read(&folder.join("replication/rules.rs"));
    let (_, rules) = rules.split_once("enum Rule {").unwrap();
    let (rules, _) = rules.split_once('}').unwrap();
    let rules = rules
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','));
    let rules: Vec<&str> = rules.collect();
    assert!(5 < rules.len(), "{rules:?}");
    for rule in rules {
        let is_missed = [',', ')']
            .iter()
            .any(|end| tests.contains(&format!("Rule::{rule}{end}")));
        assert!(is_missed, "no test leaves out {rule}");
    }
}

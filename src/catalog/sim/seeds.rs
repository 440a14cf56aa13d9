//! The world of the promise: whatever crashes or is stopped, one book explains what clients see.

use crate::catalog::sim::runner::{check_seeds, number};
use crate::catalog::sim::world::World;

#[test]
fn crashes_and_stops_leave_one_book() {
    let seeds = 0..number("SEEDS").unwrap_or(1000);
    let events = [
        "batch",
        "bought",
        "cache hit",
        "conflict",
        "crash",
        "duplicated message",
        "duplicated order",
        "late message",
        "lost reply",
        "lost request",
        "outage at a step",
        "set",
        "slow disk",
        "sold out",
        "starvation",
        "stop",
    ];
    check_seeds(seeds, World::of_seed, &events);
}

#[test]
fn catalogs_that_fail_one_after_another_leave_one_book() {
    let seeds = 0..number("SEEDS").unwrap_or(300);
    let world = |seed| World::of_seed(seed).with_staggered_failures();
    let events = ["bought", "crash", "sold out", "staggered failure", "stop"];
    check_seeds(seeds, world, &events);
}

#[test]
fn buys_of_several_copies_leave_one_book() {
    let seeds = 0..number("SEEDS").unwrap_or(200);
    let world = |seed| World::of_seed(seed).with_several_copies();
    let events = [
        "batch",
        "bought several",
        "crash",
        "duplicated order",
        "sold out",
        "stop",
    ];
    check_seeds(seeds, world, &events);
}

#[test]
fn a_book_that_is_removed_and_added_again_is_one_book() {
    let seeds = 0..number("SEEDS").unwrap_or(200);
    let world = |seed| World::of_seed(seed).with_removals();
    let events = [
        "added again",
        "buy of no book",
        "crash",
        "refused removal",
        "removed",
        "stop",
        "unknown removal",
    ];
    check_seeds(seeds, world, &events);
}

#[test]
fn a_change_that_was_refused_did_not_happen() {
    let seeds = 0..number("SEEDS").unwrap_or(300);
    let world = |seed| World::of_seed(seed).with_more_changes();
    check_seeds(seeds, world, &["refused set", "set", "stop", "unknown set"]);
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 14, 15] {
        let run = |traced| World::of_seed(seed).run(seed, traced);
        let (first, second, untraced) = (run(true), run(true), run(false));
        assert!(100 < first.lines.len());
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!(first.counts, untraced.counts, "seed {seed}");
        assert_eq!(first.outcome, untraced.outcome, "seed {seed}");
    }
}

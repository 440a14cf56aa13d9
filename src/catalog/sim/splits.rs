//! Worlds in which two sides may sell the same copy, as in the original design: afterwards all
//! catalogs must have one copy again.

use crate::catalog::sim::runner::{check_seeds, number};
use crate::catalog::sim::world::World;

#[test]
fn both_sides_of_a_cut_have_one_copy_after_it() {
    let world = |seed| World::of_seed(seed).with_partition();
    check_seeds(
        0..number("SEEDS").unwrap_or(60),
        world,
        &["bought", "crash", "cut", "stop"],
    );
}

#[test]
fn all_have_one_copy_after_a_total_failure() {
    // In seed 646 a committed copy met one that was not and had the higher stamp. It stayed
    // unknown once.
    let world = |seed| World::of_seed(seed).with_total_failure();
    let events = ["bought", "crash", "stop", "total failure"];
    check_seeds(
        (0..number("SEEDS").unwrap_or(60)).chain([646]),
        world,
        &events,
    );
}

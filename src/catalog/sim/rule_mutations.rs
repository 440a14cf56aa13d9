//! The check can fail: with one rule of the protocol left out, a wrong history is found.

use super::first_failure;
use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::sim::parameters::Parameters;

/// In one of the first seeds of such a world something goes wrong, and it reads so.
#[track_caller]
fn check_found(seeds: u64, wrong: &str, change: impl Fn(&mut Parameters)) {
    let failure = |seed| {
        first_failure(seed..seed + 1, |seed| {
            let mut setting = Parameters::of_seed(seed);
            change(&mut setting);
            setting
        })
    };
    let found = (0..seeds)
        .filter_map(failure)
        .any(|(_, why)| why.contains(wrong));
    assert!(found, "a rule is left out, and no history is wrong");
}

fn without(rule: Rule) -> impl Fn(&mut Parameters) {
    move |setting| setting.rules = Rules::all().without(rule)
}

const WRONG_HISTORY: &str = "not linearizable";

#[test]
fn without_confirm_a_sale_is_seen_that_never_was() {
    check_found(2000, WRONG_HISTORY, without(Rule::Confirm));
}

#[test]
fn without_lease_an_old_quantity_is_seen() {
    check_found(400, WRONG_HISTORY, without(Rule::Lease));
}

#[test]
fn without_tie_two_copies_of_one_number_are_both_valid() {
    check_found(200, "are both valid", without(Rule::Tie));
}

#[test]
fn without_if_match_a_copy_is_sold_twice() {
    check_found(100, WRONG_HISTORY, without(Rule::IfMatch));
}

#[test]
fn without_order_ids_one_click_sells_two_copies() {
    check_found(100, WRONG_HISTORY, without(Rule::Idempotency));
}

#[test]
fn without_invalidate_a_cache_offers_what_is_sold() {
    check_found(100, WRONG_HISTORY, without(Rule::Invalidate));
}

#[test]
fn without_the_second_look_at_the_disk_a_sale_is_acknowledged_that_a_crash_loses() {
    check_found(100, "which is not on disk", without(Rule::AckOnceOnDisk));
}

#[test]
fn without_sweep_a_dead_writers_copy_stays_unsettled() {
    check_found(300, "after quiet", without(Rule::Repair));
}

#[test]
fn without_guard_a_cache_keeps_what_was_void_before_it_came() {
    check_found(100, WRONG_HISTORY, |setting| setting.guard = false);
}

#[test]
fn without_a_look_at_its_order_a_buyer_of_the_last_copy_hears_out_of_stock() {
    check_found(100, WRONG_HISTORY, |setting| setting.order_read = false);
}

#[test]
fn without_clear_an_old_copy_stays_after_a_cut() {
    check_found(100, "after quiet", |setting| {
        setting.partition = true;
        setting.rules = Rules::all().without(Rule::Clear);
    });
}

//! Histories that are linearizable, and histories that are not.

use std::time::Instant;

use super::*;

/// Reads `saw 5 @1-3, bought @2-?, out @4-6, set 7 @5-9`: what, from when to when.
fn history(text: &str) -> Vec<Operation> {
    let operations = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    operations.map(operation).collect()
}

fn operation(text: &str) -> Operation {
    let (kind, times) = text.split_once('@').unwrap();
    let (start, end) = times.split_once('-').unwrap();
    let words: Vec<&str> = kind.split_whitespace().collect();
    let kind = match words[..] {
        ["saw", "none"] => Kind::Saw(REMOVED),
        ["removed"] => Kind::Removed,
        ["again", n] => Kind::Replaced {
            from: REMOVED,
            to: n.parse().unwrap(),
        },
        ["saw", n] => Kind::Saw(n.parse().unwrap()),
        ["bought"] => Kind::Bought(1),
        ["bought", n] => Kind::Bought(n.parse().unwrap()),
        ["out"] => Kind::SoldOut(1),
        ["out", n] => Kind::SoldOut(n.parse().unwrap()),
        ["added", n] => Kind::Added(n.parse().unwrap()),
        ["set", n] => Kind::Set(n.parse().unwrap()),
        ["set", from, "to", to] => Kind::Replaced {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        },
        _ => panic!("{text:?}"),
    };
    let time = |text: &str| Some(Duration::from_millis(text.parse().ok()?));
    Operation {
        kind,
        start: time(start).unwrap(),
        end: time(end),
    }
}

#[track_caller]
fn check_linearizable(quantity: u32, text: &str) {
    assert_eq!(check(quantity, &history(text)), Ok(()), "{text}");
}

#[track_caller]
fn check_wrong(quantity: u32, text: &str) {
    let found = check(quantity, &history(text));
    assert!(
        matches!(found, Err(CheckError::NotLinearizable(_))),
        "{text}: {found:?}"
    );
}

#[test]
fn a_conditional_update_needs_its_condition() {
    check_linearizable(5, "set 5 to 8 @1-2, bought @1-3, saw 7 @4-5");
    check_wrong(5, "bought @1-2, set 5 to 8 @3-4");
    check_wrong(5, "set 5 to 8 @1-4, set 5 to 9 @1-4");
}

#[test]
fn sequential_operations_of_one_book_pass() {
    check_linearizable(3, "");
    check_linearizable(3, "saw 3 @1-2, bought @3-4, saw 2 @5-6");
    check_linearizable(1, "bought @1-2, out @3-4, saw 0 @5-6");
    check_linearizable(3, "set 9 @1-2, saw 9 @3-4, bought @5-6, saw 8 @7-8");
}

#[test]
fn overlapping_operations_may_take_effect_in_either_order() {
    check_linearizable(3, "bought @1-9, saw 3 @2-3, saw 2 @4-5");
    check_linearizable(1, "bought @1-9, out @2-3");
    check_linearizable(0, "set 1 @1-9, bought @2-5, out @6-7");
    check_linearizable(5, "set 1 @1-9, set 7 @1-9, saw 7 @2-3, saw 1 @4-5");
    check_linearizable(3, "bought @1-2, saw 3 @2-3");
}

#[test]
fn a_purchase_of_unknown_outcome_may_take_effect_late_or_never() {
    check_linearizable(3, "bought @1-?, saw 3 @5-6, saw 2 @700-701");
    check_linearizable(3, "bought @1-?, saw 3 @5-6, saw 3 @700-701");
    check_linearizable(3, "set 8 @1-?, saw 3 @5-6, saw 8 @700-701");
    check_linearizable(3, "saw 9 @1-?, out @1-?");
}

#[test]
fn an_older_quantity_after_a_newer_one_is_wrong() {
    check_wrong(3, "bought @1-9, saw 2 @2-3, saw 3 @4-5");
    check_wrong(3, "bought @1-2, saw 3 @3-4");
    check_wrong(3, "set 8 @1-2, saw 3 @3-4");
}

#[test]
fn a_copy_sold_twice_is_wrong() {
    check_wrong(1, "bought @1-5, bought @2-6");
    check_wrong(5, "bought @1-5, bought @2-6, saw 4 @7-8");
    check_wrong(2, "bought @1-?, saw 0 @3-4, saw 0 @5-6");
}

#[test]
fn a_sale_out_of_nothing_or_a_lost_one_is_wrong() {
    check_wrong(2, "out @1-2");
    check_wrong(2, "bought @5-?, saw 1 @1-4");
    check_wrong(3, "bought @1-2, bought @3-4, saw 2 @5-6");
    check_wrong(3, "saw 7 @1-2");
}

#[test]
fn an_operation_of_unknown_outcome_takes_effect_at_most_once() {
    check_wrong(3, "set 8 @1-?, saw 8 @2-3, set 5 @4-5, saw 8 @6-7");
    check_wrong(3, "bought @1-?, saw 2 @2-3, saw 1 @4-5");
}

#[test]
fn the_error_shows_the_fewest_lines_that_prove_it() {
    let long = "bought @1-2, bought @3-4, saw 8 @5-6, saw 9 @7-8, bought @9-10";
    let error = check(10, &history(long)).unwrap_err();
    let shown: Vec<String> = error
        .to_string()
        .lines()
        .skip(1)
        .map(str::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "       5.000 ms to      6.000 ms  saw 8",
            "       7.000 ms to      8.000 ms  saw 9",
        ]
    );
}

/// A linearizable history of one book and several clients. Some purchases have an unknown outcome.
fn recorded(seed: u64, clients: usize, operations: usize) -> Vec<Operation> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut quantity = 300;
    let mut free = vec![0; clients];
    let mut history = Vec::new();
    // Effects happen in the order of `at`; each client's operation lies around its effect.
    for at in 1..=operations as u64 {
        let client = rng.usize(..clients);
        let at = at * 1000;
        let start = rng.u64(free[client].max(at.saturating_sub(15_000)).min(at)..=at);
        let end = at + rng.u64(..15_000);
        free[client] = end;
        let kind = match rng.u32(..20) {
            0 => Kind::Set(rng.u32(100..120)),
            1..10 => Kind::Saw(quantity),
            _ if quantity == 0 => Kind::SoldOut(1),
            _ => Kind::Bought(1),
        };
        let unknown = kind == Kind::Bought(1) && rng.u32(..8) == 0;
        if !(unknown && rng.bool()) {
            quantity = changed(kind, quantity).unwrap_or(quantity);
        }
        history.push(Operation {
            kind,
            start: Duration::from_micros(start),
            end: (!unknown).then_some(Duration::from_micros(end)),
        });
    }
    history
}

#[test]
fn hundreds_of_operations_take_milliseconds() {
    let began = Instant::now();
    for seed in 0..20 {
        let history = recorded(seed, 16, 600);
        assert_eq!(check(300, &history), Ok(()), "seed {seed}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn one_wrong_answer_among_hundreds_of_operations_is_found() {
    for seed in 0..10 {
        let mut history = recorded(seed, 4, 300);
        let end = history.iter().filter_map(|o| o.end).max().unwrap();
        history.push(Operation {
            kind: Kind::Saw(301),
            start: end + Duration::from_millis(1),
            end: Some(end + Duration::from_millis(2)),
        });
        let error = check(300, &history).unwrap_err();
        assert!(
            matches!(error, CheckError::NotLinearizable(_)),
            "seed {seed}: {error}"
        );
    }
}

#[test]
fn several_copies_are_bought_together_or_not_at_all() {
    check_linearizable(5, "bought 3@10-20, out 3@30-40, bought 2@50-60, out@70-80");
    check_linearizable(3, "bought 3@10-30, out 2@12-20, saw 0@40-50");
    check_linearizable(5, "bought 3@10-?, saw 5@20-30, saw 2@40-50");
    check_wrong(5, "bought 3@10-?, saw 4@40-50");
    check_wrong(5, "bought 3@10-20, bought 3@30-40");
    check_wrong(5, "bought 3@10-20, out 2@30-40");
}

#[test]
fn a_book_that_was_removed_is_not_there_until_it_is_added_again() {
    check_linearizable(
        2,
        "removed@10-20, saw none@30-40, again 5@50-60, bought 3@70-80",
    );
    check_linearizable(2, "removed@10-?, bought@12-30, saw none@40-50");
    check_linearizable(
        2,
        "removed@10-30, bought 2@12-20, saw none@40-50, saw none@60-70",
    );
    check_wrong(2, "removed@10-20, saw 2@30-40");
    check_wrong(2, "removed@10-20, saw 0@30-40");
    check_wrong(2, "removed@10-20, bought@30-40");
    check_wrong(2, "removed@10-20, out@30-40");
    check_wrong(2, "removed@10-20, removed@30-40");
    check_wrong(2, "saw none@10-20");
    check_wrong(2, "again 3@10-20");
    check_wrong(2, "removed@10-?, saw none@20-30, saw 2@40-50");
}

#[test]
fn copies_are_added_once_and_to_whatever_there_is() {
    check_linearizable(1, "added 3@10-20, bought@12-18, saw 3@30-40");
    check_linearizable(1, "added 3@10-?, saw 4@30-40, saw 4@50-60");
    check_linearizable(1, "added 3@10-?, saw 1@30-40");
    check_wrong(1, "added 3@10-20, saw 7@30-40");
    check_wrong(1, "added 3@10-?, saw 4@30-40, saw 7@50-60");
    check_wrong(1, "added 3@10-20, saw 1@30-40");
}

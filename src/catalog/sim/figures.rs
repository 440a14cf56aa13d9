//! The figures of the original design: five catalogs, one question, and every message in its order.
//! Whoever chooses whom to ask chooses the first. Lines read `from -> to message` when a message
//! arrives; heartbeat is left out.

use std::sync::Arc;

use crate::catalog::replication::write::Update;
use crate::catalog::sim::clients::{query, write};
use crate::catalog::sim::cluster::{BOOK, Cluster};
use crate::catalog::sim::parameters::{Parameters, book};
use crate::model::book::{Book, Change, Version};

/// The first round of heartbeat is over by then.
const GREETED: u64 = 250_000;

/// Five catalogs with copies of these sequence numbers; `*` is valid. Gives what was said once they
/// had greeted.
fn said(copies: &str, question: impl FnOnce(&Arc<Cluster>) + Send + 'static) -> Vec<String> {
    let setting = Parameters {
        steady: true,
        tends: false,
        front_ends: 0,
        ..Parameters::healthy(5, 0)
    };
    let world = Cluster::new(1, setting, true);
    let (own, copies) = (world.clone(), copies.to_string());
    let outcome = world.baton.play(move || {
        for (node, text) in copies.split_whitespace().enumerate() {
            own.inside().catalogs[node].disk = vec![copy(text.trim_end_matches('*'))];
            own.start(node);
        }
        own.baton.pause(GREETED);
        for (node, text) in copies.split_whitespace().enumerate() {
            if text.ends_with('*') {
                own.replica(node).assume_valid(BOOK);
            }
        }
        own.take_trace();
        question(&own);
        own.baton.pause(20_000);
    });
    assert_eq!(outcome, Ok(()));
    let trace = world.take_trace();
    world.inside().catalogs.clear();
    together(trace.iter().filter_map(|line| spoken(line)))
}

/// From whom, to whom, what. `None`: heartbeat, or nothing that was said.
fn spoken(line: &str) -> Option<(String, String, String)> {
    let (_, line) = line.split_once("ms  ")?;
    let (from, rest) = line.split_once(" -> ")?;
    let (to, what) = rest.split_once(' ')?;
    let heartbeat = what.starts_with("heartbeat") || what.starts_with("heartbeat_reply");
    (!heartbeat).then(|| (from.into(), to.into(), what.into()))
}

/// One line for what one says to many, or many to one, at one moment.
fn together(said: impl Iterator<Item = (String, String, String)>) -> Vec<String> {
    let mut lines: Vec<(Vec<String>, Vec<String>, String)> = Vec::new();
    for (from, to, what) in said {
        match lines.last_mut().filter(|last| last.2 == what) {
            Some(last) if last.0 == [from.clone()] => last.1.push(to),
            Some(last) if last.1 == [to.clone()] => last.0.push(from),
            _ => lines.push((vec![from], vec![to], what)),
        }
    }
    let line = |(from, to, what): &(Vec<String>, Vec<String>, String)| {
        format!("{} -> {}: {what}", from.join(" "), to.join(" "))
    };
    lines.iter().map(line).collect()
}

/// Sequence number 3 has 97 left, and stamp 3.
fn copy(number: &str) -> Book {
    let number: u64 = number.parse().unwrap();
    Book {
        version: Version {
            number,
            stamp: number,
        },
        committed: 0 < number,
        ..book(100 - number as u32)
    }
}

fn read(world: &Arc<Cluster>) {
    query(world, 0, &[]);
}

fn update(world: &Arc<Cluster>) {
    let change = Change {
        quantity: Some(7),
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
}

#[track_caller]
fn check(copies: &str, question: fn(&Arc<Cluster>), expected: &[&str]) {
    let said = said(copies, question);
    assert_eq!(said, expected, "{copies}:\n{}", said.join("\n"));
}

#[test]
fn figure_1_read_at_cold_start() {
    check(
        "0 0 0 0 0",
        read,
        &[
            "customer -> 0: query",
            "0 -> 1: get 2, best 0-0",
            "1 -> 2: get 2, best 0-0",
            "2 -> 3: get 2, best 0-0",
            "3 -> 4: get 2, best 0-0",
            // Nobody is left to ask, and nobody before had more: it is claimed.
            "4 -> 0 1 2 3: update 0-0: 100 left",
            "0 1 2 3 -> 4: taken",
            "4 -> 3: 0-0: 100 left (came true), valid",
            "4 -> 0 1 2 3: confirm 0-0",
            "0 1 2 3 -> 4: confirmed",
            "3 -> 2: 0-0: 100 left (came true), valid",
            "2 -> 1: 0-0: 100 left (came true), valid",
            "1 -> 0: 0-0: 100 left (came true), valid",
            "0 -> customer: 0-0: 100 left, applied []",
        ],
    );
}

#[test]
fn figure_2_read_with_some_outdated() {
    check(
        "0 0 2* 2 2",
        read,
        &[
            "customer -> 0: query",
            "0 -> 1: get 2, best 0-0",
            "1 -> 2: get 2, best 0-0",
            "2 -> 1: 2-2: 98 left (came true), valid",
            "1 -> 0: 2-2: 98 left (came true), valid",
            "0 -> customer: 2-2: 98 left, applied []",
        ],
    );
}

#[test]
fn figure_3_read_after_total_failure() {
    check(
        "0 2 1 1 0",
        read,
        &[
            "customer -> 0: query",
            "0 -> 1: get 2, best 0-0",
            "1 -> 2: get 2, best 2+-2",
            "2 -> 3: get 2, best 2+-2",
            "3 -> 4: get 2, best 2+-2",
            "4 -> 3: nothing newer",
            "3 -> 2: nothing newer",
            "2 -> 1: nothing newer",
            // The highest: it is claimed, and those that slept through it catch up.
            "1 -> 0 2 3 4: update 2-2: 98 left (came true)",
            "0 2 3 4 -> 1: taken",
            "1 -> 0: 2-2: 98 left (came true), valid",
            "1 -> 0 2 3 4: confirm 2-2",
            "0 2 3 4 -> 1: confirmed",
            "0 -> customer: 2-2: 98 left, applied []",
        ],
    );
}

#[test]
fn figure_4_write_with_all_at_the_same_number() {
    check(
        "1 1* 1* 1* 1*",
        update,
        &[
            "customer -> 0: update to Some(7), orders []",
            "0 -> 1 2 3 4: check 2, 1+-1",
            "1 2 3 4 -> 0: fine",
            "0 -> 1 2 3 4: update 2-120: 7 left",
            "1 2 3 4 -> 0: taken",
            "0 -> customer: 2-120: 7 left, replayed false",
            "0 -> 1 2 3 4: confirm 2-120",
            "1 2 3 4 -> 0: confirmed",
        ],
    );
}

#[test]
fn figure_4_write_marked_to_begin_with() {
    check(
        "1* 1* 1* 1* 1*",
        update,
        &[
            "customer -> 0: update to Some(7), orders []",
            "0 -> 1 2 3 4: update 2-120: 7 left",
            "1 2 3 4 -> 0: taken",
            "0 -> customer: 2-120: 7 left, replayed false",
            "0 -> 1 2 3 4: confirm 2-120",
            "1 2 3 4 -> 0: confirmed",
        ],
    );
}

#[test]
fn figure_5_write_outdated() {
    check(
        "1 0 1 3* 2",
        update,
        &[
            "customer -> 0: update to Some(7), orders []",
            "0 -> 1 2 3 4: check 2, 1+-1",
            "1 2 -> 0: fine",
            "3 -> 0: better: 3-3: 97 left (came true), valid",
            "4 -> 0: better: 2-2: 98 left (came true), unknown",
            "0 -> customer: 409 Update could not be processed because the item is not up to date",
        ],
    );
}

#[test]
fn a_read_of_a_valid_book_says_nothing_to_anybody() {
    let said = [
        "customer -> 0: query",
        "0 -> customer: 1-1: 99 left, applied []",
    ];
    check("1* 1* 1* 1* 1*", read, &said);
}

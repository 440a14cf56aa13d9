//! The figures of the original design: five catalogs, one question, and every message in its order.
//! A random choice of whom to ask is always the first. A line `from -> to: message` is a message
//! that arrives; heartbeats are left out.

use std::sync::Arc;

use crate::catalog::sim::clients::calls;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::parameters::{BOOK, Parameters, book};
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::catalog::sim::trace;
use crate::model::book::{Book, Version};

/// The first round of heartbeats is over by then.
const FIRST_ROUND: Micros = 250_000;

/// Each has told the others by then that it serves.
const NEXT_ROUND: Micros = 100_000;

/// Five catalogs with copies of these sequence numbers; `*` is valid. Returns the messages after
/// the first round of heartbeats.
fn messages(copies: &str, question: fn(&Arc<Cluster>)) -> Vec<String> {
    let parameters = Parameters {
        steady: true,
        repair: false,
        front_ends: 0,
        ..Parameters::healthy(5, 0)
    };
    let cluster = Cluster::new(1, parameters, true);
    let copies: Vec<String> = copies.split_whitespace().map(String::from).collect();
    let outcome = cluster.run(move |cluster| {
        for (node, text) in copies.iter().enumerate() {
            cluster.state().catalogs[node].disk.books = vec![copy(text.trim_end_matches('*'))];
            cluster.start(node);
        }
        cluster.scheduler.sleep(FIRST_ROUND);
        for (node, text) in copies.iter().enumerate() {
            cluster.replica(node).assume_in_step();
            if text.ends_with('*') {
                cluster.replica(node).assume_valid(BOOK);
            }
        }
        cluster.scheduler.sleep(NEXT_ROUND);
        cluster.trace.take_lines();
        question(cluster);
        cluster.scheduler.sleep(20_000);
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
    merged(
        cluster
            .trace
            .take_lines()
            .iter()
            .filter_map(|line| message(line)),
    )
}

/// From whom, to whom, what. `None`: a heartbeat, or no message.
fn message(line: &str) -> Option<(String, String, String)> {
    let (_, line) = line.split_once("ms  ")?;
    let (from, rest) = line.split_once(" -> ")?;
    let (to, what) = rest.split_once(' ')?;
    (!trace::is_heartbeat(what)).then(|| (from.into(), to.into(), what.into()))
}

/// One line for what one server sends to many, or many to one, at one moment.
fn merged(messages: impl Iterator<Item = (String, String, String)>) -> Vec<String> {
    let mut lines: Vec<(Vec<String>, Vec<String>, String)> = Vec::new();
    for (from, to, what) in messages {
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
    let stamp = number;
    Book {
        version: Version { number, stamp },
        ..book(100 - number as u32)
    }
}

fn read(cluster: &Arc<Cluster>) {
    calls::query(cluster, 0, &[]);
}

fn update(cluster: &Arc<Cluster>) {
    calls::write(cluster, 0, calls::set_quantity(7));
}

#[track_caller]
fn check(copies: &str, question: fn(&Arc<Cluster>), expected: &[&str]) {
    let messages = messages(copies, question);
    assert_eq!(messages, expected, "{copies}:\n{}", messages.join("\n"));
}

#[test]
fn figure_1_read_at_cold_start() {
    check(
        "0 0 0 0 0",
        read,
        &[
            "client -> 0: query",
            "0 -> 1: get 2, best 0-0",
            "1 -> 2: get 2, best 0-0",
            "2 -> 3: get 2, best 0-0",
            "3 -> 4: get 2, best 0-0",
            // Nobody is left to ask, and nobody before had more: it is claimed.
            "4 -> 0 1 2 3: update 0-0: 100 left",
            "0 1 2 3 -> 4: updated",
            "4 -> 3: 0-0: 100 left, valid",
            "4 -> 0 1 2 3: confirm 0-0",
            "0 1 2 3 -> 4: confirmed",
            "3 -> 2: 0-0: 100 left, valid",
            "2 -> 1: 0-0: 100 left, valid",
            "1 -> 0: 0-0: 100 left, valid",
            "0 -> client: 0-0: 100 left, applied []",
        ],
    );
}

#[test]
fn figure_2_read_with_some_outdated() {
    check(
        "0 0 2* 2 2",
        read,
        &[
            "client -> 0: query",
            "0 -> 1: get 2, best 0-0",
            "1 -> 2: get 2, best 0-0",
            "2 -> 1: 2-2: 98 left, valid",
            "1 -> 0: 2-2: 98 left, valid",
            "0 -> client: 2-2: 98 left, applied []",
        ],
    );
}

#[test]
fn figure_3_read_after_total_failure() {
    check(
        "0 2 1 1 0",
        read,
        &[
            "client -> 0: query",
            "0 -> 1: get 2, best 0-0",
            "1 -> 2: get 2, best 2-2",
            "2 -> 3: get 2, best 2-2",
            "3 -> 4: get 2, best 2-2",
            "4 -> 3: nothing newer",
            "3 -> 2: nothing newer",
            "2 -> 1: nothing newer",
            // The highest: it is claimed, and those that missed it catch up.
            "1 -> 0 2 3 4: update 2-2: 98 left",
            "0 2 3 4 -> 1: updated",
            "1 -> 0: 2-2: 98 left, valid",
            "1 -> 0 2 3 4: confirm 2-2",
            "0 2 3 4 -> 1: confirmed",
            "0 -> client: 2-2: 98 left, applied []",
        ],
    );
}

#[test]
fn figure_4_write_with_all_at_the_same_number() {
    check(
        "1 1* 1* 1* 1*",
        update,
        &[
            "client -> 0: update to Some(7), orders []",
            "0 -> 1 2 3 4: check 2, 1-1",
            "1 2 3 4 -> 0: check passed",
            "0 -> 1 2 3 4: update 2-120: 7 left",
            "1 2 3 4 -> 0: updated",
            "0 -> client: 2-120: 7 left, replayed false",
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
            "client -> 0: update to Some(7), orders []",
            "0 -> 1 2 3 4: update 2-120: 7 left",
            "1 2 3 4 -> 0: updated",
            "0 -> client: 2-120: 7 left, replayed false",
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
            "client -> 0: update to Some(7), orders []",
            "0 -> 1 2 3 4: check 2, 1-1",
            "1 2 -> 0: check passed",
            "3 -> 0: check failed: 3-3: 97 left, valid",
            "4 -> 0: check failed: 2-2: 98 left, unknown",
            "0 -> client: 409 Update could not be processed because the item is not up to date",
        ],
    );
}

#[test]
fn a_read_of_a_valid_book_sends_no_message() {
    let messages = [
        "client -> 0: query",
        "0 -> client: 1-1: 99 left, applied []",
    ];
    check("1* 1* 1* 1* 1*", read, &messages);
}

//! The worlds of the promise, each a row of a table: how large the shop is, what goes wrong, and
//! what clients do. In each of them one book explains what clients are told, unless the network is
//! cut; and in the end all catalogs have the same copies, on disk, and nobody is left out.
//!
//! `SEEDS=100000 cargo test --lib sim::worlds` runs more seeds of each.

use crate::catalog::sim::clients;
use crate::catalog::sim::faults;
use crate::catalog::sim::parameters::{Parameters, book, other_book, some};
use crate::catalog::sim::runner::{check_seeds, number};
use crate::catalog::sim::world::World;

/// A row of the table: how many catalogs there are, and what else differs between worlds.
pub(super) type Row = (usize, fn(&mut World));

/// Seeds of each world, unless `SEEDS` says otherwise.
const SEEDS: u64 = 20;

/// The same of the worlds with every kind of fault.
const MIXED_SEEDS: u64 = 100;

/// Two front-ends, operators who restock, and faults that spare nobody: any server may crash or
/// stop at any time, however many are left.
pub(super) fn world((catalogs, change): Row, seed: u64) -> World {
    let copies = [2, 4, 9][(seed % 3) as usize];
    let mut parameters = Parameters::healthy(catalogs, copies);
    parameters.front_ends = 2;
    parameters.faults.spares_one = false;
    parameters.clients.restock = 0.2;
    parameters.clients.trusts_refusals = true;
    parameters.clients.operations = 12;
    parameters.clients.think_ms = 1000.0;
    let mut world = World {
        parameters,
        tasks: vec![
            clients::tasks,
            faults::random::tasks,
            faults::staggered::tasks,
        ],
    };
    change(&mut world);
    world
}

#[track_caller]
fn check(row: Row, events: &[&str]) {
    let seeds = 0..number("SEEDS").unwrap_or(SEEDS);
    check_seeds(seeds, |seed| world(row, seed), events);
}

fn staggered(world: &mut World) {
    world.parameters.faults.staggered = 2;
    world.parameters.clients.think_ms = 1200.0;
}

fn busy(world: &mut World) {
    let Parameters {
        faults, clients, ..
    } = &mut world.parameters;
    (faults.random, faults.staggered, faults.at_step) = (8, 2, 0.08);
    (clients.operations, clients.count, clients.think_ms) = (16, 5, 300.0);
}

const TWO_STAGGERED: Row = (2, staggered);

const THREE_STAGGERED: Row = (3, staggered);

const THREE_AT_ANY_TIME: Row = (3, |world| {
    world.parameters.faults.random = 6;
    world.parameters.faults.staggered = 1;
});

const TWO_MIDDLE_OF_WRITES: Row = (2, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered, faults.at_step) = (6, 1, 0.02);
});

const MIDDLE_OF_WRITES: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.at_step) = (8, 0.03);
    world.parameters.clients.operations = 10;
    world.parameters.clients.think_ms = 600.0;
});

pub(super) const SLOW_DISKS: Row = (3, |world| {
    let Parameters {
        faults, network, ..
    } = &mut world.parameters;
    (faults.random, faults.staggered, faults.slow_disk) = (6, 2, 0.05);
    (network.late, network.duplicated) = (0.1, 0.1);
});

const LOST_MESSAGES: Row = (3, |world| {
    let Parameters {
        faults, network, ..
    } = &mut world.parameters;
    (faults.random, faults.staggered) = (6, 1);
    (network.lost_request, network.lost_reply) = (0.03, 0.03);
    world.parameters.clients.duplicated = 0.3;
});

const LOST_FOLDERS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered, faults.lost_folder) = (8, 1, 0.3);
    (faults.starvation, faults.at_return) = (0.15, 0.1);
});

const OLD_FOLDERS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered) = (8, 1);
    (faults.lost_folder, faults.old_folder) = (0.2, 0.6);
    (faults.starvation, faults.at_return) = (0.15, 0.1);
});

const STARVED: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered, faults.starvation) = (6, 1, 0.3);
});

const ANY_ORDER: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered) = (6, 1);
    (faults.crash, faults.shuffle) = (0.2, 1.0);
    world.parameters.front_ends = 3;
});

pub(super) const THREE_BUSY: Row = (3, busy);

const TWO_BUSY: Row = (2, |world| {
    busy(world);
    world.parameters.network.late = 0.1;
});

const LATE_REFUSALS: Row = (3, |world| {
    let Parameters {
        faults, network, ..
    } = &mut world.parameters;
    (faults.random, faults.staggered) = (6, 2);
    network.late_refusal = 0.3;
});

pub(super) const FIVE: Row = (5, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered, faults.at_step) = (10, 1, 0.02);
});

/// Lists of many catalogs that are stopped all the time, and in their returns, may form a circle.
pub(super) const FIVE_RETURNS: Row = (5, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.crash, faults.at_return) = (20, 0.1, 0.3);
    world.parameters.clients.operations = 6;
});

pub(super) const FIRST_START: Row = (3, |world| {
    world.parameters.faults.new_folders = true;
    world.parameters.faults.random = 2;
    world.tasks.push(faults::first_start::tasks);
});

const CLOCK_STEPS: Row = (3, |world| {
    world.parameters.faults.random = 6;
    world.parameters.faults.staggered = 1;
    world.tasks.push(faults::clock_step::tasks);
});

/// Operators write half of the time, against each other.
const RESTOCKS: Row = (2, |world| {
    world.parameters.faults.random = 6;
    world.parameters.clients.think_ms = 200.0;
    world.parameters.clients.restock = 0.4;
});

/// Operators add copies, and ask for it again while they do not know what came of it.
pub(super) const DIFFERENCES: Row = (3, |world| {
    let Parameters {
        faults, network, ..
    } = &mut world.parameters;
    (faults.random, faults.staggered, faults.at_step) = (8, 1, 0.03);
    (network.lost_reply, network.late) = (0.05, 0.05);
    world.parameters.clients.restock = 0.4;
    world.parameters.clients.adds_difference = true;
});

/// Buyers want up to three copies each, and send their orders twice. (More, and operators besides,
/// are too many histories to check.)
const SEVERAL_COPIES: Row = (3, |world| {
    busy(world);
    let Parameters {
        network, clients, ..
    } = &mut world.parameters;
    (network.lost_reply, network.late) = (0.03, 0.05);
    (clients.copies_max, clients.duplicated) = (3, 0.3);
    (clients.count, clients.operations, clients.restock) = (3, 12, 0.0);
    world.parameters.stock = vec![book(20)];
});

/// The book is removed and added again while any catalog crashes, is stopped, or comes back with an
/// older folder that has it still; buyers send their orders twice.
pub(super) const REMOVALS: Row = (3, |world| {
    busy(world);
    let Parameters {
        faults,
        network,
        clients,
        ..
    } = &mut world.parameters;
    (faults.lost_folder, faults.old_folder) = (0.2, 0.6);
    (network.lost_reply, network.late) = (0.03, 0.1);
    (clients.remove, clients.restock, clients.duplicated) = (0.2, 0.05, 0.3);
});

/// Books are added while catalogs crash one after another, and changed at once.
const ADDS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered, faults.at_step) = (8, 1, 0.05);
    adds(world);
});

/// Front-ends and catalogs are mostly stopped, which makes writers slow.
pub(super) const ADDS_WHILE_STOPPED: Row = (2, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.crash) = (14, 0.1);
    adds(world);
});

/// Two sides may give the same id; then one of the books is dropped, and logged.
pub(super) const ADDS_IN_A_CUT: Row = (3, |world| {
    world.parameters.faults.random = 3;
    world.parameters.linearizable = false;
    world.tasks.push(faults::partition::tasks);
    adds(world);
});

fn adds(world: &mut World) {
    let clients = &mut world.parameters.clients;
    (clients.count, clients.operations) = (2, 4);
    world.tasks.push(clients::adds::tasks);
}

/// Late orders come from front-ends that have started again a dozen times since.
pub(super) const WAITING_ORDERS: Row = (2, |world| {
    let Parameters {
        faults, network, ..
    } = &mut world.parameters;
    (faults.random, network.lost_reply) = (4, 0.02);
    world.parameters.stock = vec![book(40)];
    world.parameters.clients.count = 2;
    world.parameters.clients.operations = 6;
    world.tasks.push(clients::waiting_orders::tasks);
});

/// Twelve front-ends, which crash and stop most of the time.
const TWELVE_FRONT_ENDS: Row = (2, |world| {
    world.parameters.front_ends = 12;
    world.parameters.faults.random = 20;
});

/// Which copy wins is decided by rank alone, so sales may be lost; but all have one copy
/// afterwards.
const UNCLEAN_CUTS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.cuts) = (3, 3);
    world.parameters.linearizable = false;
    world.tasks.push(faults::unclean_cut::tasks);
});

const CLEAN_CUTS: Row = (3, |world| {
    world.parameters.faults.random = 3;
    world.parameters.linearizable = false;
    world.tasks.push(faults::partition::tasks);
});

/// A disk refuses writes while other catalogs come back.
pub(super) const FULL_DISKS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered, faults.full_disks) = (5, 1, 4);
    world.tasks.push(faults::full_disk::tasks);
});

/// With two, nobody is left who could leave the one with the full disk out.
pub(super) const TWO_FULL_DISKS: Row = (2, |world| {
    let Parameters {
        faults, network, ..
    } = &mut world.parameters;
    (faults.random, faults.at_step, faults.full_disks) = (6, 0.03, 5);
    network.late = 0.05;
    world.tasks.push(faults::full_disk::tasks);
});

/// Catalogs fail at every step of a return, on both sides.
pub(super) const RETURNS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.staggered) = (6, 1);
    (faults.crash, faults.at_step, faults.at_return) = (0.4, 0.02, 0.1);
    world.parameters.network.late = 0.05;
});

/// Books are added meanwhile.
pub(super) const ADDS_IN_RETURNS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.crash) = (8, 0.3);
    (faults.at_step, faults.at_return) = (0.04, 0.08);
    adds(world);
});

/// Nobody is left out while he is heard, so no two sides sell the same copy.
pub(super) const ONE_WAY_CUTS: Row = (3, |world| {
    let faults = &mut world.parameters.faults;
    (faults.random, faults.cuts) = (3, 3);
    world.tasks.push(faults::one_way_cut::tasks);
});

/// Most orders are asked of two order servers, and so of two catalogs, at once.
const HEDGED_BUYS: Row = (3, |world| {
    let Parameters {
        faults,
        network,
        clients,
        ..
    } = &mut world.parameters;
    (faults.random, faults.staggered, faults.at_step) = (6, 1, 0.02);
    (faults.slow_disk, network.late, network.lost_reply) = (0.03, 0.05, 0.03);
    (clients.duplicated, clients.batched) = (0.8, 0.3);
});

/// Most sales are tried without reading the book first, some at two catalogs at once, some arrive
/// late; and operators restock.
const UNREAD_BUYS: Row = (3, |world| {
    let Parameters {
        faults,
        network,
        clients,
        ..
    } = &mut world.parameters;
    (faults.random, faults.staggered, faults.at_step) = (6, 1, 0.03);
    (faults.slow_disk, network.late, network.lost_reply) = (0.03, 0.1, 0.05);
    (clients.unread, clients.duplicated, clients.batched) = (0.9, 0.3, 0.3);
});

/// Every kind of fault and of client in some seeds, in any combination. (But no cut of one direction
/// beside a starvation: the two together may be a cut of both.)
fn mixed(seed: u64) -> World {
    let rng = &mut fastrand::Rng::with_seed(seed ^ 0x317ed);
    let catalogs = *rng.choice(&[2, 2, 3, 3, 3, 4, 5]).expect("there are some");
    let mut world = world((catalogs, |_| ()), rng.u64(..));
    let Parameters {
        faults,
        network,
        clients,
        ..
    } = &mut world.parameters;
    // The order of these draws is part of what a seed means.
    faults.random = rng.usize(2..12);
    faults.crash = rng.f64();
    faults.staggered = rng.usize(0..3);
    faults.slow_disk = some(rng, 0.05);
    faults.at_step = some(rng, 0.06);
    faults.at_return = some(rng, 0.1);
    faults.shuffle = some(rng, 1.0);
    faults.lost_folder = some(rng, 0.3);
    faults.old_folder = some(rng, 0.6);
    network.lost_request = some(rng, 0.03);
    network.lost_reply = some(rng, 0.04);
    network.late = some(rng, 0.1);
    network.duplicated = some(rng, 0.1);
    network.late_refusal = some(rng, 0.3);
    clients.duplicated = some(rng, 0.4);
    clients.batched = some(rng, 0.5);
    clients.unread = some(rng, 0.9);
    clients.adds_difference = rng.u8(..4) == 0;
    clients.restock = if clients.adds_difference {
        0.4
    } else {
        some(rng, 0.4)
    };
    clients.remove = some(rng, 0.1);
    clients.think_ms = *rng.choice(&[100.0, 300.0, 1000.0]).expect("there are some");
    if 0.0 < clients.batched {
        world.parameters.stock.push(other_book());
    }
    let faults = &mut world.parameters.faults;
    if rng.bool() {
        faults.starvation = some(rng, 0.3);
    } else {
        faults.cuts = rng.usize(1..4);
        world.tasks.push(faults::one_way_cut::tasks);
    }
    if rng.u8(..3) == 0 {
        faults.full_disks = rng.usize(1..5);
        world.tasks.push(faults::full_disk::tasks);
    }
    if rng.u8(..3) == 0 {
        world.tasks.push(faults::clock_step::tasks);
    }
    if rng.u8(..3) == 0 {
        adds(&mut world);
    }
    world
}

/// Two sides of a cut may sell the same copy, so all that is promised is that they become one again.
fn mixed_with_cuts(seed: u64) -> World {
    let mut world = mixed(seed);
    world.parameters.linearizable = false;
    if seed.is_multiple_of(2) {
        world.tasks.push(faults::partition::tasks);
    } else {
        world.parameters.faults.cuts = 3;
        world.tasks.push(faults::unclean_cut::tasks);
    }
    world
}

#[test]
fn every_kind_of_fault_and_cuts_leave_one_copy() {
    let seeds = 0..number("SEEDS").unwrap_or(MIXED_SEEDS);
    check_seeds(seeds, mixed_with_cuts, &["cut", "lost folder", "full disk"]);
}

#[test]
fn every_kind_of_fault_at_once() {
    let seeds = 0..number("SEEDS").unwrap_or(MIXED_SEEDS);
    let events = [
        "added",
        "clock step",
        "crash",
        "cut of one direction",
        "full disk",
        "lost folder",
        "old folder",
        "outage in a return",
        "removed",
        "restocked",
        "starvation",
    ];
    check_seeds(seeds, mixed, &events);
}

#[test]
fn two_catalogs_that_crash_one_after_another() {
    check(TWO_STAGGERED, &["crash", "restocked", "staggered failure"]);
}

#[test]
fn three_catalogs_that_crash_one_after_another() {
    check(
        THREE_STAGGERED,
        &["crash", "restocked", "staggered failure"],
    );
}

#[test]
fn three_catalogs_that_crash_one_after_another_and_at_any_time() {
    check(THREE_AT_ANY_TIME, &["crash", "stop", "staggered failure"]);
}

#[test]
fn two_catalogs_of_which_one_fails_in_the_middle_of_its_write() {
    check(
        TWO_MIDDLE_OF_WRITES,
        &["outage at a step", "staggered failure"],
    );
}

#[test]
fn three_catalogs_that_fail_in_the_middle_of_writes() {
    check(MIDDLE_OF_WRITES, &["outage at a step"]);
}

#[test]
fn slow_disks_and_late_messages() {
    check(
        SLOW_DISKS,
        &["slow disk", "late message", "duplicated message"],
    );
}

#[test]
fn lost_messages_and_orders_that_are_sent_twice() {
    check(
        LOST_MESSAGES,
        &["lost request", "lost reply", "duplicated order"],
    );
}

#[test]
fn folders_that_are_lost() {
    check(LOST_FOLDERS, &["lost folder"]);
}

#[test]
fn older_folders_that_are_put_back() {
    check(OLD_FOLDERS, &["lost folder", "old folder"]);
}

#[test]
fn starved_heartbeats() {
    check(STARVED, &["starvation"]);
}

#[test]
fn stops_after_which_everything_happens_in_any_order() {
    check(ANY_ORDER, &["stop"]);
}

#[test]
fn three_busy_catalogs() {
    check(THREE_BUSY, &["outage at a step", "sold out"]);
}

#[test]
fn two_busy_catalogs_and_late_messages() {
    check(TWO_BUSY, &["outage at a step", "late message"]);
}

#[test]
fn late_refusals() {
    check(LATE_REFUSALS, &["late refusal"]);
}

#[test]
fn five_catalogs() {
    check(FIVE, &["staggered failure", "stop"]);
}

#[test]
fn five_catalogs_that_fail_all_the_time_and_in_their_returns() {
    check(FIVE_RETURNS, &["outage in a return", "stop"]);
}

#[test]
fn catalogs_that_crash_in_their_first_start() {
    check(FIRST_START, &["crash in the first start"]);
}

#[test]
fn unclean_cuts_leave_one_copy() {
    check(UNCLEAN_CUTS, &["cut"]);
}

#[test]
fn clean_cuts_among_three_leave_one_copy() {
    check(CLEAN_CUTS, &["cut"]);
}

#[test]
fn wall_clocks_that_step() {
    check(CLOCK_STEPS, &["clock step", "staggered failure"]);
}

#[test]
fn twelve_front_ends() {
    check(TWELVE_FRONT_ENDS, &["cache hit", "crash", "stop"]);
}

#[test]
fn orders_that_waited_while_their_front_end_started_twelve_times() {
    check(
        WAITING_ORDERS,
        &["closed order", "late order", "long time", "sold out"],
    );
}

#[test]
fn buyers_of_several_copies() {
    let events = [
        "bought several",
        "crash",
        "duplicated order",
        "sold out",
        "stop",
    ];
    check(SEVERAL_COPIES, &events);
}

#[test]
fn books_that_are_removed_and_added_again() {
    let events = [
        "added again",
        "buy of no book",
        "crash",
        "old folder",
        "removed",
        "stop",
        "unknown removal",
    ];
    check(REMOVALS, &events);
}

#[test]
fn books_that_are_added_while_catalogs_crash() {
    let events = ["added", "changed added book", "crash", "unknown add"];
    check(ADDS, &events);
}

#[test]
fn books_that_are_added_while_servers_are_stopped() {
    check(ADDS_WHILE_STOPPED, &["added", "changed added book", "stop"]);
}

#[test]
fn books_that_are_added_in_a_cut() {
    check(ADDS_IN_A_CUT, &["added", "changed added book", "cut"]);
}

#[test]
fn operators_whose_write_was_refused_begin_again() {
    check(RESTOCKS, &["refused restock", "restocked"]);
}

#[test]
fn operators_who_add_copies_and_ask_again() {
    let events = [
        "added copies",
        "added before",
        "unknown difference",
        "crash",
        "stop",
    ];
    check(DIFFERENCES, &events);
}

#[test]
fn a_disk_that_refuses_while_others_come_back() {
    check(FULL_DISKS, &["full disk", "refused by a disk", "crash"]);
}

#[test]
fn disks_that_refuse_at_two_catalogs() {
    let events = ["full disk", "refused by a disk", "outage at a step"];
    check(TWO_FULL_DISKS, &events);
}

#[test]
fn catalogs_that_fail_at_each_step_of_a_return() {
    check(RETURNS, &["outage in a return", "staggered failure"]);
}

#[test]
fn books_that_are_added_while_catalogs_fail_in_their_return() {
    let events = ["added", "changed added book", "outage in a return"];
    check(ADDS_IN_RETURNS, &events);
}

#[test]
fn cuts_of_one_direction() {
    check(ONE_WAY_CUTS, &["cut of one direction", "stop"]);
}

#[test]
fn orders_that_are_asked_of_two_catalogs_at_once() {
    check(HEDGED_BUYS, &["duplicated order", "lost reply", "sold out"]);
}

#[test]
fn sales_of_books_that_were_not_read() {
    let events = [
        "bought unread",
        "refused unread",
        "unknown unread",
        "late message",
    ];
    check(UNREAD_BUYS, &events);
}

/// Catalog 2 comes back and acknowledges the copy of an added book whose writer crashes. Another
/// book gets the same id; if catalog 2 were gone without, its copy would win later.
#[test]
fn an_added_book_stays_although_a_catalog_that_comes_back_has_another_of_its_id() {
    let outcome = world(ADDS, 3363).run(3363, false).outcome;
    assert!(outcome.is_ok(), "{outcome:?}");
}

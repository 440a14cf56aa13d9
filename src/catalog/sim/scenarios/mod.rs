//! Holes that random seeds seldom meet. Each has a schedule of its own, which is right with all
//! rules of the protocol and wrong without the one that it shows.
//!
//! Nothing is random here: a message, and a write to disk, takes one millisecond, and heartbeats
//! are sent every 100 ms from the start of each catalog on.

mod batches;
mod coming_back;
mod dropped_copies;
mod folders;
mod forgotten_write;
mod keys;
mod late_messages;
mod leaving_out;
mod ledger_loop;
mod one_after_another;
mod orders;
mod silent_peer;
mod split;
mod stopped_writer;
mod unacknowledged_write;

use std::sync::Arc;

use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::sim::clients::calls::{self, set_price};
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::cluster::disk::RefusedWrite;
use crate::catalog::sim::network::hold::Held;
use crate::catalog::sim::parameters::{OTHER_BOOK, Parameters, other_book};
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::catalog::sim::world::{QUIET, Verdict, check_end};
use crate::testing::linearizability::Kind;

/// The first round of heartbeats is over by then, and the book valid everywhere.
const SETTLED: Micros = 500_000;

const MS: Micros = 1000;

/// What shows in a run that is wrong.
const WRONG: [&str; 9] = [
    "not linearizable",
    "both valid",
    "does not list it",
    "after quiet",
    "after the cut",
    "is not struck off",
    "does not serve",
    "sold for one key",
    "the ledger of book",
];

type Schedule = fn(&Arc<Cluster>);

/// A schedule, and the shop in which it happens.
#[derive(Clone, Copy)]
struct Scenario {
    catalogs: usize,
    front_ends: usize,
    /// Not so after a cut: two sides may sell the same copy.
    linearizable: bool,
    new_folders: bool,
    ledger: bool,
    own_timer: bool,
    schedule: Schedule,
}

impl Scenario {
    fn of(catalogs: usize, schedule: Schedule) -> Scenario {
        Scenario {
            catalogs,
            front_ends: 0,
            linearizable: true,
            new_folders: false,
            ledger: false,
            own_timer: true,
            schedule,
        }
    }

    fn run(self, rules: Rules, traced: bool) -> Result<Verdict, String> {
        let mut parameters = Parameters {
            steady: true,
            front_ends: self.front_ends,
            linearizable: self.linearizable,
            ledger: self.ledger,
            own_timer: self.own_timer,
            rules,
            ..Parameters::healthy(self.catalogs, 5)
        };
        parameters.stock.push(other_book());
        parameters.faults.new_folders = self.new_folders;
        let cluster = Cluster::new(1, parameters, traced);
        let outcome = cluster.run(move |cluster| {
            (0..cluster.parameters.servers()).for_each(|node| cluster.start(node));
            if !self.new_folders {
                cluster.scheduler.sleep(SETTLED);
            }
            (self.schedule)(cluster);
            cluster.scheduler.sleep(QUIET);
            check_end(cluster)
        });
        cluster
            .trace
            .take_lines()
            .iter()
            .for_each(|line| println!("{line}"));
        outcome
    }

    #[track_caller]
    fn check(self, rule: Rule) {
        self.check_right();
        self.check_wrong(Rules::all().without(rule));
    }

    /// Each of these rules does for both of them.
    #[track_caller]
    fn check_either(self, rules: [Rule; 2]) {
        let [first, second] = rules.map(|rule| Rules::all().without(rule));
        for enough in [Rules::all(), first, second] {
            assert_eq!(self.run(enough, false), Ok(Verdict::Right));
        }
        self.check_wrong(first.without(rules[1]));
    }

    #[track_caller]
    fn check_wrong(self, rules: Rules) {
        let traced = std::env::var("TRACE").is_ok();
        let mutated = self.run(rules, traced);
        let why = mutated.expect_err("a rule is left out, and nothing is wrong");
        assert!(WRONG.iter().any(|wrong| why.contains(wrong)), "{why}");
    }

    /// With all rules the schedule is right.
    #[track_caller]
    fn check_right(self) {
        let traced = std::env::var("TRACE").is_ok_and(|which| which == "right");
        assert_eq!(self.run(Rules::all(), traced), Ok(Verdict::Right));
    }
}

/// The disk of catalog 1 refuses a write, and catalog 0 is about to leave it out for that, once it
/// knows. Returns in that moment.
fn begin_to_leave_out_a_full_disk(cluster: &Arc<Cluster>) {
    refuse(cluster, 1, Some(RefusedWrite::Unchanged));
    begin(cluster, change_the_other_book);
    await_mark(cluster, 0, "listed");
    assert!(!cluster.replica(1).describe_standing().contains("lists us"));
}

/// From now on the disk of a catalog refuses in this way, or no longer.
fn refuse(cluster: &Cluster, node: usize, refusal: Option<RefusedWrite>) {
    let disk = &mut cluster.state().catalogs[node].disk;
    (disk.refuses, disk.refusal) = (refusal.is_some(), refusal);
}

/// Begins this, and does not wait for its end.
fn begin(cluster: &Arc<Cluster>, call: Schedule) {
    let own = cluster.clone();
    cluster.scheduler.spawn_in(0, None, move || call(&own));
}

fn change_the_other_book(cluster: &Arc<Cluster>) {
    let _ = cluster.at_catalog(1, |it| it.update(OTHER_BOOK, &set_price(1.0)));
}

/// Returns once a catalog stands so with some peer.
fn await_mark(cluster: &Arc<Cluster>, node: usize, mark: &str) {
    while !cluster.replica(node).describe_standing().contains(mark) {
        cluster.scheduler.sleep(MS / 4);
    }
}

#[track_caller]
fn check(rule: Rule, catalogs: usize, schedule: Schedule) {
    Scenario::of(catalogs, schedule).check(rule);
}

#[track_caller]
fn check_right(catalogs: usize, schedule: Schedule) {
    Scenario::of(catalogs, schedule).check_right();
}

/// Sells one copy at a catalog, in the background, so that this many are left. Nobody learns what
/// came of it. (An update might rightly happen at any later time; a sale is never without effect.)
fn sell(cluster: &Arc<Cluster>, catalog: usize, left: u32) {
    let now = cluster.scheduler.now();
    cluster.history.record(Kind::Bought(1), now, None);
    let own = cluster.clone();
    cluster.scheduler.spawn_in(0, None, move || {
        calls::write(&own, catalog, calls::set_quantity(left));
    });
}

/// Looks the book up, if the server answers.
fn look(cluster: &Arc<Cluster>, server: usize) {
    // After whatever has just ended.
    cluster.scheduler.sleep(1);
    let start = cluster.scheduler.now();
    if let Some(seen) = calls::lookup(cluster, server) {
        let end = Some(cluster.scheduler.now());
        cluster.history.record(Kind::Saw(seen), start, end);
    }
}

/// Fails the run unless the catalog's list on disk is this one.
fn check_lists(cluster: &Cluster, node: usize, listed: &[usize]) {
    let wanted = listed.iter().map(|node| Cluster::address(*node)).collect();
    let list = cluster.state().catalogs[node].disk.record.left_out.clone();
    if list != wanted {
        let why = format!("{node} has {list:?} on its list: a catalog is not struck off");
        cluster.scheduler.fail(why);
    }
}

/// Sleeps until this moment of the run.
fn sleep_until(cluster: &Arc<Cluster>, ms: f64) {
    let moment = (ms * 1000.0) as Micros;
    let now = cluster.scheduler.now();
    assert!(now <= moment, "it is {now} already");
    cluster.scheduler.sleep(moment - now);
}

const fn request(from: usize, to: usize, kind: &'static str) -> Held {
    Held {
        from,
        to,
        kind,
        is_reply: false,
    }
}

fn reply(from: usize, to: usize, kind: &'static str) -> Held {
    Held {
        is_reply: true,
        ..request(from, to, kind)
    }
}

//! Worlds: what a run consists of, how it goes, and what must be true in the end.

use std::sync::Arc;

use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::sim::clients::{self, adds, calls, operators};
use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::faults;
use crate::catalog::sim::ledgers;
use crate::catalog::sim::parameters::{BOOK, OTHER_BOOK, Parameters};
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::catalog::sim::trace::{self, Counts};
use crate::model::book::{BookId, Version};
use crate::testing::linearizability::{self, CheckError, Kind};

/// Nothing goes on for this long before the end is checked. The latest message has arrived by then,
/// and every copy is repaired.
pub(super) const QUIET: Micros = 5_000_000;

/// Something of a world: returns the tasks that do it.
pub(super) type Tasks = fn(&Parameters) -> Vec<Task>;

#[derive(Clone)]
pub(super) struct World {
    pub(super) parameters: Parameters,
    /// What goes on at the same time: clients and faults.
    pub(super) tasks: Vec<Tasks>,
}

/// What is known of a run that did not fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Right,
    /// The checker of the history gave up; all else was right.
    GaveUp,
}

pub(super) struct Run {
    /// Fails with what is wrong.
    pub(super) outcome: Result<Verdict, String>,
    pub(super) counts: Counts,
    /// The trace, if one was wanted.
    pub(super) lines: Vec<String>,
}

impl World {
    /// The world of a seed: clients, and faults of single servers and messages.
    pub(super) fn of_seed(seed: u64) -> World {
        World {
            parameters: Parameters::of_seed(seed),
            tasks: vec![clients::tasks, faults::random::tasks],
        }
    }

    /// Two front-ends, which may fail, and more changes by operators.
    pub(super) fn with_more_changes(mut self) -> World {
        self.parameters.front_ends = 2;
        self.parameters.clients.set = 0.2;
        self
    }

    /// Buyers of up to five copies each, of a larger stock.
    pub(super) fn with_several_copies(mut self) -> World {
        self.parameters.clients.copies_max = 5;
        self.parameters.stock[0].quantity *= 5;
        self
    }

    /// Operators who remove the book and add it again.
    pub(super) fn with_removals(mut self) -> World {
        self.parameters.clients.remove = 0.2;
        self.parameters.clients.operations *= 2;
        self
    }

    /// A cut into two sides besides, which may then sell the same copy.
    pub(super) fn with_partition(mut self) -> World {
        self.parameters.linearizable = false;
        self.tasks.push(faults::partition::tasks);
        self
    }

    /// A failure of all catalogs besides, after which acknowledged writes may be lost.
    pub(super) fn with_total_failure(mut self) -> World {
        self.parameters.linearizable = false;
        self.tasks.push(faults::total_failure::tasks);
        self
    }

    /// Any catalog may fail at any time, however many are left; and catalogs crash one after
    /// another until none is left. What was acknowledged stays acknowledged.
    pub(super) fn with_staggered_failures(mut self) -> World {
        self.parameters.faults.spares_one = false;
        self.parameters.faults.staggered = 2;
        self.parameters.clients.operations = 12;
        self.parameters.clients.think_ms = 1000.0;
        self.tasks.push(faults::staggered::tasks);
        self
    }

    /// Starts all servers, does all that the world has at the same time, and checks what is left
    /// after quiet.
    pub(super) fn run(self, seed: u64, traced: bool) -> Run {
        let cluster = Cluster::new(seed, self.parameters, traced);
        let outcome = cluster.run(move |cluster| {
            let parameters = &cluster.parameters;
            (0..parameters.servers()).for_each(|node| cluster.start(node));
            let tasks = self.tasks.iter().flat_map(|tasks| tasks(parameters));
            cluster.run_tasks(tasks.collect());
            cluster.scheduler.end_chance();
            if 0.0 < parameters.faults.lost_folder + parameters.faults.old_folder {
                operators::go_on_without_lost_folders(cluster);
            }
            cluster.scheduler.sleep(QUIET);
            check_end(cluster)
        });
        Run {
            outcome,
            counts: cluster.trace.counts(),
            lines: cluster.trace.take_lines(),
        }
    }
}

/// After quiet all catalogs have the same copies, and one book explains what the clients were told.
pub(super) fn check_end(cluster: &Arc<Cluster>) -> Result<Verdict, String> {
    let parameters = &cluster.parameters;
    check_copies(cluster, BOOK)?;
    let quantity = cluster
        .replica(0)
        .peek(BOOK)
        .map_or(0, |(book, ..)| calls::shown(&book));
    if parameters.stock.iter().any(|book| book.id == OTHER_BOOK) {
        let last = check_copies(cluster, OTHER_BOOK)?;
        let acknowledged = cluster.state().other_book_writes;
        if last.number < acknowledged && parameters.linearizable {
            return Err(format!(
                "{acknowledged} writes of the other book were acknowledged, but it is at {last}"
            ));
        }
    }
    for book in cluster.books(0) {
        check_copies(cluster, book.id)?;
    }
    adds::check_added(cluster)?;
    for server in 0..parameters.servers() {
        let start = cluster.scheduler.now();
        let seen = calls::lookup(cluster, server)
            .ok_or_else(|| format!("{server} does not answer after quiet"))?;
        if seen != quantity {
            return Err(format!(
                "{server} offers {seen} after quiet, not {quantity}"
            ));
        }
        let end = Some(cluster.scheduler.now());
        cluster.history.record(Kind::Saw(seen), start, end);
    }
    check_lists(cluster)?;
    ledgers::check(cluster)?;
    if !parameters.linearizable {
        return Ok(Verdict::Right);
    }
    match linearizability::check(parameters.copies(), &cluster.history.operations()) {
        Ok(()) => Ok(Verdict::Right),
        Err(CheckError::GaveUp) => Ok(Verdict::GaveUp),
        Err(wrong) => Err(wrong.to_string()),
    }
}

/// Nobody is left out, and what is on disk says so.
fn check_lists(cluster: &Arc<Cluster>) -> Result<(), String> {
    let state = cluster.state();
    for (node, catalog) in state.catalogs.iter().enumerate() {
        let record = &catalog.disk.record;
        if !record.whole || !record.left_out.is_empty() {
            return Err(format!(
                "catalog {node} has this record after quiet: {record:?}"
            ));
        }
    }
    Ok(())
}

/// All catalogs have the same copy of this book, valid and on disk. Returns its version.
fn check_copies(cluster: &Arc<Cluster>, id: BookId) -> Result<Version, String> {
    let catalogs = 0..cluster.parameters.catalogs;
    let copy = |node| {
        let copy = cluster.replica(node).peek(id);
        copy.ok_or_else(|| format!("catalog {node} has no book {id} after quiet"))
    };
    let copies = catalogs.map(copy).collect::<Result<Vec<_>, _>>()?;
    let first = &copies[0].0;
    for (node, (book, state, on_disk)) in copies.iter().enumerate() {
        let same = book.same_content(first);
        if !same || *state != CopyState::Valid || !on_disk {
            let standing = |node| cluster.replica(node).describe_standing();
            let standings: Vec<String> = (0..cluster.parameters.catalogs).map(standing).collect();
            return Err(format!(
                "catalog {node} has {} after quiet, on disk: {on_disk}\n{}",
                trace::copy(book, *state),
                standings.join("\n")
            ));
        }
    }
    Ok(first.version)
}

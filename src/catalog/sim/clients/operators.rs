//! Operators: they add to the quantity, as the README says.

use std::sync::Arc;

use super::calls::{self, add_again, add_difference, query, set_quantity, write};
use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::write::Update;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::model::book::Change;
use crate::model::error::{Error, Result};
use crate::testing::linearizability::{Kind, REMOVED};

/// How often an operator begins again when somebody was faster.
const TRIES_MAX: usize = 4;

/// How long an operator waits for a shop that does not open.
const UNTIL_LOOKED_AFTER: Micros = 4_000_000;

/// Reads, adds, and writes if nobody was faster; else again.
pub(super) fn restock(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    let catalogs = cluster.parameters.catalogs;
    let any = || scheduler.draw(|rng| rng.usize(..catalogs));
    for _ in 0..TRIES_MAX {
        let Some(read) = query(cluster, any(), &[]) else {
            return;
        };
        if read.book.removed {
            return;
        }
        let from = read.book.quantity;
        let to = from + scheduler.draw(|rng| rng.u32(1..=3));
        let start = scheduler.now();
        let update = Update {
            if_match: Some(IfMatch::OneOf(vec![read.book.version])),
            ..set_quantity(to)
        };
        let written = write(cluster, any(), update);
        let trusted = cluster.parameters.clients.trusts_refusals;
        let nothing_happened = match &written {
            Some(Err(Error::Changed | Error::NotFound)) => true,
            Some(Err(Error::OutOfDate)) => trusted,
            _ => false,
        };
        if nothing_happened {
            cluster.trace.count("refused restock");
            continue;
        }
        let done = matches!(written, Some(Ok(_)));
        cluster
            .trace
            .count(if done { "restocked" } else { "unknown restock" });
        let end = done.then(|| scheduler.now());
        let kind = Kind::Replaced { from, to };
        cluster.history.record(kind, start, end);
        return;
    }
}

/// Takes an order back that was sold, once, however often it is asked for.
pub(super) fn take_back(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    let Some((order, copies)) = cluster
        .history
        .choose_sold(|n| scheduler.draw(|rng| rng.usize(..n)))
    else {
        return;
    };
    let start = scheduler.now();
    let mut unknown = false;
    for _ in 0..TRIES_MAX {
        let catalog = scheduler.draw(|rng| rng.usize(..cluster.parameters.catalogs));
        let taken_back = calls::cancel(cluster, catalog, order);
        if let Some(Ok(_)) = taken_back {
            cluster.trace.count("taken back");
            let end = Some(scheduler.now());
            return cluster.history.record(Kind::Added(copies), start, end);
        }
        let definite = matches!(&taken_back, Some(Err(error)) if !error.indefinite());
        unknown |= !definite;
        cluster.trace.count("not taken back");
    }
    if unknown {
        cluster.history.record(Kind::Added(copies), start, None);
    }
}

/// Adds copies to whatever quantity there is, once, however often it is asked for.
pub(super) fn add_copies(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    let catalogs = cluster.parameters.catalogs;
    let (copies, number) = scheduler.draw(|rng| (rng.u32(1..=3), rng.u64(..)));
    let start = scheduler.now();
    let mut unknown = false;
    for _ in 0..TRIES_MAX {
        let catalog = scheduler.draw(|rng| rng.usize(..catalogs));
        let event = match add_difference(cluster, catalog, copies, &format!("key{number}")) {
            Some(Ok(updated)) => {
                let replayed = updated.replayed;
                cluster
                    .history
                    .record(Kind::Added(copies), start, Some(scheduler.now()));
                cluster.trace.count(if replayed {
                    "added before"
                } else {
                    "added copies"
                });
                return;
            }
            Some(Err(Error::OutOfDate | Error::NotFound)) => "refused difference",
            _ => {
                unknown = true;
                "unknown difference"
            }
        };
        cluster.trace.count(event);
    }
    if unknown {
        cluster.history.record(Kind::Added(copies), start, None);
    }
}

/// Every catalog is up, and none serves: those that are whole go on without one whose folder was
/// lost, or is an older one.
pub(crate) fn go_on_without_lost_folders(cluster: &Arc<Cluster>) {
    let catalogs = || 0..cluster.parameters.catalogs;
    let is_whole = |node: usize| cluster.state().catalogs[node].disk.record.whole;
    for node in catalogs() {
        cluster.scheduler.sleep(UNTIL_LOOKED_AFTER);
        if catalogs().any(|node| cluster.serves(node)) {
            return;
        }
        let lost: Vec<usize> = catalogs().filter(|node| !is_whole(*node)).collect();
        if is_whole(node) && !lost.is_empty() {
            cluster.trace.count("went on without a lost folder");
            cluster.restart_without(node, lost);
        }
    }
}

/// Removes the book, or adds it again if it was removed.
pub(super) fn remove_or_add(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    let catalogs = cluster.parameters.catalogs;
    let any = || scheduler.draw(|rng| rng.usize(..catalogs));
    let Some(read) = query(cluster, any(), &[]) else {
        return;
    };
    let start = scheduler.now();
    let (kind, done, refused) = if read.book.removed {
        let to = scheduler.draw(|rng| rng.u32(1..=9));
        let added = add_again(cluster, any(), to);
        let kind = Kind::Replaced { from: REMOVED, to };
        (kind, matches!(added, Some(Ok(_))), definite(&added))
    } else {
        let update = Update {
            change: Change::removal(),
            ..Update::default()
        };
        let removed = write(cluster, any(), update);
        let done = matches!(removed, Some(Ok(_)));
        (Kind::Removed, done, definite(&removed))
    };
    if refused {
        return cluster.trace.count("refused removal");
    }
    cluster.trace.count(match (kind, done) {
        (_, false) => "unknown removal",
        (Kind::Removed, true) => "removed",
        _ => "added again",
    });
    let end = done.then(|| scheduler.now());
    cluster.history.record(kind, start, end);
}

/// Nothing happened.
fn definite<T>(outcome: &Option<Result<T>>) -> bool {
    matches!(outcome, Some(Err(error)) if !error.indefinite())
}

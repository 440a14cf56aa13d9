//! A catalog's figures for `/metrics`.

use super::Catalog;
use crate::catalog::replication::write::{Update, Updated};
use crate::model::error::{Error, Result};
use crate::runtime::metrics::{Counter, Exposition};

/// What is counted.
#[derive(Debug, Default)]
pub struct Tally {
    sold: Counter,
    replayed: Counter,
    changed: Counter,
    conflicts: Counter,
    refused: Counter,
    unknown: Counter,
}

impl Tally {
    pub fn write(&self, update: &Update, outcome: &Result<Updated>) {
        match outcome {
            Ok(updated) if updated.replayed => self.replayed.inc(),
            Ok(_) if update.orders.is_empty() => self.changed.inc(),
            Ok(_) => self.sold.add(update.orders.len() as u64),
            Err(Error::OutOfDate | Error::Changed) => self.conflicts.inc(),
            Err(Error::Applied(orders)) => self.replayed.add(orders.len() as u64),
            Err(error) if error.indefinite() => self.unknown.inc(),
            Err(_) => self.refused.inc(),
        }
    }
}

/// Appends a catalog's figures.
pub fn show(catalog: &Catalog, page: &mut Exposition) {
    let tally = &catalog.tally;
    let help = "Updates by outcome: sold copies, plain changes, orders sent again, conflicts, refusals, unknown outcomes.";
    let outcomes = [
        ("sold", &tally.sold),
        ("changed", &tally.changed),
        ("replayed", &tally.replayed),
        ("conflict", &tally.conflicts),
        ("refused", &tally.refused),
        ("unknown", &tally.unknown),
    ];
    page.counters("bazar_updates_total", help, "outcome", outcomes);
    let health = catalog.replica.health();
    let help = "Books by what is known of this catalog's copy.";
    for (state, count) in [
        ("valid", health.state_counts.valid),
        ("tentative", health.state_counts.tentative),
        ("unknown", health.state_counts.unknown),
    ] {
        page.gauge("bazar_books", help, &[("state", state)], count as f64);
    }
    for (address, live) in &health.peers {
        let help = "Whether another catalog is live.";
        page.gauge(
            "bazar_peer_live",
            help,
            &[("peer", address.as_str())],
            f64::from(*live),
        );
    }
    let help = "How often another server was counted as down.";
    page.counter("bazar_peers_lost_total", help, &[], health.peers_lost);
    let help = "Copies that gave way to the other side's after a cut.";
    page.counter(
        "bazar_copies_dropped_total",
        help,
        &[],
        health.copies_dropped,
    );
    let help = "Whether copies may be answered from.";
    page.gauge("bazar_lease", help, &[], f64::from(health.lease));
    let help = "Whether nothing was missed since the last catch-up.";
    page.gauge("bazar_caught_up", help, &[], f64::from(health.caught_up));
    let help = "Whether the disk refused the last write.";
    page.gauge(
        "bazar_disk_refuses",
        help,
        &[],
        f64::from(health.disk_refuses),
    );
    let help = "How often the valid list was emptied.";
    page.counter(
        "bazar_valid_list_emptied_total",
        help,
        &[],
        u64::from(health.epoch),
    );
    let env = &catalog.replica.env;
    let help = "How long a write waited for this catalog's disk.";
    page.histogram("bazar_disk_seconds", help, &[], &env.save_seconds);
    let files = catalog.replica.env.storage.metrics();
    let help = "Commits: files of books that were put on disk together.";
    page.counter("bazar_commits_total", help, &[], files.commits.get());
    let help = "Files of books that were replaced.";
    page.counter(
        "bazar_files_replaced_total",
        help,
        &[],
        files.files_replaced.get(),
    );
    let help = "How long another catalog took to answer an update.";
    page.histogram(
        "bazar_peer_update_seconds",
        help,
        &[],
        &env.peer_update_seconds,
    );
}

//! A catalog's part of `/metrics`.

use crate::catalog::Catalog;
use crate::catalog::replication::Health;
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::transport::http_env::HttpEnvironment;
use crate::model::error::{Error, Result};
use crate::runtime::metrics::{Counter, Exposition};

/// Updates by outcome.
#[derive(Debug, Default)]
pub(super) struct UpdateMetrics {
    sold: Counter,
    replayed: Counter,
    changed: Counter,
    conflicts: Counter,
    refused: Counter,
    unknown: Counter,
}

impl UpdateMetrics {
    /// Copies since the start.
    pub(super) fn sold(&self) -> u64 {
        self.sold.get()
    }

    pub(super) fn observe(&self, update: &Update, outcome: &Result<Updated>) {
        match outcome {
            Ok(updated) if updated.replayed => self.replayed.inc(),
            Ok(_) if update.orders.is_empty() => self.changed.inc(),
            Ok(_) => self.sold.add(copies(update)),
            Err(Error::OutOfDate | Error::Changed) => self.conflicts.inc(),
            Err(Error::Applied(orders)) => self.replayed.add(orders.len() as u64),
            Err(error) if error.indefinite() => self.unknown.inc(),
            Err(_) => self.refused.inc(),
        }
    }
}

/// How many copies an update sells.
fn copies(update: &Update) -> u64 {
    let copies = update.orders.iter().map(|order| u64::from(order.copies));
    copies.sum()
}

/// Appends all metrics of a catalog.
pub(super) fn append(catalog: &Catalog, page: &mut Exposition) {
    append_updates(&catalog.metrics, page);
    append_health(&catalog.store.health(), page);
    catalog.store.append_metrics(page);
}

fn append_updates(metrics: &UpdateMetrics, page: &mut Exposition) {
    let outcomes = [
        ("sold", &metrics.sold),
        ("changed", &metrics.changed),
        ("replayed", &metrics.replayed),
        ("conflict", &metrics.conflicts),
        ("refused", &metrics.refused),
        ("unknown", &metrics.unknown),
    ];
    let help = "Updates by outcome: sold copies, plain changes, orders sent again, conflicts, \
                refusals, unknown outcomes.";
    page.counters("bazar_updates_total", help, "outcome", outcomes);
}

fn append_health(health: &Health, page: &mut Exposition) {
    let help = "Books by what is known of this catalog's copy.";
    let counts = health.state_counts;
    for (state, count) in [
        ("valid", counts.valid),
        ("tentative", counts.tentative),
        ("unknown", counts.unknown),
    ] {
        page.gauge("bazar_books", help, &[("state", state)], count as f64);
    }
    let help = "Whether another catalog is live.";
    for (address, live) in &health.peers {
        let labels = [("peer", address.as_str())];
        page.gauge("bazar_peer_live", help, &labels, f64::from(*live));
    }
    let help = "Whether this catalog waits for another one, which may hold what is lacking here.";
    for (address, _) in &health.peers {
        let labels = [("peer", address.as_str())];
        let waits = health.waits_for.as_ref() == Some(address);
        page.gauge("bazar_waits_for", help, &labels, f64::from(waits));
    }
    let mut flag = |name, help, value| page.gauge(name, help, &[], f64::from(value));
    let help = "Whether copies may be answered from.";
    flag("bazar_lease", help, health.not_serving.is_none());
    let help = "Whether nothing was missed since the last catch-up.";
    flag("bazar_caught_up", help, health.caught_up);
    let help = "Whether the disk refused the last write.";
    flag("bazar_disk_refuses", help, health.disk_refuses);
    let mut count = |name, help, value| page.counter(name, help, &[], value);
    let help = "How often the valid list was emptied.";
    let emptied = u64::from(health.epoch);
    count("bazar_valid_list_emptied_total", help, emptied);
    let help = "How often another server was counted as down.";
    count("bazar_peers_lost_total", help, health.peers_lost);
    let help = "Copies that gave way to the other side's after a cut.";
    count("bazar_copies_dropped_total", help, health.copies_dropped);
}

/// Appends those of the own store: its disk, and its messages to other catalogs.
pub(super) fn append_environment(env: &HttpEnvironment, page: &mut Exposition) {
    let storage = env.storage.metrics();
    let mut count = |name, help, value: &Counter| page.counter(name, help, &[], value.get());
    let help = "Commits: files of books that were put on disk together.";
    count("bazar_commits_total", help, &storage.commits);
    let help = "Files of books that were replaced.";
    count("bazar_files_replaced_total", help, &storage.files_replaced);
    let mut time = |name, help, value| page.histogram(name, help, &[], value);
    let help = "How long a write waited for this catalog's disk.";
    time("bazar_disk_seconds", help, &env.save_seconds);
    let help = "How long another catalog took to answer an update.";
    time("bazar_peer_update_seconds", help, &env.peer_update_seconds);
}

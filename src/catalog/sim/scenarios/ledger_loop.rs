//! The loop that puts the ledger on disk: `PROTOCOL.md`, "The ledger".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::{MS, Scenario, check_right, sell};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::set;

/// Longer than the run: only a wake-up ends a wait for entries.
const TIMEOUT: Duration = Duration::from_secs(10_000);

#[test]
fn a_sale_wakes_the_loop_that_puts_it_in_the_ledgers_files_at_both_catalogs() {
    check_right(2, |cluster| {
        let wait = |node: usize| {
            let woken = Arc::new(AtomicBool::new(false));
            let (replica, noted) = (cluster.replica(node), woken.clone());
            cluster.scheduler.spawn_in(0, None, move || {
                replica.await_entries(TIMEOUT);
                noted.store(true, Relaxed);
            });
            woken
        };
        let both = [wait(0), wait(1)];
        cluster.scheduler.sleep(300 * MS);
        assert!(
            both.iter().all(|woken| !woken.load(Relaxed)),
            "nothing was sold"
        );
        sell(cluster, 0, 4);
        cluster.scheduler.sleep(50 * MS);
        if !both.iter().all(|woken| woken.load(Relaxed)) {
            cluster
                .scheduler
                .fail("an entry is to be put on disk, and nobody is woken".into());
        }
    });
}

/// The ledger's disk of catalog 0 is slow. A change at catalog 1 forgets an earlier one, which is in
/// its own files. Catalog 0 acknowledges it and crashes, and the folder of catalog 1 is lost.
#[test]
fn without_due_entries_on_disk_a_crash_and_a_lost_folder_lose_one() {
    let scenario = Scenario {
        ledger: true,
        ..Scenario::of(2, |cluster| {
            let scheduler = &cluster.scheduler;
            cluster.state().catalogs[0].disk.ledger_time = Some(400 * MS);
            set(cluster, 1, 8);
            scheduler.sleep(100 * MS);
            set(cluster, 1, 7);
            cluster.crash(0);
            cluster.crash(1);
            cluster.state().catalogs[1].disk.lose();
            cluster.start(0);
            cluster.start(1);
            cluster.restart_without(0, vec![1]);
        })
    };
    scenario.check(Rule::LedgerDue);
}

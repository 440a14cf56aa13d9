//! The loop that puts the ledger on disk: `PROTOCOL.md`, "The ledger".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::{MS, Scenario, Schedule, begin, change_the_other_book, check_right, sell};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::calls;
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;

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

/// Both crash, and the folder of catalog 1 is lost. Catalog 0 goes on with what it has.
fn crash_and_lose_a_folder(cluster: &Arc<Cluster>) {
    cluster.crash(0);
    cluster.crash(1);
    cluster.state().catalogs[1].disk.lose();
    cluster.start(0);
    cluster.start(1);
    cluster.restart_without(0, vec![1]);
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
            crash_and_lose_a_folder(cluster);
        })
    };
    scenario.check(Rule::LedgerDue);
}

/// A save of another book at catalog 0 waits for its turn, and puts on disk a copy that came
/// meanwhile: not before what that copy has forgotten.
#[test]
fn an_entry_that_a_copy_has_forgotten_while_a_save_waited_is_not_lost() {
    let scenario = Scenario {
        ledger: true,
        ..Scenario::of(2, |cluster| {
            let scheduler = &cluster.scheduler;
            cluster.state().catalogs[0].disk.ledger_time = Some(2000 * MS);
            set(cluster, 1, 8);
            scheduler.sleep(250 * MS);
            cluster.state().catalogs[0].disk.books_time = Some(50 * MS);
            let calls: [Schedule; 3] = [
                change_the_other_book,
                |cluster| drop(calls::add(cluster, 1, "Another")),
                |cluster| set(cluster, 1, 7),
            ];
            for call in calls {
                begin(cluster, call);
                scheduler.sleep(10 * MS);
            }
            scheduler.sleep(140 * MS);
            crash_and_lose_a_folder(cluster);
        })
    };
    scenario.check(Rule::LedgerDue);
}

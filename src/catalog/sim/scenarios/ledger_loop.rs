//! The loop that puts the ledger on disk: `PROTOCOL.md`, "The ledger".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::{MS, check_right, sell};

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

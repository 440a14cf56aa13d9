//! Writes of several books at once.

use std::sync::{Arc, Mutex};

use super::{MS, check_right, reply};
use crate::catalog::sim::clients::calls::{self, set_price};
use crate::catalog::sim::parameters::{BOOK, OTHER_BOOK};
use crate::runtime::sync;

/// Catalog 1 has a batch of catalog 0, and its answer is slow. It finishes the write, and writes on
/// top of it.
#[test]
fn a_topic_that_was_renamed_while_another_catalog_wrote_is_not_told_to_be_missing() {
    check_right(2, |cluster| {
        let slow = reply(1, 0, "update");
        cluster.network.hold(slow);
        let said = Arc::new(Mutex::new(Vec::new()));
        let (noted, replica) = (said.clone(), cluster.replica(0));
        cluster.scheduler.spawn_in(0, None, move || {
            let renaming = [BOOK, OTHER_BOOK].map(|id| (id, set_price(7.0)));
            sync::lock(&noted).extend(replica.batch_write(&renaming));
        });
        cluster.scheduler.sleep(20 * MS);
        let other = calls::write_book(cluster, 1, BOOK, set_price(8.0));
        assert!(matches!(other, Some(Ok(_))), "{other:?}");
        cluster.network.release(slow);
        cluster.scheduler.sleep(2000 * MS);
        let said = sync::lock(&said);
        let done = said.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(done, 2, "{said:?}");
    });
}

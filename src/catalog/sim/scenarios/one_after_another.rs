//! Catalogs that go down one after another, and start again in the other order.

use super::{MS, check_right};
use crate::catalog::sim::clients::calls::{set_quantity, write};
use crate::catalog::sim::clients::set;
use crate::model::error::Error;

/// Catalog 1 crashes, catalog 0 sells and crashes. Catalog 1, started alone, may lack that sale: it
/// sells nothing, and says for whom it waits. The first edition of the protocol sold seven of five
/// copies here.
#[test]
fn a_catalog_that_was_left_out_sells_nothing_alone() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(1);
        scheduler.sleep(100 * MS);
        set(cluster, 0, 2);
        cluster.crash(0);
        cluster.start(1);
        scheduler.sleep(1000 * MS);
        let refused = write(cluster, 1, set_quantity(9));
        let says = matches!(&refused, Some(Err(Error::Busy(why))) if why.contains("node0"));
        assert!(says, "{refused:?}");
        cluster.start(0);
    });
}

/// The last to go knows that it was the last: it opens alone.
#[test]
fn the_last_catalog_to_go_opens_alone() {
    check_right(3, |cluster| {
        let scheduler = &cluster.scheduler;
        for node in [2, 1] {
            cluster.crash(node);
            scheduler.sleep(200 * MS);
            set(cluster, 0, node as u32);
        }
        cluster.crash(0);
        scheduler.sleep(100 * MS);
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        set(cluster, 0, 4);
        cluster.start(1);
        cluster.start(2);
    });
}

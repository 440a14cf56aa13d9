//! One `Idempotency-Key` with two books.

use std::sync::{Arc, Mutex};

use super::{MS, check, check_right};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::sim::clients::calls;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::parameters::{BOOK, OTHER_BOOK};
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::model::book::{BookId, Change};
use crate::model::error::Result;
use crate::model::order::{Order, OrderId};
use crate::runtime::sync;
use crate::testing::linearizability::Kind;

/// No answer takes longer.
const ANSWERED: Micros = 2_000_000;

/// What was said of some buys.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<Result<Updated>>>>);

impl Said {
    /// Buys a copy with this key, in the background. Each is another order.
    fn buy(&self, cluster: &Arc<Cluster>, catalog: usize, book: BookId, key: &str) {
        let now = cluster.scheduler.now();
        if book == BOOK {
            cluster.history.record(Kind::Bought(1), now, None);
        }
        let order = order(cluster, book, key);
        let update = Update {
            change: Change {
                added: Some(-1),
                ..Change::default()
            },
            orders: vec![order],
            ..Update::default()
        };
        let (own, cluster) = (self.clone(), cluster.clone());
        let scheduler = cluster.scheduler.clone();
        scheduler.spawn_in(0, None, move || {
            let said = calls::write_book(&cluster, catalog, book, update);
            sync::lock(&own.0).extend(said);
        });
    }

    fn sold(&self) -> usize {
        let said = sync::lock(&self.0);
        said.iter().filter(|said| said.is_ok()).count()
    }
}

/// Another order each time.
fn order(cluster: &Arc<Cluster>, book: BookId, key: &str) -> Order {
    Order {
        id: OrderId {
            start: 1000 + cluster.scheduler.now() + book.0,
            count: 0,
        },
        open: 0,
        at: cluster.unix_ms(),
        copies: 1,
        key: Some(key.into()),
    }
}

/// Buys two books with one key, the second one so much later. Then, as the first is asked for once
/// more, one of them is bought, and never both.
fn buy_both(cluster: &Arc<Cluster>, later: Micros) {
    let (both, again) = (Said::default(), Said::default());
    let key = format!("key-{later}");
    both.buy(cluster, 0, BOOK, &key);
    cluster.scheduler.sleep(later);
    both.buy(cluster, 1, OTHER_BOOK, &key);
    cluster.scheduler.sleep(ANSWERED);
    again.buy(cluster, 1, BOOK, &key);
    cluster.scheduler.sleep(ANSWERED);
    if both.sold() == 2 || both.sold() + again.sold() == 0 {
        let why = format!("{} books were sold for one key", both.sold());
        cluster.scheduler.fail(why);
    }
}

#[test]
fn without_keys_in_use_a_key_buys_two_books_at_the_same_moment() {
    check(Rule::KeysInUse, 2, |cluster| buy_both(cluster, 0));
}

#[test]
fn a_key_buys_one_book_while_another_catalog_is_selling_another_one() {
    for catalogs in [2, 3] {
        check_right(catalogs, |cluster| {
            // A write takes some six messages, of a millisecond each.
            for later in [MS / 2, 3 * MS / 2, 5 * MS / 2, 9 * MS / 2] {
                buy_both(cluster, later);
            }
        });
    }
}

#[test]
fn a_key_does_not_count_as_used_for_another_book_while_that_sale_may_yet_lose() {
    check_right(2, |cluster| {
        let sale = Said::default();
        sale.buy(cluster, 0, OTHER_BOOK, "k");
        let is_used = || {
            let orders = [order(cluster, BOOK, "k")];
            let read = calls::query(cluster, 1, &orders).expect("it serves");
            !read.differing.is_empty()
        };
        // The other catalog has the copy after some three milliseconds.
        for _ in 0..40 {
            let is_used = is_used();
            if is_used && sale.sold() == 0 {
                let why = "the key of a sale counts as used before that is sold for one key";
                cluster.scheduler.fail(why.into());
            }
            cluster.scheduler.sleep(MS / 4);
        }
        assert!(sale.sold() == 1 && is_used());
    });
}

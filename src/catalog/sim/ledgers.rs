//! The ledgers of a run: after quiet they are equal, each quantity follows from them, and each
//! order whose buyer was told of the sale is in them.

use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::sim::cluster::Cluster;
use crate::model::audit::{BookState, audit};
use crate::model::book::Book;
use crate::model::book::entry::{Entry, EntryKey};
use crate::model::order::OrderId;

pub(super) fn check(cluster: &Arc<Cluster>) -> Result<(), String> {
    let parameters = &cluster.parameters;
    if !parameters.ledger {
        return Ok(());
    }
    let first = ledger(cluster, 0);
    for node in 1..parameters.catalogs {
        let other = ledger(cluster, node);
        if let Some(why) = lacks(&first, &other).or_else(|| lacks(&other, &first)) {
            return Err(format!("the ledgers of 0 and {node} differ: {why}"));
        }
    }
    let books: Vec<BookState> = cluster.books(0).iter().map(state).collect();
    for audit in audit(&books, &first) {
        if let Some(wrong) = audit.wrong.first() {
            return Err(format!("the ledger of book {} is wrong: {wrong}", audit.id));
        }
        if let Some((_, sale)) = audit.sold_twice.first().filter(|_| parameters.linearizable) {
            return Err(format!(
                "the ledger has a sale that is not in history: {sale}"
            ));
        }
    }
    let orders = first.iter().flat_map(|entry| &entry.orders);
    let orders: HashSet<OrderId> = orders.map(|sale| sale.order).collect();
    match cluster
        .history
        .sold()
        .iter()
        .find(|order| !orders.contains(order))
    {
        Some(order) => Err(format!("order {order} was sold, and is not in the ledger")),
        None => Ok(()),
    }
}

fn ledger(cluster: &Arc<Cluster>, node: usize) -> Vec<Arc<Entry>> {
    cluster.replica(node).entries(0, None, usize::MAX)
}

fn lacks(ours: &[Arc<Entry>], theirs: &[Arc<Entry>]) -> Option<String> {
    let ours: HashSet<EntryKey> = ours.iter().map(|entry| entry.key()).collect();
    let lacking = theirs.iter().find(|entry| !ours.contains(&entry.key()));
    lacking.map(|entry| format!("{entry:?}"))
}

fn state(book: &Arc<Book>) -> BookState {
    BookState {
        id: book.id,
        version: book.version,
        quantity: book.quantity,
    }
}

//! The ledgers of a run: after quiet they are equal, each quantity follows from them, and each
//! order whose buyer was told of the sale is in them, in the history of its book or named as sold
//! twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::catalog::sim::cluster::Cluster;
use crate::model::audit::{BookAudit, BookState, audit, history};
use crate::model::book::entry::{Entry, EntryKey};
use crate::model::book::{Book, Version};
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
    for (audit, book) in audit(&books, &first, u64::MAX).into_iter().zip(&books) {
        if let Some(wrong) = audit.wrong.first() {
            return Err(format!("the ledger of book {} is wrong: {wrong}", audit.id));
        }
        if let Some((_, sale)) = audit.sold_twice.first().filter(|_| parameters.linearizable) {
            return Err(format!(
                "the ledger has a sale that is not in history: {sale}"
            ));
        }
        check_named(cluster, &audit, book, &first)?;
    }
    // What only one side of a cut has sold is gone with its folder.
    let counts = cluster.trace.counts();
    let is_gone = |event| counts.contains_key(event);
    if !parameters.linearizable && ["lost folder", "old folder"].into_iter().any(is_gone) {
        return Ok(());
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

/// Each sale is in the book's history, or named, or was taken back; and no sale is two of these but
/// one of history that was taken back.
fn check_named(
    cluster: &Arc<Cluster>,
    audit: &BookAudit,
    book: &BookState,
    entries: &[Arc<Entry>],
) -> Result<(), String> {
    let own = entries.iter().filter(|entry| entry.book == book.id);
    let made: HashMap<Version, &Arc<Entry>> = own.map(|entry| (entry.version, entry)).collect();
    let (history, _) = history(book.version, |version| made.get(&version).copied());
    let orders = |entries: &[&Arc<Entry>]| -> HashSet<OrderId> {
        let sales = entries.iter().flat_map(|entry| &entry.orders);
        sales.map(|sale| sale.order).collect()
    };
    let in_history = orders(&history);
    let all = orders(&made.values().copied().collect::<Vec<_>>());
    let taken_back: HashSet<OrderId> = made.values().filter_map(|entry| entry.cancels).collect();
    let named: HashSet<OrderId> = audit
        .sold_twice
        .iter()
        .map(|(_, sale)| sale.order)
        .collect();
    for _ in &named {
        cluster.trace.count("sold twice");
    }
    let wrong = all.iter().find(|order| {
        let is_lost = !in_history.contains(order) && !taken_back.contains(order);
        is_lost != named.contains(order)
    });
    match wrong {
        Some(order) => Err(format!(
            "order {order} is sold twice, and the ledger's audit is wrong"
        )),
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

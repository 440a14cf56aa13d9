//! What an order server does for a buyer, and a front-end that tries one after another.

use std::sync::Arc;

use super::calls::{query, set_quantity, write};
use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::write::Update;
use crate::catalog::sim::cluster::Cluster;
use crate::model::book::{Book, Change};
use crate::model::error::Error;
use crate::model::order::Order;
use crate::runtime::sync;

/// How often an order server begins again after a conflict.
const TRIES_MAX: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sale {
    Bought,
    SoldOut,
    /// The book was removed.
    Gone,
    /// It may have been bought.
    Unknown,
}

/// Tries one catalog after another with the same order, until the outcome is known.
pub(super) fn buy(cluster: &Arc<Cluster>, order: &Order, first: usize) -> Sale {
    let catalogs = cluster.parameters.catalogs;
    let unread = cluster.parameters.clients.unread;
    let heard = *sync::lock(&cluster.heard);
    if let Some(since) = heard.filter(|_| 0.0 < unread)
        && cluster.scheduler.chance(unread)
        && buy_unread(cluster, order, first % catalogs, since)
    {
        return Sale::Bought;
    }
    let mut sales = (0..catalogs).map(|turn| buy_at(cluster, order, (first + turn) % catalogs));
    let known = sales.find(|sale| *sale != Sale::Unknown);
    known.unwrap_or(Sale::Unknown)
}

/// Takes the copies off whatever there is, if none came in since. Returns whether it is known to
/// have done so.
fn buy_unread(cluster: &Arc<Cluster>, order: &Order, catalog: usize, since: u64) -> bool {
    let update = Update::sale(Change::default(), None, Some(since), vec![order.clone()]);
    let update = update.expect("it has one condition");
    match write(cluster, catalog, update) {
        Some(Ok(updated)) if !updated.replayed => {
            cluster.trace.count("bought unread");
            cluster.history.record_sold(order.id, order.copies);
            heard(cluster, &updated.book);
            return true;
        }
        Some(Err(error)) if !error.indefinite() => cluster.trace.count("refused unread"),
        _ => cluster.trace.count("unknown unread"),
    }
    *sync::lock(&cluster.heard) = None;
    false
}

/// Remembers a version with copies left.
fn heard(cluster: &Cluster, book: &Book) {
    *sync::lock(&cluster.heard) = (0 < book.quantity).then_some(book.version.number);
}

/// Reads, takes the copies and writes, and begins again after a conflict.
fn buy_at(cluster: &Arc<Cluster>, order: &Order, catalog: usize) -> Sale {
    for _ in 0..TRIES_MAX {
        let Some(read) = query(cluster, catalog, std::slice::from_ref(order)) else {
            return Sale::Unknown;
        };
        if cluster.parameters.order_read && !read.applied.is_empty() {
            return Sale::Bought;
        }
        if !read.closed.is_empty() {
            cluster.trace.count("closed order");
            return Sale::Unknown;
        }
        if read.book.removed {
            return Sale::Gone;
        }
        let Some(left) = read.book.quantity.checked_sub(order.copies) else {
            return Sale::SoldOut;
        };
        let update = Update {
            if_match: Some(IfMatch::OneOf(vec![read.book.version])),
            orders: vec![order.clone()],
            ..set_quantity(left)
        };
        match write(cluster, catalog, update) {
            Some(Ok(updated)) => {
                // A replay may be of another order with the same key.
                if !updated.replayed {
                    cluster.history.record_sold(order.id, order.copies);
                }
                heard(cluster, &updated.book);
                return Sale::Bought;
            }
            // The next read tells whether it was removed.
            Some(Err(
                Error::OutOfDate
                | Error::Changed
                | Error::KeyInUse(_)
                | Error::Busy(_)
                | Error::NotFound,
            )) => {
                cluster.trace.count("conflict");
                cluster
                    .scheduler
                    .sleep(cluster.scheduler.between(0.1, 10.0));
            }
            _ => return Sale::Unknown,
        }
    }
    Sale::Unknown
}

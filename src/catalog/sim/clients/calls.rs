//! Single requests of clients and order servers. `None`: nobody knows what came of it.

use std::sync::Arc;

use crate::catalog::replication::Read;
use crate::catalog::replication::ledger::Found;
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::sim::cluster::{Cluster, SimReplica};
use crate::catalog::sim::network::call::{Call, CallOutcome};
use crate::catalog::sim::parameters::{BOOK, OTHER_BOOK};
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::model::book::{Book, BookId, Change};
use crate::model::error::Result;
use crate::model::order::{Order, OrderId};
use crate::model::validation::NewBook;
use crate::testing::linearizability::REMOVED;

/// How long a catalog may take for an order server.
const CATALOG_TIMEOUT: Micros = 1_500_000;

/// How long a front-end may take for a client.
const FRONT_END_TIMEOUT: Micros = 2_500_000;

pub(crate) fn set_quantity(quantity: u32) -> Update {
    Update {
        change: Change {
            quantity: Some(quantity),
            ..Change::default()
        },
        ..Update::default()
    }
}

pub(crate) fn set_price(price: f64) -> Update {
    Update {
        change: Change {
            price: Some(price),
            ..Change::default()
        },
        ..Update::default()
    }
}

/// The quantity that a client sees at a catalog or a front-end, or [`REMOVED`].
pub(crate) fn lookup(cluster: &Arc<Cluster>, server: usize) -> Option<u32> {
    let Some(front_end) = server.checked_sub(cluster.parameters.catalogs) else {
        return query(cluster, server, &[]).map(|read| seen(&read));
    };
    let own = cluster.clone();
    let work = move || {
        let incarnation = own.scheduler.incarnation(server);
        own.front_end(front_end).lookup(&own, incarnation)
    };
    let call = client_call(server, FRONT_END_TIMEOUT, "lookup".into());
    let show = |seen: &_| format!("{seen:?}");
    reply(cluster.network.call(call, work, show))?
}

/// The quantity that a client is shown.
pub(crate) fn seen(read: &Read) -> u32 {
    shown(&read.book)
}

/// The quantity that stands for this copy in a history.
pub(crate) fn shown(book: &Book) -> u32 {
    if book.removed { REMOVED } else { book.quantity }
}

pub(crate) fn query(cluster: &Arc<Cluster>, catalog: usize, orders: &[Order]) -> Option<Read> {
    let (own, orders) = (cluster.clone(), orders.to_vec());
    let work = move || own.at_catalog(catalog, |replica| replica.read(BOOK, &orders));
    let show = |read: &Result<Read>| match read {
        Ok(read) => {
            let (version, left) = (read.book.version, read.book.quantity);
            format!("{version}: {left} left, applied {:?}", read.applied)
        }
        Err(error) => error.to_string(),
    };
    let call = client_call(catalog, CATALOG_TIMEOUT, "query".into());
    reply(cluster.network.call(call, work, show))?.ok()
}

pub(crate) fn write(
    cluster: &Arc<Cluster>,
    catalog: usize,
    update: Update,
) -> Option<Result<Updated>> {
    let text = cluster.trace.text(|| text(&update));
    let batched = cluster.scheduler.chance(cluster.parameters.clients.batched);
    // It may wait in an order server that was stopped.
    let unordered = update.not_restocked_since.is_some();
    let call = Call {
        unordered,
        ..client_call(catalog, CATALOG_TIMEOUT, text)
    };
    let own = cluster.clone();
    call_write(cluster, call, move |replica| {
        if batched {
            batch_write(&own, replica, &update)
        } else {
            replica.update(BOOK, &update)
        }
    })
}

/// Writes [`BOOK`] at a catalog, and checks what it acknowledges.
fn call_write(
    cluster: &Arc<Cluster>,
    call: Call,
    write: impl Fn(&Arc<SimReplica>) -> Result<Updated> + Send + Sync + 'static,
) -> Option<Result<Updated>> {
    let (own, catalog) = (cluster.clone(), call.to);
    let work = move || {
        own.at_catalog(catalog, |replica| {
            let updated = write(replica);
            if let Ok(updated) = &updated {
                let (by, version) = (replica.env.incarnation, updated.book.version);
                own.check_acknowledged(by, BOOK, version);
                if !updated.replayed {
                    own.check_left_out(by, BOOK, version);
                }
            }
            updated
        })
    };
    let show = |updated: &Result<Updated>| match updated {
        Ok(updated) => {
            let (version, left) = (updated.book.version, updated.book.quantity);
            format!("{version}: {left} left, replayed {}", updated.replayed)
        }
        Err(error) => error.to_string(),
    };
    reply(cluster.network.call(call, work, show))
}

/// Adds copies to the quantity, as `PATCH /update/<id>` does.
pub(crate) fn add_difference(
    cluster: &Arc<Cluster>,
    catalog: usize,
    copies: u32,
    key: &str,
) -> Option<Result<Updated>> {
    let update = Update {
        change: Change {
            added: Some(i64::from(copies)),
            ..Change::default()
        },
        key: Some(key.into()),
        ..Update::default()
    };
    let text = format!("{copies} more, {key}");
    let call = client_call(catalog, CATALOG_TIMEOUT, text);
    call_write(cluster, call, move |replica| replica.update(BOOK, &update))
}

/// Adds a book without an id.
pub(crate) fn add(
    cluster: &Arc<Cluster>,
    catalog: usize,
    title: &str,
) -> Option<Result<Arc<Book>>> {
    let new = NewBook {
        id: None,
        title: title.into(),
        topic: "Operating Systems".into(),
        quantity: 1,
        price: 1.0,
    };
    call_create(cluster, catalog, new)
}

/// Adds [`BOOK`] again, which was removed.
pub(crate) fn add_again(
    cluster: &Arc<Cluster>,
    catalog: usize,
    quantity: u32,
) -> Option<Result<Arc<Book>>> {
    let new = NewBook {
        id: Some(BOOK),
        title: "RPCs for Dummies".into(),
        topic: "Distributed Systems".into(),
        quantity,
        price: 50.0,
    };
    call_create(cluster, catalog, new)
}

fn call_create(cluster: &Arc<Cluster>, catalog: usize, new: NewBook) -> Option<Result<Arc<Book>>> {
    let text = format!("add {}", new.title);
    let own = cluster.clone();
    let work = move || {
        own.at_catalog(catalog, |replica| {
            let created = replica.create(std::slice::from_ref(&new)).remove(0);
            if let Ok(book) = &created {
                let by = replica.env.incarnation;
                own.check_acknowledged(by, book.id, book.version);
                own.check_left_out(by, book.id, book.version);
            }
            created
        })
    };
    let show = |created: &Result<Arc<Book>>| match created {
        Ok(book) => format!("added {}: {}", book.id, book.version),
        Err(error) => error.to_string(),
    };
    let call = client_call(catalog, CATALOG_TIMEOUT, text);
    reply(cluster.network.call(call, work, show))
}

/// Takes an order back, as `DELETE /orders/<order>` does.
pub(crate) fn cancel(
    cluster: &Arc<Cluster>,
    catalog: usize,
    order: OrderId,
) -> Option<Result<Found>> {
    let own = cluster.clone();
    let work = move || own.at_catalog(catalog, |replica| replica.cancel(order));
    let show = |found: &Result<Found>| match found {
        Ok(_) => "taken back".into(),
        Err(error) => error.to_string(),
    };
    let call = client_call(catalog, CATALOG_TIMEOUT, format!("take back {order}"));
    reply(cluster.network.call(call, work, show))
}

/// Changes a book that no buyer looks at.
pub(crate) fn change_price(
    cluster: &Arc<Cluster>,
    catalog: usize,
    id: BookId,
) -> Option<Result<Updated>> {
    let update = set_price(cluster.scheduler.draw(|rng| f64::from(rng.u8(..))));
    write_book(cluster, catalog, id, update)
}

/// Changes this book at a catalog.
pub(crate) fn write_book(
    cluster: &Arc<Cluster>,
    catalog: usize,
    id: BookId,
    update: Update,
) -> Option<Result<Updated>> {
    let own = cluster.clone();
    let text = cluster.trace.text(|| format!("{id}: {}", text(&update)));
    let work = move || own.at_catalog(catalog, |replica| replica.update(id, &update));
    let show = |updated: &Result<Updated>| match updated {
        Ok(updated) => updated.book.version.to_string(),
        Err(error) => error.to_string(),
    };
    let call = client_call(catalog, CATALOG_TIMEOUT, text);
    reply(cluster.network.call(call, work, show))
}

/// As [`write`], with a write of the other book beside it.
fn batch_write(
    cluster: &Arc<Cluster>,
    replica: &Arc<SimReplica>,
    update: &Update,
) -> Result<Updated> {
    let price = cluster.scheduler.draw(|rng| f64::from(rng.u8(..)));
    let writes = [(BOOK, update.clone()), (OTHER_BOOK, set_price(price))];
    let [outcome, other] = replica
        .batch_write(&writes)
        .try_into()
        .expect("one outcome for each write");
    if let Ok(other) = other {
        let by = replica.env.incarnation;
        cluster.check_acknowledged(by, OTHER_BOOK, other.book.version);
        cluster.trace.count("batch");
        cluster.state().other_book_writes += 1;
    }
    outcome
}

fn client_call(to: usize, timeout: Micros, text: String) -> Call {
    Call {
        waits: true,
        ..Call::new(None, to, timeout, text)
    }
}

fn reply<R>(outcome: CallOutcome<R>) -> Option<R> {
    match outcome {
        CallOutcome::Reply(reply) => Some(reply),
        CallOutcome::Refused | CallOutcome::Silent => None,
    }
}

fn text(update: &Update) -> String {
    let orders = update.orders.iter().map(|order| order.id.to_string());
    let orders: Vec<String> = orders.collect();
    format!("update to {:?}, orders {orders:?}", update.change.quantity)
}

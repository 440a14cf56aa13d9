//! Clients: what they do, and what the history records of it. A client of another kind is another
//! file with a function that returns its tasks.
//!
//! `waiting_orders` are buyers whose order arrives again much later; `adds` are
//! operators who add books.
//!
//! `calls` are single requests to a server; `order_server` is what stands between a buyer and the
//! catalogs.

pub(super) mod adds;
pub(super) mod calls;
pub(crate) mod operators;
mod order_server;
pub(super) mod waiting_orders;

use std::sync::{Arc, Mutex};

use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::model::order::{Order, OrderId};
use crate::runtime::sync;
use crate::testing::linearizability::{Kind, REMOVED};
use order_server::Sale;

/// The start numbers of orders that are sent again with the same key begin here.
const AGAIN: u64 = 1000;

pub(super) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let clients = 0..parameters.clients.count as u64;
    clients
        .map(|number| Box::new(move |cluster: &Arc<Cluster>| client(cluster, number)) as Task)
        .collect()
}

/// Buys, lookups and, in some shops, updates, one after another.
fn client(cluster: &Arc<Cluster>, number: u64) {
    let (scheduler, parameters) = (&cluster.scheduler, &cluster.parameters.clients);
    for count in 0..parameters.operations as u64 {
        let short = scheduler.draw(|rng| rng.bool());
        let pause_ms = if short { 20.0 } else { parameters.think_ms };
        scheduler.sleep(scheduler.between(0.0, pause_ms));
        let kind = scheduler.draw(|rng| rng.f64());
        if kind < 0.5 {
            let start = 1 + number;
            let order = Order {
                id: OrderId { start, count },
                open: count,
                at: cluster.unix_ms(),
                copies: copies(cluster),
                key: cluster
                    .parameters
                    .ledger
                    .then(|| format!("{start}-{count}").into()),
            };
            buy(cluster, &order);
        } else if kind < 0.5 + parameters.set {
            let quantity = scheduler.draw(|rng| [1, 2, 5][rng.usize(..3)]);
            let catalogs = cluster.parameters.catalogs;
            let catalog = scheduler.draw(|rng| rng.usize(..catalogs));
            set(cluster, catalog, quantity);
        } else if kind < 0.5 + parameters.set + parameters.restock {
            if parameters.adds_difference {
                operators::add_copies(cluster);
            } else {
                operators::restock(cluster);
            }
        } else if kind < 0.5 + parameters.set + parameters.restock + parameters.remove {
            operators::remove_or_add(cluster);
        } else if takes_back(cluster) {
            operators::take_back(cluster);
        } else {
            look(cluster);
        }
    }
}

/// Whether an order is taken back now. Where copies are added by differences, too, the check of the
/// history would take too long.
fn takes_back(cluster: &Cluster) -> bool {
    let parameters = &cluster.parameters;
    let is_wanted = parameters.ledger && !parameters.clients.adds_difference;
    is_wanted && cluster.scheduler.chance(0.2)
}

/// How many copies a buyer wants.
fn copies(cluster: &Cluster) -> u32 {
    match cluster.parameters.clients.copies_max {
        1 => 1,
        max => cluster.scheduler.draw(|rng| rng.u32(1..=max)),
    }
}

fn buy(cluster: &Arc<Cluster>, order: &Order) {
    let scheduler = &cluster.scheduler;
    let start = scheduler.now();
    let catalogs = cluster.parameters.catalogs;
    let first = scheduler.draw(|rng| rng.usize(..catalogs));
    let duplicate = scheduler
        .chance(cluster.parameters.clients.duplicated)
        .then(|| buy_beside(cluster, order.clone(), first + 1));
    let sale = order_server::buy(cluster, order, first);
    let mut ends = vec![(sale, scheduler.now())];
    if let Some(duplicate) = duplicate {
        while sync::lock(&duplicate).is_none() {
            scheduler.sleep(10_000);
        }
        ends.extend(sync::lock(&duplicate).take());
    }
    if cluster.parameters.ledger && scheduler.chance(0.2) {
        ends.push(buy_again(cluster, order, &ends));
    }
    record_buy(cluster, order, start, &ends);
}

/// The client sends a buy again, as a new order with the same key, whatever it was told. Once it was
/// told that it has its copies it is told so again.
fn buy_again(cluster: &Arc<Cluster>, order: &Order, ends: &[(Sale, Micros)]) -> (Sale, Micros) {
    cluster.trace.count("key again");
    let start = AGAIN + order.id.start;
    let again = Order {
        id: OrderId { start, ..order.id },
        at: cluster.unix_ms(),
        ..order.clone()
    };
    let catalogs = cluster.parameters.catalogs;
    let first = cluster.scheduler.draw(|rng| rng.usize(..catalogs));
    let sale = order_server::buy(cluster, &again, first);
    let was_bought = ends.iter().any(|(sale, _)| *sale == Sale::Bought);
    let is_denied = matches!(sale, Sale::SoldOut | Sale::Gone);
    if was_bought && is_denied && cluster.parameters.linearizable {
        let why = format!("{order} was bought, and its key is told {sale:?}: not linearizable");
        cluster.scheduler.fail(why);
    }
    (sale, cluster.scheduler.now())
}

/// What came of a buy, and when; `None` while it is in progress.
type SaleEnd = Arc<Mutex<Option<(Sale, Micros)>>>;

/// Buys at the same time as the caller, at another server with the same order: a hedged buy.
fn buy_beside(cluster: &Arc<Cluster>, order: Order, first: usize) -> SaleEnd {
    cluster.trace.count("duplicated order");
    let end = SaleEnd::default();
    let (own, put) = (cluster.clone(), end.clone());
    cluster.scheduler.spawn_in(0, None, move || {
        let sale = order_server::buy(&own, &order, first);
        *sync::lock(&put) = Some((sale, own.scheduler.now()));
    });
    end
}

/// Records one order, which may have been sent twice. It is a purchase at the first "bought". Every
/// "out of stock" or "no such book" is a lookup of its own.
fn record_buy(cluster: &Cluster, order: &Order, start: Micros, ends: &[(Sale, Micros)]) {
    let ends_of = |wanted| {
        let ends = ends.iter().filter(move |(sale, _)| *sale == wanted);
        ends.map(|(_, end)| *end)
    };
    for end in ends_of(Sale::SoldOut) {
        cluster.trace.count("sold out");
        let kind = Kind::SoldOut(order.copies);
        cluster.history.record(kind, start, Some(end));
    }
    for end in ends_of(Sale::Gone) {
        cluster.trace.count("buy of no book");
        cluster.history.record(Kind::Saw(REMOVED), start, Some(end));
    }
    let bought = ends_of(Sale::Bought).min();
    if bought.is_some() || ends_of(Sale::Unknown).next().is_some() {
        let event = bought.map_or("unknown buy", |_| "bought");
        cluster.trace.count(event);
        if 1 < order.copies && bought.is_some() {
            cluster.trace.count("bought several");
        }
        let kind = Kind::Bought(order.copies);
        cluster.history.record(kind, start, bought);
    }
}

/// Sets the quantity at a catalog. A refusal is taken at its word: nothing happened.
pub(super) fn set(cluster: &Arc<Cluster>, catalog: usize, quantity: u32) {
    let start = cluster.scheduler.now();
    let written = calls::write(cluster, catalog, calls::set_quantity(quantity));
    if matches!(&written, Some(Err(error)) if !error.indefinite()) {
        return cluster.trace.count("refused set");
    }
    let done = matches!(written, Some(Ok(_)));
    cluster
        .trace
        .count(if done { "set" } else { "unknown set" });
    let end = done.then(|| cluster.scheduler.now());
    cluster.history.record(Kind::Set(quantity), start, end);
}

/// Looks the book up at a random server, mostly a front-end.
fn look(cluster: &Arc<Cluster>) {
    let (scheduler, parameters) = (&cluster.scheduler, &cluster.parameters);
    let start = scheduler.now();
    let front_ends = parameters.front_ends;
    let at_front_end = 0 < front_ends && scheduler.draw(|rng| rng.u8(..4)) != 0;
    let server = if at_front_end {
        parameters.catalogs + scheduler.draw(|rng| rng.usize(..front_ends))
    } else {
        scheduler.draw(|rng| rng.usize(..parameters.catalogs))
    };
    if let Some(quantity) = calls::lookup(cluster, server) {
        let end = Some(scheduler.now());
        cluster.history.record(Kind::Saw(quantity), start, end);
    }
}

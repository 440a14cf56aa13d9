//! Customers and the order servers between them and the catalogs, and what the customers were told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::replication::{Read, Replica};
use crate::catalog::sim::cluster::{BOOK, Cluster, OTHER};
use crate::catalog::sim::env::SimEnvironment;
use crate::catalog::sim::network::{Call, Heard};
use crate::model::book::Change;
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};
use crate::testing::linearizability::{Operation, What};

/// How long a catalog may take for an order server.
const ORDER: u64 = 1_500_000;

/// How long a front-end may take for a customer.
const CUSTOMER: u64 = 2_500_000;

/// How often an order server begins again after a conflict.
const TRIES_MAX: usize = 30;

/// What customers did and were told.
#[derive(Default)]
pub struct Ledger {
    operations: Mutex<Vec<Operation>>,
}

/// What became of a buy at one catalog.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sale {
    Bought,
    SoldOut,
    /// The next catalog is tried, with the same order.
    Unsure,
}

impl Ledger {
    pub fn operations(&self) -> Vec<Operation> {
        self.operations.lock().unwrap().clone()
    }

    /// `None` for the end: unknown.
    pub fn write(&self, what: What, start: u64, end: Option<u64>) {
        let operation = Operation {
            what,
            start: Duration::from_micros(start),
            end: end.map(Duration::from_micros),
        };
        self.operations.lock().unwrap().push(operation);
    }
}

/// One customer's day: buys, lookups and, perhaps, updates. A task.
pub fn customer(world: &Arc<Cluster>, ledger: &Ledger, number: usize) {
    for count in 0..world.setting.doings as u64 {
        let think = if world.baton.draw(|rng| rng.bool()) {
            20.0
        } else {
            world.setting.think
        };
        world.baton.pause(world.between(0.0, think));
        let dice = world.baton.draw(|rng| rng.f64());
        if dice < 0.5 {
            let id = OrderId {
                start: 1 + number as u64,
                count,
            };
            buy(
                world,
                ledger,
                &Order {
                    id,
                    open: count,
                    key: None,
                },
            );
        } else if dice < 0.5 + world.setting.updates {
            set(world, ledger);
        } else {
            look(world, ledger);
        }
    }
}

fn buy(world: &Arc<Cluster>, ledger: &Ledger, order: &Order) {
    let start = world.baton.now();
    let catalogs = world.setting.catalogs;
    let first = world.baton.draw(|rng| rng.usize(..catalogs));
    let twin = world.chance(world.setting.twins).then(|| {
        let (own, order, told) = (world.clone(), order.clone(), Arc::new(Mutex::new(None)));
        let tell = told.clone();
        world.baton.task_in(0, None, move || {
            let sale = shop_around(&own, &order, first + 1);
            *tell.lock().unwrap() = Some((sale, own.baton.now()));
        });
        told
    });
    let sale = shop_around(world, order, first);
    let mut ends = vec![(sale, world.baton.now())];
    if let Some(told) = twin {
        while told.lock().unwrap().is_none() {
            world.baton.pause(10_000);
        }
        ends.extend(told.lock().unwrap().take());
    }
    write_down(ledger, start, &ends);
}

/// Twins are one order: whichever heard "bought" first tells when it was. "Out of stock" only
/// looks.
fn write_down(ledger: &Ledger, start: u64, ends: &[(Sale, u64)]) {
    for (_, end) in ends.iter().filter(|(sale, _)| *sale == Sale::SoldOut) {
        ledger.write(What::SoldOut, start, Some(*end));
    }
    let bought = ends
        .iter()
        .filter(|(sale, _)| *sale == Sale::Bought)
        .map(|(_, end)| *end)
        .min();
    if bought.is_some() || ends.iter().any(|(sale, _)| *sale == Sale::Unsure) {
        ledger.write(What::Bought, start, bought);
    }
}

fn shop_around(world: &Arc<Cluster>, order: &Order, first: usize) -> Sale {
    let catalogs = world.setting.catalogs;
    let mut sales = (0..catalogs).map(|turn| buy_at(world, order, (first + turn) % catalogs));
    sales
        .find(|sale| *sale != Sale::Unsure)
        .unwrap_or(Sale::Unsure)
}

/// The order server's loop: read, take one, write, again on conflict.
fn buy_at(world: &Arc<Cluster>, order: &Order, catalog: usize) -> Sale {
    for _ in 0..TRIES_MAX {
        let Some(read) = query(world, catalog, std::slice::from_ref(order)) else {
            return Sale::Unsure;
        };
        if world.setting.order_read && !read.applied.is_empty() {
            return Sale::Bought;
        }
        let Some(left) = read.book.quantity.checked_sub(1) else {
            return Sale::SoldOut;
        };
        let update = Update {
            change: Change {
                quantity: Some(left),
                ..Change::default()
            },
            if_match: Some(IfMatch::OneOf(vec![read.book.version])),
            orders: vec![order.clone()],
            ..Update::default()
        };
        match write(world, catalog, update) {
            Some(Ok(_)) => return Sale::Bought,
            Some(Err(Error::OutOfDate | Error::Changed | Error::Busy(_))) => {
                world.baton.pause(world.between(0.1, 10.0))
            }
            _ => return Sale::Unsure,
        }
    }
    Sale::Unsure
}

fn set(world: &Arc<Cluster>, ledger: &Ledger) {
    let quantity = world.baton.draw(|rng| [1, 2, 5][rng.usize(..3)]);
    let catalog = world.baton.draw(|rng| rng.usize(..world.setting.catalogs));
    let change = Change {
        quantity: Some(quantity),
        ..Change::default()
    };
    let start = world.baton.now();
    let done = matches!(
        write(
            world,
            catalog,
            Update {
                change,
                ..Update::default()
            }
        ),
        Some(Ok(_))
    );
    ledger.write(What::Set(quantity), start, done.then(|| world.baton.now()));
}

fn look(world: &Arc<Cluster>, ledger: &Ledger) {
    let start = world.baton.now();
    let front_ends = world.setting.front_ends;
    let through_cache = 0 < front_ends && world.baton.draw(|rng| rng.u8(..4)) != 0;
    let server = match through_cache {
        true => world.setting.catalogs + world.baton.draw(|rng| rng.usize(..front_ends)),
        false => world.baton.draw(|rng| rng.usize(..world.setting.catalogs)),
    };
    if let Some(quantity) = lookup(world, server) {
        ledger.write(What::Saw(quantity), start, Some(world.baton.now()));
    }
}

/// What a customer sees at a catalog or a front-end.
pub fn lookup(world: &Arc<Cluster>, server: usize) -> Option<u32> {
    let Some(front_end) = server.checked_sub(world.setting.catalogs) else {
        return query(world, server, &[]).map(|read| read.book.quantity);
    };
    let front_end = world.inside().front_ends[front_end].clone();
    let call = customers_call(server, CUSTOMER, "lookup".into());
    let life = move |world: &Cluster| world.baton.life(server);
    match world.ask(
        call,
        move |world| front_end.lookup(world, life(world)),
        |seen| format!("{seen:?}"),
    ) {
        Heard::Answer(quantity) => quantity,
        _ => None,
    }
}

pub fn query(world: &Arc<Cluster>, catalog: usize, orders: &[Order]) -> Option<Read> {
    let call = customers_call(catalog, ORDER, "query".into());
    let orders = orders.to_vec();
    let work = move |world: &Arc<Cluster>| world.replica(catalog).read(BOOK, &orders);
    let show = |read: &Result<Read, Error>| match read {
        Ok(read) => format!(
            "{}: {} left, applied {:?}",
            read.book.version, read.book.quantity, read.applied
        ),
        Err(error) => error.to_string(),
    };
    match world.ask(call, work, show) {
        Heard::Answer(read) => read.ok(),
        _ => None,
    }
}

pub fn write(
    world: &Arc<Cluster>,
    catalog: usize,
    update: Update,
) -> Option<Result<Updated, Error>> {
    let what = format!(
        "update to {:?}, orders {:?}",
        update.change.quantity,
        update
            .orders
            .iter()
            .map(|o| o.id.to_string())
            .collect::<Vec<_>>()
    );
    let call = customers_call(catalog, ORDER, what);
    let together = world.chance(world.setting.together);
    let work = move |world: &Arc<Cluster>| {
        let replica = world.replica(catalog);
        let life = replica.env.life;
        let updated = match together {
            true => update_both(world, &replica, &update),
            false => replica.update(BOOK, &update),
        };
        if let Ok(updated) = &updated {
            world.acknowledged(life, BOOK, updated.book.version);
        }
        updated
    };
    let show = |updated: &Result<Updated, Error>| match updated {
        Ok(updated) => format!(
            "{}: {} left, replayed {}",
            updated.book.version, updated.book.quantity, updated.replayed
        ),
        Err(error) => error.to_string(),
    };
    match world.ask(call, work, show) {
        Heard::Answer(updated) => Some(updated),
        _ => None,
    }
}

/// The same with a change of another book beside it.
fn update_both(
    world: &Arc<Cluster>,
    replica: &Arc<Replica<SimEnvironment>>,
    update: &Update,
) -> Result<Updated, Error> {
    let price = world.baton.draw(|rng| f64::from(rng.u8(..)));
    let change = Change {
        price: Some(price),
        ..Change::default()
    };
    let other = Update {
        change,
        ..Update::default()
    };
    let mut outcomes = replica.batch_write(&[(BOOK, update.clone()), (OTHER, other)]);
    if let Some(Ok(updated)) = outcomes.pop() {
        world.acknowledged(replica.env.life, OTHER, updated.book.version);
        world.inside().others_changed += 1;
    }
    outcomes.pop().expect("there are two outcomes")
}

fn customers_call(to: usize, limit: u64, what: String) -> Call {
    Call {
        from: None,
        to,
        limit,
        waits: true,
        heartbeat: false,
        repeats: false,
        who: "customer".into(),
        what,
    }
}

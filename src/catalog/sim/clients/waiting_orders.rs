//! Orders that wait in a stopped order server while their front-end starts again and again.
//!
//! A buyer's order is sent to two order servers, of which one is stopped. The front-end that issued
//! it restarts a dozen times, each start with order ids of its own, and meanwhile more time passes
//! than a book remembers an issuer. Then the stopped order server goes on.

use std::sync::Arc;

use super::{order_server, record_buy};
use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::parameters::Parameters;
use crate::model::order::{Order, OrderId};

/// How often each front-end has such an order.
const ORDERS: u64 = 2;

/// How often it starts again while the order waits.
const RESTARTS: u64 = 12;

/// Longer than a book remembers an issuer.
const LONG_MS: u64 = 11 * 60 * 1000;

/// One buyer at each front-end.
pub(in crate::catalog::sim) fn tasks(parameters: &Parameters) -> Vec<Task> {
    let buyers = 0..parameters.front_ends;
    let buyer = |number| {
        Box::new(move |cluster: &Arc<Cluster>| {
            (0..ORDERS).for_each(|turn| waiting_order(cluster, number, turn))
        }) as Task
    };
    buyers.map(buyer).collect()
}

fn waiting_order(cluster: &Arc<Cluster>, buyer: usize, turn: u64) {
    let (scheduler, catalogs) = (&cluster.scheduler, cluster.parameters.catalogs);
    let any = || scheduler.draw(|rng| rng.usize(..catalogs));
    // No other client's start is so high.
    let start = 1_000_000 * (1 + buyer as u64) + 1000 * turn;
    let waiting = first_order(cluster, start);
    let sent = scheduler.now();
    let sale = order_server::buy(cluster, &waiting, any());
    let answered = scheduler.now();
    // Time passes between two of the restarts.
    let passes = scheduler.draw(|rng| rng.u64(..RESTARTS - 1));
    for restart in 0..RESTARTS {
        restart_front_end(cluster, catalogs + buyer);
        if scheduler.draw(|rng| rng.bool()) || restart == passes + 1 {
            let order = first_order(cluster, start + 1 + restart);
            let sent = scheduler.now();
            let sale = order_server::buy(cluster, &order, any());
            record_buy(cluster, &order, sent, &[(sale, scheduler.now())]);
        }
        if restart == passes {
            cluster.pass_time(LONG_MS);
        }
    }
    cluster.trace.count("late order");
    let late = order_server::buy(cluster, &waiting, any());
    let ends = [(sale, answered), (late, scheduler.now())];
    record_buy(cluster, &waiting, sent, &ends);
}

/// The first order of a start, issued now.
fn first_order(cluster: &Cluster, start: u64) -> Order {
    Order {
        id: OrderId { start, count: 0 },
        open: 0,
        at: cluster.unix_ms(),
        copies: 1,
        key: None,
    }
}

/// Another fault may have ended its start already.
fn restart_front_end(cluster: &Arc<Cluster>, node: usize) {
    let scheduler = &cluster.scheduler;
    if scheduler.is_up(node) {
        cluster.crash(node);
    }
    scheduler.sleep(scheduler.between(1.0, 60.0));
    cluster.start_if_down(node);
}

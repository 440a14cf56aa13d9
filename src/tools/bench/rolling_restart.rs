//! The end of section 4: every catalog and every order server is told to end (SIGTERM) and started
//! again, one after another, while customers buy and look up. None of their requests may fail.
//!
//! The front-end goes on, because these customers keep to one. The tests restart two of them.

use std::thread;
use std::time::Instant;

use fastrand::Rng;

use crate::config::bench::Section;
use crate::tools::bench::Bench;
use crate::tools::bench::summary::Summary;
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::load::{one_of, run_closed_loop};
use crate::tools::harness::local_shop::LocalShop;

const CUSTOMERS: usize = 16;

/// Enough of each book that none is sold out.
const COPIES: u64 = 100_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.is_local() {
        return Ok(());
    }
    bench.with_local(2, true, measure)
}

fn measure(bench: &mut Bench, local: &LocalShop) -> Result<(), String> {
    let books = bench.first_books(&local.shop)?;
    local.shop.add_stock(&books, COPIES)?;
    let mut connections = Connection::open_many(&local.shop.front_end, CUSTOMERS)?;
    let (duration, seed) = (bench.sizes.restarting, bench.settings.seed);
    let next = |rng: &mut Rng| {
        let book = one_of(rng, &books);
        if rng.bool() {
            Request::Buy(book)
        } else {
            Request::Lookup(book)
        }
    };
    let until = Instant::now() + duration;
    let (measured, restarts) = thread::scope(|scope| {
        let load = || run_closed_loop(&mut connections, CUSTOMERS, duration, seed, next);
        let customers = scope.spawn(load);
        let restarts = restart_until(local, until);
        (
            customers.join().expect("a load has no reason to panic"),
            restarts,
        )
    });
    local.shop.record_sales(&measured);
    let note = format!("{} servers restarted", restarts?);
    let name = format!("rolling restart, {CUSTOMERS} customers");
    bench.add(Summary::new(Section::Outages, name, &measured, note));
    Ok(())
}

/// Returns how many servers were restarted.
fn restart_until(local: &LocalShop, until: Instant) -> Result<usize, String> {
    let servers = local.catalogs.iter().chain(&local.order_servers);
    let mut count = 0;
    for server in servers.cycle() {
        if until < Instant::now() {
            break;
        }
        server.terminate()?;
        server.start()?;
        local.await_ready()?;
        count += 1;
    }
    Ok(count)
}

//! Section 5: the rates that the shop reaches for many customers. The look-ups are measured in turn
//! with the same load on the baseline server, so that both meet the same machine.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::config::bench::Section;
use crate::tools::bench::baseline_server::BaselineServer;
use crate::tools::bench::one_customer::Customer;
use crate::tools::bench::summary::{Summary, generator};
use crate::tools::bench::yardsticks::replace_files;
use crate::tools::bench::{Bench, FIRST_BOOKS, counted};
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::dataset::{self, COPIES};
use crate::tools::harness::load::{LOOKUP_THREADS, one_of, run_closed_loop, run_open_loop};
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::shop::Shop;

/// The look-up cache of the front-end has this many entries, so these books stay in it.
const CACHED_BOOKS: usize = 3;

/// Connections of the open loop, and the part of the highest rate at which its requests are due.
const OPEN_LOOP_CONNECTIONS: usize = 16;
const OPEN_LOOP_PART: f64 = 0.5;

/// Customers who buy while others look up.
const BUYERS_BESIDE: usize = 16;

/// Files that the disk replaces at once, in turn with sales.
const DISK_THREADS: usize = 8;

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    bench.with_shop(2, true, |bench, shop| {
        let mut books = bench.first_books(shop)?;
        books.truncate(CACHED_BOOKS);
        let lookups = CachedLookups {
            shop,
            books,
            baseline: BaselineServer::start(bench)?,
        };
        for clients in bench.sizes.readers {
            lookups.closed_loop(bench, *clients)?;
        }
        lookups.open_loop(bench)?;
        if !bench.can_sell() {
            return Ok(());
        }
        if bench.is_local() {
            let first = bench.first_books(shop)?;
            let more: Vec<u64> = (FIRST_BOOKS as u64 + 1..=bench.sizes.books as u64).collect();
            dataset::import(&shop.catalogs[0], bench.scratch.path(), &more)?;
            shop.read_stock()?;
            shop.add_stock(&first, COPIES)?;
        } else {
            shop.add_stock(&shop.ids(bench.sizes.books), COPIES)?;
        }
        buys(bench, shop)?;
        lookups.beside_buyers(bench)
    })
}

/// Look-ups of books that the front-end has in its cache, and the same load on the baseline server.
struct CachedLookups<'a> {
    shop: &'a Shop,
    books: Vec<u64>,
    baseline: BaselineServer,
}

impl CachedLookups<'_> {
    /// Puts `load` on the baseline server and on the front-end in turn, each over the same
    /// connections every time. `load` gets the connections and a seed.
    fn measure(
        &self,
        bench: &mut Bench,
        name: &str,
        note: &str,
        connections: usize,
        mut load: impl FnMut(&mut [Connection], u64) -> Measurement,
    ) -> Result<(), String> {
        let warm_up: Vec<_> = self.books.iter().map(|id| Request::Lookup(*id)).collect();
        Customer::connect(self.shop)?.send(&warm_up);
        let mut baseline_connections = Connection::open_many(&self.baseline.address, connections)?;
        let mut shop_connections = Connection::open_many(&self.shop.front_end, connections)?;
        let (mut baseline, mut ours) = (Measurement::default(), Measurement::default());
        for seed in bench.seeds(bench.sizes.rounds) {
            baseline.append(load(&mut baseline_connections, seed));
            ours.append(load(&mut shop_connections, seed));
        }
        let row = format!("bare server, {name}");
        let baseline_note = format!("{note}{}", generator(&baseline));
        bench.add(Summary::new(
            Section::Yardsticks,
            row,
            &baseline,
            baseline_note,
        ));
        let row = format!("cached look-ups, {name}");
        let hits_percent = ours.hits * 100 / ours.latencies.len().max(1) as u64;
        let note = format!(
            "{note}{hits_percent} % from the cache, {}",
            generator(&ours)
        );
        bench.add(Summary::new(Section::Throughput, row, &ours, note));
        Ok(())
    }

    fn next(&self, rng: &mut Rng) -> Request {
        Request::Lookup(one_of(rng, &self.books))
    }

    fn closed_loop(&self, bench: &mut Bench, clients: usize) -> Result<(), String> {
        let (name, duration) = (counted(clients, "connection"), bench.sizes.reading);
        self.measure(bench, &name, "", clients, |connections, seed| {
            let next = |rng: &mut Rng| self.next(rng);
            run_closed_loop(connections, LOOKUP_THREADS, duration, seed, next)
        })
    }

    /// At half of the rate that the shop reached in a closed loop, for both alike.
    fn open_loop(&self, bench: &mut Bench) -> Result<(), String> {
        let rows = bench.report.rows.iter();
        let rates = rows.filter(|row| row.section == Section::Throughput);
        let highest = rates.map(|row| row.rate).fold(1.0, f64::max);
        let rate = (highest * OPEN_LOOP_PART).round();
        let duration = bench.sizes.reading;
        let note = format!("{rate} due a second, ");
        let load = |connections: &mut [Connection], seed| {
            run_open_loop(connections, rate, duration, seed, |rng| self.next(rng))
        };
        self.measure(bench, "by the clock", &note, OPEN_LOOP_CONNECTIONS, load)
    }

    /// The buyers buy other books than those that are looked up, which therefore stay in the cache.
    fn beside_buyers(&self, bench: &mut Bench) -> Result<(), String> {
        let mut sold = self.shop.ids(bench.sizes.books);
        sold.retain(|id| !self.books.contains(id));
        let mut buyers = Connection::open_many(&self.shop.front_end, BUYERS_BESIDE)?;
        let rate = bench.sizes.rate_beside_buyers;
        let duration = bench.sizes.reading_beside_buyers;
        let load = |connections: &mut [Connection], seed| {
            thread::scope(|scope| {
                let buying = scope.spawn(|| buy(&mut buyers, duration, seed, &sold));
                let next = |rng: &mut Rng| self.next(rng);
                let looked_up = run_open_loop(connections, rate, duration, seed, next);
                let bought = buying.join().expect("a load has no reason to panic");
                self.shop.record_sales(&bought);
                looked_up
            })
        };
        let name = format!("beside {BUYERS_BESIDE} buyers");
        let note = format!("{rate} due a second, ");
        self.measure(bench, &name, &note, OPEN_LOOP_CONNECTIONS, load)
    }
}

/// A closed loop with a thread for each buyer, because buys take long.
pub(super) fn buy(
    connections: &mut [Connection],
    duration: Duration,
    seed: u64,
    books: &[u64],
) -> Measurement {
    let threads = connections.len();
    let next = |rng: &mut Rng| Request::Buy(one_of(rng, books));
    run_closed_loop(connections, threads, duration, seed, next)
}

fn buys(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    let books = shop.ids(bench.sizes.books);
    let name = format!("buys all over {} books", books.len());
    sell(bench, shop, &name, &books, bench.sizes.buyers, 1)?;
    // Fewer rounds than for look-ups: at the end of each, many customers wait for their last
    // answers.
    let rounds = bench.sizes.rounds.div_ceil(2);
    sell(
        bench,
        shop,
        "flash sale",
        &books[..1],
        bench.sizes.flash_buyers,
        rounds,
    )
}

/// Every number of customers buys, in turn, so that all of them meet the same machine; and so does
/// the disk alone.
fn sell(
    bench: &mut Bench,
    shop: &Shop,
    name: &str,
    books: &[u64],
    customers: &[usize],
    rounds: u64,
) -> Result<(), String> {
    let mut sales = Vec::new();
    for buyers in customers {
        let connections = Connection::open_many(&shop.front_end, *buyers)?;
        sales.push((connections, Measurement::default()));
    }
    let (duration, replacing) = (bench.sizes.buying, bench.sizes.replacing);
    let (duration, replacing) = (duration / rounds as u32, replacing / rounds as u32);
    let mut disk = Measurement::default();
    for seed in bench.seeds(rounds) {
        for (connections, measured) in &mut sales {
            measured.append(buy(connections, duration, seed, books));
        }
        if bench.is_local() {
            disk.append(replace_files(
                bench.scratch.path(),
                DISK_THREADS,
                replacing,
            )?);
        }
    }
    if bench.is_local() {
        let (row, note) = (format!("disk beside {name}"), "files replaced, 8 at once");
        bench.add(Summary::new(Section::Yardsticks, row, &disk, note));
    }
    for (connections, measured) in &sales {
        shop.record_sales(measured);
        let name = format!("{name}, {}", counted(connections.len(), "customer"));
        bench.add(Summary::new(
            Section::Throughput,
            name,
            measured,
            generator(measured),
        ));
    }
    Ok(())
}

//! Section 5: the rates that the shop reaches for many customers. The look-ups are measured in turn
//! with the same load on the baseline server, so that both meet the same machine.

use std::thread;
use std::time::Duration;

use crate::config::bench::{BaselineKind, Section};
use crate::tools::bench::baseline_server::BaselineServer;
use crate::tools::bench::summary::{Summary, generator};
use crate::tools::bench::{Bench, counted};
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::load::{ClosedLoop, LOOKUP_THREADS, OpenLoop, one_of, run_sequence};
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::shop::Shop;

/// Copies of each book: more than can be sold meanwhile.
const COPIES: u64 = 1_000_000;

/// The look-up cache of the front-end has this many entries, so these books stay in it.
const CACHED_BOOKS: usize = 3;

/// Connections of the open loop, and the part of the highest rate at which its requests are due.
const OPEN_LOOP_CONNECTIONS: usize = 16;
const OPEN_LOOP_PART: f64 = 0.5;

/// Customers who buy while others look up.
const BUYERS_BESIDE: usize = 16;

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    let setup = bench.setup(2);
    bench.with_shop(setup, |bench, shop| {
        let mut books = bench.first_books(shop)?;
        books.truncate(CACHED_BOOKS);
        let lookups = CachedLookups {
            shop,
            books,
            baseline: BaselineServer::start(bench, BaselineKind::TinyHttp)?,
        };
        for clients in bench.sizes.readers {
            lookups.closed_loop(bench, *clients)?;
        }
        lookups.open_loop(bench)?;
        if !bench.can_sell() {
            return Ok(());
        }
        if bench.is_local() {
            shop.add_books_up_to(bench.sizes.books, COPIES)?;
            shop.add_stock(&bench.first_books(shop)?, COPIES)?;
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
        load: impl Fn(&mut [Connection], u64) -> Result<Measurement, String>,
    ) -> Result<(), String> {
        let warm_up: Vec<_> = self.books.iter().map(|id| Request::Lookup(*id)).collect();
        run_sequence(&mut Connection::open(self.shop.front_end)?, &warm_up);
        let mut baseline_connections = Connection::open_many(self.baseline.address, connections)?;
        let mut shop_connections = Connection::open_many(self.shop.front_end, connections)?;
        let (mut baseline, mut ours) = (Measurement::default(), Measurement::default());
        for seed in bench.seeds(bench.sizes.rounds) {
            baseline.append(load(&mut baseline_connections, seed)?);
            ours.append(load(&mut shop_connections, seed)?);
        }
        let row = Summary::new(
            Section::Yardsticks,
            format!("bare server, {name}"),
            &baseline,
        );
        bench.add(Summary {
            note: format!("{note}{}", generator(&baseline)),
            ..row
        });
        let row = Summary::new(
            Section::Throughput,
            format!("cached look-ups, {name}"),
            &ours,
        );
        let hits_percent = ours.hits * 100 / ours.latencies.len().max(1) as u64;
        bench.add(Summary {
            note: format!(
                "{note}{hits_percent} % from the cache, {}",
                generator(&ours)
            ),
            ..row
        });
        Ok(())
    }

    fn closed_loop(&self, bench: &mut Bench, clients: usize) -> Result<(), String> {
        let duration = bench.sizes.reading;
        let load = |connections: &mut [Connection], seed| {
            let closed_loop = ClosedLoop {
                clients,
                threads: LOOKUP_THREADS,
                duration,
                seed,
            };
            Ok(closed_loop.run_on(connections, |rng| Request::Lookup(one_of(rng, &self.books))))
        };
        self.measure(bench, &counted(clients, "connection"), "", clients, load)
    }

    /// At half of the rate that the shop reached in a closed loop, for both alike.
    fn open_loop(&self, bench: &mut Bench) -> Result<(), String> {
        let rows = bench.rows.iter();
        let rates = rows.filter(|row| row.section == Section::Throughput);
        let highest = rates.map(|row| row.rate).fold(1.0, f64::max);
        let rate = (highest * OPEN_LOOP_PART).round();
        let duration = bench.sizes.reading;
        let load = |connections: &mut [Connection], seed| {
            Ok(self.run_open_loop(connections, rate, duration, seed))
        };
        let note = format!("{rate} due a second, ");
        self.measure(bench, "by the clock", &note, OPEN_LOOP_CONNECTIONS, load)
    }

    fn run_open_loop(
        &self,
        connections: &mut [Connection],
        per_second: f64,
        duration: Duration,
        seed: u64,
    ) -> Measurement {
        let open_loop = OpenLoop {
            per_second,
            duration,
            seed,
        };
        open_loop.run_on(connections, |rng| Request::Lookup(one_of(rng, &self.books)))
    }

    /// The buyers buy other books than those that are looked up, which therefore stay in the cache.
    fn beside_buyers(&self, bench: &mut Bench) -> Result<(), String> {
        let mut sold = self.shop.ids(bench.sizes.books);
        sold.retain(|id| !self.books.contains(id));
        let rate = bench.sizes.rate_beside_buyers;
        let duration = bench.sizes.reading_beside_buyers;
        let load = |connections: &mut [Connection], seed| {
            let buyers = closed_loop_of_buyers(BUYERS_BESIDE, duration, seed);
            let (bought, looked_up) = thread::scope(|scope| {
                let buy =
                    || buyers.run(self.shop.front_end, |rng| Request::Buy(one_of(rng, &sold)));
                let buying = scope.spawn(buy);
                let looked_up = self.run_open_loop(connections, rate, duration, seed);
                let bought = buying.join().expect("a load has no reason to panic");
                (bought, looked_up)
            });
            self.shop.record_sales(&bought?);
            Ok(looked_up)
        };
        let name = format!("beside {BUYERS_BESIDE} buyers");
        let note = format!("{rate} due a second, ");
        self.measure(bench, &name, &note, OPEN_LOOP_CONNECTIONS, load)
    }
}

/// With a thread for each buyer, because buys take long.
fn closed_loop_of_buyers(buyers: usize, duration: Duration, seed: u64) -> ClosedLoop {
    ClosedLoop {
        clients: buyers,
        threads: buyers,
        duration,
        seed,
    }
}

fn buys(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    let books = shop.ids(bench.sizes.books);
    for buyers in bench.sizes.buyers {
        let load = closed_loop_of_buyers(*buyers, bench.sizes.buying, bench.settings.seed);
        let measured = load.run(shop.front_end, |rng| Request::Buy(one_of(rng, &books)))?;
        let customers = counted(*buyers, "customer");
        let name = format!("buys all over {} books, {customers}", books.len());
        add_sales(bench, shop, name, &measured);
    }
    flash_sales(bench, shop, books[0])
}

/// Every number of customers buys one book, in turn, so that all of them meet the same machine.
fn flash_sales(bench: &mut Bench, shop: &Shop, book: u64) -> Result<(), String> {
    let sizes = bench.sizes;
    let mut sales = Vec::new();
    for buyers in sizes.flash_buyers {
        let connections = Connection::open_many(shop.front_end, *buyers)?;
        sales.push((connections, Measurement::default()));
    }
    // Fewer rounds than for look-ups: at the end of each, many customers wait for their last
    // answers.
    let rounds = sizes.rounds.div_ceil(2);
    for seed in bench.seeds(rounds) {
        for (connections, measured) in &mut sales {
            let duration = sizes.buying / rounds as u32;
            let load = closed_loop_of_buyers(connections.len(), duration, seed);
            measured.append(load.run_on(connections, |_| Request::Buy(book)));
        }
    }
    for (connections, measured) in &sales {
        let name = format!("flash sale, {}", counted(connections.len(), "customer"));
        add_sales(bench, shop, name, measured);
    }
    Ok(())
}

fn add_sales(bench: &mut Bench, shop: &Shop, name: String, measured: &Measurement) {
    shop.record_sales(measured);
    bench.add(Summary {
        note: generator(measured),
        ..Summary::new(Section::Throughput, name, measured)
    });
}

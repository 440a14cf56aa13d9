//! One shop is measured: the same steps whatever its size.

use std::fs;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::SEED;
use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::load::{Crowd, in_turn};
use crate::tools::bench::local::LocalShop;
use crate::tools::bench::process::Process;
use crate::tools::bench::take::Take;
use crate::tools::scale::figures::Figures;
use crate::tools::scale::goods::{ONE_TOPIC, TEN_TOPICS};
use crate::tools::scale::search::Searcher;

/// In stock of each book, so that nothing is ever sold out.
pub const COPIES: u64 = 1_000_000;

/// Requests before those that are counted: connections between the servers are made.
const WARM_UP: usize = 50;

const CUSTOMERS: usize = 64;

/// A longer start is a failure.
const READY_MAX: Duration = Duration::from_secs(120);

/// How often a server that starts is asked whether it is ready.
const READY_LOOK: Duration = Duration::from_millis(2);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// How often the shops take turns.
    pub rounds: usize,
    /// In one round.
    lookups: usize,
    buys: usize,
    searches: usize,
    crowd_lasts: Duration,
    /// Changes that a catalog misses.
    pub missed: usize,
}

impl Sizes {
    pub const FULL: Sizes = Sizes {
        rounds: 5,
        lookups: 1000,
        buys: 100,
        searches: 20,
        crowd_lasts: Duration::from_secs(5),
        missed: 10_000,
    };

    /// Shows that everything works, and nothing about how fast.
    pub const QUICK: Sizes = Sizes {
        rounds: 1,
        lookups: 20,
        buys: 10,
        searches: 2,
        crowd_lasts: Duration::from_millis(100),
        missed: 100,
    };
}

/// One shop under measurement.
pub struct Visit<'a> {
    pub local: &'a LocalShop,
    pub ids: RangeInclusive<u64>,
    sizes: Sizes,
    rng: Rng,
    pub figures: Figures,
}

impl<'a> Visit<'a> {
    /// Of all books with these ids, each with [`COPIES`] in stock.
    pub fn new(local: &'a LocalShop, ids: RangeInclusive<u64>, sizes: Sizes) -> Visit<'a> {
        Visit {
            local,
            ids,
            sizes,
            rng: Rng::with_seed(SEED),
            figures: Figures::default(),
        }
    }

    /// Clean stops: nothing is under way. Then memory, with all connections made anew.
    pub fn starts(&mut self) -> Result<(), String> {
        self.figures.start_both = self.restart(&[0, 1])?;
        self.figures.start_one = self.restart(&[1])?;
        self.local.await_ready()?;
        let catalogs = self.local.catalogs.iter();
        self.figures.memory = catalogs.map(memory).max().unwrap_or(0);
        Ok(())
    }

    /// Stops these catalogs and starts them at once. Gives the time until all of them are ready.
    fn restart(&self, which: &[usize]) -> Result<Duration, String> {
        which.iter().for_each(|n| self.local.catalogs[*n].kill());
        self.start(which)
    }

    fn start(&self, which: &[usize]) -> Result<Duration, String> {
        let began = Instant::now();
        thread::scope(|scope| {
            let start = |n: &usize| {
                let n = *n;
                scope.spawn(move || self.start_one(n))
            };
            let starts: Vec<_> = which.iter().map(start).collect();
            let mut all = starts
                .into_iter()
                .map(|start| start.join().expect("a start has no reason to panic"));
            all.try_for_each(|started| started)
        })?;
        Ok(began.elapsed())
    }

    fn start_one(&self, n: usize) -> Result<(), String> {
        self.local.catalogs[n].start()?;
        self.await_ready(n)
    }

    fn await_ready(&self, n: usize) -> Result<(), String> {
        let until = Instant::now() + READY_MAX;
        let address = &self.local.shop.catalogs[n];
        while !self.local.shop.is_ready(address) {
            if until < Instant::now() {
                return Err(format!("{address} is not ready after {READY_MAX:?}"));
            }
            thread::sleep(READY_LOOK);
        }
        Ok(())
    }

    pub fn lookups(&mut self) -> Result<(), String> {
        let at = crate::tools::bench::shop::socket_address(&self.local.shop.catalogs[0])?;
        let mut connection = Connection::open_all(at, 1)?.remove(0);
        in_turn(&mut connection, &self.asks(WARM_UP, Ask::Query));
        let take = in_turn(&mut connection, &self.asks(self.sizes.lookups, Ask::Query)).lookups;
        self.figures.lookup.add_all(&take);
        self.figures.errors += take.errors;
        Ok(())
    }

    pub fn buys(&mut self) -> Result<(), String> {
        let mut connection = Connection::open_all(self.local.shop.front_end, 1)?.remove(0);
        in_turn(&mut connection, &self.asks(WARM_UP, Ask::Buy));
        let take = in_turn(&mut connection, &self.asks(self.sizes.buys, Ask::Buy)).buys;
        self.figures.buy.add_all(&take);
        self.figures.errors += take.errors;
        Ok(())
    }

    fn asks(&mut self, count: usize, ask: fn(u64) -> Ask) -> Vec<Ask> {
        let one = |_| ask(self.rng.u64(self.ids.clone()));
        (0..count).map(one).collect()
    }

    pub fn crowd(&mut self) -> Result<(), String> {
        let crowd = Crowd {
            customers: CUSTOMERS,
            threads: CUSTOMERS,
            lasts: self.sizes.crowd_lasts,
            seed: SEED,
        };
        let ids = self.ids.clone();
        let take = crowd.run(self.local.shop.front_end, |rng| {
            Ask::Buy(rng.u64(ids.clone()))
        })?;
        let sold = take.latencies.len() as u64 - take.errors;
        self.figures.crowd_rate = sold as f64 / take.elapsed.as_secs_f64();
        self.figures.errors += take.errors;
        Ok(())
    }

    /// A catalog is killed, misses changes of random books, and starts again.
    pub fn missed(&mut self) -> Result<(), String> {
        let before = memory(&self.local.catalogs[0]);
        self.local.catalogs[1].kill();
        let asks = self.asks(self.sizes.missed, Ask::Buy);
        let take = self.all_at_once(&asks)?;
        self.figures.errors += take.errors;
        let after = memory(&self.local.catalogs[0]);
        self.figures.memory_of_an_order =
            after.saturating_sub(before) as f64 / self.sizes.missed as f64;
        let began = Instant::now();
        self.local.catalogs[1].start()?;
        let listens = Instant::now();
        self.await_ready(1)?;
        self.figures.missed = listens.elapsed();
        self.figures.missed_and_start = began.elapsed();
        self.compare(&asks)
    }

    fn all_at_once(&self, asks: &[Ask]) -> Result<Take, String> {
        let connections = Connection::open_all(self.local.shop.front_end, CUSTOMERS)?;
        let parts = asks.chunks(asks.len().div_ceil(CUSTOMERS));
        let mut whole = Take::default();
        thread::scope(|scope| {
            let customer =
                |(part, mut connection)| scope.spawn(move || in_turn(&mut connection, part).buys);
            let customers: Vec<_> = parts.zip(connections).map(customer).collect();
            for customer in customers {
                whole.merge(customer.join().expect("a customer has no reason to panic"));
            }
        });
        Ok(whole)
    }

    /// Whether both catalogs say the same of the books that were changed.
    ///
    /// Fails with the first that they differ about.
    fn compare(&self, asks: &[Ask]) -> Result<(), String> {
        let searcher = Searcher::new();
        for ask in asks {
            let Ask::Buy(id) = ask else { continue };
            let path = format!("/query/item/{id}");
            let says = |n: usize| searcher.get(&self.local.shop.catalogs[n], &path);
            let (first, second) = (says(0)?, says(1)?);
            if first != second {
                return Err(format!("the catalogs differ about book {id}"));
            }
        }
        Ok(())
    }

    pub fn search(&mut self) -> Result<(), String> {
        let searcher = Searcher::new();
        let catalog = &self.local.shop.catalogs[0];
        searcher.search(
            catalog,
            ONE_TOPIC,
            self.sizes.searches,
            &mut self.figures.search,
        )?;
        searcher.search(
            catalog,
            TEN_TOPICS,
            self.sizes.searches,
            &mut self.figures.search_ten,
        )
    }
}

/// What the process has in memory, in bytes; 0 where Linux does not tell.
fn memory(process: &Process) -> u64 {
    let Some(id) = process.id() else { return 0 };
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok()).unwrap_or(0) * 1024
}

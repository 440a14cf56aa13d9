//! The steps of the measurement in one shop. They are the same for the small and the large shop.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::http::encode;
use crate::model::address::Address;
use crate::supervisor::process::Process;
use crate::tools::full_or_quick;
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::dataset::{ONE_TOPIC, TEN_TOPICS};
use crate::tools::harness::load::{
    in_parallel, measure_in_parallel, run_closed_loop, run_sequence,
};
use crate::tools::harness::local_shop::LocalShop;
use crate::tools::harness::machine;
use crate::tools::harness::measurement::Measurement;
use crate::tools::scale::results::Results;

/// Chooses the books of the requests.
pub(super) const SEED: u64 = 1;

/// Requests before those that are counted: the servers open their connections to each other.
const WARM_UP: usize = 50;

/// Customers who buy at the same time.
const CUSTOMERS: usize = 64;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// How often the shops take turns.
    pub(super) rounds: usize,
    /// In each round.
    lookups: usize,
    buys: usize,
    searches: usize,
    /// How long many customers buy.
    buying: Duration,
    /// Changes that a catalog misses.
    pub(super) missed: usize,
}

impl Sizes {
    pub(super) fn new(quick: bool) -> Sizes {
        Sizes {
            rounds: full_or_quick(quick, 5, 1),
            lookups: full_or_quick(quick, 1000, 20),
            buys: full_or_quick(quick, 100, 10),
            searches: full_or_quick(quick, 20, 2),
            buying: Duration::from_millis(full_or_quick(quick, 5000, 100)),
            missed: full_or_quick(quick, 10_000, 100),
        }
    }
}

pub(super) struct MeasuredShop {
    pub(super) local: LocalShop,
    pub(super) ids: RangeInclusive<u64>,
    sizes: Sizes,
    rng: Rng,
    pub(super) results: Results,
}

impl MeasuredShop {
    /// Requests are for the books with these ids.
    pub(super) fn new(local: LocalShop, ids: RangeInclusive<u64>, sizes: Sizes) -> MeasuredShop {
        MeasuredShop {
            local,
            ids,
            sizes,
            rng: Rng::with_seed(SEED),
            results: Results::default(),
        }
    }

    /// Restarts catalogs while nothing is under way, and then looks at their memory.
    pub(super) fn starts(&mut self) -> Result<(), String> {
        self.results.start_both = self.restart(&[0, 1])?;
        self.results.start_one = self.restart(&[1])?;
        self.local.await_ready()?;
        let catalogs = self.local.catalogs.iter();
        let memory = catalogs.map(resident_bytes).max();
        self.results.memory = memory.unwrap_or(0);
        Ok(())
    }

    /// The memory that a catalog uses, in bytes.
    pub(super) fn memory(&self, catalog: usize) -> u64 {
        resident_bytes(&self.local.catalogs[catalog])
    }

    /// Kills a catalog.
    pub(super) fn kill(&self, catalog: usize) {
        self.local.catalogs[catalog].kill();
    }

    /// Kills these catalogs and starts them together. Returns the time until all are ready.
    pub(super) fn restart(&self, catalogs: &[usize]) -> Result<Duration, String> {
        catalogs.iter().for_each(|n| self.local.catalogs[*n].kill());
        let began = Instant::now();
        let start = |_, n: usize| {
            self.local.catalogs[n].start()?;
            self.await_ready(n)
        };
        let started = in_parallel(catalogs.to_vec(), start);
        started.into_iter().collect::<Result<(), _>>()?;
        Ok(began.elapsed())
    }

    fn await_ready(&self, catalog: usize) -> Result<(), String> {
        let shop = &self.local.shop;
        shop.await_ready(&shop.catalogs[catalog])
    }

    pub(super) fn lookups(&mut self) -> Result<(), String> {
        let catalog = self.local.shop.catalogs[0].clone();
        let measured = self.run_sequence(&catalog, self.sizes.lookups, Request::Query)?;
        self.results.lookup.append(measured);
        Ok(())
    }

    pub(super) fn buys(&mut self) -> Result<(), String> {
        let front_end = self.local.shop.front_end.clone();
        let measured = self.run_sequence(&front_end, self.sizes.buys, Request::Buy)?;
        self.results.buy.append(measured);
        Ok(())
    }

    fn run_sequence(
        &mut self,
        server: &Address,
        count: usize,
        request: fn(u64) -> Request,
    ) -> Result<Measurement, String> {
        let mut connection = Connection::open(server)?;
        run_sequence(&mut connection, &self.requests(WARM_UP, request));
        let measured = run_sequence(&mut connection, &self.requests(count, request));
        self.results.errors += measured.errors;
        Ok(measured)
    }

    fn requests(&mut self, count: usize, request: fn(u64) -> Request) -> Vec<Request> {
        let random = |_| request(self.rng.u64(self.ids.clone()));
        (0..count).map(random).collect()
    }

    pub(super) fn many_customers(&mut self) -> Result<(), String> {
        let mut connections = Connection::open_many(&self.local.shop.front_end, CUSTOMERS)?;
        let next = |rng: &mut Rng| Request::Buy(rng.u64(self.ids.clone()));
        let duration = self.sizes.buying;
        let measured = run_closed_loop(&mut connections, CUSTOMERS, duration, SEED, next);
        let sold = measured.latencies.len() as u64 - measured.errors;
        self.results.sales_rate = sold as f64 / measured.elapsed.as_secs_f64();
        self.results.errors += measured.errors;
        Ok(())
    }

    /// A catalog is killed, misses changes of random books, and starts again.
    ///
    /// Fails when the catalogs differ afterwards.
    pub(super) fn missed_changes(&mut self) -> Result<(), String> {
        let before = resident_bytes(&self.local.catalogs[0]);
        self.local.catalogs[1].kill();
        let requests = self.requests(self.sizes.missed, Request::Buy);
        self.results.errors += self.send_in_parallel(&requests)?.errors;
        let growth = resident_bytes(&self.local.catalogs[0]).saturating_sub(before);
        self.results.memory_of_an_order = growth as f64 / self.sizes.missed as f64;
        let began = Instant::now();
        self.local.catalogs[1].start()?;
        let listens = Instant::now();
        self.await_ready(1)?;
        self.results.catch_up = listens.elapsed();
        self.results.start_and_catch_up = began.elapsed();
        self.compare_catalogs(&requests)
    }

    fn send_in_parallel(&self, requests: &[Request]) -> Result<Measurement, String> {
        let connections = Connection::open_many(&self.local.shop.front_end, CUSTOMERS)?;
        let parts = requests.chunks(requests.len().div_ceil(CUSTOMERS));
        let parts = parts.zip(connections).collect();
        Ok(measure_in_parallel(parts, |_, (part, mut connection)| {
            run_sequence(&mut connection, part)
        }))
    }

    /// Fails with the first of the bought books about which the catalogs differ.
    fn compare_catalogs(&self, requests: &[Request]) -> Result<(), String> {
        let shop = &self.local.shop;
        for request in requests {
            let Request::Buy(id) = request else { continue };
            let path = format!("/query/item/{id}");
            let [first, second] = [0, 1].map(|n| shop.get(&shop.catalogs[n], &path));
            if first?.body != second?.body {
                return Err(format!("the catalogs differ about book {id}"));
            }
        }
        Ok(())
    }

    /// Both kinds of search, over one kept connection.
    pub(super) fn searches(&mut self) -> Result<(), String> {
        let shop = &self.local.shop;
        for (text, measurement) in [
            (ONE_TOPIC, &mut self.results.search),
            (TEN_TOPICS, &mut self.results.search_ten),
        ] {
            let path = format!("/query/topic/{}", encode(text));
            for _ in 0..self.sizes.searches {
                measurement.time(|| shop.get(&shop.catalogs[0], &path))?;
            }
        }
        Ok(())
    }
}

/// The memory in use; 0 when the process does not run.
fn resident_bytes(process: &Process) -> u64 {
    let status = process.id().map(|id| format!("/proc/{id}/status"));
    status.map_or(0, |status| machine::memory_bytes(&status, "VmRSS"))
}

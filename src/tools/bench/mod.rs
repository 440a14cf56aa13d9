//! `bazar bench`: how fast the shop is, compared with what the original published and with what
//! this machine can do at best, and whether every sale is still there afterwards.
//!
//! By default it starts shops of real processes in a temporary folder and stops them again;
//! everything is then on one machine, the load generator too. With `--front-end` it measures a shop
//! that is already running. Such a shop keeps its stock: without `--catalogs` it is only read; with
//! them, the benchmark adds copies to the stock, sells some, and removes the rest. Outages are for
//! local shops only.
//!
//! Read on in the order of the sections: `one_customer`, `hedged`, `outages`, `rolling_restart`,
//! `throughput`, `yardsticks`. Each puts load (`super::harness::load`) on a shop, and makes of each
//! measurement a row (`summary`) of the `report` and of the `picture`. `targets` are values of rows
//! or ratios of two. An `audit` of each shop comes before the shop is closed. `RESULTS.md`
//! holds the tables of one run.
//!
//! What is not measured: whether the answers could have come from one shop with one copy of each
//! book. The tests do that (`crate::testing::linearizability`).

mod audit;
pub mod baseline_server;
mod etcd;
mod hedged;
mod one_customer;
mod outages;
mod picture;
mod report;
mod rolling_restart;
mod sizes;
mod summary;
mod targets;
mod throughput;
mod yardsticks;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::{env, fs, io};

use fastrand::Rng;

use crate::config::bench::{BenchSettings, Section};
use crate::runtime::exit::Exit;
use crate::tools::harness::connection::Request;
use crate::tools::harness::load::one_of;
use crate::tools::harness::local_shop::{LocalShop, Setup};
use crate::tools::harness::machine;
use crate::tools::harness::scratch_dir::ScratchDir;
use crate::tools::harness::shop::Shop;
use one_customer::Customer;
use report::Report;
use sizes::Sizes;
use summary::Summary;

/// The original's shop has seven books.
const FIRST_BOOKS: usize = 7;

/// Requests before those that are counted: meanwhile the servers open their connections to each
/// other.
const WARM_UP: usize = 20;

/// Runs the benchmark and prints the table.
///
/// Fails when a shop cannot be started or reached, when a file cannot be written, and, after
/// everything was printed, when the stock does not match the sales, replicas differ, or a target
/// has lost its row.
pub fn run(settings: &BenchSettings) -> Result<(), Exit> {
    let report = measure(settings)?;
    // A closed stdout is no reason not to write the files.
    let _ = io::stdout().write_all(report.table().as_bytes());
    save(settings.json.as_deref(), || report.json())?;
    save(settings.svg.as_deref(), || picture::draw(&report))?;
    match report.problems() {
        0 => Ok(()),
        count => Err(Exit::Failed(format!("{count} problems: see above"))),
    }
}

fn save(path: Option<&Path>, text: impl Fn() -> String) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    let cannot = |error| format!("cannot write {}: {error}", path.display());
    fs::write(path, text()).map_err(cannot)
}

fn measure(settings: &BenchSettings) -> Result<Report, String> {
    let mut bench = Bench {
        settings,
        sizes: Sizes::new(settings.quick),
        rng: Rng::with_seed(settings.seed),
        scratch: Arc::new(ScratchDir::create(&env::temp_dir(), "bazar-bench")?),
        report: Report {
            run: machine::describe_run(settings.seed, settings.quick),
            seed: settings.seed,
            ..Report::default()
        },
        shops: 0,
    };
    let mut sections = Section::ALL.to_vec();
    sections.retain(|section| match settings.only {
        Some(only) => only == *section,
        None => *section != Section::Etcd,
    });
    for section in &sections {
        bench.show_progress(section.name());
        match section {
            Section::Lookups => one_customer::lookups(&mut bench)?,
            Section::Invalidations => one_customer::invalidations(&mut bench)?,
            Section::Buys => {
                one_customer::buys(&mut bench)?;
                hedged::run(&mut bench)?;
            }
            Section::Outages => {
                outages::run(&mut bench)?;
                rolling_restart::run(&mut bench)?;
            }
            Section::Throughput => throughput::run(&mut bench)?,
            Section::Yardsticks => yardsticks::run(&mut bench)?,
            Section::Etcd => etcd::run(&mut bench)?,
        }
    }
    bench.show_progress("");
    if !bench.is_local() {
        // What a running shop cannot show is not missing.
        sections.clear();
    }
    if !settings.quick {
        bench.report.targets = targets::evaluate(&bench.report.rows, &sections);
    }
    Ok(bench.report)
}

/// A run in progress.
struct Bench<'a> {
    settings: &'a BenchSettings,
    sizes: Sizes,
    rng: Rng,
    scratch: Arc<ScratchDir>,
    report: Report,
    /// How many local shops were started: each has a number of its own.
    shops: u8,
}

impl Bench<'_> {
    /// Shows on a terminal what is going on.
    fn show_progress(&self, what: &str) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // The escape sequence clears the rest of the line.
            let _ = write!(stderr, "\r{what}\x1b[K");
        }
    }

    fn add(&mut self, row: Summary) {
        self.show_progress(&format!("{}: {}", row.section.name(), row.name));
        self.report.rows.push(row);
    }

    fn is_local(&self) -> bool {
        self.settings.front_end.is_none()
    }

    /// Whether copies can be added to the stock, so that they may be sold.
    fn can_sell(&self) -> bool {
        self.is_local() || !self.settings.catalogs.is_empty()
    }

    /// Starts a local shop, runs `work` on it, audits it, and stops it.
    fn with_local(
        &mut self,
        catalogs: usize,
        cached: bool,
        work: impl FnOnce(&mut Self, &LocalShop) -> Result<(), String>,
    ) -> Result<(), String> {
        self.with_front_ends(1, catalogs, cached, work)
    }

    fn with_front_ends(
        &mut self,
        front_ends: usize,
        catalogs: usize,
        cached: bool,
        work: impl FnOnce(&mut Self, &LocalShop) -> Result<(), String>,
    ) -> Result<(), String> {
        let setup = Setup {
            front_ends,
            cached,
            ..self.setup(catalogs)
        };
        self.with_setup(&setup, work)
    }

    /// The usual shop.
    fn setup(&mut self, catalogs: usize) -> Setup {
        self.shops += 1;
        Setup {
            number: self.shops,
            catalogs,
            front_ends: 1,
            cached: true,
            hedged: true,
            timeout: self.sizes.timeout,
            etcd: None,
            scratch: self.scratch.clone(),
        }
    }

    fn with_setup(
        &mut self,
        setup: &Setup,
        work: impl FnOnce(&mut Self, &LocalShop) -> Result<(), String>,
    ) -> Result<(), String> {
        let local = LocalShop::start(setup)?;
        work(self, &local)?;
        let cache = if setup.cached { "" } else { ", no cache" };
        let catalogs = counted(setup.catalogs, "catalog");
        let name = format!("shop{}, {catalogs}{cache}", setup.number);
        self.audit(&local.shop, &name);
        Ok(())
    }

    /// The same, or `work` runs on the running shop if one was given, whatever its setup.
    fn with_shop(
        &mut self,
        catalogs: usize,
        cached: bool,
        work: impl FnOnce(&mut Self, &Shop) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(front_end) = &self.settings.front_end else {
            return self.with_local(catalogs, cached, |bench, local| work(bench, &local.shop));
        };
        let (catalogs, token) = (&self.settings.catalogs, self.settings.token.as_deref());
        let shop = Shop::new(front_end, catalogs, token);
        shop.read_stock()?;
        let worked = work(self, &shop);
        if !catalogs.is_empty() {
            self.audit(&shop, front_end.as_str());
            shop.remove_unsold()?;
        }
        worked
    }

    fn audit(&mut self, shop: &Shop, name: &str) {
        self.show_progress("counting the stock");
        self.report.audits.push(audit::audit(shop, name));
    }

    /// The books that are looked up and sold: the first stock, or what a running shop has of it.
    fn first_books(&self, shop: &Shop) -> Result<Vec<u64>, String> {
        let mut ids = shop.ids(FIRST_BOOKS);
        if ids.is_empty() {
            let mut customer = Customer::connect(shop)?;
            let mut exists = |id: &u64| customer.send(&[Request::Lookup(*id)]).errors == 0;
            ids = (1..=FIRST_BOOKS as u64).filter(&mut exists).collect();
        }
        if ids.is_empty() {
            return Err("this shop has none of the books 1 to 7".into());
        }
        Ok(ids)
    }

    /// Requests for random books.
    fn requests(
        &mut self,
        count: usize,
        books: &[u64],
        request: impl Fn(u64) -> Request,
    ) -> Vec<Request> {
        let random = |_| request(one_of(&mut self.rng, books));
        (0..count).map(random).collect()
    }

    /// A seed for each of this many rounds of a load.
    fn seeds(&self, rounds: u64) -> impl Iterator<Item = u64> + use<> {
        let first = self.settings.seed;
        (0..rounds).map(move |round| first.wrapping_add(round))
    }
}

/// Such as `1 customer`, `16 customers`.
fn counted(n: usize, what: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{n} {what}{ending}")
}

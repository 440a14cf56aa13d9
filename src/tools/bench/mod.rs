//! `bazar bench`: what the shop takes for what, beside what the original published, what this
//! machine's disk and a bare server can do, and whether every sale is still there afterwards.
//!
//! With `--local` it opens shops of real processes in a temporary folder and stops them again;
//! everything is on one machine then, the load generator too. With `--front-end` it measures a shop
//! that runs. That one keeps what it has: without `--catalogs` it is only read; with them, the
//! benchmark puts copies in stock, sells some, and takes the rest out again. Outages are for local
//! shops only.
//!
//! The sections follow each other in the order of [`Section`]; each has a file of its own. A load
//! ([`load`]) brings a take ([`take`]), a take is a row ([`row`]) of the table ([`report`]) and of
//! the picture ([`picture`]); rows are held against the targets ([`targets`]), and each shop's
//! books are checked ([`check`]) before it is closed.
//!
//! How latencies are counted: a customer who asks again as soon as he is answered (*closed loop*)
//! is due when he was answered; rows *by the clock* count from the time at which a request was due.

pub mod baseline_server;
pub mod buys;
pub mod check;
pub mod connection;
pub mod invalidations;
pub mod load;
pub mod local;
pub mod lookups;
pub mod machine;
pub mod outages;
pub mod picture;
pub mod process;
pub mod report;
pub mod row;
pub mod shop;
pub mod sizes;
pub mod take;
pub mod targets;
pub mod throughput;
pub mod warden;
pub mod yardsticks;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::{env, fs, io, process as system};

use fastrand::Rng;

use crate::config::bench::{BenchSettings, Section};
use crate::runtime::exit::Exit;
use check::Check;
use local::{LocalShop, Place, Plan};
use machine::Head;
use report::Report;
use row::Row;
use shop::Shop;
use sizes::Sizes;
use warden::Warden;

/// Runs the benchmark and returns the table.
///
/// Fails when a shop cannot be started or reached, when a file cannot be written, and, after all
/// was printed, when the stock does not match the sales or replicas differ.
pub fn run(settings: &BenchSettings) -> Result<(), Exit> {
    let report = measure(settings)?;
    // Whoever reads may have gone, which is no reason not to write the files.
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
    let mut bench = Bench::new(settings)?;
    for section in Section::ALL {
        if settings.only.is_some_and(|only| only != section) {
            continue;
        }
        bench.say(section.word());
        match section {
            Section::Lookups => lookups::run(&mut bench)?,
            Section::Invalidations => invalidations::run(&mut bench)?,
            Section::Buys => buys::run(&mut bench)?,
            Section::Outages => outages::run(&mut bench)?,
            Section::Throughput => throughput::run(&mut bench)?,
            Section::Yardsticks => yardsticks::run(&mut bench)?,
        }
    }
    bench.say("");
    Ok(Report::new(bench.head, bench.rows, bench.checks))
}

/// A run under way.
pub struct Bench<'a> {
    settings: &'a BenchSettings,
    sizes: Sizes,
    rng: Rng,
    warden: Arc<Warden>,
    head: Head,
    rows: Vec<Row>,
    checks: Vec<Check>,
    /// Shops opened so far: each has a name and an address of its own.
    shops: u8,
}

impl Bench<'_> {
    fn new(settings: &BenchSettings) -> Result<Bench<'_>, String> {
        let folder = env::temp_dir().join(format!("bazar-bench-{}", system::id()));
        let sizes = if settings.quick {
            Sizes::QUICK
        } else {
            Sizes::FULL
        };
        Ok(Bench {
            settings,
            sizes,
            rng: Rng::with_seed(settings.seed),
            warden: Arc::new(Warden::new(&folder)?),
            head: Head::new(settings.seed, settings.quick),
            rows: Vec::new(),
            checks: Vec::new(),
            shops: 0,
        })
    }

    /// Says on a terminal what is going on.
    fn say(&self, what: &str) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // The rest of the line is wiped.
            let _ = write!(stderr, "\r{what}\x1b[K");
        }
    }

    fn add(&mut self, row: Row) {
        self.say(&format!("{}: {}", row.section, row.name));
        self.rows.push(row);
    }

    fn is_local(&self) -> bool {
        self.settings.front_end.is_none()
    }

    /// Whether copies can be put in stock, so that they may be sold.
    fn may_sell(&self) -> bool {
        self.is_local() || !self.settings.catalogs.is_empty()
    }

    /// Lets `work` have a local shop as planned, checks the books afterwards, and closes it.
    fn with_local(
        &mut self,
        plan: Plan,
        work: impl FnOnce(&mut Self, &LocalShop) -> Result<(), String>,
    ) -> Result<(), String> {
        self.shops += 1;
        let place = Place {
            name: format!("shop{}", self.shops),
            host: local::own_host(self.shops),
            warden: self.warden.clone(),
            call_max: self.sizes.call_max,
        };
        let local = LocalShop::open(plan, &place)?;
        work(self, &local)?;
        self.say("counting the stock");
        let what = if plan.cached { "" } else { ", no cache" };
        let name = format!("{}, {}{what}", place.name, count(plan.catalogs, "catalog"));
        self.checks.push(check::check(&local.shop, &name)?);
        Ok(())
    }

    /// The same with the shop that runs, if that is what is measured: it is as it is, whatever was
    /// planned.
    fn with_shop(
        &mut self,
        plan: Plan,
        work: impl FnOnce(&mut Self, &Shop) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(front_end) = &self.settings.front_end else {
            return self.with_local(plan, |bench, local| work(bench, &local.shop));
        };
        let (catalogs, token) = (&self.settings.catalogs, self.settings.token.as_deref());
        let shop = Shop::new(front_end, catalogs, token)?;
        let worked = work(self, &shop);
        if !catalogs.is_empty() {
            self.checks.push(check::check(&shop, front_end.as_str())?);
            shop.clear_up()?;
        }
        worked
    }

    /// The books that are looked up and sold: the first stock, or what a running shop has of it.
    fn first_books(&self, shop: &Shop) -> Result<Vec<u64>, String> {
        let ids = match shop.ids(FIRST_BOOKS) {
            none if none.is_empty() => shop.found(FIRST_BOOKS as u64)?,
            ids => ids,
        };
        match ids.is_empty() {
            true => Err("this shop has none of the books 1 to 7".into()),
            false => Ok(ids),
        }
    }
}

/// Such as `1 customer`, `16 customers`.
fn count(n: usize, what: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{n} {what}{ending}")
}

/// The original's shop has seven books.
const FIRST_BOOKS: usize = 7;

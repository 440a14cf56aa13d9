//! `bazar scale`: what a million books cost, compared with a shop of seven on the same machine.
//!
//! It starts two shops of real processes in a temporary folder, each with two catalogs, two order
//! servers and a front-end; fills the large one with `bazar import`; measures the same things
//! in both (`measured_shop`); compares them with the targets (`table`); and removes
//! everything. Progress goes to stderr, the table to stdout.
//!
//! No number is compared with one of another machine. A target is a ratio to the small shop, or a
//! bound that was set for two cores and a disk that takes some thousand files a second. The table
//! also shows what a first version with all books in one file would need
//! (`single_file_baseline`).

mod ledger;
mod measured_shop;
mod results;
mod single_file_baseline;
mod table;

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::{env, io};

use crate::config::scale::ScaleSettings;
use crate::runtime::exit::Exit;
use crate::tools::harness::dataset;
use crate::tools::harness::local_shop::{LocalShop, Setup};
use crate::tools::harness::machine;
use crate::tools::harness::scratch_dir::ScratchDir;
use ledger::LedgerSizes;
use measured_shop::{MeasuredShop, SEED, Sizes};

/// The ids of the original's shop, and of ours when it is new.
const FIRST_STOCK: RangeInclusive<u64> = 1..=7;

/// Of the large shop's books: not in the first stock, and the first id of a data file.
const FIRST_ID: u64 = 1000;

/// Measures both shops and prints the table.
///
/// Fails when a shop cannot be started, filled or reached. A target that is missed is not a
/// failure: the table shows it.
pub fn run(settings: &ScaleSettings) -> Result<(), Exit> {
    let description = machine::describe_run(SEED, settings.quick);
    let sizes = Sizes::new(settings.quick);
    let parent = settings.folder.clone().unwrap_or_else(env::temp_dir);
    let scratch = Arc::new(ScratchDir::create(&parent, "bazar-scale")?);
    let setup = |number| Setup {
        hedged: true,
        number,
        catalogs: 2,
        front_ends: 1,
        cached: true,
        timeout: None,
        etcd: None,
        scratch: scratch.clone(),
    };
    let [small, large] = [setup(1), setup(2)];
    let ids = FIRST_ID..=FIRST_ID + settings.books - 1;
    let mut shops = Shops {
        small: MeasuredShop::new(LocalShop::start(&small)?, FIRST_STOCK, sizes),
        large: MeasuredShop::new(LocalShop::start(&large)?, ids, sizes),
        scratch: scratch.path(),
    };
    shops.measure(sizes.rounds)?;
    show_progress("a first version with the same books");
    let data_dir = large.data_dir(0);
    let [small, large] = [&shops.small.results, &shops.large.results];
    let baseline = single_file_baseline::measure(&data_dir, scratch.path(), sizes.missed, large)?;
    show_progress("a ledger");
    let ledger_sizes = LedgerSizes {
        orders: settings.orders as usize,
        missed: (settings.orders / 10) as usize,
    };
    let ledger = ledger::measure(&shops.small, ledger_sizes)?;
    let mut table = table::draw(settings.books, sizes.missed, [small, large, &baseline]);
    table += &table::ledger(ledger_sizes, &ledger);
    // A closed stdout is no failure.
    let _ = write!(io::stdout(), "{description}\n{table}");
    Ok(())
}

struct Shops<'a> {
    small: MeasuredShop,
    large: MeasuredShop,
    scratch: &'a Path,
}

type Step = fn(&mut MeasuredShop) -> Result<(), String>;

impl Shops<'_> {
    /// Returns how many books a second were added.
    fn import(&self, into: &MeasuredShop, ids: &[u64]) -> Result<f64, String> {
        let catalog = &into.local.shop.catalogs[0];
        let (summary, rate) = dataset::import(catalog, self.scratch, ids)?;
        show_progress(&summary);
        Ok(rate)
    }

    /// Fills the large shop, and measures both.
    fn measure(&mut self, rounds: usize) -> Result<(), String> {
        show_progress("import");
        let first_stock: Vec<u64> = FIRST_STOCK.collect();
        self.small
            .local
            .shop
            .add_stock(&first_stock, dataset::COPIES)?;
        let ids: Vec<u64> = self.large.ids.clone().collect();
        self.large.results.import_rate = self.import(&self.large, &ids)?;
        self.in_turns(1, "stop and start", MeasuredShop::starts)?;
        self.in_turns(rounds, "look-ups", MeasuredShop::lookups)?;
        self.in_turns(rounds, "buys, one customer", MeasuredShop::buys)?;
        self.in_turns(1, "buys, 64 customers", MeasuredShop::many_customers)?;
        let what = "changes that a catalog misses";
        self.in_turns(1, what, MeasuredShop::missed_changes)?;
        let of_one_topic = ids.into_iter().filter(|id| dataset::is_of_one_topic(*id));
        self.import(&self.small, &of_one_topic.collect::<Vec<_>>())?;
        self.in_turns(rounds, "searches", MeasuredShop::searches)
    }

    /// Runs a step in one shop and then in the other, several times. Other work on the machine then
    /// slows both alike.
    fn in_turns(&mut self, rounds: usize, what: &str, step: Step) -> Result<(), String> {
        show_progress(what);
        for _ in 0..rounds {
            step(&mut self.small)?;
            step(&mut self.large)?;
        }
        Ok(())
    }
}

/// Says on stderr what is going on: the run takes minutes.
fn show_progress(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

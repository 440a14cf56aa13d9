//! `bazar scale`: what a million books cost, beside a shop of seven on the same machine.
//!
//! Opens two shops one after the other, each of two catalogs, two order servers and a front-end, as real processes in a
//! temporary folder; fills the large one with `bazar import`; measures the same things in both ([`visit`]); holds them
//! against the targets ([`table`]); and removes everything. Where the shops come from and how load is made is
//! [`crate::bench`]'s. Progress goes to stderr, the table to stdout.
//!
//! What is compared with a target is never a figure of another machine: it is a ratio to the small shop, or a bound that
//! was set for two cores and a disk that takes some thousand files a second.

mod figures;
mod goods;
mod search;
mod table;
mod visit;

use std::io::Write;
use std::sync::Arc;
use std::{env, io, process};

use crate::bench::local::{LocalShop, Place, Plan, own_host};
use crate::bench::machine::Head;
use crate::bench::warden::Warden;
use crate::config::scale::ScaleSettings;
use crate::ending::Ending;
use figures::Figures;
use visit::Visit;

/// Decides which books are asked for.
const SEED: u64 = 1;

/// Of the original's shop, and of ours when it is new.
const FIRST_STOCK: std::ops::RangeInclusive<u64> = 1..=7;

/// Measures both shops and prints the table.
///
/// Fails when a shop cannot be started, filled or asked. A target that is missed is no failure: it is in the table.
pub fn run(settings: &ScaleSettings) -> Result<(), Ending> {
    let head = Head::new(SEED, false).line();
    let parent = settings.folder.clone().unwrap_or_else(env::temp_dir);
    let folder = parent.join(format!("bazar-scale-{}", process::id()));
    let warden = Arc::new(Warden::new(&folder)?);
    let small = small(&warden, settings.books)?;
    let large = large(&warden, settings.books)?;
    let table = table::draw(settings.books, &small, &large);
    // Whoever reads may have gone.
    let _ = write!(io::stdout(), "{head}\n{table}");
    Ok(())
}

/// The shop with the first stock. In the end it has the books of one topic of the large shop too, and nothing else.
fn small(warden: &Arc<Warden>, books: u64) -> Result<Figures, String> {
    say("a shop of 7 books");
    let local = open("small", 1, warden)?;
    local
        .shop
        .stock_up(&FIRST_STOCK.collect::<Vec<_>>(), visit::COPIES)?;
    let mut visit = Visit::new(&local, FIRST_STOCK);
    visit.measure()?;
    let same_topic = goods::ids(books).filter(|id| goods::is_of_the_one_topic(*id));
    goods::import(&local, warden.folder(), same_topic)?;
    visit.search()?;
    Ok(visit.figures)
}

fn large(warden: &Arc<Warden>, books: u64) -> Result<Figures, String> {
    say(&format!("a shop of {books} books: import"));
    let local = open("large", 2, warden)?;
    let rate = goods::import(&local, warden.folder(), goods::ids(books))?;
    let mut visit = Visit::new(&local, goods::ids(books));
    visit.figures.import_rate = Some(rate);
    visit.measure()?;
    visit.search()?;
    Ok(visit.figures)
}

fn open(name: &str, number: u8, warden: &Arc<Warden>) -> Result<LocalShop, String> {
    let place = Place {
        name: name.into(),
        host: own_host(number),
        warden: warden.clone(),
        call_max: None,
    };
    let plan = Plan {
        catalogs: 2,
        cached: true,
    };
    LocalShop::open(plan, &place)
}

/// Says what is going on. It takes minutes.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

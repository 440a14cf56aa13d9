//! `bazar scale`: what a million books cost, beside a shop of seven on the same machine.
//!
//! Opens two shops, each of two catalogs, two order servers and a front-end, as real processes in a
//! temporary folder; fills the large one with `bazar import`; measures the same things in both
//! ([`visit`]); holds them against the targets ([`table`]); and removes everything. Where the shops
//! come from and how load is made is [`crate::tools::bench`]'s. Progress goes to stderr, the table
//! to stdout.
//!
//! What is compared with a target is never a figure of another machine: it is a ratio to the small
//! shop, or a bound that was set for two cores and a disk that takes some thousand files a second.
//! Beside them stands what a first, naive version would need for the same books ([`naive`]).

pub mod figures;
pub mod goods;
pub mod naive;
pub mod search;
pub mod table;
pub mod visit;

use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::{env, io, process};

use crate::config::scale::ScaleSettings;
use crate::runtime::exit::Exit;
use crate::tools::bench::local::{LocalShop, Place, Plan, own_host};
use crate::tools::bench::machine::Head;
use crate::tools::bench::warden::Warden;
use visit::{Sizes, Visit};

/// Decides which books are asked for.
const SEED: u64 = 1;

/// Of the original's shop, and of ours when it is new.
const FIRST_STOCK: RangeInclusive<u64> = 1..=7;

/// Measures both shops and prints the table.
///
/// Fails when a shop cannot be started, filled or asked. A target that is missed is no failure: it
/// is in the table.
pub fn run(settings: &ScaleSettings) -> Result<(), Exit> {
    let head = Head::new(SEED, settings.quick).line();
    let sizes = match settings.quick {
        true => Sizes::QUICK,
        false => Sizes::FULL,
    };
    let parent = settings.folder.clone().unwrap_or_else(env::temp_dir);
    let folder = parent.join(format!("bazar-scale-{}", process::id()));
    let warden = Arc::new(Warden::new(&folder)?);
    let places = [place("small", 1, &warden), place("large", 2, &warden)];
    let [small, large] = [open(&places[0])?, open(&places[1])?];
    let (mut small, mut large) = (
        Visit::new(&small, FIRST_STOCK, sizes),
        Visit::new(&large, goods::ids(settings.books), sizes),
    );
    fill(&mut small, &mut large, &warden)?;
    measure(&mut small, &mut large, &warden, sizes.rounds)?;
    say("a first version with the same books");
    let data = places[1].data_of_catalog(0);
    let naive = naive::measure(&data, warden.folder(), sizes.missed, &large.figures)?;
    let table = table::draw(
        settings.books,
        sizes.missed,
        [&small.figures, &large.figures, &naive],
    );
    // Whoever reads may have gone.
    let _ = write!(io::stdout(), "{head}\n{table}");
    Ok(())
}

fn fill(small: &mut Visit, large: &mut Visit, warden: &Warden) -> Result<(), String> {
    say("import");
    let first_stock: Vec<u64> = FIRST_STOCK.collect();
    small.local.shop.stock_up(&first_stock, visit::COPIES)?;
    let rate = goods::import(large.local, warden.folder(), large.ids.clone())?;
    large.figures.import_rate = Some(rate);
    Ok(())
}

fn measure<'a>(
    small: &mut Visit<'a>,
    large: &mut Visit<'a>,
    warden: &Warden,
    rounds: usize,
) -> Result<(), String> {
    in_turns(1, small, large, "stop and start", Visit::starts)?;
    in_turns(rounds, small, large, "look-ups", Visit::lookups)?;
    in_turns(rounds, small, large, "buys, one customer", Visit::buys)?;
    in_turns(1, small, large, "buys, 64 customers", Visit::crowd)?;
    in_turns(
        1,
        small,
        large,
        "changes that a catalog misses",
        Visit::missed,
    )?;
    let same_topic = large
        .ids
        .clone()
        .filter(|id| goods::is_of_the_one_topic(*id));
    goods::import(small.local, warden.folder(), same_topic)?;
    in_turns(rounds, small, large, "searches", Visit::search)
}

/// A step in one shop and then in the other, so many times. What is compared is measured in turns:
/// other work on the machine then takes as much from both.
fn in_turns<'a>(
    rounds: usize,
    small: &mut Visit<'a>,
    large: &mut Visit<'a>,
    what: &str,
    step: Step<'a>,
) -> Result<(), String> {
    say(what);
    for _ in 0..rounds {
        step(small)?;
        step(large)?;
    }
    Ok(())
}

type Step<'a> = fn(&mut Visit<'a>) -> Result<(), String>;

fn place(name: &str, number: u8, warden: &Arc<Warden>) -> Place {
    Place {
        name: name.into(),
        host: own_host(number),
        warden: warden.clone(),
        call_max: None,
    }
}

fn open(place: &Place) -> Result<LocalShop, String> {
    let plan = Plan {
        catalogs: 2,
        cached: true,
    };
    LocalShop::open(plan, place)
}

/// Says what is going on. It takes minutes.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

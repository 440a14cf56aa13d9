//! Section 3: buys by one customer, each on disk at every catalog, for one, two and three catalogs.

use super::Bench;
use crate::config::bench::Section;
use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::load::in_turn;
use crate::tools::bench::local::Plan;
use crate::tools::bench::lookups::{WARM_UP, one_of};
use crate::tools::bench::row::Row;
use crate::tools::bench::shop::Shop;

const SECTION: &str = Section::Buys.word();

/// What the original published without replication, and with.
const PUBLISHED_MS: [Option<f64>; 3] = [Some(39.21), Some(44.78), None];

pub fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.may_sell() {
        return Ok(());
    }
    let counts = if bench.is_local() { 1..=3 } else { 1..=1 };
    for catalogs in counts {
        let plan = Plan {
            catalogs,
            cached: true,
        };
        bench.with_shop(plan, measure)?;
    }
    Ok(())
}

fn measure(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    let books = bench.first_books(shop)?;
    let count = bench.sizes.requests;
    shop.stock_up(&books, (count + WARM_UP) as u64)?;
    let mut connection = Connection::open_all(shop.front_end, 1)?.remove(0);
    let mut buys = |bench: &mut Bench, count| {
        let one = |_| Ask::Buy(one_of(&mut bench.rng, &books));
        let asks: Vec<Ask> = (0..count).map(one).collect();
        let take = in_turn(&mut connection, &asks).buys;
        shop.enter(&take);
        take
    };
    buys(bench, WARM_UP);
    let take = buys(bench, count);
    let name = format!(
        "buys by one customer, {}",
        super::count(shop.catalogs.len(), "catalog")
    );
    let row = Row::new(SECTION, name, &take);
    let published = PUBLISHED_MS.get(shop.catalogs.len() - 1);
    bench.add(match published.copied().flatten() {
        Some(ms) => row.published(ms),
        None => row,
    });
    Ok(())
}

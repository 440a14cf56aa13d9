//! Section 2: look-ups with buys in between, each of which voids what the front-end keeps of its
//! book. The original has this section and left it empty.

use super::Bench;
use crate::config::bench::Section;
use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::load::in_turn;
use crate::tools::bench::local::Plan;
use crate::tools::bench::lookups::{self, WARM_UP, hits, one_of};
use crate::tools::bench::row::Row;
use crate::tools::bench::shop::Shop;

const SECTION: &str = Section::Invalidations.word();

/// How many of a hundred requests are buys.
const SHARES: [usize; 5] = [0, 20, 40, 60, 80];

pub fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.may_sell() {
        return Ok(());
    }
    let plan = Plan {
        catalogs: 2,
        cached: true,
    };
    bench.with_shop(plan, |bench, shop| {
        let books = bench.first_books(shop)?;
        shop.stock_up(&books, (bench.sizes.requests * SHARES.len()) as u64)?;
        SHARES
            .iter()
            .try_for_each(|share| measure(bench, shop, &books, *share))
    })
}

fn measure(bench: &mut Bench, shop: &Shop, books: &[u64], share: usize) -> Result<(), String> {
    let count = bench.sizes.requests;
    let mut connection = Connection::open_all(shop.front_end, 1)?.remove(0);
    let warm_up = lookups::lookups(&mut bench.rng, books, WARM_UP);
    in_turn(&mut connection, &warm_up);
    // Exactly the share, in random order.
    let mut asks: Vec<Ask> = (0..count)
        .map(
            |n| match (n * 100 < share * count, one_of(&mut bench.rng, books)) {
                (true, id) => Ask::Buy(id),
                (false, id) => Ask::Lookup(id),
            },
        )
        .collect();
    bench.rng.shuffle(&mut asks);
    let mixed = in_turn(&mut connection, &asks);
    shop.enter(&mixed.buys);
    let row = Row::new(SECTION, format!("look-ups, {share} % buys"), &mixed.lookups);
    bench.add(row.with_note(hits(mixed.lookups.hits)));
    if 0 < share {
        bench.add(Row::new(
            SECTION,
            format!("buys, {share} % buys"),
            &mixed.buys,
        ));
    }
    Ok(())
}

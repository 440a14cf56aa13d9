//! Section 2: look-ups with buys in between. Each buy invalidates its book in the front-end's
//! cache. The original has this section and left it empty.

use crate::config::bench::Section;
use crate::tools::bench::summary::{Summary, hits};
use crate::tools::bench::{Bench, WARM_UP};
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::load::run_sequence;
use crate::tools::harness::shop::Shop;

/// How many of a hundred requests are buys.
const BUYS_PERCENT: [usize; 5] = [0, 20, 40, 60, 80];

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.can_sell() {
        return Ok(());
    }
    let setup = bench.setup(2);
    bench.with_shop(setup, |bench, shop| {
        let books = bench.first_books(shop)?;
        shop.add_stock(&books, (bench.sizes.requests * BUYS_PERCENT.len()) as u64)?;
        let mut percents = BUYS_PERCENT.into_iter();
        percents.try_for_each(|percent| measure(bench, shop, &books, percent))
    })
}

fn measure(bench: &mut Bench, shop: &Shop, books: &[u64], percent: usize) -> Result<(), String> {
    let mut connection = Connection::open(shop.front_end)?;
    let warm_up = bench.requests(WARM_UP, books, Request::Lookup);
    run_sequence(&mut connection, &warm_up);
    // Exactly that share, in random order.
    let buys = bench.sizes.requests * percent / 100;
    let mut requests = bench.requests(buys, books, Request::Buy);
    requests.extend(bench.requests(bench.sizes.requests - buys, books, Request::Lookup));
    bench.rng.shuffle(&mut requests);
    let measured = run_sequence(&mut connection, &requests);
    shop.record_sales(&measured.buys);
    let section = Section::Invalidations;
    let name = |kind| format!("{kind}, {percent} % buys");
    bench.add(Summary {
        note: hits(&measured.lookups),
        ..Summary::new(section, name("look-ups"), &measured.lookups)
    });
    if 0 < percent {
        bench.add(Summary::new(section, name("buys"), &measured.buys));
    }
    Ok(())
}

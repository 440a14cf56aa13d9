//! Section 2: look-ups with buys in between. Each buy invalidates its book in the front-end's
//! cache. The original has this section and left it empty.

use crate::config::bench::Section;
use crate::tools::bench::customer::Customer;
use crate::tools::bench::summary::hits;
use crate::tools::bench::{Bench, WARM_UP};
use crate::tools::harness::connection::Request;
use crate::tools::harness::measurement::Measurement;
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
    let mut customer = Customer::connect(shop)?;
    customer.send(&bench.requests(WARM_UP, books, Request::Lookup));
    // Exactly that share, in random order.
    let count = bench.sizes.requests;
    let mut requests = bench.requests(count * percent / 100, books, Request::Buy);
    let lookups = bench.requests(count - requests.len(), books, Request::Lookup);
    requests.extend(lookups);
    bench.rng.shuffle(&mut requests);
    let (mut buys, mut lookups) = (Measurement::default(), Measurement::default());
    for request in requests {
        let measured = customer.send(&[request]);
        match request {
            Request::Buy(_) => buys.append(measured),
            _ => lookups.append(measured),
        }
    }
    let name = |kind| format!("{kind}, {percent} % buys");
    let section = Section::Invalidations;
    bench.add_measurement(section, name("look-ups"), &lookups, &hits(&lookups));
    if 0 < percent {
        bench.add_measurement(section, name("buys"), &buys, "");
    }
    Ok(())
}

//! Sections 1 to 3: one customer, who sends one request after another.
//!
//! 1. Look-ups of books that exist and of ids 1 to 10, with the cache and without.
//! 2. Look-ups with buys in between. Each buy invalidates its book in the front-end's cache. The
//!    original has this section and left it empty.
//! 3. Buys, with one, two and three catalogs. Each buy is on the disk of every catalog before it is
//!    answered. After each, the same disk replaces one file.

use crate::config::bench::Section;
use crate::tools::bench::summary::{Summary, hits, mean_ms};
use crate::tools::bench::yardsticks::replace_one_file;
use crate::tools::bench::{Bench, WARM_UP, counted};
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::load::run_sequence;
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::shop::Shop;

/// Whether the front-end caches, how the rows of look-ups say so, and what the original published.
const MODES: [(bool, &str, Option<f64>); 2] = [
    (true, "with the cache", Some(4.55)),
    (false, "without the cache", Some(10.62)),
];

/// A running shop is measured as it is.
const RUNNING_MODE: [(bool, &str, Option<f64>); 1] = [(true, "as it is set up", None)];

/// How many of a hundred requests are buys, in section 2.
const BUYS_PERCENT: [usize; 5] = [0, 20, 40, 60, 80];

/// What the original published of buys, for one catalog and for two.
const PUBLISHED_BUYS_MS: [f64; 2] = [39.21, 44.78];

pub(super) struct Customer<'a> {
    connection: Connection,
    shop: &'a Shop,
}

impl<'a> Customer<'a> {
    /// A customer with a connection to the front-end.
    pub(super) fn connect(shop: &'a Shop) -> Result<Customer<'a>, String> {
        let connection = Connection::open(&shop.front_end)?;
        Ok(Customer { connection, shop })
    }

    /// Sends the requests and records what was bought.
    pub(super) fn send(&mut self, requests: &[Request]) -> Measurement {
        let measured = run_sequence(&mut self.connection, requests);
        self.shop.record_sales(&measured);
        measured
    }
}

pub(super) fn lookups(bench: &mut Bench) -> Result<(), String> {
    let modes = if bench.is_local() {
        &MODES[..]
    } else {
        &RUNNING_MODE
    };
    for (cached, mode, published_ms) in modes {
        bench.with_shop(2, *cached, |bench, shop| {
            measure_lookups(bench, shop, mode, *published_ms)
        })?;
    }
    Ok(())
}

fn measure_lookups(
    bench: &mut Bench,
    shop: &Shop,
    mode: &str,
    published_ms: Option<f64>,
) -> Result<(), String> {
    let books = bench.first_books(shop)?;
    let count = bench.sizes.requests;
    let mut customer = Customer::connect(shop)?;
    customer.send(&bench.requests(WARM_UP, &books, Request::Lookup));
    let valid = bench.requests(count, &books, Request::Lookup);
    let first_ten: Vec<u64> = (1..=10).collect();
    let first_ten = bench.requests(count, &first_ten, |id| match books.contains(&id) {
        true => Request::Lookup(id),
        false => Request::Missing(id),
    });
    for (ids, requests, published_ms) in [
        ("valid ids", valid, published_ms),
        ("ids 1 to 10", first_ten, None),
    ] {
        let measured = customer.send(&requests);
        let name = format!("look-ups of {ids}, {mode}");
        bench.add(Summary {
            published_ms,
            ..Summary::new(Section::Lookups, name, &measured, hits(&measured))
        });
    }
    Ok(())
}

pub(super) fn invalidations(bench: &mut Bench) -> Result<(), String> {
    if !bench.can_sell() {
        return Ok(());
    }
    bench.with_shop(2, true, |bench, shop| {
        let books = bench.first_books(shop)?;
        shop.add_stock(&books, (bench.sizes.requests * BUYS_PERCENT.len()) as u64)?;
        let mut percents = BUYS_PERCENT.into_iter();
        percents.try_for_each(|percent| measure_invalidations(bench, shop, &books, percent))
    })
}

fn measure_invalidations(
    bench: &mut Bench,
    shop: &Shop,
    books: &[u64],
    percent: usize,
) -> Result<(), String> {
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
    bench.add(Summary::new(
        section,
        name("look-ups"),
        &lookups,
        hits(&lookups),
    ));
    if 0 < percent {
        bench.add(Summary::new(section, name("buys"), &buys, ""));
    }
    Ok(())
}

pub(super) fn buys(bench: &mut Bench) -> Result<(), String> {
    if !bench.can_sell() {
        return Ok(());
    }
    let catalogs_max = if bench.is_local() { 3 } else { 1 };
    (1..=catalogs_max).try_for_each(|catalogs| bench.with_shop(catalogs, true, measure_buys))
}

fn measure_buys(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    let books = bench.first_books(shop)?;
    let count = bench.sizes.requests;
    shop.add_stock(&books, (count + WARM_UP) as u64)?;
    let mut customer = Customer::connect(shop)?;
    customer.send(&bench.requests(WARM_UP, &books, Request::Buy));
    let (mut measured, mut disk) = (Measurement::default(), Measurement::default());
    for request in bench.requests(count, &books, Request::Buy) {
        measured.append(customer.send(&[request]));
        if bench.is_local() {
            let replaced = disk.time(|| replace_one_file(bench.scratch.path()));
            replaced.map_err(|error| format!("cannot replace a file: {error}"))?;
        }
    }
    let catalogs = shop.catalogs.len();
    let name = format!("buys by one customer, {}", counted(catalogs, "catalog"));
    let control_ms = bench.is_local().then(|| mean_ms(&disk));
    let note = control_ms.map_or_else(String::new, |ms| {
        format!("in turn a file replaced: {ms:.3}")
    });
    bench.add(Summary {
        published_ms: PUBLISHED_BUYS_MS.get(catalogs - 1).copied(),
        control_ms,
        ..Summary::new(Section::Buys, name, &measured, note)
    });
    Ok(())
}

//! Section 1: look-ups by one customer, of books that exist and of ids 1 to 10, with the cache and
//! without.

use crate::config::bench::Section;
use crate::tools::bench::customer::Customer;
use crate::tools::bench::summary::{Summary, hits};
use crate::tools::bench::{Bench, WARM_UP};
use crate::tools::harness::connection::Request;
use crate::tools::harness::shop::Shop;

/// Whether the front-end caches, how the rows say so, and what the original published.
const MODES: [(bool, &str, f64); 2] = [
    (true, "with the cache", 4.55),
    (false, "without the cache", 10.62),
];

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.is_local() {
        let setup = bench.setup(2);
        return bench.with_shop(setup, |bench, shop| {
            measure(bench, shop, "as it is set up", None)
        });
    }
    for (cached, mode, published_ms) in MODES {
        let mut setup = bench.setup(2);
        setup.cached = cached;
        bench.with_shop(setup, |bench, shop| {
            measure(bench, shop, mode, Some(published_ms))
        })?;
    }
    Ok(())
}

fn measure(
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
    let first_ten = bench.requests(count, &first_ten, |id| {
        if books.contains(&id) {
            Request::Lookup(id)
        } else {
            Request::Missing(id)
        }
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

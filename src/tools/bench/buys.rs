//! Section 3: buys by one customer, with one, two and three catalogs. Each buy is on the disk of
//! every catalog before it is answered.

use crate::config::bench::Section;
use crate::tools::bench::customer::Customer;
use crate::tools::bench::summary::Summary;
use crate::tools::bench::{Bench, WARM_UP, counted};
use crate::tools::harness::connection::Request;
use crate::tools::harness::shop::Shop;

/// What the original published, for one catalog and for two.
const PUBLISHED_MS: [f64; 2] = [39.21, 44.78];

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.can_sell() {
        return Ok(());
    }
    let catalogs_max = if bench.is_local() { 3 } else { 1 };
    for catalogs in 1..=catalogs_max {
        let setup = bench.setup(catalogs);
        bench.with_shop(setup, measure)?;
    }
    Ok(())
}

fn measure(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    let books = bench.first_books(shop)?;
    let count = bench.sizes.requests;
    shop.add_stock(&books, (count + WARM_UP) as u64)?;
    let mut customer = Customer::connect(shop)?;
    customer.send(&bench.requests(WARM_UP, &books, Request::Buy));
    let measured = customer.send(&bench.requests(count, &books, Request::Buy));
    let catalogs = shop.catalogs.len();
    let name = format!("buys by one customer, {}", counted(catalogs, "catalog"));
    bench.add(Summary {
        published_ms: PUBLISHED_MS.get(catalogs - 1).copied(),
        ..Summary::new(Section::Buys, name, &measured, "")
    });
    Ok(())
}

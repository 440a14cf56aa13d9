//! The end of section 3: what it costs a healthy shop that a second server is asked when the first
//! is slow. Two shops without caches get the same requests, in turn. In one of them no second
//! server is ever asked. The servers' own metrics tell how many requests they sent each other.

use crate::config::bench::Section;
use crate::tools::bench::one_customer::Customer;
use crate::tools::bench::summary::Summary;
use crate::tools::bench::{Bench, WARM_UP};
use crate::tools::harness::connection::Request;
use crate::tools::harness::local_shop::LocalShop;
use crate::tools::harness::measurement::Measurement;

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.is_local() {
        return Ok(());
    }
    let [mut hedged, mut not_hedged] = [bench.setup(2), bench.setup(2)];
    hedged.cached = false;
    not_hedged.cached = false;
    not_hedged.hedged = false;
    bench.with_setup(&hedged, |bench, hedged| {
        bench.with_setup(&not_hedged, |bench, not_hedged| {
            measure(bench, [hedged, not_hedged])
        })
    })
}

fn measure(bench: &mut Bench, shops: [&LocalShop; 2]) -> Result<(), String> {
    let books = bench.first_books(&shops[0].shop)?;
    let count = bench.sizes.requests;
    let mut requests = bench.requests(count, &books, Request::Buy);
    requests.extend(bench.requests(count, &books, Request::Lookup));
    bench.rng.shuffle(&mut requests);
    let warm_up = bench.requests(WARM_UP, &books, Request::Buy);
    let mut customers = Vec::new();
    for local in shops {
        local.shop.add_stock(&books, (count + WARM_UP) as u64)?;
        let mut customer = Customer::connect(&local.shop)?;
        customer.send(&warm_up);
        customers.push((customer, Measurement::default(), local.requests_between()?));
    }
    for request in requests {
        for (customer, measured, _) in &mut customers {
            measured.append(customer.send(&[request]));
        }
    }
    for ((local, name), (_, measured, before)) in shops.iter().zip(["", "not "]).zip(customers) {
        let between = local.requests_between()?.saturating_sub(before);
        let note = format!("{between} requests between servers");
        bench.add(Summary {
            between_servers: Some(between),
            ..Summary::new(
                Section::Buys,
                format!("buys and look-ups, {name}hedged"),
                &measured,
                note,
            )
        });
    }
    Ok(())
}

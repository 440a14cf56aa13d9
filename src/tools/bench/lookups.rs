//! Section 1: look-ups by one customer, of books that exist and of ids 1 to 10, with the cache and
//! without.

use fastrand::Rng;

use super::Bench;
use crate::config::bench::Section;
use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::load::in_turn;
use crate::tools::bench::local::Plan;
use crate::tools::bench::row::Row;
use crate::tools::bench::shop::Shop;

const SECTION: &str = Section::Lookups.word();

/// What the original published, with caching and without.
const PUBLISHED_MS: [f64; 2] = [4.55, 10.62];

/// Requests before those that are counted: connections between the servers are made, books settled.
pub const WARM_UP: usize = 20;

pub fn run(bench: &mut Bench) -> Result<(), String> {
    let plan = |cached| Plan {
        catalogs: 2,
        cached,
    };
    if !bench.is_local() {
        return bench.with_shop(plan(true), |bench, shop| {
            measure(bench, shop, "as it is set up", None)
        });
    }
    bench.with_shop(plan(true), |bench, shop| {
        measure(bench, shop, "with the cache", Some(PUBLISHED_MS[0]))
    })?;
    bench.with_shop(plan(false), |bench, shop| {
        measure(bench, shop, "without the cache", Some(PUBLISHED_MS[1]))
    })
}

fn measure(
    bench: &mut Bench,
    shop: &Shop,
    how: &str,
    published: Option<f64>,
) -> Result<(), String> {
    let books = bench.first_books(shop)?;
    let mut connection = Connection::open_all(shop.front_end, 1)?.remove(0);
    in_turn(&mut connection, &lookups(&mut bench.rng, &books, WARM_UP));
    let asks = lookups(&mut bench.rng, &books, bench.sizes.requests);
    let take = in_turn(&mut connection, &asks).lookups;
    let row = Row::new(SECTION, format!("look-ups of valid ids, {how}"), &take)
        .with_note(hits(take.hits));
    bench.add(match published {
        Some(ms) => row.published(ms),
        None => row,
    });
    let asks: Vec<Ask> = (0..bench.sizes.requests)
        .map(|_| one_to_ten(&mut bench.rng, &books))
        .collect();
    let take = in_turn(&mut connection, &asks).lookups;
    bench.add(
        Row::new(SECTION, format!("look-ups of ids 1 to 10, {how}"), &take)
            .with_note(hits(take.hits)),
    );
    Ok(())
}

/// Look-ups of random books.
pub fn lookups(rng: &mut Rng, books: &[u64], count: usize) -> Vec<Ask> {
    (0..count)
        .map(|_| Ask::Lookup(one_of(rng, books)))
        .collect()
}

pub fn one_of(rng: &mut Rng, books: &[u64]) -> u64 {
    books[rng.usize(..books.len())]
}

pub fn hits(count: u64) -> String {
    format!("{count} from the cache")
}

fn one_to_ten(rng: &mut Rng, books: &[u64]) -> Ask {
    match rng.u64(1..=10) {
        id if books.contains(&id) => Ask::Lookup(id),
        id => Ask::Missing(id),
    }
}

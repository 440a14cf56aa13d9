//! Section 5: what the shop does for many customers at once, with the bare server of section 6 in
//! turn with it, so that both meet the same machine.

use std::net::SocketAddr;
use std::thread;

use crate::config::bench::BaselineKind;
use crate::config::bench::Section;
use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::load::{Clock, Crowd, READERS_MAX, in_turn};
use crate::tools::bench::local::Plan;
use crate::tools::bench::lookups::one_of;
use crate::tools::bench::row::Row;
use crate::tools::bench::shop::Shop;
use crate::tools::bench::take::Take;
use crate::tools::bench::yardsticks::BareServer;
use crate::tools::bench::{Bench, count};

const SECTION: &str = Section::Throughput.word();

/// Copies of each book, and of the one in the flash sale: more than can be sold meanwhile.
const COPIES: u64 = 1_000_000;

/// The front-end keeps so many look-ups, so that these are always there.
const KEPT: usize = 3;

/// By the clock: connections, and at which part of the highest rate the requests are due.
const CLOCK_CONNECTIONS: usize = 16;
const CLOCK_PART: f64 = 0.5;

/// Customers who buy while others look up.
const BUYERS_BESIDE: usize = 16;

pub fn run(bench: &mut Bench) -> Result<(), String> {
    let plan = Plan {
        catalogs: 2,
        cached: true,
    };
    bench.with_shop(plan, |bench, shop| {
        let kept: Vec<u64> = bench.first_books(shop)?.into_iter().take(KEPT).collect();
        let bare = BareServer::start(bench, BaselineKind::TinyHttp)?;
        for readers in bench.sizes.readers {
            look_up(bench, shop, &bare, &kept, *readers)?;
        }
        look_up_by_the_clock(bench, shop, &bare, &kept)?;
        if !bench.may_sell() {
            return Ok(());
        }
        if bench.is_local() {
            shop.add_up_to(bench.sizes.books, COPIES)?;
            shop.stock_up(&bench.first_books(shop)?, COPIES)?;
        } else {
            shop.stock_up(&shop.ids(bench.sizes.books), COPIES)?;
        }
        buy(bench, shop)?;
        look_up_beside_buyers(bench, shop, &bare, &kept)
    })
}

/// So that they are kept.
fn warm_up(shop: &Shop, kept: &[u64]) -> Result<(), String> {
    let mut connection = Connection::open_all(shop.front_end, 1)?.remove(0);
    let asks: Vec<Ask> = kept.iter().map(|id| Ask::Lookup(*id)).collect();
    in_turn(&mut connection, &asks);
    Ok(())
}

/// The same load for the bare server and for ours, in turn, on the same connections all the time.
fn both(
    bench: &Bench,
    addresses: [SocketAddr; 2],
    connections: usize,
    load: impl Fn(&mut [Connection], u64) -> Result<Take, String>,
) -> Result<[Take; 2], String> {
    let mut takes = [Take::default(), Take::default()];
    let [bare, ours] = addresses.map(|at| Connection::open_all(at, connections));
    let mut sides = [bare?, ours?];
    for round in 0..bench.sizes.rounds {
        for (take, side) in takes.iter_mut().zip(&mut sides) {
            take.append(load(side, bench.settings.seed.wrapping_add(round))?);
        }
    }
    Ok(takes)
}

fn add_both(bench: &mut Bench, name: &str, takes: &[Take; 2], note: &str) {
    let [bare, ours] = takes;
    let yardstick = Row::new(
        Section::Yardsticks.word(),
        format!("bare server, {name}"),
        bare,
    );
    bench.add(yardstick.with_note(format!("{note}{}", generator(bare))));
    let (hits, generator) = (
        ours.hits * 100 / ours.latencies.len().max(1) as u64,
        generator(ours),
    );
    let row = Row::new(SECTION, format!("cached look-ups, {name}"), ours);
    bench.add(row.with_note(format!("{note}{hits} % from the cache, {generator}")));
}

/// How much of the machine is not the servers'.
pub fn generator(take: &Take) -> String {
    format!("generator {:.0} % of the machine", take.generator * 100.0)
}

fn look_up(
    bench: &mut Bench,
    shop: &Shop,
    bare: &BareServer,
    kept: &[u64],
    readers: usize,
) -> Result<(), String> {
    warm_up(shop, kept)?;
    let takes = both(
        bench,
        [bare.address, shop.front_end],
        readers,
        |side, seed| {
            let crowd = Crowd {
                customers: readers,
                threads: READERS_MAX,
                lasts: bench.sizes.reading,
                seed,
            };
            Ok(crowd.run_on(side, |rng| Ask::Lookup(one_of(rng, kept))))
        },
    )?;
    add_both(bench, &count(readers, "connection"), &takes, "");
    Ok(())
}

/// At half of what our own crowd of the same size reached, for both alike.
fn look_up_by_the_clock(
    bench: &mut Bench,
    shop: &Shop,
    bare: &BareServer,
    kept: &[u64],
) -> Result<(), String> {
    let rates = bench.rows.iter().filter(|row| row.section == SECTION);
    let highest = rates.map(|row| row.rate).fold(1.0, f64::max);
    let per_second = (highest * CLOCK_PART).round();
    warm_up(shop, kept)?;
    let takes = both(
        bench,
        [bare.address, shop.front_end],
        CLOCK_CONNECTIONS,
        |side, seed| {
            let clock = Clock {
                per_second,
                lasts: bench.sizes.reading,
                seed,
            };
            Ok(clock.run_on(side, |rng| Ask::Lookup(one_of(rng, kept))))
        },
    )?;
    let note = format!("{per_second} due a second, ");
    add_both(bench, "by the clock", &takes, &note);
    Ok(())
}

fn buy(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    let books = shop.ids(bench.sizes.books);
    for buyers in bench.sizes.buyers {
        let name = format!(
            "buys all over {} books, {}",
            books.len(),
            count(*buyers, "customer")
        );
        buy_among(bench, shop, &books, *buyers, name)?;
    }
    flash_sales(bench, shop, books[0])
}

/// Crowds of every size buy one book, in turn, so that all of them meet the same machine.
fn flash_sales(bench: &mut Bench, shop: &Shop, book: u64) -> Result<(), String> {
    let sizes = bench.sizes;
    let open = |buyers: &usize| Connection::open_all(shop.front_end, *buyers);
    let mut crowds: Vec<_> = sizes.flash.iter().map(open).collect::<Result<_, _>>()?;
    let mut takes = vec![Take::default(); crowds.len()];
    // Fewer rounds than for readers: at the end of each a large crowd waits for its last answers.
    let rounds = sizes.rounds.div_ceil(2);
    for round in 0..rounds {
        for (crowd, take) in crowds.iter_mut().zip(&mut takes) {
            let load = Crowd {
                customers: crowd.len(),
                threads: crowd.len(),
                lasts: sizes.buying / rounds as u32,
                seed: bench.settings.seed.wrapping_add(round),
            };
            take.append(load.run_on(crowd, |_| Ask::Buy(book)));
        }
    }
    for (buyers, take) in sizes.flash.iter().zip(&takes) {
        shop.enter(take);
        let name = format!("flash sale, {}", count(*buyers, "customer"));
        bench.add(Row::new(SECTION, name, take).with_note(generator(take)));
    }
    Ok(())
}

fn buy_among(
    bench: &mut Bench,
    shop: &Shop,
    books: &[u64],
    buyers: usize,
    name: String,
) -> Result<(), String> {
    let crowd = Crowd {
        customers: buyers,
        threads: buyers,
        lasts: bench.sizes.buying,
        seed: bench.settings.seed,
    };
    let take = crowd.run(shop.front_end, |rng| Ask::Buy(one_of(rng, books)))?;
    shop.enter(&take);
    bench.add(Row::new(SECTION, name, &take).with_note(generator(&take)));
    Ok(())
}

/// The buyers buy other books than those that are looked up, which therefore stay in the cache.
fn look_up_beside_buyers(
    bench: &mut Bench,
    shop: &Shop,
    bare: &BareServer,
    kept: &[u64],
) -> Result<(), String> {
    let all = shop.ids(bench.sizes.books);
    let sold: Vec<u64> = all.into_iter().filter(|id| !kept.contains(id)).collect();
    warm_up(shop, kept)?;
    let sizes = bench.sizes;
    let takes = both(
        bench,
        [bare.address, shop.front_end],
        CLOCK_CONNECTIONS,
        |side, seed| {
            let buyers = Crowd {
                customers: BUYERS_BESIDE,
                threads: BUYERS_BESIDE,
                lasts: sizes.beside,
                seed,
            };
            let clock = Clock {
                per_second: sizes.clock_rate,
                lasts: sizes.beside,
                seed,
            };
            let (bought, looked_up) = thread::scope(|scope| {
                let buying =
                    scope.spawn(|| buyers.run(shop.front_end, |rng| Ask::Buy(one_of(rng, &sold))));
                let looked_up = clock.run_on(side, |rng| Ask::Lookup(one_of(rng, kept)));
                let bought = buying.join().expect("a load has no reason to panic");
                (bought, looked_up)
            });
            shop.enter(&bought?);
            Ok(looked_up)
        },
    )?;
    let note = format!("{} due a second, ", bench.sizes.clock_rate);
    add_both(
        bench,
        &format!("beside {BUYERS_BESIDE} buyers"),
        &takes,
        &note,
    );
    Ok(())
}

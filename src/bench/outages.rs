//! Section 4: reads and buys while a server is down, killed (it refuses) or stopped (it accepts and says nothing).
//!
//! The first request after the fault is a row of its own, and so are, where the server is only silent, those of the time
//! in which that is found out; the rest is "once it is known". Each fault is made anew for reads and for buys, so that
//! both have a first.

use std::thread;
use std::time::{Duration, Instant};

use super::Bench;
use super::connection::{Ask, Connection};
use super::load::in_turn;
use super::local::{LocalShop, Plan};
use super::lookups::{WARM_UP, hits, one_of};
use super::process::Process;
use super::row::Row;
use super::take::Take;
use crate::config::bench::Section;

const SECTION: &str = Section::Outages.word();

/// The pause between requests while an outage is found out: so many that one sees how it goes by, so few that the
/// servers are not busy with them.
const FINDING_OUT_PAUSE: Duration = Duration::from_millis(20);

/// How long after a repair the other servers are given to notice it, besides `/readyz`.
const NOTICE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Reads,
    Buys,
}

/// One of the two servers of a tier is down.
#[derive(Clone, Copy)]
struct Fault {
    name: &'static str,
    of_orders: bool,
    /// Otherwise it is stopped.
    killed: bool,
    /// What the original published, for reads and buys.
    published: [Option<f64>; 2],
}

const FAULTS: [Fault; 4] = [
    Fault {
        name: "order server killed",
        of_orders: true,
        killed: true,
        published: [None, Some(447.58)],
    },
    Fault {
        name: "order server stopped",
        of_orders: true,
        killed: false,
        published: [None, None],
    },
    Fault {
        name: "catalog killed",
        of_orders: false,
        killed: true,
        published: [Some(111.78), Some(288.29)],
    },
    Fault {
        name: "catalog stopped",
        of_orders: false,
        killed: false,
        published: [None, None],
    },
];

pub fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.is_local() {
        return Ok(());
    }
    let plan = |cached| Plan {
        catalogs: 2,
        cached,
    };
    bench.with_local(plan(false), |bench, local| {
        let mut customer = Customer::new(bench, local)?;
        let take = customer.ask(bench, Kind::Reads, bench.sizes.outage_requests);
        bench.add(Row::new(SECTION, "reads, no outage, no cache", &take));
        Ok(())
    })?;
    bench.with_local(plan(true), |bench, local| {
        for kind in [Kind::Reads, Kind::Buys] {
            let mut customer = Customer::new(bench, local)?;
            let take = customer.ask(bench, kind, bench.sizes.outage_requests);
            bench.add(row(kind, "no outage", &take));
        }
        for fault in FAULTS {
            for kind in [Kind::Reads, Kind::Buys] {
                measure(bench, local, fault, kind)?;
            }
        }
        Ok(())
    })
}

fn row(kind: Kind, how: &str, take: &Take) -> Row {
    match kind {
        Kind::Reads => Row::new(SECTION, format!("reads, {how}"), take).with_note(hits(take.hits)),
        Kind::Buys => Row::new(SECTION, format!("buys, {how}"), take),
    }
}

fn measure(bench: &mut Bench, local: &LocalShop, fault: Fault, kind: Kind) -> Result<(), String> {
    let mut customer = Customer::new(bench, local)?;
    fault.make(local)?;
    let take = customer.ask(bench, kind, 1);
    bench.add(row(kind, &format!("{}: first", fault.name), &take));
    if !fault.killed {
        let take = customer.find_out(bench, kind);
        let name = format!("{}: being found out", fault.name);
        bench.add(row(kind, &name, &take));
    }
    let take = customer.ask(bench, kind, bench.sizes.outage_requests - 1);
    let row = row(kind, fault.name, &take);
    bench.add(match fault.published[kind as usize] {
        Some(ms) => row.published(ms),
        None => row,
    });
    fault.repair(local)
}

impl Fault {
    /// The first of the tier is asked for the stock and stays.
    fn server<'a>(&self, local: &'a LocalShop) -> &'a Process {
        match self.of_orders {
            true => &local.orders[1],
            false => &local.catalogs[1],
        }
    }

    fn make(&self, local: &LocalShop) -> Result<(), String> {
        let server = self.server(local);
        if self.killed {
            server.kill();
            return Ok(());
        }
        server.stop()
    }

    fn repair(&self, local: &LocalShop) -> Result<(), String> {
        let server = self.server(local);
        match self.killed {
            true => server.start().map(drop)?,
            false => server.go_on()?,
        }
        local.await_ready()?;
        thread::sleep(NOTICE);
        local.await_ready()
    }
}

/// One customer, with enough in stock.
struct Customer<'a> {
    connection: Connection,
    books: Vec<u64>,
    local: &'a LocalShop,
}

impl<'a> Customer<'a> {
    fn new(bench: &mut Bench, local: &'a LocalShop) -> Result<Customer<'a>, String> {
        let books = bench.first_books(&local.shop)?;
        local.shop.stock_up(&books, 1000)?;
        let connection = Connection::open_all(local.shop.front_end, 1)?.remove(0);
        let mut customer = Customer {
            connection,
            books,
            local,
        };
        for kind in [Kind::Buys, Kind::Reads] {
            customer.ask(bench, kind, WARM_UP);
        }
        Ok(customer)
    }

    fn ask(&mut self, bench: &mut Bench, kind: Kind, count: usize) -> Take {
        let asks: Vec<Ask> = (0..count)
            .map(|_| match (kind, one_of(&mut bench.rng, &self.books)) {
                (Kind::Reads, id) => Ask::Lookup(id),
                (Kind::Buys, id) => Ask::Buy(id),
            })
            .collect();
        let mixed = in_turn(&mut self.connection, &asks);
        match kind {
            Kind::Reads => mixed.lookups,
            Kind::Buys => {
                self.local.shop.enter(&mixed.buys);
                mixed.buys
            }
        }
    }

    fn find_out(&mut self, bench: &mut Bench, kind: Kind) -> Take {
        let until = Instant::now() + bench.sizes.finding_out;
        let mut all = Take::default();
        while Instant::now() < until {
            all.append(self.ask(bench, kind, 1));
            thread::sleep(FINDING_OUT_PAUSE);
        }
        all
    }
}

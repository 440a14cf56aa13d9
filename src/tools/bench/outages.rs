//! Section 4: reads and buys while a server is down, killed (it refuses) or stopped (it accepts and
//! says nothing).
//!
//! The first request after the fault is a row of its own, and so are, where the server is only
//! silent, those of the time in which that is found out; the rest is "once it is known". Each fault
//! is made anew for reads and for buys, so that both have a first.
//!
//! What it costs is told by a twin: a shop without an outage that is asked for the same, each
//! request in turn with the one to the shop that has it. Fifty requests take some milliseconds, and
//! a machine that is fast at one moment and slow at the next would otherwise make the difference.
//! The twin of a shop whose front-end reads through keeps nothing.

use std::thread;
use std::time::{Duration, Instant};

use super::Bench;
use crate::config::bench::Section;
use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::load::in_turn;
use crate::tools::bench::local::{LocalShop, Plan};
use crate::tools::bench::lookups::{WARM_UP, hits, one_of};
use crate::tools::bench::process::Process;
use crate::tools::bench::row::Row;
use crate::tools::bench::take::Take;

const SECTION: &str = Section::Outages.word();

/// The pause between requests while an outage is found out: so many that one sees how it goes by,
/// so few that the servers are not busy with them.
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
    bench.with_local(plan(false), |bench, uncached| {
        bench.with_local(plan(true), |bench, twin| {
            bench.with_local(plan(true), |bench, shop| {
                Scene {
                    shop,
                    twin: Twin::of(twin),
                    uncached: Twin::of(uncached),
                }
                .measure(bench)
            })
        })
    })
}

/// The shop that has the outages, and those that have none.
struct Scene<'a> {
    shop: &'a LocalShop,
    twin: Twin<'a>,
    uncached: Twin<'a>,
}

struct Twin<'a> {
    local: &'a LocalShop,
    /// Of all that it was asked in turn with the other, by [`Kind`].
    takes: [Take; 2],
}

impl<'a> Twin<'a> {
    fn of(local: &'a LocalShop) -> Twin<'a> {
        let takes = [Take::default(), Take::default()];
        Twin { local, takes }
    }
}

impl Scene<'_> {
    fn measure(mut self, bench: &mut Bench) -> Result<(), String> {
        let begin = bench.rows.len();
        for fault in FAULTS {
            for kind in [Kind::Reads, Kind::Buys] {
                self.suffer(bench, fault, kind)?;
            }
        }
        let sound = [
            row(Kind::Reads, "no outage, no cache", &self.uncached.takes[0]),
            row(Kind::Reads, "no outage", &self.twin.takes[0]),
            row(Kind::Buys, "no outage", &self.twin.takes[1]),
        ];
        bench.rows.splice(begin..begin, sound);
        Ok(())
    }

    fn suffer(&mut self, bench: &mut Bench, fault: Fault, kind: Kind) -> Result<(), String> {
        let reads_through = !fault.of_orders && !fault.killed && kind == Kind::Reads;
        let twin = match reads_through {
            true => &mut self.uncached,
            false => &mut self.twin,
        };
        let mut customers = [
            Customer::new(bench, self.shop)?,
            Customer::new(bench, twin.local)?,
        ];
        for kind in [Kind::Buys, Kind::Reads] {
            let _: [Take; 2] = ask_in_turn(bench, &mut customers, kind, WARM_UP);
        }
        fault.make(self.shop)?;
        let [take] = ask_in_turn(bench, &mut customers[..1], kind, 1);
        bench.add(row(kind, &format!("{}: first", fault.name), &take));
        if !fault.killed {
            let take = customers[0].find_out(bench, kind);
            let name = format!("{}: being found out", fault.name);
            bench.add(row(kind, &name, &take));
        }
        let count = bench.sizes.outage_requests - 1;
        let [take, sound] = ask_in_turn(bench, &mut customers, kind, count);
        let row = row(kind, fault.name, &take).beside(&sound);
        twin.takes[kind as usize].append(sound);
        bench.add(match fault.published[kind as usize] {
            Some(ms) => row.published(ms),
            None => row,
        });
        fault.repair(self.shop)
    }
}

fn row(kind: Kind, how: &str, take: &Take) -> Row {
    match kind {
        Kind::Reads => Row::new(SECTION, format!("reads, {how}"), take).with_note(hits(take.hits)),
        Kind::Buys => Row::new(SECTION, format!("buys, {how}"), take),
    }
}

/// Every customer asks for the same, one after the other, and then for the next.
fn ask_in_turn<const N: usize>(
    bench: &mut Bench,
    customers: &mut [Customer],
    kind: Kind,
    count: usize,
) -> [Take; N] {
    let mut takes = std::array::from_fn(|_| Take::default());
    for _ in 0..count {
        let ask = customers[0].next(bench, kind);
        for (customer, take) in customers.iter_mut().zip(&mut takes) {
            take.append(customer.ask(&[ask]));
        }
    }
    takes
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
        Ok(Customer {
            connection,
            books,
            local,
        })
    }

    fn next(&self, bench: &mut Bench, kind: Kind) -> Ask {
        match (kind, one_of(&mut bench.rng, &self.books)) {
            (Kind::Reads, id) => Ask::Lookup(id),
            (Kind::Buys, id) => Ask::Buy(id),
        }
    }

    /// All reads or all buys.
    fn ask(&mut self, asks: &[Ask]) -> Take {
        let mut mixed = in_turn(&mut self.connection, asks);
        self.local.shop.enter(&mixed.buys);
        mixed.buys.append(mixed.lookups);
        mixed.buys
    }

    fn find_out(&mut self, bench: &mut Bench, kind: Kind) -> Take {
        let until = Instant::now() + bench.sizes.finding_out;
        let mut all = Take::default();
        while Instant::now() < until {
            let ask = self.next(bench, kind);
            all.append(self.ask(&[ask]));
            thread::sleep(FINDING_OUT_PAUSE);
        }
        all
    }
}

//! Section 4: reads and buys while a server is down, either killed (connections are refused) or
//! stopped (connections are accepted and nothing is answered).
//!
//! The first request after the fault is a row of its own. So are, for a stopped server, the
//! requests of the time in which the others detect that. The rest is "once it is known". Each fault
//! is made once for reads and once for buys, so that both have a first request.
//!
//! The cost of an outage is the difference to a control: a shop without an outage that gets the
//! same requests, each in turn with the one to the shop that has it. Fifty requests take some
//! milliseconds, and a machine that is fast now and slow a moment later would otherwise make the
//! difference. While a catalog is stopped the front-end does not use its cache; then the control is
//! a shop without a cache.

use std::thread;
use std::time::{Duration, Instant};

use crate::config::bench::Section;
use crate::tools::bench::one_customer::Customer;
use crate::tools::bench::summary::{Summary, hits, mean_ms};
use crate::tools::bench::{Bench, WARM_UP};
use crate::tools::harness::connection::Request;
use crate::tools::harness::local_shop::LocalShop;
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::process::Process;

/// The pause between requests while a fault is detected: short enough to show how detection
/// proceeds, long enough that the servers are not busy with these requests.
const DETECTION_PAUSE: Duration = Duration::from_millis(20);

/// After a repair the other servers have this long to notice it, besides `/readyz`.
const NOTICE_DELAY: Duration = Duration::from_millis(500);

/// Enough of each book that none is sold out.
const COPIES: u64 = 1000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Reads,
    Buys,
}

impl Kind {
    fn request(self) -> fn(u64) -> Request {
        match self {
            Kind::Reads => Request::Lookup,
            Kind::Buys => Request::Buy,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Killed,
    Stopped,
}

/// One of the two servers of a tier has a fault.
#[derive(Clone, Copy)]
struct Outage {
    name: &'static str,
    /// The second of the tier. The stock is read from the first catalog, which stays up.
    server: fn(&LocalShop) -> &Process,
    fault: Fault,
    /// Whether the front-end does without its cache meanwhile.
    bypasses_cache: bool,
    /// What the original published, for reads and buys.
    published_ms: [Option<f64>; 2],
}

#[rustfmt::skip]
const OUTAGES: [Outage; 4] = [
    Outage { name: "order server killed", server: |shop| &shop.order_servers[1],
        fault: Fault::Killed, bypasses_cache: false, published_ms: [None, Some(447.58)] },
    Outage { name: "order server stopped", server: |shop| &shop.order_servers[1],
        fault: Fault::Stopped, bypasses_cache: false, published_ms: [None, None] },
    Outage { name: "catalog killed", server: |shop| &shop.catalogs[1],
        fault: Fault::Killed, bypasses_cache: false, published_ms: [Some(111.78), Some(288.29)] },
    Outage { name: "catalog stopped", server: |shop| &shop.catalogs[1],
        fault: Fault::Stopped, bypasses_cache: true, published_ms: [None, None] },
];

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.is_local() {
        return Ok(());
    }
    bench.with_local(2, false, |bench, uncached| {
        bench.with_local(2, true, |bench, cached| {
            bench.with_local(2, true, |bench, failing| {
                measure(bench, failing, cached, uncached)
            })
        })
    })
}

fn measure(
    bench: &mut Bench,
    failing: &LocalShop,
    cached: &LocalShop,
    uncached: &LocalShop,
) -> Result<(), String> {
    let begin = bench.report.rows.len();
    let mut controls = [
        (Kind::Reads, "no outage, no cache", Measurement::default()),
        (Kind::Reads, "no outage", Measurement::default()),
        (Kind::Buys, "no outage", Measurement::default()),
    ];
    for outage in OUTAGES {
        let (control, n) = match outage.bypasses_cache {
            true => (uncached, 0),
            false => (cached, 1),
        };
        let reads = measure_outage(bench, outage, Kind::Reads, [failing, control])?;
        controls[n].2.append(reads);
        let buys = measure_outage(bench, outage, Kind::Buys, [failing, cached])?;
        controls[2].2.append(buys);
    }
    let rows = controls.map(|(kind, name, measured)| summary(kind, name, &measured));
    bench.report.rows.splice(begin..begin, rows);
    Ok(())
}

/// Returns what the control measured in turn with the shop that has the outage.
fn measure_outage(
    bench: &mut Bench,
    outage: Outage,
    kind: Kind,
    [failing, control]: [&LocalShop; 2],
) -> Result<Measurement, String> {
    let books = bench.first_books(&failing.shop)?;
    for local in [failing, control] {
        local.shop.add_stock(&books, COPIES)?;
    }
    let mut customers = [
        Customer::connect(&failing.shop)?,
        Customer::connect(&control.shop)?,
    ];
    for kind in [Kind::Buys, Kind::Reads] {
        let warm_up = bench.requests(WARM_UP, &books, kind.request());
        in_turns(&mut customers, &warm_up);
    }
    outage.begin(failing)?;
    let first = customers[0].send(&bench.requests(1, &books, kind.request()));
    bench.add(summary(kind, &format!("{}: first", outage.name), &first));
    if outage.fault == Fault::Stopped {
        let measured = detect(bench, &mut customers[0], kind, &books);
        let name = format!("{}: being found out", outage.name);
        bench.add(summary(kind, &name, &measured));
    }
    let count = bench.sizes.outage_requests - 1;
    let requests = bench.requests(count, &books, kind.request());
    let [measured, control] = in_turns(&mut customers, &requests);
    let control_ms = mean_ms(&control);
    let row = summary(kind, outage.name, &measured);
    let comma = if row.note.is_empty() { "" } else { ", " };
    let note = format!("{comma}in turn without an outage: {control_ms:.3}");
    bench.add(Summary {
        published_ms: outage.published_ms[kind as usize],
        control_ms: Some(control_ms),
        note: row.note + &note,
        ..row
    });
    outage.end(failing)?;
    Ok(control)
}

fn summary(kind: Kind, name: &str, measured: &Measurement) -> Summary {
    let (what, note) = match kind {
        Kind::Reads => ("reads", hits(measured)),
        Kind::Buys => ("buys", String::new()),
    };
    Summary::new(Section::Outages, format!("{what}, {name}"), measured, note)
}

/// Both customers send the first request, one after the other, then the next.
fn in_turns(customers: &mut [Customer; 2], requests: &[Request]) -> [Measurement; 2] {
    let mut all = [Measurement::default(), Measurement::default()];
    for request in requests {
        for (customer, measured) in customers.iter_mut().zip(&mut all) {
            measured.append(customer.send(&[*request]));
        }
    }
    all
}

/// Sends requests until the other servers have had time to detect the fault.
fn detect(bench: &mut Bench, customer: &mut Customer, kind: Kind, books: &[u64]) -> Measurement {
    let end = Instant::now() + bench.sizes.detection;
    let mut measured = Measurement::default();
    while Instant::now() < end {
        measured.append(customer.send(&bench.requests(1, books, kind.request())));
        thread::sleep(DETECTION_PAUSE);
    }
    measured
}

impl Outage {
    fn begin(&self, local: &LocalShop) -> Result<(), String> {
        let server = (self.server)(local);
        match self.fault {
            Fault::Killed => server.kill(),
            Fault::Stopped => server.pause()?,
        }
        Ok(())
    }

    fn end(&self, local: &LocalShop) -> Result<(), String> {
        let server = (self.server)(local);
        match self.fault {
            Fault::Killed => server.start().map(drop)?,
            Fault::Stopped => server.resume()?,
        }
        local.await_ready()?;
        thread::sleep(NOTICE_DELAY);
        local.await_ready()
    }
}

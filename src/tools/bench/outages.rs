//! Section 4: reads and buys while a server is down, either killed (connections are refused) or
//! stopped (connections are accepted and nothing is answered).
//!
//! The first request after the fault is a row of its own. So are all those of the time in which the
//! others detect it, the first included: the slowest of them is what an outage costs the customer
//! who is hit worst. The rest is "once it is known". Each fault is made several times for reads,
//! and as often for buys.
//!
//! The cost of an outage is the difference to a control: a shop without an outage that gets the
//! same requests, each in turn with the one to the shop that has it. Fifty requests take some
//! milliseconds, and a machine that is fast now and slow a moment later would otherwise make the
//! difference. While a catalog is stopped the front-end does not use its cache; then the control is
//! a shop without a cache.

use std::thread;
use std::time::{Duration, Instant};

use crate::config::bench::Section;
use crate::supervisor::process::Process;
use crate::tools::bench::one_customer::Customer;
use crate::tools::bench::summary::{Summary, hits, mean_ms};
use crate::tools::bench::{Bench, WARM_UP};
use crate::tools::harness::connection::Request;
use crate::tools::harness::local_shop::LocalShop;
use crate::tools::harness::measurement::Measurement;

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

/// Whether requests are measured in an outage, and what the original published of them.
#[derive(Clone, Copy)]
enum Measured {
    No,
    Yes(Option<f64>),
}
use Measured::{No, Yes};

/// One of the two servers of a tier has a fault.
#[derive(Clone, Copy)]
struct Outage {
    name: &'static str,
    /// The second of the tier. The stock is read from the first catalog, which stays up.
    server: fn(&LocalShop) -> &Process,
    fault: Fault,
    /// Whether the front-end does without its cache meanwhile.
    bypasses_cache: bool,
    /// Reads and buys.
    measured: [Measured; 2],
}

#[rustfmt::skip]
const OUTAGES: [Outage; 6] = [
    Outage { name: "order server killed", server: |shop| &shop.order_servers[1],
        fault: Fault::Killed, bypasses_cache: false, measured: [No, Yes(Some(447.58))] },
    Outage { name: "order server stopped", server: |shop| &shop.order_servers[1],
        fault: Fault::Stopped, bypasses_cache: false, measured: [No, Yes(None)] },
    Outage { name: "catalog killed", server: |shop| &shop.catalogs[1],
        fault: Fault::Killed, bypasses_cache: false,
        measured: [Yes(Some(111.78)), Yes(Some(288.29))] },
    Outage { name: "catalog stopped", server: |shop| &shop.catalogs[1],
        fault: Fault::Stopped, bypasses_cache: true, measured: [Yes(None), Yes(None)] },
    Outage { name: "front-end killed", server: |shop| &shop.front_ends[1],
        fault: Fault::Killed, bypasses_cache: false, measured: [No, Yes(None)] },
    Outage { name: "front-end stopped", server: |shop| &shop.front_ends[1],
        fault: Fault::Stopped, bypasses_cache: false, measured: [No, Yes(None)] },
];

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    if !bench.is_local() {
        return Ok(());
    }
    bench.with_front_ends(2, 2, false, |bench, uncached| {
        bench.with_front_ends(2, 2, true, |bench, cached| {
            bench.with_front_ends(2, 2, true, |bench, failing| {
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
        if let Yes(published_ms) = outage.measured[Kind::Reads as usize] {
            let shops = [failing, control];
            let reads = measure_outages(bench, outage, Kind::Reads, published_ms, shops)?;
            controls[n].2.append(reads);
        }
        if let Yes(published_ms) = outage.measured[Kind::Buys as usize] {
            let shops = [failing, cached];
            let buys = measure_outages(bench, outage, Kind::Buys, published_ms, shops)?;
            controls[2].2.append(buys);
        }
    }
    let rows = controls.map(|(kind, name, measured)| summary(kind, name, &measured));
    bench.report.rows.splice(begin..begin, rows);
    Ok(())
}

/// What was measured in some outages of the same kind.
#[derive(Default)]
struct Phases {
    first: Measurement,
    detection: Measurement,
    /// Once it is known, and of the control.
    known: [Measurement; 2],
}

/// Returns what the control measured in turn with the shop that has the outages.
fn measure_outages(
    bench: &mut Bench,
    outage: Outage,
    kind: Kind,
    published_ms: Option<f64>,
    shops: [&LocalShop; 2],
) -> Result<Measurement, String> {
    let mut phases = Phases::default();
    for _ in 0..bench.sizes.outages {
        measure_outage(bench, outage, kind, shops, &mut phases)?;
    }
    let [measured, control] = phases.known;
    let row = |name: &str, measured| summary(kind, &format!("{}{name}", outage.name), measured);
    bench.add(row(": first", &phases.first));
    bench.add(row(": being found out", &phases.detection));
    let control_ms = mean_ms(&control);
    let row = row("", &measured);
    let comma = if row.note.is_empty() { "" } else { ", " };
    let note = format!("{comma}in turn without an outage: {control_ms:.3}");
    bench.add(Summary {
        published_ms,
        control_ms: Some(control_ms),
        note: row.note.clone() + &note,
        ..row
    });
    Ok(control)
}

fn measure_outage(
    bench: &mut Bench,
    outage: Outage,
    kind: Kind,
    [failing, control]: [&LocalShop; 2],
    phases: &mut Phases,
) -> Result<(), String> {
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
    phases.first.append(first.clone());
    phases.detection.append(first);
    let detected = detect(bench, &mut customers[0], kind, &books);
    phases.detection.append(detected);
    let count = bench.sizes.outage_requests;
    let requests = bench.requests(count, &books, kind.request());
    let measured = in_turns(&mut customers, &requests);
    for (phase, measured) in phases.known.iter_mut().zip(measured) {
        phase.append(measured);
    }
    outage.end(failing)
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

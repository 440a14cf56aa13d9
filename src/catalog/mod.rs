//! The catalog: keeps the books, agrees with the other catalogs on every change, and tells the front-ends what is void.
//!
//! A request enters at [`routes`] and goes to the [`replica`], which is the agreement itself; that keeps its copies on the
//! [`shelf`] and reaches the world through the trait in [`protocol`]: other catalogs and front-ends over HTTP ([`peers`],
//! [`wire`], [`letters`], [`pool`]) and the files of the [`store`]. In tests the same replica runs in a simulated world (`sim`).
//!
//! # The agreement in short
//!
//! Every catalog holds every book. A book has a *version*: a sequence number that grows by one with each change, and a
//! random stamp. A copy is *valid* (the newest; answer from it), *tentative* (a write is under way) or *unknown*.
//!
//! - **Write**: make the new copy, tentatively, here and at every live catalog, on disk; have the front-ends forget the
//!   old one; only then call it valid, here and everywhere. So nobody can read the new quantity before the write is safe,
//!   and nobody the old one after.
//! - **Read**: a valid copy is answered from without a message. Any other is *settled* first: the others are asked, hop by
//!   hop, and whatever is the newest is brought to all and called valid.
//! - **Contact**: `hello` every 100 ms tells who is live. A valid copy may be trusted only while every live catalog has
//!   answered hello in the last 500 ms; whoever goes on without a silent one waits until that must have noticed.
//! - **Orders**: a copy is sold to an order id, which is stored with the stock, so that the same order sent twice takes one
//!   copy.

pub mod answers;
pub mod if_match;
pub mod letters;
pub mod peers;
pub mod pool;
pub mod protocol;
pub mod replica;
pub mod routes;
pub mod shelf;
#[cfg(test)]
mod sim;
pub mod store;
pub mod tally;
pub mod together;
pub mod topics;
pub mod wire;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::book::STAMP_MAX;
use crate::config::CatalogSettings;
use crate::ending::Ending;
use crate::http::server::{self, Serving};
use crate::listening;
use crate::log;
use peers::HttpPeers;
use replica::rules::Rules;
use replica::{Replica, Setup};
use store::{FirstStock, Store};
use tally::Tally;

/// Between two passes in the background.
const TEND_EVERY: Duration = Duration::from_millis(100);

/// A catalog at work.
pub struct Catalog {
    replica: Arc<Replica<HttpPeers>>,
    tally: Tally,
}

/// Opens the data folder, takes the port, says so on stdout, and serves; does not return while all is well.
///
/// Fails with what is wrong with data or port; nothing was changed then.
pub fn start(mut settings: CatalogSettings) -> Result<(), Ending> {
    let first_stock = settings
        .books
        .clone()
        .map_or(FirstStock::BuiltIn, FirstStock::File);
    let (store, books) = Store::open(&settings.data_dir, &first_stock).map_err(Ending::Told)?;
    log::info("opened", &[("books", &books.len())]);
    let listener = listening::bind(&mut settings.common)?;
    let world = HttpPeers::new(&settings, store);
    let start = fastrand::u64(1..=STAMP_MAX);
    let replica = Replica::new(setup(&settings), start, books, world);
    run_loops(&replica, settings.timing.every)?;
    let common = settings.common;
    listening::announce(&common);
    let serving = Serving::new("catalog", common.token, common.idle);
    server::serve(
        listener,
        serving,
        Arc::new(Catalog {
            replica,
            tally: Tally::default(),
        }),
    )
}

fn setup(settings: &CatalogSettings) -> Setup {
    Setup {
        me: settings.common.address.clone(),
        peers: settings.peers.clone(),
        front_ends: settings.front_ends.clone(),
        timing: settings.timing,
        whole: settings.limits.whole,
        rules: Rules::all(),
    }
}

/// The two loops of a replica: hello, and what is tended in the background. Pauses of loops, not waits for anything.
fn run_loops(replica: &Arc<Replica<HttpPeers>>, every: Duration) -> Result<(), String> {
    let ticking = replica.clone();
    spawn("hello", move || {
        ticking.tick();
        thread::sleep(every);
    })?;
    let tended = replica.clone();
    spawn("tending", move || {
        tended.await_tending(TEND_EVERY);
        if tended.wants_tending() {
            tended.tend();
            thread::sleep(TEND_EVERY);
        }
    })
}

fn spawn(name: &str, mut step: impl FnMut() + Send + 'static) -> Result<(), String> {
    let thread = thread::Builder::new().name(name.into());
    let spawned = thread.spawn(move || {
        loop {
            step();
        }
    });
    spawned
        .map(drop)
        .map_err(|error| format!("cannot start the thread {name}: {error}"))
}

//! The catalog: keeps the books, agrees with the other catalogs on every change, and tells the
//! front-ends what is void.
//!
//! A request enters at [`routes`] and goes to the [`replica`], which is the agreement itself; that
//! keeps its copies on the [`shelf`] and reaches the world through the trait in [`protocol`]: other
//! catalogs and front-ends over HTTP ([`peers`], [`wire`], [`letters`], [`pool`]) and the files of
//! the [`store`]. In tests the same replica runs in a simulated world (`sim`).
//!
//! # The agreement in short
//!
//! Every catalog holds every book. A book has a *version*: a sequence number that grows by one with
//! each change, and a random stamp. A copy is *valid* (the newest; answer from it), *tentative* (a
//! write is under way) or *unknown*.
//!
//! - **Write**: make the new copy, tentatively, here and at every live catalog, on disk; have the
//!   front-ends forget the old one; only then call it valid, here and everywhere. So nobody can
//!   read the new quantity before the write is safe, and nobody the old one after.
//! - **Read**: a valid copy is answered from without a message. Any other is *settled* first: the
//!   others are asked, hop by hop, and whatever is the newest is brought to all and called valid.
//! - **Membership**: `heartbeat` every 100 ms tells who is live. A valid copy may be trusted only
//!   while every live catalog has answered heartbeat in the last 500 ms; whoever goes on without a
//!   silent one waits until that must have noticed.
//! - **Orders**: a copy is sold to an order id, which is stored with the stock, so that the same
//!   order sent twice takes one copy.

pub(crate) mod batch_routes;
pub(crate) mod if_match;
pub(crate) mod metrics;
pub mod replication;
pub(crate) mod responses;
pub(crate) mod routes;
pub(crate) mod shelf;
#[cfg(test)]
mod sim;
pub(crate) mod storage;
pub(crate) mod transport;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::config::CatalogSettings;
use crate::http::server::{self, ServerConfig};
use crate::http::startup;
use crate::model::book::STAMP_MAX;
use crate::runtime::exit::Exit;
use crate::runtime::log;
use metrics::Tally;
use replication::rules::Rules;
use replication::{Config, Replica};
use storage::Storage;
use storage::first_stock::FirstStock;
use transport::http_env::HttpEnvironment;

/// Between two passes in the background.
const TEND_EVERY: Duration = Duration::from_millis(100);

/// A catalog at work.
pub struct Catalog {
    replica: Arc<Replica<HttpEnvironment>>,
    tally: Tally,
}

/// Opens the data folder, takes the port, says so on stdout, and serves; does not return while all
/// is well.
///
/// Fails with what is wrong with data or port; nothing was changed then.
pub fn start(mut settings: CatalogSettings) -> Result<(), Exit> {
    let first_stock = settings
        .books
        .clone()
        .map_or(FirstStock::BuiltIn, FirstStock::File);
    let (store, books) =
        Storage::open(&settings.data_dir, &first_stock).map_err(Exit::Misconfigured)?;
    log::info("opened", &[("books", &books.len())]);
    let listener = startup::bind(&mut settings.common)?;
    let world = HttpEnvironment::new(&settings, store);
    let start = fastrand::u64(1..=STAMP_MAX);
    let replica = Replica::new(replica_config(&settings), start, books, world);
    run_loops(&replica, settings.timing.every)?;
    let common = settings.common;
    startup::announce(&common);
    let serving = ServerConfig::new("catalog", common.token, common.idle);
    server::serve(
        listener,
        serving,
        Arc::new(Catalog {
            replica,
            tally: Tally::default(),
        }),
    )
}

fn replica_config(settings: &CatalogSettings) -> Config {
    Config {
        address: settings.common.address.clone(),
        peers: settings.peers.clone(),
        front_ends: settings.front_ends.clone(),
        timing: settings.timing,
        timeout: settings.limits.whole,
        rules: Rules::all(),
    }
}

/// The two loops of a replica: heartbeat, and what is tended in the background. Pauses of loops,
/// not waits for anything.
fn run_loops(replica: &Arc<Replica<HttpEnvironment>>, every: Duration) -> Result<(), String> {
    let ticking = replica.clone();
    spawn("heartbeat", move || {
        ticking.tick();
        thread::sleep(every);
    })?;
    let tended = replica.clone();
    spawn("tending", move || {
        tended.await_repair(TEND_EVERY);
        if tended.needs_repair() {
            tended.repair();
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

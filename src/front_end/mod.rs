//! The front-end: what customers talk to. It searches, looks up and sells by asking the servers
//! behind it in turn, and keeps the answers to lookups and searches.
//!
//! A request enters at [`routes`]. A lookup or a search goes through [`fetch`]: from [`memory`],
//! which holds the two [`cache`]s and the contact with the catalogs ([`heartbeat`]), or from a
//! catalog in [`turns`]. A buy goes through [`buy`] to an order server in turn, perhaps in
//! [`company`], and is never kept or shared.
//!
//! What is kept is as good as asking: a catalog acknowledges no change before every front-end in
//! contact has forgotten what the change makes old, and a front-end that is out of contact with any
//! catalog answers from nothing that it keeps.

pub mod batch_buy;
pub mod buy;
pub mod cache;
pub mod dump;
pub mod fetch;
pub mod heartbeat;
pub mod metrics;
pub mod query;
pub mod round_robin;
pub mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::config::{FrontEndSettings, Limits};
use crate::front_end::batch_buy::BuyBatcher;
use crate::front_end::cache::leased_cache::Memory;
use crate::front_end::metrics::Tally;
use crate::front_end::round_robin::RoundRobin;
use crate::http::client::Client;
use crate::http::server::{self, ServerConfig};
use crate::http::startup;
use crate::membership::health_check::HealthCheck;
use crate::membership::{LeaseOf, Membership, Time};
use crate::model::address::Address;
use crate::model::book::STAMP_MAX;
use crate::model::order_ids::OrderIds;
use crate::runtime::exit::Exit;

/// A front-end at work.
#[derive(Debug)]
pub struct FrontEnd {
    memory: Arc<Memory>,
    catalogs: RoundRobin,
    orders: RoundRobin,
    /// For lookups and searches.
    reads: Client,
    buys: Client,
    companies: BuyBatcher,
    order_ids: OrderIds,
    tally: Tally,
    /// A fetch, which asks each catalog once at most, cannot take longer.
    fetch_max: Duration,
}

/// Takes the port, greets every catalog once, says so on stdout, and serves; does not return while
/// all is well.
///
/// Fails with what could not be done.
pub fn start(mut settings: FrontEndSettings) -> Result<(), Exit> {
    let listener = startup::bind(&mut settings.common)?;
    let front_end = FrontEnd::new(&settings)?;
    heartbeat::start(&front_end.memory, &settings)?;
    let common = settings.common;
    startup::announce(&common);
    let serving = ServerConfig::new("front-end", common.token, common.idle);
    server::serve(listener, serving, Arc::new(front_end))
}

impl FrontEnd {
    /// Begins to watch the servers behind, and returns once each was asked.
    fn new(settings: &FrontEndSettings) -> Result<FrontEnd, String> {
        let limits = settings.limits;
        let token = settings.common.token.as_deref();
        let reads = Client::new(limits, token);
        let catalogs = u32::try_from(settings.catalogs.len()).expect("a list of addresses");
        Ok(FrontEnd {
            memory: Arc::new(memory(settings)),
            catalogs: watched(&settings.catalogs, token)?,
            orders: watched(&settings.orders, token)?,
            buys: reads.with_limits(doubled(limits)),
            companies: batch_buy::companies(),
            reads,
            order_ids: OrderIds::new(),
            tally: Tally::default(),
            fetch_max: (limits.connect + limits.whole) * (catalogs + 1),
        })
    }
}

fn memory(settings: &FrontEndSettings) -> Memory {
    let origin = Instant::now();
    let contact = Membership::new(
        fastrand::u64(1..=STAMP_MAX),
        LeaseOf::AllPeers,
        settings.timing,
        &settings.catalogs,
        &[],
        Time::now(origin),
    );
    let (lookups, searches) = (settings.lookup_cache_size, settings.search_cache_size);
    Memory::new(origin, contact, lookups, searches)
}

fn watched(addresses: &[Address], token: Option<&str>) -> Result<RoundRobin, String> {
    let (first, firsts) = channel();
    let start = |address: &Address| HealthCheck::start(address.clone(), token, first.clone());
    let watches = addresses.iter().map(start).collect::<Result<_, _>>()?;
    drop(first);
    // Closed once the last first answer is in.
    let _ = firsts.recv();
    Ok(RoundRobin::new(watches))
}

fn doubled(limits: Limits) -> Limits {
    Limits {
        connect: limits.connect * 2,
        whole: limits.whole * 2,
    }
}

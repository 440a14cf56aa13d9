//! The front-end: clients talk to it. It asks the servers behind it in turn, and caches the answers
//! to look-ups and searches.
//!
//! A request enters at `routes`. A look-up or a search (`query`) is answered by `fetch`, from the
//! `cache` or from a catalog whose turn it is (`round_robin`). `heartbeat` keeps the leases that
//! the cache needs. A buy (`buy`) goes to an order server whose turn it is, in a request of its own
//! or in a batch (`batch_buy`), and to the next one if the first is slow (`race`); `order_reply`
//! says what the reply means, and `earlier_buys` when "out of stock" is no promise. `dump` and
//! `metrics` show what is going on. `page` is the shop as a browser sees it. Read the files in this
//! order.
//!
//! # When a cached answer may be used
//!
//! A cached answer is as good as a fresh one: a catalog acknowledges no change before every
//! front-end that it counts as live has invalidated what the change makes old. So an answer is
//! fetched, although it was fetched before, for these reasons only:
//!
//! - *No lease*: a catalog has answered no heartbeat sent within `LEASE_MS`, and is not known to be
//!   dead. It may count this front-end as down, and acknowledge changes without it. Without the
//!   leases no request joins another's fetch either. `cache/leased_cache.rs`
//! - *Missed invalidations*: a heartbeat's reply shows that the catalog was restarted, or has
//!   counted this front-end as down; or this process was asleep for longer than `STALL_MS`. The
//!   caches are emptied. `heartbeat.rs`
//! - *Invalidated*: a catalog sent `DELETE /invalidate/…` for it. `routes.rs`
//! - *Held*: a change of it is under way in etcd. `cache/holds.rs`
//! - *Stale when it came*: it was invalidated while it was being fetched, so it was not stored.
//!   `cache/single_flight.rs`
//! - *Not cacheable*: the catalog that gave it was not live, or said `no-store`, or it is longer
//!   than 1 MiB. `cache/leased_cache.rs`, `query.rs`
//! - *Evicted*: it was the least recently used one in a full cache. `cache/lru.rs`
//!
//! # Which thread answers a cached look-up
//!
//! The thread that receives it; no other thread is involved. `Service::try_answer` answers a
//! look-up or search whose answer is cached, before anything of the request is copied. Only a miss
//! is handed to one of the threads of `Lane::Client`, which may wait for other servers.
//!
//! # Retries
//!
//! How often and how long a buy is retried, in all tiers: [`crate::order`], "Retries".

mod batch_buy;
mod buy;
mod cache;
mod dump;
mod earlier_buys;
mod fetch;
mod heartbeat;
mod metrics;
mod order_reply;
mod page;
mod query;
mod race;
mod round_robin;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{FrontEndSettings, Limits};
use crate::front_end::batch_buy::BuyBatcher;
use crate::front_end::cache::leased_cache::LeasedCache;
use crate::front_end::earlier_buys::EarlierBuys;
use crate::front_end::metrics::Metrics;
use crate::front_end::race::ErrandPool;
use crate::front_end::round_robin::RoundRobin;
use crate::http::client::Client;
use crate::http::startup;
use crate::membership::Membership;
use crate::membership::health_check::{HealthCheck, Role};
use crate::membership::time::Time;
use crate::model::book::STAMP_MAX;
use crate::model::order_ids::OrderIds;
use crate::runtime::exit::Exit;
use crate::runtime::hedging::Hedging;

/// A running front-end.
struct FrontEnd {
    cache: Arc<LeasedCache>,
    catalogs: RoundRobin,
    order_servers: RoundRobin,
    /// For look-ups and searches.
    reads: Client,
    buys: Client,
    buy_batcher: BuyBatcher,
    errands: ErrandPool,
    buy_hedging: Hedging,
    order_ids: OrderIds,
    earlier_buys: Arc<EarlierBuys>,
    metrics: Metrics,
    /// Longer than any fetch, which asks each catalog once with all the time there is.
    fetch_max: Duration,
    read_hedging: Hedging,
}

/// How long the first catalog has before another is asked.
fn read_hedging(fixed: Option<Duration>) -> Hedging {
    Hedging::new(Duration::from_millis(10), Duration::from_millis(50), fixed)
}

/// Binds the port, sends every catalog a first heartbeat, announces the server on stdout, and
/// serves. Does not return while all is well.
///
/// Fails when the port cannot be bound or no thread can be started, and with [`Exit::Degraded`]
/// when the server can no longer serve well.
pub fn start(mut settings: FrontEndSettings) -> Result<(), Exit> {
    let listener = startup::bind(&mut settings.common)?;
    let front_end = FrontEnd::new(&settings)?;
    heartbeat::start(&front_end.cache, &settings)?;
    startup::serve("front-end", settings.common, listener, front_end)
}

const CATALOG: Role = Role {
    server: "catalog",
    setting: "CATALOG_ADDRESSES",
};

const ORDER_SERVER: Role = Role {
    server: "order",
    setting: "ORDER_ADDRESSES",
};

impl FrontEnd {
    /// Starts the health checks of the servers behind, and returns once each has been asked.
    fn new(settings: &FrontEndSettings) -> Result<FrontEnd, String> {
        let limits = settings.limits;
        let token = settings.common.token.as_deref();
        let reads = Client::new(limits, token);
        // An order server waits for its catalog within its own limits.
        let doubled = Limits {
            connect: limits.connect * 2,
            whole: limits.whole * 2,
        };
        let origin = Instant::now();
        let membership = Membership::new(
            fastrand::u64(1..=STAMP_MAX),
            settings.timing,
            &settings.catalogs,
            &[],
            Time::now(origin),
        );
        let (lookups, searches) = (settings.lookup_cache_size, settings.search_cache_size);
        let cache = LeasedCache::new(origin, membership, lookups, searches);
        let catalogs = u32::try_from(settings.catalogs.len()).expect("a list of addresses");
        Ok(FrontEnd {
            cache: Arc::new(cache),
            catalogs: RoundRobin::new(HealthCheck::start(&settings.catalogs, CATALOG, token)?),
            order_servers: RoundRobin::new(HealthCheck::start(
                &settings.orders,
                ORDER_SERVER,
                token,
            )?),
            buys: Client::new(doubled, token),
            buy_batcher: batch_buy::batcher(),
            errands: race::errand_pool(),
            buy_hedging: race::buy_hedging(settings.hedge_after),
            reads,
            order_ids: OrderIds::new(),
            // A round is a read and an update, each within the order server's own limits.
            earlier_buys: Arc::new(EarlierBuys::new(doubled.whole)),
            metrics: Metrics::default(),
            fetch_max: (limits.connect + limits.whole) * (catalogs + 2),
            read_hedging: read_hedging(settings.hedge_after),
        })
    }
}

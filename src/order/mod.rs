//! The order server: sells each buy its copies, many buys at once.
//!
//! A buy enters at `routes`, waits in its book's `queue`, and is served by `sell`, which reads the
//! book from this server's catalog and writes it back with fewer copies (`allocation`), without the
//! read if it has `heard` of the book before. Buys that come in one request, of several books, are
//! served by `batch_sell`. `catalog_client` says what is asked of the catalog and what its answers mean, `http_catalog_client` how that travels.
//! Read the files in this order.
//!
//! An order server has one catalog of its own, and may be given others, to which it turns while
//! that one hangs or is down.
//!
//! An order server stores nothing. Which orders have their copies is in the book's own record.
//!
//! # Retries
//!
//! How often and how long is a buy retried? An order takes its copies once, however
//! often it is sent, so each tier may retry:
//!
//! | tier | what is retried | how often at most | how long at most |
//! |---|---|---|---|
//! | front-end, a batch | at the next order server, if the last is slow | each once | 100 ms more |
//! | front-end, a buy alone | at the next order server, also if slow | each once | 2 × `TIMEOUT_MS` |
//! | HTTP client | on a new connection, if a kept one broke | once | within the call's limit |
//! | order server, a buy | read and update | no limit | 3 s |
//! | order server, a batch | read and update, of what conflicted | 8 times | 3 s |
//! | catalog, an update | the search for a valid copy to change | 12 times | 2 s |
//! | catalog, to its peers | a message that was not answered | no limit | its `TIMEOUT_MS` |
//! | catalog, to front-ends | an invalidation, until the lease is over | no limit | 3 s |
//!
//! - The front-end goes on to the next order server after no answer, a 401, a 500 and a 504, and,
//!   without giving up the last one, after some 20 ms without an answer: `front_end/race.rs`. Any
//!   other answer is the client's. What a batch does not sell goes on alone. `front_end/buy.rs`,
//!   `front_end/batch_buy.rs`
//! - An order server with a list of catalogs reads from the next one after a failure, and some
//!   10 ms after the first was asked; after an update that failed, or was not answered in 200 ms,
//!   it reads from the next one. `http_catalog_client.rs`
//! - The HTTP client repeats a `PUT` only if it carries `Bazar-Order`, as a buy alone does.
//!   `http/client/mod.rs`
//! - The order server retries after a conflict and when the catalog does not answer, with
//!   exponential backoff: a random pause of up to 1 ms, doubled each time, up to 16 ms. If the
//!   catalog cannot be connected to, it answers 504 at once, and the front-end goes on to the next
//!   order server. When the time is up, the answer is 503 after conflicts, or 504 if a copy may
//!   have been sold. `sell/mod.rs`, `batch_sell.rs`
//! - The catalog's limits are those of an update: `catalog/replication/PROTOCOL.md`.
//!
//! Beyond that a client may retry as it likes: with an `Idempotency-Key` they are one buy.
//!
//! # Two ways of batching
//!
//! The front-end combines buys with `runtime::batcher`. The queues here do something else,
//! so they stay: see `queue.rs`.

mod allocation;
mod batch_sell;
mod catalog_client;
mod heard;
mod http_catalog_client;
mod metrics;
mod queue;
mod routes;
mod sell;

use crate::config::OrderSettings;
use crate::http::startup;
use crate::membership::health_check::{HealthCheck, Role};
use crate::model::order_ids::OrderIds;
use crate::order::http_catalog_client::HttpCatalog;
use crate::order::sell::Seller;
use crate::runtime::exit::Exit;

/// A running order server.
struct OrderServer {
    seller: Seller<HttpCatalog>,
    /// For buys that come without an order id. A front-end's have one.
    order_ids: OrderIds,
}

/// Binds the port, asks the catalog once whether it is ready, announces the server on stdout, and
/// serves. Does not return while all is well.
///
/// Fails when the port cannot be bound or no thread can be started, and with [`Exit::Degraded`]
/// when the server can no longer serve well.
pub fn start(mut settings: OrderSettings) -> Result<(), Exit> {
    let listener = startup::bind(&mut settings.common)?;
    let token = settings.common.token.as_deref();
    let catalogs = HealthCheck::start(&settings.catalogs, CATALOG, token)?;
    let order_server = OrderServer {
        seller: Seller::new(HttpCatalog::new(catalogs, &settings, token)),
        order_ids: OrderIds::new(),
    };
    startup::serve("order", settings.common, listener, order_server)
}

const CATALOG: Role = Role {
    server: "catalog",
    setting: "CATALOG_ADDRESS",
};

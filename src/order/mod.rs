//! The order server: sells one copy at a time to each customer, many customers at once.
//!
//! A buy enters at [`routes`], stands in its book's [`line`], and is served by [`buy`], which reads
//! from and writes to this server's one [`catalog`], over HTTP ([`http_catalog`], [`together`]).
//! Customers of several books who come in one request are a [`crowd`]. An order server keeps
//! nothing: what was sold to whom is in the book's own record.

pub mod batch_codec;
pub mod batch_sell;
pub mod catalog_client;
pub mod http_catalog_client;
pub mod metrics;
pub mod queue;
pub mod routes;
pub mod sell;

use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::config::OrderSettings;
use crate::http::server::{self, ServerConfig};
use crate::http::startup;
use crate::membership::health_check::HealthCheck;
use crate::model::order_ids::OrderIds;
use crate::order::http_catalog_client::HttpCatalog;
use crate::order::sell::Seller;
use crate::runtime::exit::Exit;

/// An order server at work.
#[derive(Debug)]
pub struct Orders {
    seller: Seller<HttpCatalog>,
    catalog: Arc<HealthCheck>,
    /// For customers who come directly: a front-end's orders have their ids already.
    order_ids: OrderIds,
}

/// Takes the port, says so on stdout, and serves; does not return while all is well.
///
/// Fails with what could not be done.
pub fn start(mut settings: OrderSettings) -> Result<(), Exit> {
    let listener = startup::bind(&mut settings.common)?;
    let orders = Orders::new(&settings)?;
    let common = settings.common;
    startup::announce(&common);
    let serving = ServerConfig::new("order", common.token, common.idle);
    server::serve(listener, serving, Arc::new(orders))
}

impl Orders {
    /// Begins to watch the catalog, and returns once it was asked.
    fn new(settings: &OrderSettings) -> Result<Orders, String> {
        let token = settings.common.token.as_deref();
        let (first, firsts) = channel();
        let watch = HealthCheck::start(settings.catalog.clone(), token, first)?;
        // Closed once the first answer is in.
        let _ = firsts.recv();
        let catalog = HttpCatalog::new(settings.catalog.clone(), settings.limits, token);
        Ok(Orders {
            seller: Seller::new(catalog),
            catalog: watch,
            order_ids: OrderIds::new(),
        })
    }
}

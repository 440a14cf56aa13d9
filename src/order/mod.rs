//! The order server: sells one copy at a time to each customer, many customers at once.
//!
//! A buy enters at [`routes`], stands in its book's [`line`], and is served by [`buy`], which reads from and writes to
//! this server's one [`catalog`], over HTTP ([`http_catalog`], [`together`]). Customers of several books who come in one
//! request are a [`crowd`]. An order server keeps nothing: what was sold to whom is in the book's own record.

pub mod buy;
pub mod catalog;
pub mod crowd;
pub mod http_catalog;
pub mod line;
pub mod routes;
pub mod tally;
pub mod together;

use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::config::OrderSettings;
use crate::ending::Ending;
use crate::http::server::{self, Serving};
use crate::listening;
use crate::order::buy::Seller;
use crate::order::http_catalog::HttpCatalog;
use crate::till::Till;
use crate::watch::Watch;

/// An order server at work.
#[derive(Debug)]
pub struct Orders {
    seller: Seller<HttpCatalog>,
    catalog: Arc<Watch>,
    /// For customers who come directly: a front-end's orders have their ids already.
    till: Till,
}

/// Takes the port, says so on stdout, and serves; does not return while all is well.
///
/// Fails with what could not be done.
pub fn start(mut settings: OrderSettings) -> Result<(), Ending> {
    let listener = listening::bind(&mut settings.common)?;
    let orders = Orders::new(&settings)?;
    let common = settings.common;
    listening::announce(&common);
    let serving = Serving::new("order", common.token, common.idle);
    server::serve(listener, serving, Arc::new(orders))
}

impl Orders {
    /// Begins to watch the catalog, and returns once it was asked.
    fn new(settings: &OrderSettings) -> Result<Orders, String> {
        let token = settings.common.token.as_deref();
        let (first, firsts) = channel();
        let watch = Watch::start(settings.catalog.clone(), token, first)?;
        // Closed once the first answer is in.
        let _ = firsts.recv();
        let catalog = HttpCatalog::new(settings.catalog.clone(), settings.limits, token);
        Ok(Orders {
            seller: Seller::new(catalog),
            catalog: watch,
            till: Till::new(),
        })
    }
}

//! One customer, who sends one request after another.

use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::load::run_sequence;
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::shop::Shop;

pub(super) struct Customer<'a> {
    connection: Connection,
    shop: &'a Shop,
}

impl<'a> Customer<'a> {
    /// A customer with a connection to the front-end.
    pub(super) fn connect(shop: &'a Shop) -> Result<Customer<'a>, String> {
        let connection = Connection::open(&shop.front_end)?;
        Ok(Customer { connection, shop })
    }

    /// Sends the requests and records what was bought.
    pub(super) fn send(&mut self, requests: &[Request]) -> Measurement {
        let measured = run_sequence(&mut self.connection, requests);
        self.shop.record_sales(&measured);
        measured
    }
}

//! The order server's figures for `/metrics`.

use crate::model::error::{Error, Result};
use crate::order::queue::Sold;
use crate::runtime::metrics::{Counter, Exposition};

/// What is counted since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rounds that had to begin again.
    pub conflicts: Counter,
    /// Updates sent; each may sell several copies.
    pub updates: Counter,
    purchased: Counter,
    replayed: Counter,
    out_of_stock: Counter,
    busy: Counter,
    refused: Counter,
    unreachable: Counter,
    unknown: Counter,
}

impl Tally {
    pub fn sale(&self, outcome: &Result<Sold>) {
        let counter = match outcome {
            Ok(Sold::Purchased { replayed: false }) => &self.purchased,
            Ok(Sold::Purchased { replayed: true }) => &self.replayed,
            Ok(Sold::OutOfStock) => &self.out_of_stock,
            Err(Error::Busy(_)) => &self.busy,
            Err(Error::Unreachable(_)) => &self.unreachable,
            Err(error) if error.indefinite() => &self.unknown,
            Err(_) => &self.refused,
        };
        counter.inc();
    }

    /// Appends the figures.
    pub fn figures(&self, page: &mut Exposition) {
        let outcomes = [
            ("purchased", &self.purchased),
            ("replayed", &self.replayed),
            ("out_of_stock", &self.out_of_stock),
            ("busy", &self.busy),
            ("refused", &self.refused),
            ("unreachable", &self.unreachable),
            ("unknown", &self.unknown),
        ];
        page.counters("bazar_buys_total", "Buys by outcome.", "outcome", outcomes);
        let help = "Updates that were sent; each may sell several copies.";
        page.counter("bazar_sale_updates_total", help, &[], self.updates.get());
        let help = "Sales that had to begin again with the read.";
        page.counter(
            "bazar_sale_conflicts_total",
            help,
            &[],
            self.conflicts.get(),
        );
    }
}

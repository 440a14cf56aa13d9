//! The order server's part of `/metrics`.

use std::collections::BTreeMap;

use crate::model::error::Error;
use crate::order::queue::{BuyOutcome, BuyResult};
use crate::runtime::metrics::{Counter, Exposition};

/// Counts since the start.
#[derive(Default)]
pub(super) struct Metrics {
    /// Rounds that had to begin again.
    pub(super) conflicts: Counter,
    /// Updates sent. Each may sell several copies.
    pub(super) updates: Counter,
    /// Those of them for whose book no read was made.
    pub(super) unread: Counter,
    purchased: Counter,
    replayed: Counter,
    out_of_stock: Counter,
    busy: Counter,
    refused: Counter,
    unreachable: Counter,
    unknown: Counter,
}

impl Metrics {
    pub(super) fn buy(&self, outcome: &BuyResult) {
        let counter = match outcome {
            Ok(BuyOutcome::Purchased {
                replayed: false, ..
            }) => &self.purchased,
            Ok(BuyOutcome::Purchased { replayed: true, .. }) => &self.replayed,
            Ok(BuyOutcome::OutOfStock) => &self.out_of_stock,
            Err(Error::Busy(_)) => &self.busy,
            Err(Error::Unreachable(_)) => &self.unreachable,
            Err(error) if error.indefinite() => &self.unknown,
            Err(_) => &self.refused,
        };
        counter.inc();
    }

    /// How many buys had each outcome.
    pub(super) fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.counters().into_iter();
        counts.map(|(name, count)| (name, count.get())).collect()
    }

    fn counters(&self) -> [(&'static str, &Counter); 7] {
        [
            ("purchased", &self.purchased),
            ("replayed", &self.replayed),
            ("out_of_stock", &self.out_of_stock),
            ("busy", &self.busy),
            ("refused", &self.refused),
            ("unreachable", &self.unreachable),
            ("unknown", &self.unknown),
        ]
    }

    pub(super) fn write(&self, page: &mut Exposition) {
        let outcomes = self.counters();
        page.counters("bazar_buys_total", "Buys by outcome.", "outcome", outcomes);
        let help = "Updates that were sent; each may sell several copies.";
        page.counter("bazar_sale_updates_total", help, &[], self.updates.get());
        let help = "Updates that were sent without reading the book first.";
        let unread = self.unread.get();
        page.counter("bazar_sale_unread_updates_total", help, &[], unread);
        let help = "Sales that had to begin again with the read.";
        let conflicts = self.conflicts.get();
        page.counter("bazar_sale_conflicts_total", help, &[], conflicts);
    }
}

//! The front-end's figures for `/metrics`.

use serde::Deserialize;

use crate::front_end::FrontEnd;
use crate::front_end::buy::Said;
use crate::front_end::round_robin::RoundRobin;
use crate::model::invalidation::Invalidation;
use crate::runtime::metrics::{Counter, Exposition};

/// What is counted since the start.
#[derive(Debug, Default)]
pub struct Tally {
    pub hits: Counter,
    pub misses: Counter,
    pub collapsed: Counter,
    pub refused_fills: Counter,
    item: Counter,
    all_items: Counter,
    topic: Counter,
    all_topics: Counter,
    purchased: Counter,
    replayed: Counter,
    out_of_stock: Counter,
    refused: Counter,
    failed: Counter,
    unknown: Counter,
}

/// What an order server says of a sale.
#[derive(Deserialize)]
struct Sale {
    success: bool,
}

impl Tally {
    pub fn invalidation(&self, void: &Invalidation) {
        match void {
            Invalidation::Item(_) => self.item.inc(),
            Invalidation::AllItems => self.all_items.inc(),
            Invalidation::Topic(_) => self.topic.inc(),
            Invalidation::AllTopics => self.all_topics.inc(),
        }
    }

    /// What an order server said of a buy.
    pub fn sale(&self, said: &Said) {
        let sale = serde_json::from_slice::<Sale>(&said.body);
        let sale = sale.ok().filter(|_| said.status == 200);
        let replayed = said.header("Idempotent-Replayed").is_some();
        match sale {
            Some(sale) if !sale.success => self.out_of_stock.inc(),
            Some(_) if replayed => self.replayed.inc(),
            Some(_) => self.purchased.inc(),
            None if said.status < 500 => self.refused.inc(),
            None => self.failed.inc(),
        }
    }

    /// No order server could tell; whether a copy may have been sold.
    pub fn sale_failed(&self, unknown: bool) {
        if unknown {
            self.unknown.inc();
        } else {
            self.failed.inc();
        }
    }
}

impl FrontEnd {
    /// Appends the figures.
    pub fn figures(&self, page: &mut Exposition) {
        let tally = &self.tally;
        let name = "bazar_cache_requests_total";
        let help = "Lookups and searches by where their answer came from.";
        let sources = [
            ("hit", &tally.hits),
            ("miss", &tally.misses),
            ("collapsed", &tally.collapsed),
        ];
        page.counters(name, help, "source", sources);
        let name = "bazar_cache_refused_fills_total";
        let help = "Answers that were fetched before an invalidation and therefore not kept.";
        page.counter(name, help, &[], tally.refused_fills.get());
        self.invalidations(page);
        self.sales(page);
        self.contact(page);
    }

    fn invalidations(&self, page: &mut Exposition) {
        let tally = &self.tally;
        let name = "bazar_invalidations_total";
        let help = "Invalidations that catalogs sent.";
        let kinds = [
            ("item", &tally.item),
            ("all_items", &tally.all_items),
            ("topic", &tally.topic),
            ("all_topics", &tally.all_topics),
        ];
        page.counters(name, help, "of", kinds);
    }

    fn sales(&self, page: &mut Exposition) {
        let tally = &self.tally;
        let outcomes = [
            ("purchased", &tally.purchased),
            ("replayed", &tally.replayed),
            ("out_of_stock", &tally.out_of_stock),
            ("refused", &tally.refused),
            ("failed", &tally.failed),
            ("unknown", &tally.unknown),
        ];
        page.counters("bazar_buys_total", "Buys by outcome.", "outcome", outcomes);
    }

    fn contact(&self, page: &mut Exposition) {
        let figures = self.memory.figures();
        let name = "bazar_cache_entries";
        let help = "Answers that are kept.";
        page.gauge(name, help, &[("cache", "lookup")], figures.lookups as f64);
        page.gauge(name, help, &[("cache", "search")], figures.searches as f64);
        let help = "Whether the caches may be answered from.";
        page.gauge("bazar_lease", help, &[], f64::from(u8::from(figures.lease)));
        let help = "Environment in contact.";
        page.gauge("bazar_peers_live", help, &[], figures.live as f64);
        let name = "bazar_servers_up";
        let help = "Servers behind that say they can do their job.";
        page.gauge(name, help, &[("tier", "catalog")], up(&self.catalogs));
        page.gauge(name, help, &[("tier", "order")], up(&self.orders));
    }
}

fn up(turns: &RoundRobin) -> f64 {
    turns.servers().iter().filter(|server| server.up()).count() as f64
}

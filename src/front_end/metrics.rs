//! The front-end's part of `/metrics`.

use crate::front_end::FrontEnd;
use crate::front_end::order_reply::BuyAttempt;
use crate::front_end::round_robin::RoundRobin;
use crate::model::invalidation::Invalidation;
use crate::runtime::metrics::{Counter, Exposition};

/// Counts since the start.
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) collapsed: Counter,
    pub(super) stale_answers: Counter,
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

impl Metrics {
    pub(super) fn invalidation(&self, invalidation: &Invalidation) {
        let counter = match invalidation {
            Invalidation::Item(_) => &self.item,
            Invalidation::AllItems => &self.all_items,
            Invalidation::Topic(_) => &self.topic,
            Invalidation::AllTopics => &self.all_topics,
        };
        counter.inc();
    }

    /// A buy that was answered so.
    pub(super) fn buy(&self, attempt: &BuyAttempt) {
        let response = match attempt {
            BuyAttempt::Answered(response) => response,
            BuyAttempt::OutOfStock(response) if response.status != 200 => response,
            _ => return self.out_of_stock.inc(),
        };
        let has = |name, wanted| {
            let header = response.headers.iter().find(|(header, _)| *header == name);
            header.is_some_and(|(_, value)| value == wanted)
        };
        let counter = match response.status {
            200 if has("Idempotent-Replayed", "true") => &self.replayed,
            200 => &self.purchased,
            ..500 => &self.refused,
            _ if has("Bazar-Outcome", "unknown") => &self.unknown,
            _ => &self.failed,
        };
        counter.inc();
    }

    fn write(&self, page: &mut Exposition) {
        let sources = [
            ("hit", &self.hits),
            ("miss", &self.misses),
            ("collapsed", &self.collapsed),
        ];
        let help = "Lookups and searches by where their answer came from.";
        page.counters("bazar_cache_requests_total", help, "source", sources);
        let help = "Fetched answers that an invalidation overtook, so that they were not stored.";
        let count = self.stale_answers.get();
        page.counter("bazar_cache_stale_answers_total", help, &[], count);
        let kinds = [
            ("item", &self.item),
            ("all_items", &self.all_items),
            ("topic", &self.topic),
            ("all_topics", &self.all_topics),
        ];
        let help = "Invalidations that catalogs sent.";
        page.counters("bazar_invalidations_total", help, "of", kinds);
        let outcomes = [
            ("purchased", &self.purchased),
            ("replayed", &self.replayed),
            ("out_of_stock", &self.out_of_stock),
            ("refused", &self.refused),
            ("failed", &self.failed),
            ("unknown", &self.unknown),
        ];
        page.counters("bazar_buys_total", "Buys by outcome.", "outcome", outcomes);
    }
}

impl FrontEnd {
    pub(super) fn write_metrics(&self, page: &mut Exposition) {
        self.metrics.write(page);
        self.read_hedging.write_metrics(page, "read");
        self.buy_hedging.write_metrics(page, "buy");
        let stats = self.cache.stats();
        let (name, help) = ("bazar_cache_entries", "Cached answers.");
        page.gauge(name, help, &[("cache", "lookup")], stats.lookups as f64);
        page.gauge(name, help, &[("cache", "search")], stats.searches as f64);
        let help = "Whether the caches may be answered from.";
        page.gauge("bazar_lease", help, &[], f64::from(stats.lease));
        let help = "Peers that are live.";
        page.gauge("bazar_peers_live", help, &[], stats.live_catalogs as f64);
        let help = "How often another server was counted as down.";
        page.counter("bazar_peers_lost_total", help, &[], stats.catalogs_lost);
        let (name, help) = (
            "bazar_servers_up",
            "Servers of a tier behind that are ready.",
        );
        let up = |servers: &RoundRobin| servers.ready_count() as f64;
        page.gauge(name, help, &[("tier", "catalog")], up(&self.catalogs));
        page.gauge(name, help, &[("tier", "order")], up(&self.order_servers));
    }
}

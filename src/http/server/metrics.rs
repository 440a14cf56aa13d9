//! How many requests there were, of what kind, with what outcome, and how long they took. Counted
//! without a lock.

use std::sync::OnceLock;
use std::time::Duration;

use crate::runtime::metrics::{Counter, Exposition, Histogram};

/// Routes that are told apart. Further ones are counted as the last of them, which no server of ours
/// reaches.
const ROUTES_MAX: usize = 32;

/// The statuses that are told apart; 0 stands for all others.
const STATUSES: [u16; 20] = [
    200, 201, 204, 304, 400, 401, 404, 405, 409, 412, 413, 414, 422, 431, 500, 502, 503, 504, 507,
    0,
];

#[derive(Default)]
pub(super) struct ServerMetrics {
    routes: [Route; ROUTES_MAX],
    /// Requests that were neither answered nor dropped. Each costs a thread and two descriptors for
    /// good.
    pub(super) forgotten: Counter,
    /// Requests that were dropped unanswered, on quarantined connections.
    pub(super) dropped: Counter,
    /// Requests that found the queue of their pool full.
    pub(super) rejected: Counter,
    pub(super) panics: Counter,
    /// Responses given up because the client did not read.
    pub(super) unread: Counter,
    pub(super) acceptors: Counter,
}

#[derive(Default)]
struct Route {
    name: OnceLock<&'static str>,
    took: Histogram,
    statuses: [Counter; STATUSES.len()],
}

impl ServerMetrics {
    pub(super) fn record(&self, route: &'static str, status: u16, took: Duration) {
        let route = self.route(route);
        route.took.observe(took);
        let at = STATUSES.iter().position(|known| *known == status);
        route.statuses[at.unwrap_or(STATUSES.len() - 1)].inc();
    }

    pub(super) fn write(&self, page: &mut Exposition) {
        let named = |route| Route::name(route).map(|name| (name, route));
        for (name, route) in self.routes.iter().filter_map(named) {
            for (status, count) in STATUSES.iter().zip(&route.statuses) {
                if 0 < count.get() {
                    let labels = [("route", name), ("status", &status.to_string())];
                    let help = "Requests answered.";
                    page.counter("bazar_http_requests_total", help, &labels, count.get());
                }
            }
        }
        for (route, Route { took, .. }) in self.routes.iter().filter_map(named) {
            let name = "bazar_http_request_duration_seconds";
            let help = "From the head of a request until its response was ready to be sent.";
            page.histogram(name, help, &[("route", route)], took);
        }
        let mut count = |what: &str, help: &str, counter: &Counter| {
            page.counter(
                &format!("bazar_http_{what}_total"),
                help,
                &[],
                counter.get(),
            );
        };
        count(
            "requests_forgotten",
            "Requests neither answered nor dropped.",
            &self.forgotten,
        );
        count(
            "requests_dropped",
            "Requests dropped unanswered.",
            &self.dropped,
        );
        count(
            "requests_rejected",
            "Requests that found a queue full.",
            &self.rejected,
        );
        count("panics", "Handlers that panicked.", &self.panics);
        count(
            "responses_unread",
            "Responses that no client read to the end.",
            &self.unread,
        );
        count(
            "acceptors",
            "Acceptors opened, the first ones included.",
            &self.acceptors,
        );
    }

    /// Linear search, mostly by address: a server has some ten routes.
    fn route(&self, name: &'static str) -> &Route {
        let is_it = |route: &&Route| {
            let named = *route.name.get_or_init(|| name);
            std::ptr::eq(named, name) || named == name
        };
        let last = &self.routes[ROUTES_MAX - 1];
        self.routes.iter().find(is_it).unwrap_or(last)
    }
}

impl Route {
    fn name(&self) -> Option<&'static str> {
        self.name.get().copied()
    }
}

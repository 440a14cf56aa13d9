//! How many requests there were, of what kind, with what outcome, and how long they took. Counted
//! without a lock.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::http::server::encoded_response::STATUSES;
use crate::runtime::metrics::{Counter, Exposition, Histogram};

/// Routes that are told apart. Further ones are counted as the last of them, which no server of
/// ours reaches.
const ROUTES_MAX: usize = 32;

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
    /// Connections that clients have closed and this server cannot, when `supervisor::half_closed`
    /// last looked.
    pub(super) connections_lost: Mutex<Option<usize>>,
}

#[derive(Default)]
struct Route {
    name: OnceLock<&'static str>,
    took: Histogram,
    /// One for each of [`STATUSES`], and the last for all others.
    statuses: [Counter; STATUSES.len() + 1],
}

impl ServerMetrics {
    pub(super) fn record(&self, route: &'static str, status: u16, took: Duration) {
        let route = self.route(route);
        route.took.observe(took);
        let at = STATUSES.iter().position(|known| *known == status);
        route.statuses[at.unwrap_or(STATUSES.len())].inc();
    }

    pub(super) fn write(&self, page: &mut Exposition) {
        self.write_routes(page);
        let mut count = |what: &str, help: &str, counter: &Counter| {
            let name = format!("bazar_http_{what}_total");
            page.counter(&name, help, &[], counter.get());
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
            "Responses given up because the client did not read.",
            &self.unread,
        );
        count(
            "acceptors",
            "Acceptors opened, the first ones included.",
            &self.acceptors,
        );
    }

    fn write_routes(&self, page: &mut Exposition) {
        let named = |route| Route::name(route).map(|name| (name, route));
        for (name, route) in self.routes.iter().filter_map(named) {
            let statuses = STATUSES.into_iter().chain([0]);
            for (status, count) in statuses.zip(&route.statuses) {
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

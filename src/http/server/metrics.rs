//! How many requests there were, of what kind, with what outcome, and how long they took. Counted
//! without a lock.

use std::sync::OnceLock;
use std::time::Duration;

use crate::runtime::metrics::{Counter, Exposition, Histogram};

/// Routes that are told apart. Beyond: counted as the last of them, which no server of ours
/// reaches.
const ROUTES_MAX: usize = 32;

/// The statuses that are told apart; 0 stands for all others.
const STATUSES: [u16; 20] = [
    200, 201, 204, 304, 400, 401, 404, 405, 409, 412, 413, 414, 422, 431, 500, 502, 503, 504, 507,
    0,
];

#[derive(Default)]
pub struct Tally {
    routes: [Route; ROUTES_MAX],
    /// Requests that were neither answered nor dropped; each costs a thread and two descriptors for
    /// good.
    pub forgotten: Counter,
    /// Requests that were dropped unanswered, on connections that are of no more use.
    pub dropped: Counter,
    pub panics: Counter,
    /// Requests that found their crew's queue full.
    pub turned_away: Counter,
    /// Answers given up because the client did not read.
    pub unread: Counter,
    /// Makings of a tiny_http server, the first ones included.
    pub posts: Counter,
}

#[derive(Default)]
struct Route {
    name: OnceLock<&'static str>,
    took: Histogram,
    statuses: [Counter; STATUSES.len()],
}

impl Tally {
    pub fn note(&self, route: &'static str, status: u16, took: Duration) {
        let route = self.route(route);
        route.took.observe(took);
        route.statuses[status_at(status)].inc();
    }

    pub fn write(&self, page: &mut Exposition) {
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
        for (name, route) in self.routes.iter().filter_map(named) {
            let help = "From the head of a request until its answer was ready to be sent.";
            let labels = [("route", name)];
            page.histogram(
                "bazar_http_request_duration_seconds",
                help,
                &labels,
                &route.took,
            );
        }
        let counters = [
            (
                "requests_forgotten",
                "Requests neither answered nor dropped.",
                &self.forgotten,
            ),
            (
                "requests_dropped",
                "Requests dropped unanswered.",
                &self.dropped,
            ),
            (
                "requests_turned_away",
                "Requests that found a queue full.",
                &self.turned_away,
            ),
            ("panics", "Handlers that panicked.", &self.panics),
            (
                "answers_unread",
                "Answers given up because the client did not read.",
                &self.unread,
            ),
            (
                "generations",
                "Generations of the listening server, the first included.",
                &self.posts,
            ),
        ];
        for (what, help, counter) in counters {
            let name = format!("bazar_http_{what}_total");
            page.counter(&name, help, &[], counter.get());
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

fn status_at(status: u16) -> usize {
    let at = STATUSES.iter().position(|known| *known == status);
    at.unwrap_or(STATUSES.len() - 1)
}

//! Look-ups and searches: answered from the cache, from a fetch that is under way, or from the
//! catalogs in turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::front_end::FrontEnd;
use crate::front_end::cache::CachedAnswer;
use crate::front_end::cache::leased_cache::CacheKey;
use crate::front_end::cache::single_flight::{CacheResult, Flight, Inserted};
use crate::front_end::query::Query;
use crate::front_end::round_robin::LAST_PATIENCE;
use crate::http::client::Failure;
use crate::http::{Request, Response, encode, trace_headers};
use crate::membership::health_check::HealthCheck;
use crate::model::address::Address;
use crate::model::error::{Error, Result};
use crate::runtime::log;
use crate::runtime::span;

/// Values of `Cache-Status` (RFC 9211).
const HIT: &str = "bazar; hit";
const MISS: &str = "bazar; fwd=miss";
const COLLAPSED: &str = "bazar; fwd=miss; collapsed";

/// How long a catalog has that was slow the first time, while another one was, too.
const SECOND_PATIENCE: Duration = Duration::from_millis(200);

/// How long a catalog that counts as down has at first.
const DOWN_PATIENCE: Duration = Duration::from_millis(50);

impl FrontEnd {
    /// The answer, if it is in the cache. Never waits.
    pub(super) fn try_find<Q: CacheKey>(&self, query: &Q) -> Option<Response> {
        let answer = self.cache.get(query)?;
        self.metrics.hits.inc();
        Some(response(Ok(answer), HIT))
    }

    /// The answer, from wherever it has to come.
    pub(super) fn find<Q: CacheKey>(&self, query: &Q, request: &Request) -> Response {
        let flight = match self.cache.get_or_join(query) {
            Some(CacheResult::Hit(answer)) => {
                self.metrics.hits.inc();
                span::set("cache", || "hit");
                return response(Ok(answer), HIT);
            }
            Some(CacheResult::InFlight(flight)) => {
                self.metrics.collapsed.inc();
                span::set("cache", || "collapsed");
                return response(flight.wait(self.fetch_max), COLLAPSED);
            }
            Some(CacheResult::Miss(flight)) => Some(flight),
            None => None,
        };
        self.metrics.misses.inc();
        span::set("cache", || "miss");
        let mut landing = Landing {
            front_end: self,
            query,
            flight,
            fetched: Err(Error::Internal),
        };
        landing.fetched = self.fetch(query, request);
        response(landing.fetched.clone().map(|(_, answer)| answer), MISS)
    }

    /// What became of an order, as the catalogs in turn say. It is never cached.
    pub(super) fn order(&self, order: &str, request: &Request) -> Result<Response> {
        let path = format!("/orders/{}", encode(order));
        for (_, catalog) in self.catalogs.attempts() {
            let url = format!("{}{path}", catalog.address);
            let asked = self.reads.get(&url, &trace_headers(&request.trace()));
            if let Ok(answer) = asked
                && matches!(answer.status, 200 | 404)
            {
                return Ok(Response::bytes(answer.status, answer.body));
            }
        }
        Err(Error::Unreachable(
            "Could not connect to a server to look for the order".into(),
        ))
    }

    /// Asks the catalogs in turn until one has an answer. Returns the catalog's index with it.
    /// Those that were slow are asked again in the end: while there are several, each has a little
    /// more time first, because one of them may hang.
    ///
    /// Once all were asked, fails with the last 5xx that one answered, or else with
    /// [`Error::Unreachable`].
    fn fetch<Q: Query>(&self, query: &Q, request: &Request) -> Result<(usize, CachedAnswer)> {
        let mut failure = Error::Unreachable(Q::UNREACHABLE.into());
        let mut slow: VecDeque<(usize, &Arc<HealthCheck>, usize)> = VecDeque::new();
        let (all, worth_asking) = (self.catalogs.count(), self.catalogs.count_worth_asking());
        let mut attempts = self.catalogs.attempts().map(|(i, it)| (i, it, 0));
        let mut asked = 0;
        while let Some((i, catalog, before)) = attempts.next().or_else(|| slow.pop_front()) {
            asked += 1;
            let patience = match before {
                0 if asked < worth_asking => self.read_hedging.patience(),
                0 if asked == worth_asking && asked < all => Some(LAST_PATIENCE),
                0 if worth_asking < asked && !slow.is_empty() => Some(DOWN_PATIENCE),
                1 if !slow.is_empty() => Some(SECOND_PATIENCE),
                _ => None,
            };
            match self.ask(query, request, catalog, patience) {
                Asked::Answer(answer) => {
                    if !slow.is_empty() {
                        self.read_hedging.won.inc();
                    }
                    slow.iter().for_each(|(_, hung, _)| hung.report_slow());
                    return answer.map(|answer| (i, answer));
                }
                Asked::Slow => {
                    if before == 0 {
                        self.read_hedging.hedge();
                    }
                    slow.push_back((i, catalog, before + 1));
                }
                Asked::Failed(error) => failure = error.unwrap_or(failure),
            }
        }
        Err(failure)
    }

    /// Asks one catalog, which has no longer than `patience`, if it is given.
    fn ask<Q: Query>(
        &self,
        query: &Q,
        request: &Request,
        catalog: &HealthCheck,
        patience: Option<Duration>,
    ) -> Asked {
        let trace = request.trace();
        let url = format!("{}{}", catalog.address, query.path());
        let asked = Instant::now();
        match self
            .reads
            .within(patience)
            .get(&url, &trace_headers(&trace))
        {
            Ok(reply) => {
                self.read_hedging.answered(asked.elapsed());
                match query.understand(&reply) {
                    Some(answer) => Asked::Answer(answer),
                    None if 500 <= reply.status => {
                        Asked::Failed(Some(Error::from_response(reply.status, &reply.body)))
                    }
                    None => {
                        log_nonsense(&catalog.address, reply.status);
                        Asked::Failed(None)
                    }
                }
            }
            Err(Failure::TimedOut(_)) if patience.is_some() => Asked::Slow,
            Err(error) => {
                catalog.report(false);
                log::debug("a catalog is not reached", &[("why", &Error::from(error))]);
                Asked::Failed(None)
            }
        }
    }
}

/// What came of asking one catalog.
enum Asked {
    Answer(Result<CachedAnswer>),
    /// Its short time is over.
    Slow,
    /// With its own error, if it answered one.
    Failed(Option<Error>),
}

/// Ends the flight, if there is one, when it is dropped, so that the requests that joined get an
/// answer even after a panic.
struct Landing<'a, Q: CacheKey> {
    front_end: &'a FrontEnd,
    query: &'a Q,
    flight: Option<Arc<Flight>>,
    fetched: Result<(usize, CachedAnswer)>,
}

impl<Q: CacheKey> Drop for Landing<'_, Q> {
    fn drop(&mut self) {
        let Some(flight) = &self.flight else {
            return;
        };
        let fetched = self.fetched.as_ref().ok();
        let fetched = fetched.map(|(catalog, answer)| (*catalog, answer));
        let inserted = self.front_end.cache.insert(self.query, flight, fetched);
        if inserted == Some(Inserted::Stale) {
            self.front_end.metrics.stale_answers.inc();
        }
        flight.land(self.fetched.clone().map(|(_, answer)| answer));
    }
}

fn response(outcome: Result<CachedAnswer>, cache_status: &'static str) -> Response {
    let response = match outcome {
        // A cache in front must ask each time: no invalidation reaches it.
        Ok(answer) => {
            let response = Response {
                etag: Some(answer.etag),
                ..Response::shared(200, answer.body).with("Cache-Control", "no-cache")
            };
            match answer.next {
                Some(next) => response.with("Link", next.to_string()),
                None => response,
            }
        }
        Err(error) => Response::from(error),
    };
    response.with("Cache-Status", cache_status)
}

fn log_nonsense(peer: &Address, status: u16) {
    static OFTEN: log::RateLimited = log::RateLimited::new();
    let fields: [log::Field; 2] = [("peer", peer), ("status", &status)];
    OFTEN.warn("a catalog's answer makes no sense", &fields);
}

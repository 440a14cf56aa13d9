//! Lookups and searches: from the cache, from a fetch that is under way, or from the catalogs in
//! turn.

use std::sync::Arc;

use crate::front_end::FrontEnd;
use crate::front_end::cache::flight::Flight;
use crate::front_end::cache::single_flight::{CacheResult, CachedAnswer, Inserted};
use crate::front_end::query::{Lookup, Query};
use crate::http::server::FastAnswer;
use crate::http::{Request, Response};
use crate::model::error::{Error, Result};
use crate::runtime::log;

/// Where an answer came from, as RFC 9211 says it.
const HIT: &str = "bazar; hit";
const MISS: &str = "bazar; fwd=miss";
const COLLAPSED: &str = "bazar; fwd=miss; collapsed";

impl FrontEnd {
    /// The answer, if it is kept: from bytes that were made once, waiting for nobody.
    pub fn at_once<Q: Query>(&self, question: &Q) -> Option<Response> {
        let finding = self.memory.hit(question)?;
        self.tally.hits.inc();
        Some(response(Ok(finding), HIT))
    }

    /// A kept look-up's answer, ready to be sent.
    pub fn glance(&self, lookup: &Lookup) -> Option<FastAnswer> {
        let finding = self.memory.hit(lookup)?;
        self.tally.hits.inc();
        Some(FastAnswer {
            route: "/lookup/<id>",
            header: ("Cache-Status", HIT),
            body: finding.body,
        })
    }

    /// The answer, wherever it has to come from.
    pub fn find<Q: Query>(&self, question: &Q, request: &Request) -> Response {
        match self.memory.source(question) {
            Some(CacheResult::Inner(finding)) => {
                self.tally.hits.inc();
                response(Ok(finding), HIT)
            }
            Some(CacheResult::Shared(flight)) => {
                self.tally.collapsed.inc();
                response(flight.wait(self.fetch_max), COLLAPSED)
            }
            Some(CacheResult::Fetch(flight)) => {
                response(self.fetch(question, flight, request), MISS)
            }
            None => {
                self.tally.misses.inc();
                response(self.ask(question, request).map(|(_, found)| found), MISS)
            }
        }
    }

    /// Asks the catalogs for everybody who wants to know it.
    fn fetch<Q: Query>(
        &self,
        question: &Q,
        flight: Arc<Flight>,
        request: &Request,
    ) -> Result<CachedAnswer> {
        self.tally.misses.inc();
        let mut landing = Landing {
            shop: self,
            question,
            flight,
            outcome: Err(Error::Internal),
        };
        landing.outcome = self.ask(question, request);
        landing.outcome.clone().map(|(_, found)| found)
    }

    /// Asks the catalogs in turn until one knows: which it was, and what it found.
    ///
    /// Fails with the last 5xx of those that answered, after all were asked, or with
    /// [`Error::Unreachable`].
    fn ask<Q: Query>(&self, question: &Q, request: &Request) -> Result<(usize, CachedAnswer)> {
        let mut failure = Error::Unreachable(Q::UNREACHABLE.into());
        let headers = [("X-Request-Id", &*request.id)];
        for (i, catalog) in self.catalogs.tries() {
            let url = format!("{}{}", catalog.address, question.path());
            match self.reads.get(&url, &headers) {
                Ok(answer) => match question.understand(&answer) {
                    Some(outcome) => return outcome.map(|found| (i, found)),
                    None if 500 <= answer.status => {
                        failure = Error::of(answer.status, &answer.body)
                    }
                    None => log::warn(
                        "a catalog's answer makes no sense",
                        &[("peer", &catalog.address), ("status", &answer.status)],
                    ),
                },
                Err(error) => {
                    catalog.found(false);
                    log::debug("a catalog is not reached", &[("why", &Error::from(error))]);
                }
            }
        }
        Err(failure)
    }
}

/// A fetch that others wait for. It lands when this is dropped, so that they are told even of a
/// panic.
struct Landing<'a, Q: Query> {
    shop: &'a FrontEnd,
    question: &'a Q,
    flight: Arc<Flight>,
    outcome: Result<(usize, CachedAnswer)>,
}

impl<Q: Query> Drop for Landing<'_, Q> {
    fn drop(&mut self) {
        let found = self.outcome.as_ref().ok().map(|(i, found)| (*i, found));
        let filled = self.shop.memory.land(self.question, &self.flight, found);
        if filled == Some(Inserted::Refused) {
            self.shop.tally.refused_fills.inc();
        }
        self.flight
            .land(self.outcome.clone().map(|(_, found)| found));
    }
}

fn response(outcome: Result<CachedAnswer>, source: &'static str) -> Response {
    let response = match outcome {
        Ok(finding) => Response::shared(200, finding.body),
        Err(error) => Response::from(error),
    };
    response.with("Cache-Status", source)
}

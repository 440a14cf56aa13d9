//! The front-end's paths: see `src/API.md`. Those that only catalogs call, and `GET /dump/`, need
//! the service token, if there is one.

use std::sync::Arc;

use serde_json::json;

use crate::front_end::FrontEnd;
use crate::front_end::dump::Dump;
use crate::front_end::page;
use crate::front_end::query::{By, Lookup, Search};
use crate::http::Method::{Delete, Get, Put};
use crate::http::server::status::{Contact, Status};
use crate::http::server::{Lane, Pending, Service};
use crate::http::{Request, RequestHead, Response, decode};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::hold::Hold;
use crate::model::invalidation::{self, Invalidation};
use crate::runtime::metrics::Exposition;
use crate::runtime::span;

/// What a request asks for.
#[derive(Debug, PartialEq)]
enum Endpoint {
    Search(Search),
    Lookup(Lookup),
    Buy(BookId),
    Order(String),
    Invalidate(Vec<Invalidation>),
    Hold(Hold),
    Release(Hold),
    Dump,
    /// The shop page, or the paths as JSON.
    Root,
    PageFile(&'static page::File),
}

/// Reads method and path.
fn parse(request: &Request) -> Result<Endpoint> {
    let path = request.path();
    match (request.method, path.as_slice()) {
        (_, ["search" | "titles" | "lookup" | "buy" | "orders", ""]) => Err(Error::NoSuchPath),
        (Get, ["search", text]) => search(By::Topic, text, request),
        (Get, ["titles", text]) => search(By::Title, text, request),
        (Get, ["lookup", id]) => Ok(Endpoint::Lookup(Lookup(book_id(id)?))),
        (Put, ["buy", id]) => Ok(Endpoint::Buy(book_id(id)?)),
        (Get, ["orders", order]) => Ok(Endpoint::Order((*order).into())),
        (Delete, ["invalidate", kind @ ("item" | "topic"), which]) => {
            invalidation::parse(kind, which).map(Endpoint::Invalidate)
        }
        (Put, ["hold"]) => hold(request).map(Endpoint::Hold),
        (Put, ["release"]) => hold(request).map(Endpoint::Release),
        (Get, ["dump", ""]) => Ok(Endpoint::Dump),
        (Get, [""]) => Ok(Endpoint::Root),
        (_, ["page", name]) => {
            let file = page::file(name).ok_or(Error::NoSuchPath)?;
            match request.method {
                Get => Ok(Endpoint::PageFile(file)),
                _ => Err(Error::MethodNotAllowed("GET, HEAD")),
            }
        }
        (_, ["search" | "titles" | "lookup" | "orders", _] | ["dump", ""] | [""]) => {
            Err(Error::MethodNotAllowed("GET, HEAD"))
        }
        (_, ["buy", _] | ["hold" | "release"]) => Err(Error::MethodNotAllowed("PUT")),
        (_, ["invalidate", "item" | "topic", _]) => Err(Error::MethodNotAllowed("DELETE")),
        _ => Err(Error::NoSuchPath),
    }
}

fn search(by: By, text: &str, request: &Request) -> Result<Endpoint> {
    Search::new(by, text, request.query.as_deref()).map(Endpoint::Search)
}

/// Fails with 400 when the body is not JSON, with 422 when it is not a hold.
fn hold(request: &Request) -> Result<Hold> {
    serde_json::from_slice(&request.body).map_err(|error| {
        if error.is_data() {
            Error::Invalid(format!("No hold: {error}"))
        } else {
            Error::BadRequest(format!("The body is not JSON: {error}"))
        }
    })
}

fn book_id(text: &str) -> Result<BookId> {
    BookId::parse(text).ok_or(Error::IdNotANumber)
}

impl FrontEnd {
    fn serve(&self, request: &Request) -> Result<Response> {
        match parse(request)? {
            Endpoint::Search(search) => Ok(self.find(&search, request)),
            Endpoint::Lookup(lookup) => {
                span::set("book", || lookup.0);
                Ok(self.find(&lookup, request))
            }
            Endpoint::Buy(id) => self.buy(id, request),
            Endpoint::Order(order) => self.order(&order, request),
            Endpoint::Invalidate(invalidations) => {
                for invalidation in &invalidations {
                    self.cache.invalidate(invalidation);
                    self.metrics.invalidation(invalidation);
                }
                Ok(Response::empty(204))
            }
            Endpoint::Hold(hold) => {
                self.cache.hold(&hold);
                hold.invalidations()
                    .for_each(|stale| self.metrics.invalidation(&stale));
                Ok(Response::empty(204))
            }
            Endpoint::Release(release) => {
                self.cache.release(&release);
                Ok(Response::empty(204))
            }
            Endpoint::Dump => Ok(Response::json(200, &Dump::of(&self.cache))),
            Endpoint::Root => Ok(page::root(request.list("Accept").as_deref())),
            Endpoint::PageFile(file) => Ok(file.response()),
        }
    }
}

impl Service for FrontEnd {
    fn lane(&self, request: &Request) -> Lane {
        match request.segments.first().map(String::as_str) {
            Some("search" | "titles" | "lookup" | "buy" | "orders" | "dump") => Lane::Client,
            _ => Lane::Inline,
        }
    }

    fn try_join(self: Arc<Self>, pending: Pending) -> std::result::Result<(), Pending> {
        match parse(pending.request()) {
            Ok(Endpoint::Buy(id)) => self.try_join_buys(id, pending),
            _ => Err(pending),
        }
    }

    /// A look-up of an id in digits, or a search, whose answer is cached.
    fn try_answer(&self, head: &RequestHead) -> Option<(&'static str, Response)> {
        if let Some(id) = head.path.strip_prefix("/lookup/") {
            let response = self.try_find(&Lookup(BookId::parse(id)?))?;
            return Some(("/lookup/<id>", response));
        }
        let (by, route, text) = match head.path.strip_prefix("/search/") {
            Some(text) => (By::Topic, "/search/<text>", text),
            None => (
                By::Title,
                "/titles/<text>",
                head.path.strip_prefix("/titles/")?,
            ),
        };
        if text.contains('/') {
            return None;
        }
        let search = Search::new(by, &decode(text).ok()?, head.query).ok()?;
        Some((route, self.try_find(&search)?))
    }

    fn answer(&self, request: &Request) -> Response {
        self.serve(request).unwrap_or_else(Response::from)
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["search", _] => "/search/<text>",
            ["titles", _] => "/titles/<text>",
            ["lookup", _] => "/lookup/<id>",
            ["buy", _] => "/buy/<id>",
            ["orders", _] => "/orders/<order>",
            ["invalidate", "item", _] => "/invalidate/item/<id>",
            ["invalidate", "topic", _] => "/invalidate/topic/<topic>",
            ["hold"] => "/hold",
            ["release"] => "/release",
            ["dump", ""] => "/dump/",
            [""] => "/",
            ["page", _] => "/page/<file>",
            _ => "other",
        }
    }

    fn is_public(&self, first_segment: &str) -> bool {
        matches!(
            first_segment,
            "search" | "titles" | "lookup" | "buy" | "orders" | "" | "page"
        )
    }

    fn missing(&self) -> Vec<String> {
        let tiers = [
            (&self.catalogs, "a catalog"),
            (&self.order_servers, "an order server"),
        ];
        let missing = tiers
            .iter()
            .filter(|(servers, _)| servers.ready_count() == 0);
        let missing = missing.flat_map(|(servers, name)| {
            let what = format!("{name} that is ready");
            [what].into_iter().chain(servers.why_down())
        });
        missing.collect()
    }

    fn status(&self) -> Status {
        let tiers = [("catalog", &self.catalogs), ("order", &self.order_servers)];
        let contacts = tiers.into_iter().flat_map(|(server, servers)| {
            let contact = move |(address, live)| Contact {
                server,
                address,
                live,
            };
            servers.servers().map(contact)
        });
        let stats = self.cache.stats();
        let own = json!({
            "lease": stats.lease,
            "caches": {
                "lookups": stats.lookups,
                "searches": stats.searches,
                "hits": self.metrics.hits.get(),
                "misses": self.metrics.misses.get() + self.metrics.collapsed.get(),
            },
        });
        Status::new(contacts.collect(), own)
    }

    fn metrics(&self, page: &mut Exposition) {
        self.write_metrics(page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Method, split_path};

    #[track_caller]
    fn check(method: Method, path: &str, expected: Result<Endpoint>) {
        let request = Request {
            method,
            segments: split_path(path).unwrap(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            id: "r".into(),
        };
        assert_eq!(parse(&request), expected, "{path}");
    }

    fn found(by: By, text: &str) -> Result<Endpoint> {
        Ok(Endpoint::Search(Search {
            by,
            text: text.into(),
            limit: None,
            after: None,
        }))
    }

    #[test]
    fn the_interface_is_the_documented_one() {
        check(Get, "/search/Dis%2Ft", found(By::Topic, "dis/t"));
        check(Get, "/titles/RPCs", found(By::Title, "rpcs"));
        check(Get, "/lookup/007", Ok(Endpoint::Lookup(Lookup(BookId(7)))));
        check(Put, "/buy/7", Ok(Endpoint::Buy(BookId(7))));
        check(
            Delete,
            "/invalidate/item/7",
            Ok(Endpoint::Invalidate(vec![Invalidation::Item(BookId(7))])),
        );
        check(
            Delete,
            "/invalidate/item/3,7",
            Ok(Endpoint::Invalidate(vec![
                Invalidation::Item(BookId(3)),
                Invalidation::Item(BookId(7)),
            ])),
        );
        check(
            Delete,
            "/invalidate/item/",
            Ok(Endpoint::Invalidate(vec![Invalidation::AllItems])),
        );
        check(
            Delete,
            "/invalidate/topic/T%2F",
            Ok(Endpoint::Invalidate(vec![Invalidation::Topic("T/".into())])),
        );
        check(
            Delete,
            "/invalidate/topic/",
            Ok(Endpoint::Invalidate(vec![Invalidation::AllTopics])),
        );
        check(Get, "/dump/", Ok(Endpoint::Dump));
        check(Get, "/", Ok(Endpoint::Root));
        let script = page::file("shop.js").unwrap();
        check(Get, "/page/shop.js", Ok(Endpoint::PageFile(script)));
    }

    #[test]
    fn any_other_path_method_or_id_is_refused() {
        for path in [
            "//",
            "/page/",
            "/page/shop.html",
            "/search/",
            "/lookup/",
            "/buy/",
            "/dump",
            "/dump/x",
            "/lookup/1/",
            "/x",
        ] {
            check(Get, path, Err(Error::NoSuchPath));
        }
        for path in ["/lookup/one", "/", "/page/shop.js"] {
            check(Put, path, Err(Error::MethodNotAllowed("GET, HEAD")));
        }
        check(Get, "/buy/one", Err(Error::MethodNotAllowed("PUT")));
        check(
            Get,
            "/invalidate/item/one",
            Err(Error::MethodNotAllowed("DELETE")),
        );
        check(Get, "/lookup/one", Err(Error::IdNotANumber));
        check(Put, "/buy/1.5", Err(Error::IdNotANumber));
        for ids in ["one", "3,one", "3,", ","] {
            let path = format!("/invalidate/item/{ids}");
            check(Delete, &path, Err(Error::IdNotANumber));
        }
    }
}

//! The front-end's whole interface. Beyond the documented one `DELETE /invalidate/item/<id>,<id>,…`
//! forgets several lookups.

use crate::front_end::FrontEnd;
use crate::front_end::dump::Dump;
use crate::front_end::query::{Lookup, Search};
use crate::http::Method::{Delete, Get, Put};
use crate::http::server::{FastAnswer, Lane, Service};
use crate::http::{Request, Response};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::invalidation::{self, Invalidation};
use crate::runtime::metrics::Exposition;

/// What a request asks for.
#[derive(Debug, PartialEq)]
enum Asked {
    Search(Search),
    Lookup(Lookup),
    Buy(BookId),
    Forget(Vec<Invalidation>),
    Dump,
}

/// Reads method and path.
fn asked(request: &Request) -> Result<Asked> {
    let path = request.path();
    match (request.method, path.as_slice()) {
        (_, ["search" | "lookup" | "buy", ""]) => Err(Error::NoSuchPath),
        (Get, ["search", text]) => Ok(Asked::Search(Search::of(text, request))),
        (Get, ["lookup", id]) => Ok(Asked::Lookup(Lookup(number(id)?))),
        (Put, ["buy", id]) => Ok(Asked::Buy(number(id)?)),
        (Delete, ["invalidate", kind @ ("item" | "topic"), what]) => {
            invalidation::parse(kind, what).map(Asked::Forget)
        }
        (Get, ["dump", ""]) => Ok(Asked::Dump),
        (_, ["search" | "lookup", _] | ["dump", ""]) => Err(Error::MethodNotAllowed("GET, HEAD")),
        (_, ["buy", _]) => Err(Error::MethodNotAllowed("PUT")),
        (_, ["invalidate", "item" | "topic", _]) => Err(Error::MethodNotAllowed("DELETE")),
        _ => Err(Error::NoSuchPath),
    }
}

fn number(id: &str) -> Result<BookId> {
    BookId::parse(id).ok_or(Error::IdNotANumber)
}

impl FrontEnd {
    fn serve(&self, request: &Request) -> Result<Response> {
        match asked(request)? {
            Asked::Search(search) => Ok(self.find(&search, request)),
            Asked::Lookup(lookup) => Ok(self.find(&lookup, request)),
            Asked::Buy(id) => self.buy(id, request),
            Asked::Forget(voids) => Ok(self.forget(&voids)),
            Asked::Dump => Ok(Response::json(200, &Dump::of(&self.memory))),
        }
    }

    fn forget(&self, voids: &[Invalidation]) -> Response {
        for void in voids {
            self.memory.void(void);
            self.tally.invalidation(void);
        }
        Response::empty(204)
    }
}

impl Service for FrontEnd {
    fn lane(&self, request: &Request) -> Lane {
        match request.segments.first().map(String::as_str) {
            Some("search" | "lookup" | "buy" | "dump") => Lane::Client,
            _ => Lane::Inline,
        }
    }

    fn at_once(&self, request: &Request) -> Option<Response> {
        match asked(request) {
            Ok(Asked::Search(search)) => FrontEnd::at_once(self, &search),
            Ok(Asked::Lookup(lookup)) => FrontEnd::at_once(self, &lookup),
            _ => None,
        }
    }

    /// A look-up that is kept, of an id in digits and nothing else.
    fn fast_path(&self, url: &str) -> Option<FastAnswer> {
        let id = BookId::parse(url.strip_prefix("/lookup/")?)?;
        self.glance(&Lookup(id))
    }

    fn answer(&self, request: &Request) -> Response {
        self.serve(request).unwrap_or_else(Response::from)
    }

    fn route(&self, request: &Request) -> &'static str {
        match request.path().as_slice() {
            ["search", _] => "/search/<text>",
            ["lookup", _] => "/lookup/<id>",
            ["buy", _] => "/buy/<id>",
            ["invalidate", "item", _] => "/invalidate/item/<id>",
            ["invalidate", "topic", _] => "/invalidate/topic/<topic>",
            ["dump", ""] => "/dump/",
            _ => "other",
        }
    }

    fn is_public(&self, request: &Request) -> bool {
        let first = request.segments.first().map(String::as_str);
        matches!(first, Some("search" | "lookup" | "buy"))
    }

    fn ready(&self) -> std::result::Result<(), Vec<String>> {
        let tiers = [
            (&self.catalogs, "a catalog"),
            (&self.orders, "an order server"),
        ];
        let missing: Vec<String> = tiers
            .iter()
            .filter(|(turns, _)| !turns.any_up())
            .map(|(_, name)| format!("{name} that is ready"))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    fn metrics(&self, page: &mut Exposition) {
        self.figures(page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Method, split_path};

    #[track_caller]
    fn check(method: Method, path: &str, expected: Result<Asked>) {
        let request = Request {
            method,
            segments: split_path(path).unwrap(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            id: "r".into(),
        };
        assert_eq!(asked(&request), expected, "{path}");
    }

    fn search(text: &str) -> Result<Asked> {
        Ok(Asked::Search(Search {
            text: text.into(),
            limit: None,
            after: None,
        }))
    }

    #[test]
    fn the_interface_is_the_documented_one() {
        check(Get, "/search/Dis%2Ft", search("dis/t"));
        check(Get, "/lookup/007", Ok(Asked::Lookup(Lookup(BookId(7)))));
        check(Put, "/buy/7", Ok(Asked::Buy(BookId(7))));
        check(
            Delete,
            "/invalidate/item/7",
            Ok(Asked::Forget(vec![Invalidation::Item(BookId(7))])),
        );
        check(
            Delete,
            "/invalidate/item/3,7",
            Ok(Asked::Forget(vec![
                Invalidation::Item(BookId(3)),
                Invalidation::Item(BookId(7)),
            ])),
        );
        check(
            Delete,
            "/invalidate/item/",
            Ok(Asked::Forget(vec![Invalidation::AllItems])),
        );
        check(
            Delete,
            "/invalidate/topic/T%2F",
            Ok(Asked::Forget(vec![Invalidation::Topic("T/".into())])),
        );
        check(
            Delete,
            "/invalidate/topic/",
            Ok(Asked::Forget(vec![Invalidation::AllTopics])),
        );
        check(Get, "/dump/", Ok(Asked::Dump));
    }

    #[test]
    fn what_is_not_in_it_is_refused() {
        for path in [
            "/",
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
        check(
            Put,
            "/lookup/one",
            Err(Error::MethodNotAllowed("GET, HEAD")),
        );
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

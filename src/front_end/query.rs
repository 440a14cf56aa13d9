//! What a customer may ask the catalogs through the caches: look a book up, or search.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::front_end::cache::leased_cache::Inner;
use crate::front_end::cache::single_flight::{Cache, CachedAnswer, KEPT_BYTES_MAX};
use crate::http::client::Answer;
use crate::http::{Request, encode};
use crate::model::book::{BookId, Found, Offer};
use crate::model::error::{Error, Result};

/// A question, which is also the key of its answer in the cache.
pub trait Query: Clone + Eq + Hash {
    /// What the customer hears when no catalog can be reached.
    const UNREACHABLE: &'static str;

    /// The path that asks a catalog.
    fn path(&self) -> String;

    /// What a catalog's answer means; `None`: nothing that it could have said.
    fn understand(&self, answer: &Answer) -> Option<Result<CachedAnswer>>;

    /// The cache for such questions.
    fn cache(kept: &mut Inner) -> &mut Cache<Self>;
}

/// `GET /lookup/<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lookup(pub BookId);

/// `GET /search/<text>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Search {
    /// In lower case.
    pub text: String,
    /// At most so many books; beyond the documented interface, for long answers.
    pub limit: Option<u64>,
    /// Only books with higher ids.
    pub after: Option<u64>,
}

impl Search {
    /// Of a request. A `limit` or an `after` that is not a number is ignored like any other query
    /// string.
    pub fn of(text: &str, request: &Request) -> Search {
        let number = |name| Some(BookId::parse(&request.query(name)?)?.0);
        Search {
            text: text.to_lowercase(),
            limit: number("limit"),
            after: number("after"),
        }
    }
}

impl Query for Lookup {
    const UNREACHABLE: &'static str = "Could not connect to a server to lookup";

    fn path(&self) -> String {
        format!("/query/item/{}", self.0)
    }

    fn understand(&self, answer: &Answer) -> Option<Result<CachedAnswer>> {
        if answer.status == 404 {
            return Some(Err(Error::NoSuchBook));
        }
        serde_json::from_slice::<Offer>(ok(answer)?).ok()?;
        Some(Ok(finding(answer, BTreeSet::new())))
    }

    fn cache(kept: &mut Inner) -> &mut Cache<Lookup> {
        &mut kept.lookups
    }
}

impl Query for Search {
    const UNREACHABLE: &'static str = "Could not connect to a server to search";

    fn path(&self) -> String {
        let mut path = format!("/query/topic/{}", encode(&self.text));
        let parameters = [("limit", self.limit), ("after", self.after)];
        let given = parameters
            .iter()
            .filter_map(|(name, value)| Some((name, (*value)?)));
        for ((name, value), mark) in given.zip(['?', '&']) {
            path += &format!("{mark}{name}={value}");
        }
        path
    }

    fn understand(&self, answer: &Answer) -> Option<Result<CachedAnswer>> {
        let body = ok(answer)?;
        if KEPT_BYTES_MAX < body.len() {
            // It is not kept, so nobody needs its topics.
            return Some(Ok(finding(answer, BTreeSet::new())));
        }
        let found: Vec<Found> = serde_json::from_slice(body).ok()?;
        let topics = found.into_iter().map(|book| book.topic).collect();
        Some(Ok(finding(answer, topics)))
    }

    fn cache(kept: &mut Inner) -> &mut Cache<Search> {
        &mut kept.searches
    }
}

fn ok(answer: &Answer) -> Option<&[u8]> {
    (answer.status == 200).then_some(&answer.body)
}

fn finding(answer: &Answer, topics: BTreeSet<Arc<str>>) -> CachedAnswer {
    let no_store = |value: &str| value.to_ascii_lowercase().contains("no-store");
    let forbidden = answer.header("Cache-Control").is_some_and(no_store);
    CachedAnswer {
        body: answer.body.as_slice().into(),
        topics: Arc::new(topics),
        may_be_kept: !forbidden && answer.body.len() <= KEPT_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: crate::http::client::Headers::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn search(text: &str, limit: Option<u64>, after: Option<u64>) -> Search {
        let text = text.into();
        Search { text, limit, after }
    }

    const LINE: &str = r#"[{"id":1,"title":"a","topic":"Sports"}]"#;

    #[test]
    fn a_search_is_encoded_again_when_it_is_passed_on() {
        assert_eq!(search("a/b", None, None).path(), "/query/topic/a%2Fb");
        assert_eq!(search("t", None, Some(7)).path(), "/query/topic/t?after=7");
        assert_eq!(
            search("t", Some(5), Some(7)).path(),
            "/query/topic/t?limit=5&after=7"
        );
    }

    #[test]
    fn a_search_knows_the_topics_in_its_answer() {
        let found = search("s", None, None)
            .understand(&answer(200, LINE))
            .unwrap()
            .unwrap();
        assert!(found.topics.contains("Sports") && found.may_be_kept);
        assert_eq!(&*found.body, LINE.as_bytes());
    }

    #[test]
    fn what_a_catalog_marks_no_store_or_is_too_long_may_not_be_kept() {
        let kept = |answer: &Answer| {
            let found = search("s", None, None).understand(answer).unwrap();
            found.unwrap().may_be_kept
        };
        let mut marked = answer(200, LINE);
        let no_store = "No-Store".parse().unwrap();
        marked.headers.insert("cache-control", no_store);
        assert!(!kept(&marked));
        assert!(!kept(&answer(200, &" ".repeat(KEPT_BYTES_MAX + 1))));
        assert!(kept(&answer(
            200,
            &format!("{LINE}{}", " ".repeat(KEPT_BYTES_MAX - LINE.len()))
        )));
    }

    #[test]
    fn what_no_catalog_says_means_nothing() {
        for (status, body) in [(200, "[]"), (200, ""), (401, "{}"), (302, "")] {
            assert_eq!(Lookup(BookId(1)).understand(&answer(status, body)), None);
        }
        assert_eq!(search("s", None, None).understand(&answer(404, "[]")), None);
        let missing = Lookup(BookId(1)).understand(&answer(404, ""));
        assert_eq!(missing, Some(Err(Error::NoSuchBook)));
    }
}

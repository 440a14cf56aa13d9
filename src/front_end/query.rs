//! The queries that have a cache: look a book up, and search.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::front_end::cache::{ANSWER_BYTES_MAX, CachedAnswer};
use crate::http::client::Answer;
use crate::http::{encode, next_page, query_number};
use crate::model::book::{BookId, Offer, SearchResult};
use crate::model::error::{Error, Result};
use crate::model::fold::fold;

/// A query to the catalogs. It is also the key of its answer in the cache.
pub(crate) trait Query: Clone + Eq + Hash {
    /// The message of the 504 when no catalog can be reached.
    const UNREACHABLE: &'static str;

    /// The path at a catalog.
    fn path(&self) -> String;

    /// What a catalog's reply means. `None`: it failed, or makes no sense.
    fn understand(&self, reply: &Answer) -> Option<Result<CachedAnswer>>;
}

/// `GET /lookup/<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lookup(pub(crate) BookId);

/// What a search compares with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Topic,
    Title,
}

/// `GET /search/<text>` and `GET /titles/<text>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Search {
    pub(crate) by: By,
    /// Folded.
    pub(crate) text: String,
    /// At most so many books.
    pub(crate) limit: Option<u64>,
    /// Only books with higher ids.
    pub(crate) after: Option<u64>,
}

impl Search {
    /// A search for `text`, with the parameters of a request's query string. Fails with 400 when
    /// `limit` or `after` is not a number.
    pub(super) fn new(by: By, text: &str, query: Option<&str>) -> Result<Search> {
        Ok(Search {
            by,
            text: fold(text),
            limit: query_number(query, "limit")?,
            after: query_number(query, "after")?,
        })
    }
}

impl Query for Lookup {
    const UNREACHABLE: &'static str = "Could not connect to a server to lookup";

    fn path(&self) -> String {
        format!("/query/item/{}", self.0)
    }

    fn understand(&self, reply: &Answer) -> Option<Result<CachedAnswer>> {
        if reply.status == 404 {
            return Some(Err(Error::NoSuchBook));
        }
        serde_json::from_slice::<Offer>(ok(reply)?).ok()?;
        Some(Ok(cached_answer(reply, BTreeSet::new())))
    }
}

impl Query for Search {
    const UNREACHABLE: &'static str = "Could not connect to a server to search";

    fn path(&self) -> String {
        let text = encode(&self.text);
        let mut path = match self.by {
            By::Topic => format!("/query/topic/{text}"),
            By::Title => format!("/titles/{text}"),
        };
        let parameters = [("limit", self.limit), ("after", self.after)];
        let given = parameters
            .iter()
            .filter_map(|(n, value)| Some((n, (*value)?)));
        for ((name, value), mark) in given.zip(['?', '&']) {
            path += &format!("{mark}{name}={value}");
        }
        path
    }

    fn understand(&self, reply: &Answer) -> Option<Result<CachedAnswer>> {
        let body = ok(reply)?;
        if ANSWER_BYTES_MAX < body.len() {
            // It is not cached, so its topics are not needed.
            return Some(Ok(cached_answer(reply, BTreeSet::new())));
        }
        let found: Vec<SearchResult> = serde_json::from_slice(body).ok()?;
        let last = found.last().map(|book| book.id.0);
        let next = self
            .limit
            .and_then(|limit| next_page(limit, found.len(), last));
        let topics = found.into_iter().map(|book| book.topic).collect();
        Some(Ok(CachedAnswer {
            next: next.map(Arc::from),
            is_by_title: self.by == By::Title,
            ..cached_answer(reply, topics)
        }))
    }
}

fn ok(reply: &Answer) -> Option<&[u8]> {
    (reply.status == 200).then_some(&reply.body)
}

fn cached_answer(reply: &Answer, topics: BTreeSet<Arc<str>>) -> CachedAnswer {
    let no_store = |value: &str| value.to_ascii_lowercase().contains("no-store");
    let forbidden = reply.header("Cache-Control").is_some_and(no_store);
    CachedAnswer {
        body: reply.body.as_slice().into(),
        etag: etag(&reply.body),
        topics: Arc::new(topics),
        next: None,
        is_by_title: false,
        cacheable: !forbidden && reply.body.len() <= ANSWER_BYTES_MAX,
    }
}

/// A strong `ETag` for these bytes, the same at every front-end.
pub(super) fn etag(body: &[u8]) -> Arc<str> {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    format!("\"{:016x}\"", hasher.finish()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: crate::http::client::Headers::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn search(text: &str, limit: Option<u64>, after: Option<u64>) -> Search {
        Search {
            by: By::Topic,
            text: text.into(),
            limit,
            after,
        }
    }

    const FOUND: &str = r#"[{"id":1,"title":"a","topic":"Sports"}]"#;

    #[test]
    fn a_search_is_encoded_again_when_it_is_passed_on() {
        assert_eq!(search("a/b", None, None).path(), "/query/topic/a%2Fb");
        assert_eq!(search("t", None, Some(7)).path(), "/query/topic/t?after=7");
        assert_eq!(
            search("t", Some(5), Some(7)).path(),
            "/query/topic/t?limit=5&after=7"
        );
        let titles = Search {
            by: By::Title,
            ..search("a b", Some(5), None)
        };
        assert_eq!(titles.path(), "/titles/a%20b?limit=5");
    }

    #[test]
    fn a_search_has_the_topics_of_its_answer() {
        let found = search("s", None, None)
            .understand(&reply(200, FOUND))
            .unwrap()
            .unwrap();
        assert!(found.topics.contains("Sports") && found.cacheable);
        assert_eq!(&*found.body, FOUND.as_bytes());
    }

    #[test]
    fn a_full_page_has_a_next_one() {
        let next = |limit, body| {
            let found = search("s", limit, None).understand(&reply(200, body));
            found.unwrap().unwrap().next
        };
        let link = "<?limit=1&after=1>; rel=\"next\"";
        assert_eq!(next(Some(1), FOUND).as_deref(), Some(link));
        assert_eq!((next(Some(2), FOUND), next(None, FOUND)), (None, None));
        assert_eq!((next(Some(1), "[]"), next(Some(0), "[]")), (None, None));
    }

    #[test]
    fn an_answer_that_is_no_store_or_too_long_is_not_cacheable() {
        let cacheable = |reply: &Answer| {
            let found = search("s", None, None).understand(reply).unwrap();
            found.unwrap().cacheable
        };
        let mut marked = reply(200, FOUND);
        let no_store = "No-Store".parse().unwrap();
        marked.headers.insert("cache-control", no_store);
        assert!(!cacheable(&marked));
        assert!(!cacheable(&reply(200, &" ".repeat(ANSWER_BYTES_MAX + 1))));
        assert!(cacheable(&reply(
            200,
            &format!("{FOUND}{}", " ".repeat(ANSWER_BYTES_MAX - FOUND.len()))
        )));
    }

    #[test]
    fn a_reply_that_no_catalog_gives_means_nothing() {
        for (status, body) in [(200, "[]"), (200, ""), (401, "{}"), (302, "")] {
            assert_eq!(Lookup(BookId(1)).understand(&reply(status, body)), None);
        }
        assert_eq!(search("s", None, None).understand(&reply(404, "[]")), None);
        let missing = Lookup(BookId(1)).understand(&reply(404, ""));
        assert_eq!(missing, Some(Err(Error::NoSuchBook)));
    }
}

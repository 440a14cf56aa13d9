//! `GET /dump/`: the caches' entries, least recently used first.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::front_end::cache::leased_cache::LeasedCache;
use crate::front_end::query::{By, Lookup, Search};
use crate::model::book::{BookId, Offer, SearchResult};

/// The answer, in the documented form.
#[derive(Serialize)]
pub(super) struct Dump {
    lookup: Vec<LookupEntry>,
    search: Vec<SearchEntry>,
}

#[derive(Serialize)]
struct LookupEntry {
    id: BookId,
    #[serde(flatten)]
    offer: Offer,
}

#[derive(Serialize)]
struct SearchEntry {
    /// The text.
    id: String,
    /// "title", if it is no search by topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    topics: Arc<BTreeSet<Arc<str>>>,
    search_result: Vec<SearchResult>,
}

const READABLE: &str = "only an answer that could be read is cached";

impl Dump {
    pub(super) fn of(cache: &LeasedCache) -> Dump {
        let lookups = cache.entries::<Lookup>().into_iter();
        let lookups = lookups.map(|(Lookup(id), answer)| LookupEntry {
            id,
            offer: serde_json::from_slice(&answer.body).expect(READABLE),
        });
        let searches = cache.entries::<Search>().into_iter();
        let searches = searches.map(|(search, answer)| SearchEntry {
            id: search.text,
            by: (search.by == By::Title).then_some("title"),
            search_result: serde_json::from_slice(&answer.body).expect(READABLE),
            topics: answer.topics,
        });
        Dump {
            lookup: lookups.collect(),
            search: searches.collect(),
        }
    }
}

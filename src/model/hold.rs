//! What a front-end must not keep for a while, because a change of it is under way in etcd.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::book::BookId;
use crate::model::invalidation::Invalidation;

/// `PUT /hold`: drop this from the caches, and keep nothing of it until it is released. `PUT
/// /release`: the changes with this number and those before it have ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    /// The start number of the catalog.
    pub(crate) start: u64,
    /// It counts the catalog's changes.
    pub(crate) number: u64,
    pub(crate) items: Vec<BookId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) topics: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) all_topics: bool,
}

impl Hold {
    pub(crate) fn of(start: u64, number: u64, stale: &[Invalidation]) -> Hold {
        let mut hold = Hold {
            start,
            number,
            ..Hold::default()
        };
        for invalidation in stale {
            match invalidation {
                Invalidation::Item(id) => hold.items.push(*id),
                Invalidation::Topic(topic) => hold.topics.push(topic.clone()),
                Invalidation::AllTopics => hold.all_topics = true,
                Invalidation::AllItems => unreachable!("no change is of all books"),
            }
        }
        hold
    }

    /// Whether searches are held.
    pub(crate) fn has_searches(&self) -> bool {
        self.all_topics || !self.topics.is_empty()
    }

    /// What leaves the caches at once.
    pub(crate) fn invalidations(&self) -> impl Iterator<Item = Invalidation> {
        let items = self.items.iter().copied().map(Invalidation::Item);
        let topics = self.topics.iter().cloned().map(Invalidation::Topic);
        let all = self.all_topics.then_some(Invalidation::AllTopics);
        items.chain(topics).chain(all)
    }
}

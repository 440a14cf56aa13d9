//! One cache: what is kept, what is being fetched, and what may no longer be put in.
//!
//! **The guard.** An invalidation says that what was read before it is old. So it concerns what is
//! kept *and* what is being fetched: a fetch that it concerns is taken off the list of flights. Its
//! answer still goes to those who waited before the invalidation came, but it is not kept, and who
//! comes after the invalidation fetches anew. Which topics a search under way will find nobody
//! knows, so that an invalidation of any topic takes all searches off the list.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::front_end::cache::flight::Flight;
use crate::front_end::cache::lru::Lru;

/// Longer answers are not kept: a few of them would be all the memory.
pub const KEPT_BYTES_MAX: usize = 1 << 20;

/// What a lookup or a search found: the answer's bytes, made once, and the topics in it (none in a
/// lookup's).
#[derive(Clone, Debug, PartialEq)]
pub struct CachedAnswer {
    pub body: Arc<[u8]>,
    pub topics: Arc<BTreeSet<Arc<str>>>,
    /// Not when it is too long, or when the catalog said `no-store`.
    pub may_be_kept: bool,
}

/// Where a customer's answer comes from.
#[derive(Debug)]
pub enum CacheResult {
    Inner(CachedAnswer),
    /// Somebody fetches it already: wait for that.
    Shared(Arc<Flight>),
    /// Nobody does: fetch it, and report to [`Cache::land`] and [`Flight::land`].
    Fetch(Arc<Flight>),
}

/// What became of an answer that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Inner,
    /// Refused by the guard: it was fetched before an invalidation that concerns it.
    Refused,
}

/// Lookups by book id, or searches by text.
#[derive(Debug)]
pub struct Cache<K> {
    kept: Lru<K, CachedAnswer>,
    /// The fetches under way that no invalidation has concerned yet. As many as customers wait, at
    /// most.
    flights: HashMap<K, Arc<Flight>>,
}

impl<K: Clone + Eq + Hash> Cache<K> {
    pub fn new(entries_max: usize) -> Cache<K> {
        Cache {
            kept: Lru::new(entries_max),
            flights: HashMap::new(),
        }
    }

    /// The answer, if it is kept.
    pub fn get(&mut self, key: &K) -> Option<CachedAnswer> {
        self.kept.get(key).cloned()
    }

    /// Where to get the answer.
    pub fn source(&mut self, key: &K) -> CacheResult {
        if let Some(finding) = self.get(key) {
            return CacheResult::Inner(finding);
        }
        if let Some(flight) = self.flights.get(key) {
            return CacheResult::Shared(flight.clone());
        }
        let flight = Arc::new(Flight::default());
        self.flights.insert(key.clone(), flight.clone());
        CacheResult::Fetch(flight)
    }

    /// A fetch is over. What it found, if it is to be kept, is kept unless an invalidation came
    /// meanwhile.
    pub fn land(
        &mut self,
        key: &K,
        flight: &Arc<Flight>,
        found: Option<&CachedAnswer>,
    ) -> Option<Inserted> {
        let listed = self
            .flights
            .get(key)
            .is_some_and(|listed| Arc::ptr_eq(listed, flight));
        if listed {
            self.flights.remove(key);
        }
        let found = found.filter(|finding| finding.may_be_kept)?;
        if !listed {
            return Some(Inserted::Refused);
        }
        self.kept.insert(key.clone(), found.clone());
        Some(Inserted::Inner)
    }

    /// Forgets one answer.
    pub fn void(&mut self, key: &K) {
        self.kept.remove(key);
        self.flights.remove(key);
    }

    /// Forgets every answer.
    pub fn void_all(&mut self) {
        self.kept.clear();
        self.flights.clear();
    }

    /// Forgets every answer that has a book of exactly that topic. Looks through all that is kept:
    /// a book changes its title, which is what this is for, once in a long while.
    pub fn void_topic(&mut self, topic: &str) {
        self.flights.clear();
        let has = |finding: &CachedAnswer| finding.topics.contains(topic);
        let old: Vec<K> = self
            .entries()
            .filter(|(_, finding)| has(finding))
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.kept.remove(&key);
        }
    }

    /// What is kept, least recently used first.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &CachedAnswer)> {
        self.kept.entries()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(body: &str, topics: &[&str]) -> CachedAnswer {
        CachedAnswer {
            body: body.as_bytes().into(),
            topics: Arc::new(topics.iter().map(|topic| Arc::from(*topic)).collect()),
            may_be_kept: true,
        }
    }

    #[track_caller]
    fn fetch(cache: &mut Cache<&'static str>, key: &'static str) -> Arc<Flight> {
        match cache.source(&key) {
            CacheResult::Fetch(flight) => flight,
            other => panic!("{key}: {other:?}"),
        }
    }

    fn keep(cache: &mut Cache<&'static str>, key: &'static str, topics: &[&str]) {
        let flight = fetch(cache, key);
        let filled = cache.land(&key, &flight, Some(&finding(key, topics)));
        assert_eq!(filled, Some(Inserted::Inner));
    }

    #[track_caller]
    fn check(cache: &Cache<&'static str>, expected: &[&str]) {
        let keys: Vec<_> = cache.entries().map(|(key, _)| *key).collect();
        assert_eq!(keys, expected);
    }

    /// A fetch begins, `void` happens, the fetch ends.
    fn fetched_across(void: fn(&mut Cache<&'static str>)) -> Option<Inserted> {
        let mut cache = Cache::new(10);
        let flight = fetch(&mut cache, "a");
        void(&mut cache);
        cache.land(&"a", &flight, Some(&finding("a", &["t"])))
    }

    #[test]
    fn what_was_fetched_before_an_invalidation_is_not_kept_after_it() {
        assert_eq!(
            fetched_across(|cache| cache.void(&"a")),
            Some(Inserted::Refused)
        );
        assert_eq!(
            fetched_across(|cache| cache.void_all()),
            Some(Inserted::Refused)
        );
        assert_eq!(
            fetched_across(|cache| cache.void_topic("t")),
            Some(Inserted::Refused)
        );
        assert_eq!(
            fetched_across(|cache| cache.void(&"b")),
            Some(Inserted::Inner)
        );
    }

    #[test]
    fn who_comes_after_an_invalidation_does_not_wait_for_an_older_fetch() {
        let mut cache = Cache::new(10);
        let older = fetch(&mut cache, "a");
        assert!(
            matches!(cache.source(&"a"), CacheResult::Shared(flight) if Arc::ptr_eq(&flight, &older))
        );
        cache.void(&"a");
        let newer = fetch(&mut cache, "a");
        assert_eq!(
            cache.land(&"a", &older, Some(&finding("old", &[]))),
            Some(Inserted::Refused)
        );
        assert!(
            matches!(cache.source(&"a"), CacheResult::Shared(flight) if Arc::ptr_eq(&flight, &newer))
        );
        assert_eq!(
            cache.land(&"a", &newer, Some(&finding("new", &[]))),
            Some(Inserted::Inner)
        );
        assert_eq!(cache.get(&"a"), Some(finding("new", &[])));
    }

    #[test]
    fn a_fetch_that_failed_leaves_nothing() {
        let mut cache = Cache::new(10);
        let flight = fetch(&mut cache, "a");
        assert_eq!(cache.land(&"a", &flight, None), None);
        check(&cache, &[]);
        fetch(&mut cache, "a");
    }

    #[test]
    fn a_topic_takes_just_the_searches_that_show_exactly_it() {
        let mut cache = Cache::new(10);
        keep(&mut cache, "s", &["Sports", "School"]);
        keep(&mut cache, "o", &["Sports"]);
        keep(&mut cache, "x", &[]);
        cache.void_topic("sports");
        check(&cache, &["s", "o", "x"]);
        cache.void_topic("School");
        check(&cache, &["o", "x"]);
    }
}

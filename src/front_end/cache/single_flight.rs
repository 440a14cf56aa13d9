//! One cache, whose equal requests share one fetch.
//!
//! A request that finds no answer begins a *flight*: it fetches the answer. Equal requests that
//! come meanwhile join the flight and get the same answer, or the same failure. The name is that of
//! Go's `singleflight`.
//!
//! **An invalidation ends flights too.** It says that everything read before it is old, so it
//! concerns the answers in the cache *and* those being fetched. A flight that it concerns is taken
//! off the list: its answer still goes to the requests that joined before, but it is not stored,
//! and later requests fetch again. An invalidation of a topic ends all flights, because it is not
//! known which topics a search under way will find.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::front_end::cache::CachedAnswer;
use crate::front_end::cache::lru::Lru;
use crate::model::error::{Error, Result};
use crate::runtime::sync;

/// What a request finds in the cache.
#[derive(Debug)]
pub(crate) enum CacheResult {
    Hit(CachedAnswer),
    /// Another request fetches the answer: wait for it with [`Flight::wait`].
    InFlight(Arc<Flight>),
    /// Fetch the answer, give it to [`Cache::insert`], and end the flight with [`Flight::land`].
    Miss(Arc<Flight>),
}

/// What became of a fetched answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    Stored,
    /// Not stored: an invalidation that concerns it came after the fetch began.
    Stale,
}

/// A fetch under way, and its outcome.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// Held for moments only, never while fetching.
    outcome: Mutex<Option<Result<CachedAnswer>>>,
    landed: Condvar,
}

impl Flight {
    /// Ends the fetch: every request that waits gets this outcome.
    pub(crate) fn land(&self, outcome: Result<CachedAnswer>) {
        *sync::lock(&self.outcome) = Some(outcome);
        self.landed.notify_all();
    }

    /// Waits for the outcome. Fails with [`Error::TimedOut`] after `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<CachedAnswer> {
        let outcome = sync::lock(&self.outcome);
        let outcome = sync::wait_timeout_while(&self.landed, outcome, timeout, |o| o.is_none());
        let late = || Error::TimedOut("The answer took too long".into());
        outcome.clone().unwrap_or_else(|| Err(late()))
    }
}

/// Answers by key: look-ups by book id, or searches by text.
#[derive(Debug)]
pub(crate) struct Cache<K> {
    answers: Lru<K, CachedAnswer>,
    /// The flights that no invalidation has concerned yet. At most one for each waiting request.
    flights: HashMap<K, Arc<Flight>>,
}

impl<K: Clone + Eq + Hash> Cache<K> {
    /// Empty, for up to `entries_max` answers.
    pub(super) fn new(entries_max: usize) -> Cache<K> {
        Cache {
            answers: Lru::new(entries_max),
            flights: HashMap::new(),
        }
    }

    /// The answer, if it is in the cache.
    pub(super) fn get(&mut self, key: &K) -> Option<CachedAnswer> {
        self.answers.get(key).cloned()
    }

    /// The answer, or the flight that fetches it, or a new flight for the caller.
    pub(super) fn get_or_join(&mut self, key: &K) -> CacheResult {
        if let Some(answer) = self.get(key) {
            return CacheResult::Hit(answer);
        }
        if let Some(flight) = self.flights.get(key) {
            return CacheResult::InFlight(flight.clone());
        }
        let flight = Arc::new(Flight::default());
        self.flights.insert(key.clone(), flight.clone());
        CacheResult::Miss(flight)
    }

    /// Takes `flight` off the list, and stores what it fetched, unless that must not be cached
    /// (`None` then) or an invalidation came meanwhile.
    pub(super) fn insert(
        &mut self,
        key: &K,
        flight: &Arc<Flight>,
        answer: Option<&CachedAnswer>,
    ) -> Option<Inserted> {
        let listed = self.flights.get(key);
        let fresh = listed.is_some_and(|listed| Arc::ptr_eq(listed, flight));
        if fresh {
            self.flights.remove(key);
        }
        let answer = answer.filter(|answer| answer.cacheable)?;
        if !fresh {
            return Some(Inserted::Stale);
        }
        self.answers.insert(key.clone(), answer.clone());
        Some(Inserted::Stored)
    }

    /// Forgets one answer.
    pub(super) fn invalidate(&mut self, key: &K) {
        self.answers.remove(key);
        self.flights.remove(key);
    }

    /// Forgets every answer.
    pub(super) fn invalidate_all(&mut self) {
        self.answers.clear();
        self.flights.clear();
    }

    /// Forgets every answer with a book of exactly that topic, and those by title. Goes through the
    /// whole cache: only a changed title or a removal causes this, which is rare.
    pub(super) fn invalidate_topic(&mut self, topic: &str) {
        self.flights.clear();
        let entries = self.entries();
        let is_stale = |answer: &CachedAnswer| answer.is_by_title || answer.topics.contains(topic);
        let stale = entries.filter(|(_, answer)| is_stale(answer));
        let stale: Vec<K> = stale.map(|(key, _)| key.clone()).collect();
        for key in stale {
            self.answers.remove(&key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.answers.keys().len()
    }

    /// Keys and answers, least recently used first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&K, &CachedAnswer)> {
        self.answers.entries()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn answer(body: &str, topics: &[&str]) -> CachedAnswer {
        CachedAnswer {
            body: body.as_bytes().into(),
            etag: "".into(),
            topics: Arc::new(topics.iter().map(|topic| Arc::from(*topic)).collect()),
            next: None,
            is_by_title: false,
            cacheable: true,
        }
    }

    #[track_caller]
    fn miss(cache: &mut Cache<&'static str>, key: &'static str) -> Arc<Flight> {
        match cache.get_or_join(&key) {
            CacheResult::Miss(flight) => flight,
            other => panic!("{key}: {other:?}"),
        }
    }

    #[track_caller]
    fn check_joins(cache: &mut Cache<&'static str>, key: &'static str, expected: &Arc<Flight>) {
        match cache.get_or_join(&key) {
            CacheResult::InFlight(flight) => assert!(Arc::ptr_eq(&flight, expected)),
            other => panic!("{key}: {other:?}"),
        }
    }

    fn store(cache: &mut Cache<&'static str>, key: &'static str, topics: &[&str]) {
        let flight = miss(cache, key);
        let inserted = cache.insert(&key, &flight, Some(&answer(key, topics)));
        assert_eq!(inserted, Some(Inserted::Stored));
    }

    #[track_caller]
    fn check(cache: &Cache<&'static str>, expected: &[&str]) {
        let keys: Vec<_> = cache.entries().map(|(key, _)| *key).collect();
        assert_eq!(keys, expected);
    }

    /// A fetch begins, `invalidate` runs, the fetch ends.
    fn fetched_across(invalidate: fn(&mut Cache<&'static str>)) -> Option<Inserted> {
        let mut cache = Cache::new(10);
        let flight = miss(&mut cache, "a");
        invalidate(&mut cache);
        cache.insert(&"a", &flight, Some(&answer("a", &["t"])))
    }

    #[test]
    fn an_answer_fetched_before_an_invalidation_is_not_stored_after_it() {
        assert_eq!(
            fetched_across(|cache| cache.invalidate(&"a")),
            Some(Inserted::Stale)
        );
        assert_eq!(
            fetched_across(|cache| cache.invalidate_all()),
            Some(Inserted::Stale)
        );
        assert_eq!(
            fetched_across(|cache| cache.invalidate_topic("t")),
            Some(Inserted::Stale)
        );
        assert_eq!(
            fetched_across(|cache| cache.invalidate(&"b")),
            Some(Inserted::Stored)
        );
    }

    #[test]
    fn a_request_after_an_invalidation_does_not_join_an_older_flight() {
        let mut cache = Cache::new(10);
        let older = miss(&mut cache, "a");
        check_joins(&mut cache, "a", &older);
        cache.invalidate(&"a");
        let newer = miss(&mut cache, "a");
        assert_eq!(
            cache.insert(&"a", &older, Some(&answer("old", &[]))),
            Some(Inserted::Stale)
        );
        check_joins(&mut cache, "a", &newer);
        assert_eq!(
            cache.insert(&"a", &newer, Some(&answer("new", &[]))),
            Some(Inserted::Stored)
        );
        assert_eq!(cache.get(&"a"), Some(answer("new", &[])));
    }

    #[test]
    fn a_fetch_that_failed_leaves_nothing() {
        let mut cache = Cache::new(10);
        let flight = miss(&mut cache, "a");
        assert_eq!(cache.insert(&"a", &flight, None), None);
        check(&cache, &[]);
        miss(&mut cache, "a");
    }

    #[test]
    fn invalidating_a_topic_removes_only_the_searches_that_show_exactly_it() {
        let mut cache = Cache::new(10);
        store(&mut cache, "s", &["Sports", "School"]);
        store(&mut cache, "o", &["Sports"]);
        store(&mut cache, "x", &[]);
        cache.invalidate_topic("sports");
        check(&cache, &["s", "o", "x"]);
        cache.invalidate_topic("School");
        check(&cache, &["o", "x"]);
    }

    #[test]
    fn a_failure_is_everybodys() {
        let flight = Arc::new(Flight::default());
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let flight = flight.clone();
                thread::spawn(move || flight.wait(Duration::from_secs(20)))
            })
            .collect();
        flight.land(Err(Error::NoSuchBook));
        for request in waiting {
            assert_eq!(request.join().unwrap(), Err(Error::NoSuchBook));
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        let late = Flight::default().wait(Duration::from_millis(1));
        assert!(matches!(late, Err(Error::TimedOut(_))));
    }
}

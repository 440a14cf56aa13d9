//! Both caches, and the leases without which nothing in them may be used.
//!
//! A catalog acknowledges a change once every front-end that it counts as live has invalidated what
//! the change makes old. So a front-end may use its caches only while it knows that every catalog
//! counts it as live: while each has answered a recent heartbeat, or is known to be dead.
//!
//! Caches and membership share one lock, so that "the leases hold" and "this is the answer" are
//! true at the same moment, and so that a heartbeat's reply which says that invalidations were
//! missed empties the caches before its catalog counts as live again. The lock is held for
//! microseconds and never across the network. A hit takes it once.
//!
//! Without the leases no request joins another's flight either. The catalogs may have sold a copy
//! without telling this front-end, after they counted it as down; a request that already knows of
//! that sale must not get an answer that was read before it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::front_end::cache::CachedAnswer;
use crate::front_end::cache::holds::{Held, Holds};
use crate::front_end::cache::single_flight::{Cache, CacheResult, Flight, Inserted};
use crate::front_end::query::{Lookup, Query, Search};
use crate::membership::time::Time;
use crate::membership::{Changes, HeartbeatOutcome, Membership};
use crate::model::hold::Hold;
use crate::model::invalidation::Invalidation;
use crate::runtime::sync;

#[derive(Debug)]
pub(crate) struct LeasedCache {
    /// The zero of the monotonic clock.
    origin: Instant,
    inner: Mutex<Inner>,
    /// A heartbeat has ended.
    heartbeat_ended: Condvar,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    membership: Membership,
    lookups: Cache<Lookup>,
    searches: Cache<Search>,
    holds: Holds,
    /// The start number that each catalog last answered with.
    starts: Vec<Option<u64>>,
}

/// A query whose answers have a cache here.
pub(crate) trait CacheKey: Query {
    fn cache(inner: &mut Inner) -> &mut Cache<Self>;

    /// What a catalog holds so that nothing of this is kept.
    fn held(&self) -> Held;
}

impl CacheKey for Lookup {
    fn cache(inner: &mut Inner) -> &mut Cache<Lookup> {
        &mut inner.lookups
    }

    fn held(&self) -> Held {
        Held::Item(self.0)
    }
}

impl CacheKey for Search {
    fn cache(inner: &mut Inner) -> &mut Cache<Search> {
        &mut inner.searches
    }

    fn held(&self) -> Held {
        Held::Searches
    }
}

/// For `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stats {
    /// Whether every catalog's lease holds.
    pub(crate) lease: bool,
    pub(crate) live_catalogs: usize,
    /// How often a catalog was counted as down.
    pub(crate) catalogs_lost: u64,
    pub(crate) lookups: usize,
    pub(crate) searches: usize,
}

impl LeasedCache {
    /// Empty. `membership` must have been made at a [`Time`] that counts from `origin`.
    pub(crate) fn new(
        origin: Instant,
        membership: Membership,
        lookups_max: usize,
        searches_max: usize,
    ) -> LeasedCache {
        LeasedCache {
            origin,
            inner: Mutex::new(Inner {
                holds: Holds::default(),
                starts: vec![None; membership.peers.len()],
                membership,
                lookups: Cache::new(lookups_max),
                searches: Cache::new(searches_max),
            }),
            heartbeat_ended: Condvar::new(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time::now(self.origin)
    }

    /// The start number of this front-end.
    pub(crate) fn start(&self) -> u64 {
        sync::lock(&self.inner).membership.start
    }

    /// The answer, if it is in the cache and the leases hold.
    pub(crate) fn get<Q: CacheKey>(&self, query: &Q) -> Option<CachedAnswer> {
        Q::cache(&mut *self.lock_leased()?).get(query)
    }

    /// The answer, or the flight that fetches it, or a new flight for the caller. `None` without
    /// the leases, and while a catalog holds it: then every request fetches for itself, and stores
    /// nothing.
    pub(crate) fn get_or_join<Q: CacheKey>(&self, query: &Q) -> Option<CacheResult> {
        let mut inner = self.lock_leased()?;
        if inner.holds.has(query.held()) {
            return Q::cache(&mut inner).get(query).map(CacheResult::Hit);
        }
        Some(Q::cache(&mut inner).get_or_join(query))
    }

    /// Ends a flight in the cache, and stores its answer if it is still fresh. `fetched` is the
    /// catalog's index and its answer; the answer of a catalog that is not live is not stored.
    pub(crate) fn insert<Q: CacheKey>(
        &self,
        query: &Q,
        flight: &Arc<Flight>,
        fetched: Option<(usize, &CachedAnswer)>,
    ) -> Option<Inserted> {
        let mut inner = sync::lock(&self.inner);
        let leased = inner.membership.lease_holds(self.now());
        let trusted = |catalog: usize| leased && inner.membership.peers[catalog].live;
        let answer = fetched.and_then(|(catalog, answer)| trusted(catalog).then_some(answer));
        Q::cache(&mut inner).insert(query, flight, answer)
    }

    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        sync::lock(&self.inner).invalidate(invalidation);
    }

    /// A change is about to be made: drops what it makes stale, and keeps nothing of it until that
    /// is released.
    pub(crate) fn hold(&self, hold: &Hold) {
        let mut inner = sync::lock(&self.inner);
        inner.holds.hold(hold);
        hold.invalidations()
            .for_each(|stale| inner.invalidate(&stale));
    }

    /// The change has ended.
    pub(crate) fn release(&self, release: &Hold) {
        sync::lock(&self.inner).holds.release(release);
    }

    /// The changes of the catalog with this start number that have lower numbers than `ended` have
    /// ended.
    pub(crate) fn release_before(&self, start: u64, ended: u64) {
        sync::lock(&self.inner).holds.release_before(start, ended);
    }

    /// All entries of one cache, least recently used first.
    pub(crate) fn entries<Q: CacheKey>(&self) -> Vec<(Q, CachedAnswer)> {
        let mut inner = sync::lock(&self.inner);
        let entries = Q::cache(&mut inner).entries();
        entries
            .map(|(query, answer)| (query.clone(), answer.clone()))
            .collect()
    }

    /// A turn of the heartbeat loop. Returns the catalogs to send a heartbeat to, and whether this
    /// process was asleep, so that the caches were emptied.
    pub(crate) fn tick(&self) -> (Vec<usize>, bool) {
        let mut inner = sync::lock(&self.inner);
        let now = self.now();
        let slept = inner.membership.tick(now);
        if slept {
            inner.invalidate_all();
        }
        (inner.membership.due_heartbeats(now, true), slept)
    }

    /// The heartbeat that was sent to that catalog at `sent` has ended.
    pub(crate) fn heartbeat_ended(
        &self,
        catalog: usize,
        sent: Time,
        outcome: HeartbeatOutcome,
    ) -> Changes {
        let mut inner = sync::lock(&self.inner);
        let now = self.now();
        let changes = inner.membership.on_outcome(catalog, sent, now, outcome);
        if changes.missed_invalidations {
            inner.invalidate_all();
        }
        if let HeartbeatOutcome::Answered(reply) = outcome
            && let Some(before) = inner.starts[catalog].replace(reply.start)
            && before != reply.start
        {
            inner.holds.forget(before);
        }
        self.heartbeat_ended.notify_all();
        changes
    }

    /// Waits for the end of the first full round of heartbeats. Returns whether it came within
    /// `timeout`.
    pub(crate) fn wait_for_round(&self, timeout: Duration) -> bool {
        let inner = sync::lock(&self.inner);
        let running = |inner: &mut Inner| !inner.membership.round_complete();
        let inner = sync::wait_timeout_while(&self.heartbeat_ended, inner, timeout, running);
        inner.membership.round_complete()
    }

    pub(crate) fn stats(&self) -> Stats {
        let inner = sync::lock(&self.inner);
        Stats {
            lease: inner.membership.lease_holds(self.now()),
            live_catalogs: inner.membership.live_peers().count(),
            catalogs_lost: inner.membership.lost_count(),
            lookups: inner.lookups.len(),
            searches: inner.searches.len(),
        }
    }

    /// The lock, if the leases hold now.
    fn lock_leased(&self) -> Option<MutexGuard<'_, Inner>> {
        let inner = sync::lock(&self.inner);
        inner.membership.lease_holds(self.now()).then_some(inner)
    }
}

impl Inner {
    fn invalidate(&mut self, invalidation: &Invalidation) {
        match invalidation {
            Invalidation::Item(id) => self.lookups.invalidate(&Lookup(*id)),
            Invalidation::AllItems => self.lookups.invalidate_all(),
            Invalidation::Topic(topic) => self.searches.invalidate_topic(topic),
            Invalidation::AllTopics => self.searches.invalidate_all(),
        }
    }

    /// An invalidation may have been missed, so every answer may be old.
    fn invalidate_all(&mut self) {
        self.lookups.invalidate_all();
        self.searches.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::timing::Timing;
    use crate::membership::HeartbeatReply;
    use crate::model::address::Address;
    use crate::model::book::BookId;

    fn cache() -> LeasedCache {
        let origin = Instant::now();
        let catalogs = ["http://a:1", "http://b:1"].map(|a| Address::parse(a).unwrap());
        let now = Time::now(origin);
        // Long times: nothing here is about how long a lease lasts.
        let timing = Timing {
            silent: Duration::from_secs(60),
            lease: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            ..Timing::default()
        };
        let membership = Membership::new(1, timing, &catalogs, &[], now);
        LeasedCache::new(origin, membership, 3, 10)
    }

    fn heartbeat(cache: &LeasedCache, catalog: usize, down_count: u64) -> Changes {
        cache.tick();
        let start = 9;
        let outcome = HeartbeatOutcome::Answered(HeartbeatReply {
            start,
            down_count,
            outlives_refusal: false,
        });
        cache.heartbeat_ended(catalog, cache.now(), outcome)
    }

    fn leased() -> LeasedCache {
        let cache = cache();
        heartbeat(&cache, 0, 0);
        heartbeat(&cache, 1, 0);
        cache
    }

    fn answer() -> CachedAnswer {
        CachedAnswer {
            body: b"{}".as_slice().into(),
            etag: "".into(),
            topics: Arc::default(),
            next: None,
            is_by_title: false,
            cacheable: true,
        }
    }

    const BOOK: Lookup = Lookup(BookId(1));

    fn store(cache: &LeasedCache) -> Option<Inserted> {
        let Some(CacheResult::Miss(flight)) = cache.get_or_join(&BOOK) else {
            panic!("it is cached already, or a lease is missing");
        };
        cache.insert(&BOOK, &flight, Some((0, &answer())))
    }

    #[test]
    fn nothing_is_joined_or_stored_without_every_catalogs_lease() {
        let cache = cache();
        heartbeat(&cache, 0, 0);
        assert!(cache.get_or_join(&BOOK).is_none());
        heartbeat(&cache, 1, 0);
        assert_eq!(store(&cache), Some(Inserted::Stored));
        assert_eq!(cache.get(&BOOK), Some(answer()));
    }

    #[test]
    fn a_front_end_that_was_counted_as_down_forgets_its_cache_and_its_flights() {
        let cache = leased();
        store(&cache);
        let other = Lookup(BookId(2));
        let Some(CacheResult::Miss(flight)) = cache.get_or_join(&other) else {
            panic!("it was never fetched");
        };
        assert!(heartbeat(&cache, 1, 1).missed_invalidations);
        assert_eq!(cache.get(&BOOK), None);
        let inserted = cache.insert(&other, &flight, Some((0, &answer())));
        assert_eq!(inserted, Some(Inserted::Stale));
    }

    #[test]
    fn the_answer_of_a_catalog_that_is_not_live_is_not_stored() {
        let cache = leased();
        cache.heartbeat_ended(0, cache.now(), HeartbeatOutcome::Refused);
        assert_eq!(store(&cache), None);
        assert_eq!(cache.get(&BOOK), None);
    }

    #[test]
    fn what_is_held_is_neither_kept_nor_shared_until_it_is_released() {
        let cache = leased();
        store(&cache);
        let hold = |number| Hold {
            start: 9,
            number,
            items: vec![BookId(1)],
            ..Hold::default()
        };
        let Some(CacheResult::Miss(before)) = cache.get_or_join(&Lookup(BookId(2))) else {
            panic!("it was never fetched");
        };
        cache.hold(&hold(4));
        assert_eq!(cache.get(&BOOK), None);
        assert!(cache.get_or_join(&BOOK).is_none());
        let other = cache.insert(&Lookup(BookId(2)), &before, Some((0, &answer())));
        assert_eq!(other, Some(Inserted::Stored));
        cache.release(&hold(4));
        assert_eq!(store(&cache), Some(Inserted::Stored));
    }

    #[test]
    fn a_fetch_from_before_a_hold_is_not_kept() {
        let cache = leased();
        let Some(CacheResult::Miss(flight)) = cache.get_or_join(&BOOK) else {
            panic!("it was never fetched");
        };
        let hold = Hold {
            start: 9,
            number: 4,
            items: vec![BookId(1)],
            ..Hold::default()
        };
        cache.hold(&hold);
        cache.release(&hold);
        let inserted = cache.insert(&BOOK, &flight, Some((0, &answer())));
        assert_eq!(inserted, Some(Inserted::Stale));
    }

    #[test]
    fn an_invalidation_removes_only_what_it_names() {
        for invalidation in [Invalidation::Item(BookId(1)), Invalidation::AllItems] {
            let cache = leased();
            store(&cache);
            cache.invalidate(&Invalidation::Item(BookId(2)));
            cache.invalidate(&Invalidation::AllTopics);
            assert!(cache.get(&BOOK).is_some());
            cache.invalidate(&invalidation);
            assert_eq!(cache.get(&BOOK), None, "{invalidation:?}");
        }
    }
}

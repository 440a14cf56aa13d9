//! What this front-end keeps, and whether it may answer from it: both caches and the contact with
//! the catalogs.
//!
//! They share one lock, so that "may be trusted" and "is kept" are of one moment, and what empties
//! the caches empties them before the catalog whose answer said so counts as in contact. It is held
//! for a microsecond, never across the network: a hit takes it once.
//!
//! Only while the lease holds is anything answered from, put in, or *shared*: a customer who waits
//! for another's fetch could otherwise hear what was read before a sale that it already knows of,
//! when the catalogs sold without telling a front-end that they had given up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::front_end::cache::flight::Flight;
use crate::front_end::cache::single_flight::{Cache, CacheResult, CachedAnswer, Inserted};
use crate::front_end::query::{Lookup, Query, Search};
use crate::membership::{Changes, HeartbeatOutcome, Membership, Time};
use crate::model::invalidation::Invalidation;

#[derive(Debug)]
pub struct Memory {
    /// Where the monotonic clock counts from.
    origin: Instant,
    kept: Mutex<Inner>,
    /// Somebody's heartbeat has come to an end.
    greeted: Condvar,
}

/// What the lock guards.
#[derive(Debug)]
pub struct Inner {
    contact: Membership,
    pub lookups: Cache<Lookup>,
    pub searches: Cache<Search>,
}

/// Figures for `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    pub lease: bool,
    pub live: usize,
    pub lookups: usize,
    pub searches: usize,
}

impl Memory {
    /// Empty. `contact` must have been made at a [`Time`] that counts from `origin`.
    pub fn new(
        origin: Instant,
        contact: Membership,
        lookups_max: usize,
        searches_max: usize,
    ) -> Memory {
        Memory {
            origin,
            kept: Mutex::new(Inner {
                contact,
                lookups: Cache::new(lookups_max),
                searches: Cache::new(searches_max),
            }),
            greeted: Condvar::new(),
        }
    }

    pub fn now(&self) -> Time {
        Time::now(self.origin)
    }

    /// The answer, if it is kept and may be trusted.
    pub fn hit<Q: Query>(&self, question: &Q) -> Option<CachedAnswer> {
        let mut kept = self.trusted()?;
        Q::cache(&mut kept).get(question)
    }

    /// Where to get the answer. `None`: there is no lease, so everybody fetches alone.
    pub fn source<Q: Query>(&self, question: &Q) -> Option<CacheResult> {
        let mut kept = self.trusted()?;
        Some(Q::cache(&mut kept).source(question))
    }

    /// A fetch is over. What that catalog said is kept, if it may be.
    pub fn land<Q: Query>(
        &self,
        question: &Q,
        flight: &Arc<Flight>,
        found: Option<(usize, &CachedAnswer)>,
    ) -> Option<Inserted> {
        let mut kept = self.lock();
        let lease = kept.contact.lease_holds(self.now());
        let trusted = |catalog: usize| lease && kept.contact.peers[catalog].live;
        let found = found.filter(|(catalog, _)| trusted(*catalog));
        Q::cache(&mut kept).land(question, flight, found.map(|(_, finding)| finding))
    }

    pub fn void(&self, void: &Invalidation) {
        let mut kept = self.lock();
        match void {
            Invalidation::Item(id) => kept.lookups.void(&Lookup(*id)),
            Invalidation::AllItems => kept.lookups.void_all(),
            Invalidation::Topic(topic) => kept.searches.void_topic(topic),
            Invalidation::AllTopics => kept.searches.void_all(),
        }
    }

    /// What is kept for such questions, least recently used first.
    pub fn entries<Q: Query>(&self) -> Vec<(Q, CachedAnswer)> {
        let mut kept = self.lock();
        let entries = Q::cache(&mut kept).entries();
        entries
            .map(|(question, finding)| (question.clone(), finding.clone()))
            .collect()
    }

    /// The heartbeat loop runs. Returns which catalogs to send a heartbeat to, and whether this
    /// process was asleep.
    pub fn tick(&self) -> (Vec<usize>, bool) {
        let mut kept = self.lock();
        let now = self.now();
        let slept = kept.contact.tick(now);
        if slept {
            kept.empty();
        }
        (kept.contact.due(now, true), slept)
    }

    /// A heartbeat to that catalog, sent at `sent`, has come to an end.
    pub fn greeted(&self, catalog: usize, sent: Time, outcome: HeartbeatOutcome) -> Changes {
        let mut kept = self.lock();
        let news = kept.contact.ended(catalog, sent, self.now(), outcome);
        if news.missed {
            kept.empty();
        }
        self.greeted.notify_all();
        news
    }

    /// Waits until a full round of heartbeat is done. Returns whether it was within `limit`.
    pub fn wait_for_round(&self, limit: Duration) -> bool {
        let waiting = self
            .greeted
            .wait_timeout_while(self.lock(), limit, |kept| !kept.contact.whole());
        let (kept, _) = waiting.expect("no holder panics");
        kept.contact.whole()
    }

    pub fn figures(&self) -> Figures {
        let kept = self.lock();
        Figures {
            lease: kept.contact.lease_holds(self.now()),
            live: kept.contact.live_peers().count(),
            lookups: kept.lookups.entries().count(),
            searches: kept.searches.entries().count(),
        }
    }

    /// The lock, if what it guards may be trusted now.
    fn trusted(&self) -> Option<MutexGuard<'_, Inner>> {
        let kept = self.lock();
        kept.contact.lease_holds(self.now()).then_some(kept)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.kept.lock().expect("no holder panics")
    }
}

impl Inner {
    /// Something may have been missed: what is kept is old, and so is what is being fetched.
    fn empty(&mut self) {
        self.lookups.void_all();
        self.searches.void_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::timing::Timing;
    use crate::membership::{HeartbeatReply, LeaseOf};
    use crate::model::address::Address;
    use crate::model::book::BookId;

    fn memory() -> Memory {
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
        let contact = Membership::new(1, LeaseOf::AllPeers, timing, &catalogs, &[], now);
        Memory::new(origin, contact, 3, 10)
    }

    fn heartbeat(memory: &Memory, catalog: usize, down_count: u64) -> Changes {
        memory.tick();
        let start = 9;
        let heartbeat_reply = HeartbeatReply { start, down_count };
        memory.greeted(
            catalog,
            memory.now(),
            HeartbeatOutcome::Answered(heartbeat_reply),
        )
    }

    fn in_contact() -> Memory {
        let memory = memory();
        heartbeat(&memory, 0, 0);
        heartbeat(&memory, 1, 0);
        memory
    }

    fn finding() -> CachedAnswer {
        CachedAnswer {
            body: b"{}".as_slice().into(),
            topics: Arc::default(),
            may_be_kept: true,
        }
    }

    const BOOK: Lookup = Lookup(BookId(1));

    fn keep(memory: &Memory) -> Option<Inserted> {
        let Some(CacheResult::Fetch(flight)) = memory.source(&BOOK) else {
            panic!("it is kept already, or there is no lease");
        };
        memory.land(&BOOK, &flight, Some((0, &finding())))
    }

    #[test]
    fn nothing_is_shared_or_kept_without_every_catalogs_lease() {
        let memory = memory();
        heartbeat(&memory, 0, 0);
        assert!(memory.source(&BOOK).is_none());
        heartbeat(&memory, 1, 0);
        assert_eq!(keep(&memory), Some(Inserted::Inner));
        assert_eq!(memory.hit(&BOOK), Some(finding()));
    }

    #[test]
    fn who_was_given_up_forgets_what_it_keeps_and_what_it_fetches() {
        let memory = in_contact();
        keep(&memory);
        let other = Lookup(BookId(2));
        let Some(CacheResult::Fetch(flight)) = memory.source(&other) else {
            panic!("it was never fetched");
        };
        assert!(heartbeat(&memory, 1, 1).missed);
        assert_eq!(memory.hit(&BOOK), None);
        let filled = memory.land(&other, &flight, Some((0, &finding())));
        assert_eq!(filled, Some(Inserted::Refused));
    }

    #[test]
    fn the_answer_of_a_catalog_that_is_not_in_contact_is_not_kept() {
        let memory = in_contact();
        memory.greeted(0, memory.now(), HeartbeatOutcome::Refused);
        assert_eq!(keep(&memory), None);
        assert_eq!(memory.hit(&BOOK), None);
    }

    #[test]
    fn each_invalidation_takes_its_own() {
        for void in [Invalidation::Item(BookId(1)), Invalidation::AllItems] {
            let memory = in_contact();
            keep(&memory);
            memory.void(&Invalidation::Item(BookId(2)));
            memory.void(&Invalidation::AllTopics);
            assert!(memory.hit(&BOOK).is_some());
            memory.void(&void);
            assert_eq!(memory.hit(&BOOK), None, "{void:?}");
        }
    }
}

//! The front-ends' caches. A change is announced to them before its txn: they drop the book, and
//! keep nothing of it until they are told that the change has ended.
//!
//! Somebody may read the new book at the moment of the txn. So no cache may offer the old one from
//! then on, nor take it in from a read that is still under way. The announcement comes first for
//! that reason, and what it says holds until it is taken back: after the txn, or, when nobody knows
//! what came of it, after a later one has shown that it can be done no more (`resolve`).
//!
//! A release that is lost costs a tenth of a second: every answer to a heartbeat says which changes
//! have ended.
//!
//! A front-end that does not obey is waited for until its lease is over, as with the own store. It
//! gets the next lease only when every change that it was not told of has ended. A change of a
//! catalog that died may still be done by etcd. So a front-end that has a lease from such a catalog
//! caches nothing while one of them is down, and a catalog that was started again first makes sure
//! that nothing of its former self is done any more: every txn compares the key that each start
//! puts anew (`opening`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::catalog::replication::messages::{Heartbeat, Lease, Outcome, Reply};
use crate::catalog::transport::outbound::hold::{HoldSender, Sent};
use crate::config::CatalogSettings;
use crate::membership::Membership;
use crate::membership::time::Time;
use crate::model::address::Address;
use crate::model::error::{Error, Result};
use crate::model::hold::Hold;
use crate::model::invalidation::Invalidation;
use crate::runtime::{log, sync};

/// How much longer than a front-end may take to obey its answer is waited for. Then it is counted
/// as down.
const ANSWER_GRACE: Duration = Duration::from_millis(50);

/// A front-end that is counted as down and returns meanwhile is asked again, for at most this long.
const RETRYING_MAX: Duration = Duration::from_secs(3);

pub(super) struct FrontEnds {
    /// Of this catalog.
    pub(super) start: u64,
    origin: Instant,
    timeout: Duration,
    senders: Vec<HoldSender>,
    /// Held for moments only, never across a request.
    inner: Mutex<Inner>,
    heard: Condvar,
}

struct Inner {
    membership: Membership,
    /// Nothing of this catalog's former starts can be done any more.
    may_lend: bool,
    /// The number of the next change.
    next: u64,
    /// What the changes under way make stale, by number.
    under_way: BTreeMap<u64, Vec<Invalidation>>,
    /// By front-end.
    visits: Vec<Visit>,
}

/// Since when a front-end is here without a break.
#[derive(Clone, Default)]
struct Visit {
    /// The front-end's own start number.
    start: u64,
    /// It counts the visits.
    count: u64,
    /// The number of the first change that it is certainly told of.
    first: u64,
}

impl FrontEnds {
    pub(super) fn new(settings: &CatalogSettings, start: u64) -> FrontEnds {
        let origin = Instant::now();
        let timing = settings.timing;
        let addresses = &settings.front_ends;
        let timeout = timing.invalidation_timeout();
        let token = settings.common.token.as_deref();
        let sender = |address| HoldSender::to(address, settings.limits, timeout, token);
        let membership = Membership::new(start, timing, &[], addresses, Time::now(origin));
        FrontEnds {
            start,
            origin,
            timeout,
            senders: addresses.iter().map(sender).collect(),
            inner: Mutex::new(Inner {
                membership,
                may_lend: false,
                next: 1,
                under_way: BTreeMap::new(),
                visits: vec![Visit::default(); addresses.len()],
            }),
            heard: Condvar::new(),
        }
    }

    /// Front-ends may have leases from now on.
    pub(super) fn lend(&self) {
        self.lock().may_lend = true;
    }

    /// Answers a heartbeat. A front-end that was not told of a change under way gets no lease.
    pub(super) fn answer(&self, heartbeat: &Heartbeat) -> Reply {
        let mut inner = self.lock();
        let now = Time::now(self.origin);
        let holders = &inner.membership.holders;
        let Some(i) = holders
            .iter()
            .position(|holder| holder.address == heartbeat.from)
        else {
            return Reply::UnknownPeer;
        };
        let (was_live, next) = (holders[i].live, inner.next);
        let visit = &mut inner.visits[i];
        if !was_live || visit.start != heartbeat.start {
            visit.start = heartbeat.start;
            visit.count += 1;
            visit.first = next;
        }
        let first = visit.first;
        let ended = inner.under_way.keys().next().map_or(next, |number| *number);
        let is_told = first <= ended;
        let lends = inner.may_lend && is_told;
        let answer = inner
            .membership
            .receive_heartbeat(&heartbeat.from, lends, now);
        drop(inner);
        self.heard.notify_all();
        match answer {
            Some((mut reply, _)) if lends => {
                reply.outlives_refusal = true;
                Reply::Lease(Lease { reply, ended })
            }
            _ => Reply::NotNow,
        }
    }

    /// Every front-end, and whether it is live.
    pub(super) fn contacts(&self) -> Vec<(Address, bool)> {
        let inner = self.lock();
        let holders = inner.membership.holders.iter();
        holders
            .map(|holder| (holder.address.clone(), holder.live))
            .collect()
    }

    /// Before this returns, every front-end holds what these changes make stale, or its lease is
    /// over. Returns the number with which [`FrontEnds::release`] ends that.
    ///
    /// Fails with [`Error::Busy`] when a front-end keeps sending heartbeats but does not obey. Then
    /// nothing is held.
    pub(super) fn hold(&self, stale: Vec<Invalidation>) -> Result<u64> {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let hold = Arc::new(Hold::of(self.start, number, &stale));
        inner.under_way.insert(number, stale);
        let until = Instant::now() + RETRYING_MAX;
        // The visit in which each obeyed.
        let mut obeyed: Vec<Option<u64>> = vec![None; self.senders.len()];
        loop {
            let lacks = |i: &usize| {
                inner.membership.holders[*i].live && obeyed[*i] != Some(inner.visits[*i].count)
            };
            let asked: Vec<usize> = (0..self.senders.len()).filter(lacks).collect();
            if asked.is_empty() {
                return Ok(number);
            }
            let visits: Vec<u64> = inner.visits.iter().map(|visit| visit.count).collect();
            drop(inner);
            if until <= Instant::now() {
                self.release(number);
                return Err(Error::Busy(
                    "A front-end does not hold what is to be changed".into(),
                ));
            }
            let done = self.ask(&asked, &hold);
            inner = self.lock();
            for i in &asked {
                if done.contains(i) {
                    obeyed[*i] = Some(visits[*i]);
                }
            }
            inner = self.await_leases(inner, &asked, &done);
        }
    }

    /// Sends the hold to these front-ends. Returns those that obeyed.
    fn ask(&self, asked: &[usize], hold: &Arc<Hold>) -> BTreeSet<usize> {
        let (outcomes, outcome) = channel();
        let sent = Time::now(self.origin);
        for i in asked {
            let (outcomes, i) = (outcomes.clone(), *i);
            let on_outcome = move |outcome| drop(outcomes.send((i, outcome)));
            self.senders[i].send(Sent::Hold(hold.clone()), Box::new(on_outcome));
        }
        drop(outcomes);
        let until = Instant::now() + self.timeout + ANSWER_GRACE;
        let mut done = BTreeSet::new();
        let left = || until.saturating_duration_since(Instant::now());
        while let Ok((i, outcome)) = outcome.recv_timeout(left()) {
            match outcome {
                Outcome::Reply(_) => drop(done.insert(i)),
                Outcome::Refused => self.lock().membership.on_holder_refused(i, sent),
                Outcome::Silent => {}
            }
        }
        done
    }

    /// Counts as down those that have not obeyed, and waits until their leases are over.
    fn await_leases<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        asked: &[usize],
        done: &BTreeSet<usize>,
    ) -> MutexGuard<'a, Inner> {
        let now = Time::now(self.origin);
        let mut longest = Duration::ZERO;
        for i in asked.iter().filter(|i| !done.contains(i)) {
            let holder = &mut inner.membership.holders[*i];
            if holder.mark_down() && holder.ever_seen {
                log::warn("front-end lost", &[("front_end", &holder.address)]);
            }
            let holder = &inner.membership.holders[*i];
            longest = longest.max(inner.membership.lease_left(holder, now));
        }
        let until = Instant::now() + longest;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return inner;
            }
            inner = sync::wait_timeout(&self.heard, inner, left);
        }
    }

    /// The change with this number has ended: what no other one makes stale may be kept again.
    pub(super) fn release(&self, number: u64) {
        let mut inner = self.lock();
        let Some(stale) = inner.under_way.remove(&number) else {
            return;
        };
        let is_held = |key: &Invalidation| {
            let mut others = inner.under_way.values().flatten();
            others.any(|other| is_same(key, other))
        };
        let free: Vec<Invalidation> = stale.into_iter().filter(|key| !is_held(key)).collect();
        let release = Arc::new(Hold::of(self.start, inner.next - 1, &free));
        let live = (0..self.senders.len()).filter(|i| inner.membership.holders[*i].live);
        let live: Vec<usize> = live.collect();
        drop(inner);
        if free.is_empty() {
            return;
        }
        for i in live {
            self.senders[i].send(Sent::Release(release.clone()), Box::new(|_| ()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        sync::lock(&self.inner)
    }
}

/// Whether both hold the same: one book, or all searches.
fn is_same(one: &Invalidation, other: &Invalidation) -> bool {
    match (one, other) {
        (Invalidation::Item(one), Invalidation::Item(other)) => one == other,
        (Invalidation::Item(_), _) | (_, Invalidation::Item(_)) => false,
        _ => true,
    }
}

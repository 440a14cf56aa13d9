//! A front-end: the real membership, and a cache of one lookup.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{Cluster, HEARTBEAT_EVERY, HEARTBEAT_TIMEOUT};
use crate::catalog::replication::messages::{Heartbeat, Message, Reply};
use crate::catalog::sim::clients::calls::seen;
use crate::catalog::sim::network::call::{Call, CallOutcome};
use crate::catalog::sim::parameters::BOOK;
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Micros};
use crate::config::timing::Timing;
use crate::membership::time::Time;
use crate::membership::{HeartbeatOutcome, HeartbeatReply, Membership};
use crate::model::invalidation::Invalidation;
use crate::runtime::sync;
use crate::testing::linearizability::REMOVED;

/// How long a catalog may take for a lookup.
const LOOKUP_TIMEOUT: Micros = 2_000_000;

#[derive(Default)]
pub(crate) struct FrontEnd {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` before the first start.
    membership: Option<Membership>,
    /// The quantity of [`BOOK`].
    cached: Option<u32>,
    /// How often the cache was emptied. What was fetched before is not cached after.
    epoch: u64,
}

impl FrontEnd {
    fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }

    pub(super) fn start(self: &Arc<Self>, cluster: &Arc<Cluster>, incarnation: Incarnation) {
        let catalogs = (0..cluster.parameters.catalogs).map(Cluster::address);
        let catalogs: Vec<_> = catalogs.collect();
        let start = cluster.scheduler.draw(|rng| rng.u64(..));
        let (timing, now) = (Timing::default(), cluster.time(incarnation.node));
        let membership = Membership::new(start, timing, &catalogs, &[], now);
        *self.state() = State {
            membership: Some(membership),
            ..State::default()
        };
        self.tick(cluster, incarnation);
    }

    fn tick(self: &Arc<Self>, cluster: &Arc<Cluster>, incarnation: Incarnation) {
        let mut state = self.state();
        if state.membership().tick(cluster.time(incarnation.node)) {
            state.empty_cache();
        }
        drop(state);
        self.send_heartbeats(cluster, incarnation, true);
        let (front_end, next) = (self.clone(), cluster.clone());
        cluster
            .scheduler
            .run_in(HEARTBEAT_EVERY, Some(incarnation), move || {
                front_end.tick(&next, incarnation)
            });
    }

    fn send_heartbeats(
        self: &Arc<Self>,
        cluster: &Arc<Cluster>,
        incarnation: Incarnation,
        periodic: bool,
    ) {
        let sent = cluster.time(incarnation.node);
        let due = self.state().membership().due_heartbeats(sent, periodic);
        for to in due {
            let text = "heartbeat".into();
            let call = Call {
                heartbeat: true,
                ..Call::new(Some(incarnation), to, HEARTBEAT_TIMEOUT, text)
            };
            let from = Cluster::address(incarnation.node);
            let receiver = cluster.clone();
            let work = move || {
                let heartbeat = Heartbeat {
                    from: from.clone(),
                    start: 0,
                    standing: None,
                    known_listers: Default::default(),
                };
                receiver.at_catalog(to, |catalog| catalog.receive(Message::Heartbeat(heartbeat)))
            };
            let work = move || match work() {
                Ok(Reply::HeartbeatReply(reply)) => Some(reply),
                _ => None,
            };
            let (front_end, own) = (self.clone(), cluster.clone());
            let on_outcome = move |outcome| {
                if front_end.heartbeat_ended(to, sent, own.time(incarnation.node), outcome) {
                    front_end.send_heartbeats(&own, incarnation, false);
                }
            };
            let show = |_: &_| "heartbeat reply".into();
            cluster.network.send(call, work, show, on_outcome);
        }
    }

    /// Returns whether more heartbeats are wanted at once.
    fn heartbeat_ended(
        &self,
        to: usize,
        sent: Time,
        now: Time,
        outcome: CallOutcome<Option<HeartbeatReply>>,
    ) -> bool {
        let outcome = match outcome {
            CallOutcome::Reply(Some(reply)) => HeartbeatOutcome::Answered(reply),
            CallOutcome::Refused => HeartbeatOutcome::Refused,
            _ => HeartbeatOutcome::Silent,
        };
        let mut state = self.state();
        let changes = state.membership().on_outcome(to, sent, now, outcome);
        if changes.missed_invalidations {
            state.empty_cache();
        }
        !state.membership().round_complete() && outcome != HeartbeatOutcome::Silent
    }

    pub(super) fn invalidate(&self, invalidation: &Invalidation) {
        if matches!(invalidation, Invalidation::Item(_) | Invalidation::AllItems) {
            self.state().empty_cache();
        }
    }

    /// The quantity of [`BOOK`]: from the cache, or from the catalogs in a random order. It may
    /// wait.
    pub(crate) fn lookup(&self, cluster: &Arc<Cluster>, incarnation: Incarnation) -> Option<u32> {
        let cached = {
            let mut state = self.state();
            let lease = state
                .membership()
                .lease_holds(cluster.time(incarnation.node));
            state.cached.filter(|_| lease)
        };
        if cached.is_some() {
            cluster.trace.count("cache hit");
            return cached;
        }
        let mut catalogs: Vec<usize> = (0..cluster.parameters.catalogs).collect();
        cluster.scheduler.draw(|rng| rng.shuffle(&mut catalogs));
        catalogs
            .into_iter()
            .find_map(|catalog| self.fetch(cluster, incarnation, catalog))
    }

    fn fetch(
        &self,
        cluster: &Arc<Cluster>,
        incarnation: Incarnation,
        catalog: usize,
    ) -> Option<u32> {
        let epoch = self.state().epoch;
        let call = Call {
            waits: true,
            ..Call::new(Some(incarnation), catalog, LOOKUP_TIMEOUT, "query".into())
        };
        let receiver = cluster.clone();
        let work = move || {
            let read = receiver.at_catalog(catalog, |replica| replica.read(BOOK, &[]));
            read.ok().map(|read| seen(&read))
        };
        let outcome = cluster.network.call(call, work, |seen| format!("{seen:?}"));
        let CallOutcome::Reply(Some(quantity)) = outcome else {
            return None;
        };
        let mut state = self.state();
        let membership = state.membership();
        let trusted = membership.lease_holds(cluster.time(incarnation.node))
            && membership.peers[catalog].live;
        // As the real one, it does not cache that there is no such book.
        let there = quantity != REMOVED;
        if trusted && there && (state.epoch == epoch || !cluster.parameters.fill_guard) {
            state.cached = Some(quantity);
        }
        Some(quantity)
    }
}

impl State {
    fn membership(&mut self) -> &mut Membership {
        self.membership.as_mut().expect("it has started")
    }

    fn empty_cache(&mut self) {
        self.cached = None;
        self.epoch += 1;
    }
}

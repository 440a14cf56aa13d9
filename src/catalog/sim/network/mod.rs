//! The simulated network: messages that are late, lost, duplicated, refused, or cut off. `call` is
//! the way of one call, `hold` makes a schedule's messages late.

pub(super) mod call;
pub(super) mod hold;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::Scheduler;
use crate::catalog::sim::scheduler::event_queue::{Micros, Work};
use crate::catalog::sim::trace::Trace;
use crate::runtime::sync;
use call::Call;
use hold::{Held, Kept};

pub(super) struct Network {
    scheduler: Arc<Scheduler>,
    trace: Arc<Trace>,
    parameters: Parameters,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pairs of servers that do not reach each other.
    cut: BTreeSet<(usize, usize)>,
    /// Until when a server answers no heartbeat.
    starved_until: BTreeMap<usize, Micros>,
    /// Calls whose receiver has not replied, by receiver and number: what to do when it crashes.
    pending: BTreeMap<(usize, u64), Work>,
    count: u64,
    /// Messages that do not arrive yet.
    holds: Vec<Held>,
    kept: Vec<Kept>,
}

impl Network {
    pub(super) fn new(
        scheduler: Arc<Scheduler>,
        trace: Arc<Trace>,
        parameters: Parameters,
    ) -> Arc<Network> {
        Arc::new(Network {
            scheduler,
            trace,
            parameters,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }

    /// From now on these pairs of servers do not reach each other, in either direction.
    pub(super) fn cut(&self, pairs: impl IntoIterator<Item = (usize, usize)>) {
        self.trace.count("cut");
        self.trace.note(|| "the network is cut".into());
        let both_ways = pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
        self.state().cut.extend(both_ways);
    }

    /// From now on what `from` asks of `to` is lost.
    pub(super) fn cut_one_way(&self, from: usize, to: usize) {
        self.trace.note(|| "the network is cut".into());
        self.state().cut.insert((from, to));
    }

    /// From now on all servers reach each other.
    pub(super) fn heal(&self) {
        self.trace.note(|| "the network is whole".into());
        self.state().cut.clear();
    }

    /// The server answers no heartbeat for this time.
    pub(super) fn starve(&self, node: usize, time: Micros) {
        self.trace.count("starvation");
        let ms = time / 1000;
        self.trace.note(|| format!("{node} starves for {ms} ms"));
        let until = self.scheduler.now() + time;
        self.state().starved_until.insert(node, until);
    }

    /// Whether any server answers no heartbeat now.
    pub(super) fn starves(&self) -> bool {
        let now = self.scheduler.now();
        self.state()
            .starved_until
            .values()
            .any(|until| now < *until)
    }

    /// The server crashes: the connections of its callers break.
    pub(super) fn break_connections(&self, node: usize) {
        let mut state = self.state();
        let later = state.pending.split_off(&(node + 1, 0));
        let broken = state.pending.split_off(&(node, 0));
        state.pending.extend(later);
        drop(state);
        broken.into_values().for_each(|breaks| breaks());
    }

    fn is_cut(&self, call: &Call) -> bool {
        let between = call.from.map(|from| (from.node, call.to));
        between.is_some_and(|between| self.state().cut.contains(&between))
    }

    fn delay(&self) -> Micros {
        if self.parameters.steady {
            1000
        } else if self.scheduler.draw(|rng| rng.u8(..10)) == 0 {
            let slow_ms = self.parameters.network.slow_ms;
            self.scheduler.between(3.0, slow_ms)
        } else {
            self.scheduler.between(0.2, 3.0)
        }
    }

    fn long_delay(&self) -> Micros {
        if self.scheduler.draw(|rng| rng.bool()) {
            self.scheduler.between(30.0, 600.0)
        } else {
            self.scheduler.between(300.0, 3500.0)
        }
    }

    /// Whether this happens to a message, which is counted.
    fn chance(&self, probability: f64, what: &'static str) -> bool {
        let happens = self.scheduler.chance(probability);
        if happens {
            self.trace.count(what);
        }
        happens
    }
}

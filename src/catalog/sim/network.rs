//! The simulated network: messages that are late, lost, duplicated, refused, or cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::Scheduler;
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Micros, Work};
use crate::catalog::sim::trace::Trace;
use crate::runtime::sync;

/// A request.
pub(super) struct Call {
    /// `None`: a client sends it.
    pub(super) from: Option<Incarnation>,
    pub(super) to: usize,
    pub(super) timeout: Micros,
    /// Whether its work at the receiver may wait.
    pub(super) waits: bool,
    pub(super) heartbeat: bool,
    /// Whether it may arrive very late, or twice.
    pub(super) unordered: bool,
    /// What a trace says of it.
    pub(super) text: String,
}

/// What came of a [`Call`].
#[derive(Debug, PartialEq)]
pub(super) enum CallOutcome<R> {
    Reply(R),
    /// The receiver was down.
    Refused,
    /// No reply in time, or the receiver crashed before it replied.
    Silent,
}

/// Called once, with the first outcome.
type OnOutcome<R> = Arc<Mutex<Option<Box<dyn FnOnce(CallOutcome<R>) + Send>>>>;

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
    /// Calls whose receiver has not replied, by receiver: what to do when it crashes.
    pending: BTreeMap<(usize, u64), Work>,
    /// Numbers the pending calls.
    count: u64,
}

impl Call {
    /// A call whose work does not wait, and that arrives at most once.
    pub(super) fn new(from: Option<Incarnation>, to: usize, timeout: Micros, text: String) -> Call {
        Call {
            from,
            to,
            timeout,
            waits: false,
            heartbeat: false,
            unordered: false,
            text,
        }
    }
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

    /// From now on all servers reach each other.
    pub(super) fn heal(&self) {
        self.trace.note(|| "the network is whole".into());
        self.state().cut.clear();
    }

    /// The server answers no heartbeat for this time.
    pub(super) fn starve(&self, node: usize, time: Micros) {
        self.trace.count("starvation");
        let until = self.scheduler.now() + time;
        self.state().starved_until.insert(node, until);
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

    /// Sends a call. `on_outcome` is called once, unless the sender has crashed by then. `show` is
    /// how a trace says the reply.
    pub(super) fn send<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl Fn() -> R + Send + Sync + 'static,
        show: fn(&R) -> String,
        on_outcome: impl FnOnce(CallOutcome<R>) + Send + 'static,
    ) {
        let on_outcome: OnOutcome<R> = Arc::new(Mutex::new(Some(Box::new(on_outcome))));
        let timed_out = on_outcome.clone();
        self.scheduler.run_in(call.timeout, call.from, move || {
            finish(&timed_out, CallOutcome::Silent);
        });
        let network = &self.parameters.network;
        let (call, work) = (Arc::new(call), Arc::new(work));
        if !self.chance(network.lost_request, "lost request") {
            let late = call.unordered && self.chance(network.late, "late message");
            let delay = if late {
                self.long_delay()
            } else {
                self.delay()
            };
            self.deliver(delay, call.clone(), work.clone(), show, on_outcome.clone());
        }
        if call.unordered && self.chance(network.duplicated, "duplicated message") {
            self.deliver(self.long_delay(), call, work, show, on_outcome);
        }
    }

    fn deliver<R: Send + 'static>(
        self: &Arc<Self>,
        delay: Micros,
        call: Arc<Call>,
        work: Arc<impl Fn() -> R + Send + Sync + 'static>,
        show: fn(&R) -> String,
        on_outcome: OnOutcome<R>,
    ) {
        let network = self.clone();
        self.scheduler.run_in(delay, None, move || {
            network.receive(call, work, show, on_outcome);
        });
    }

    fn receive<R: Send + 'static>(
        self: &Arc<Self>,
        call: Arc<Call>,
        work: Arc<impl Fn() -> R + Send + Sync + 'static>,
        show: fn(&R) -> String,
        on_outcome: OnOutcome<R>,
    ) {
        if self.is_cut(&call) {
            return;
        }
        if !self.scheduler.is_up(call.to) {
            self.note_call(&call, ": refused");
            self.scheduler.run_in(self.delay(), call.from, move || {
                finish(&on_outcome, CallOutcome::Refused);
            });
            return;
        }
        let now = self.scheduler.now();
        let starved_until = self.state().starved_until.get(&call.to).copied();
        if let Some(until) = starved_until.filter(|until| call.heartbeat && now < *until) {
            return self.deliver(until - now + 1, call, work, show, on_outcome);
        }
        let number = self.open(&call, &on_outcome);
        let receiver = Some(self.scheduler.incarnation(call.to));
        let (network, waits) = (self.clone(), call.waits);
        let serve = move || {
            network.note_call(&call, "");
            let reply = work();
            network.state().pending.remove(&(call.to, number));
            network.reply(&call, reply, show, on_outcome);
        };
        if waits {
            self.scheduler.spawn_in(0, receiver, serve);
        } else {
            self.scheduler.run_in(0, receiver, serve);
        }
    }

    /// Remembers that the connection breaks if the receiver crashes before it replies. Returns the
    /// connection's number.
    fn open<R: Send + 'static>(self: &Arc<Self>, call: &Call, on_outcome: &OnOutcome<R>) -> u64 {
        let (network, from, on_outcome) = (self.clone(), call.from, on_outcome.clone());
        let breaks = move || {
            network.scheduler.run_in(network.delay(), from, move || {
                finish(&on_outcome, CallOutcome::Silent);
            });
        };
        let mut state = self.state();
        state.count += 1;
        let number = state.count;
        state.pending.insert((call.to, number), Box::new(breaks));
        number
    }

    fn reply<R: Send + 'static>(
        self: &Arc<Self>,
        call: &Arc<Call>,
        reply: R,
        show: fn(&R) -> String,
        on_outcome: OnOutcome<R>,
    ) {
        if self.chance(self.parameters.network.lost_reply, "lost reply") {
            return;
        }
        let (network, call) = (self.clone(), call.clone());
        self.scheduler.run_in(self.delay(), call.from, move || {
            if !network.is_cut(&call) {
                network.note(|| {
                    let receiver = network.parameters.name(call.to);
                    format!("{receiver} -> {} {}", network.sender(&call), show(&reply))
                });
                finish(&on_outcome, CallOutcome::Reply(reply));
            }
        });
    }

    /// Sends a call and waits for its outcome.
    pub(super) fn call<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl Fn() -> R + Send + Sync + 'static,
        show: fn(&R) -> String,
    ) -> CallOutcome<R> {
        let from = call.from;
        let outcome = Arc::new(Mutex::new(None));
        let wait = self.scheduler.begin_wait(from);
        let (scheduler, put) = (self.scheduler.clone(), outcome.clone());
        self.send(call, work, show, move |outcome| {
            *sync::lock(&put) = Some(outcome);
            scheduler.wake_in(0, wait);
        });
        self.scheduler.wait(wait, from);
        let outcome = sync::lock(&outcome).take();
        outcome.expect("only an outcome ends this wait")
    }

    fn note(&self, line: impl FnOnce() -> String) {
        self.trace.note(line);
    }

    fn note_call(&self, call: &Call, end: &str) {
        self.note(|| {
            let receiver = self.parameters.name(call.to);
            format!("{} -> {receiver} {}{end}", self.sender(call), call.text)
        });
    }

    fn sender(&self, call: &Call) -> String {
        call.from
            .map_or("client".into(), |from| self.parameters.name(from.node))
    }
}

fn finish<R>(on_outcome: &OnOutcome<R>, outcome: CallOutcome<R>) {
    let on_outcome = sync::lock(on_outcome).take();
    if let Some(on_outcome) = on_outcome {
        on_outcome(outcome);
    }
}

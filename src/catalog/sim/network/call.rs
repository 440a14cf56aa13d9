//! A call: its request goes to the receiver, does its work there, and the reply comes back.

use std::sync::{Arc, Mutex};

use super::Network;
use super::hold::Held;
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Micros, Work};
use crate::runtime::sync;

/// A request.
pub(crate) struct Call {
    /// `None`: a client sends it.
    pub(crate) from: Option<Incarnation>,
    pub(crate) to: usize,
    pub(crate) timeout: Micros,
    /// Whether its work at the receiver may wait.
    pub(crate) waits: bool,
    pub(crate) heartbeat: bool,
    /// Whether it may arrive very late, or twice.
    pub(crate) unordered: bool,
    /// What kind of message it is, for a schedule that holds some back.
    pub(crate) kind: &'static str,
    /// What a trace says of it.
    pub(crate) text: String,
}

/// What came of a [`Call`].
#[derive(Debug, PartialEq)]
pub(crate) enum CallOutcome<R> {
    Reply(R),
    /// The receiver was down.
    Refused,
    /// No reply in time, or the receiver crashed before it replied.
    Silent,
}

impl Call {
    /// A call whose work does not wait, and that arrives at most once.
    pub(crate) fn new(from: Option<Incarnation>, to: usize, timeout: Micros, text: String) -> Call {
        Call {
            from,
            to,
            timeout,
            waits: false,
            heartbeat: false,
            unordered: false,
            kind: "",
            text,
        }
    }
}

impl Call {
    fn request(&self) -> Option<Held> {
        let (to, kind) = (self.to, self.kind);
        let from = self.from?.node;
        let is_reply = false;
        Some(Held {
            from,
            to,
            kind,
            is_reply,
        })
    }

    fn answer(&self) -> Option<Held> {
        let Held { from, to, kind, .. } = self.request()?;
        Some(Held {
            from: to,
            to: from,
            kind,
            is_reply: true,
        })
    }
}

/// A call on its way, and what to do with its outcome.
struct Exchange<R> {
    call: Call,
    work: Box<dyn Fn() -> R + Send + Sync>,
    /// How a trace says the reply.
    show: fn(&R) -> String,
    /// Taken by the first outcome.
    on_outcome: Mutex<Option<OnOutcome<R>>>,
}

type OnOutcome<R> = Box<dyn FnOnce(CallOutcome<R>) + Send>;

impl<R> Exchange<R> {
    fn finish(&self, outcome: CallOutcome<R>) {
        let on_outcome = sync::lock(&self.on_outcome).take();
        if let Some(on_outcome) = on_outcome {
            on_outcome(outcome);
        }
    }
}

impl Network {
    /// Sends a call. `on_outcome` is called once, unless the sender has crashed by then. `show` is
    /// how a trace says the reply.
    pub(crate) fn send<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl Fn() -> R + Send + Sync + 'static,
        show: fn(&R) -> String,
        on_outcome: impl FnOnce(CallOutcome<R>) + Send + 'static,
    ) {
        let (timeout, unordered) = (call.timeout, call.unordered);
        let exchange = Arc::new(Exchange {
            call,
            work: Box::new(work),
            show,
            on_outcome: Mutex::new(Some(Box::new(on_outcome))),
        });
        self.finish_in(timeout, &exchange, || CallOutcome::Silent);
        let network = &self.parameters.network;
        if !self.chance(network.lost_request, "lost request") {
            let late = unordered && self.chance(network.late, "late message");
            let delay = if late {
                self.long_delay()
            } else {
                self.delay()
            };
            self.deliver(delay, exchange.clone());
        }
        if unordered && self.chance(network.duplicated, "duplicated message") {
            self.deliver(self.long_delay(), exchange);
        }
    }

    fn finish_in<R: Send + 'static>(
        &self,
        delay: Micros,
        exchange: &Arc<Exchange<R>>,
        outcome: fn() -> CallOutcome<R>,
    ) {
        let from = exchange.call.from;
        let exchange = exchange.clone();
        self.scheduler
            .run_in(delay, from, move || exchange.finish(outcome()));
    }

    fn deliver<R: Send + 'static>(self: &Arc<Self>, delay: Micros, exchange: Arc<Exchange<R>>) {
        let network = self.clone();
        self.scheduler.run_in(delay, None, move || {
            let (own, held) = (network.clone(), exchange.call.request());
            let work: Work = Box::new(move || own.receive(exchange));
            if let Some(work) = network.keep_if_held(held, None, work) {
                work();
            }
        });
    }

    fn receive<R: Send + 'static>(self: &Arc<Self>, exchange: Arc<Exchange<R>>) {
        let call = &exchange.call;
        if self.is_cut(call) {
            return;
        }
        if !self.scheduler.is_up(call.to) {
            self.note_call(call, ": refused");
            let late = self.chance(self.parameters.network.late_refusal, "late refusal");
            let delay = if late {
                self.long_delay()
            } else {
                self.delay()
            };
            let (network, from, held) = (self.clone(), call.from, call.answer());
            return self.scheduler.run_in(delay, from, move || {
                let refused: Work = Box::new(move || exchange.finish(CallOutcome::Refused));
                if let Some(refused) = network.keep_if_held(held, from, refused) {
                    refused();
                }
            });
        }
        let now = self.scheduler.now();
        let starved_until = self.state().starved_until.get(&call.to).copied();
        if let Some(until) = starved_until.filter(|until| call.heartbeat && now < *until) {
            return self.deliver(until - now + 1, exchange);
        }
        let connection = self.open(&exchange);
        let receiver = Some(self.scheduler.incarnation(call.to));
        let waits = call.waits;
        let network = self.clone();
        let serve = move || {
            network.note_call(&exchange.call, "");
            let reply = (exchange.work)();
            let closed = network.state().pending.remove(&connection);
            drop(closed);
            network.reply(exchange, reply);
        };
        if waits {
            self.scheduler.spawn_in(0, receiver, serve);
        } else {
            self.scheduler.run_in(0, receiver, serve);
        }
    }

    /// Remembers that the connection breaks if the receiver crashes before it replies.
    fn open<R: Send + 'static>(self: &Arc<Self>, exchange: &Arc<Exchange<R>>) -> (usize, u64) {
        let (network, to) = (self.clone(), exchange.call.to);
        let exchange = exchange.clone();
        let breaks = move || network.finish_in(network.delay(), &exchange, || CallOutcome::Silent);
        let mut state = self.state();
        state.count += 1;
        let connection = (to, state.count);
        state.pending.insert(connection, Box::new(breaks));
        connection
    }

    fn reply<R: Send + 'static>(self: &Arc<Self>, exchange: Arc<Exchange<R>>, reply: R) {
        if self.chance(self.parameters.network.lost_reply, "lost reply") {
            return;
        }
        let (network, own, from) = (self.clone(), self.clone(), exchange.call.from);
        let held = exchange.call.answer();
        let arrive = move || {
            let call = &exchange.call;
            if network.is_cut(call) {
                return;
            }
            network.trace.note(|| {
                let receiver = network.parameters.name(call.to);
                let sender = network.sender(call);
                format!("{receiver} -> {sender} {}", (exchange.show)(&reply))
            });
            exchange.finish(CallOutcome::Reply(reply));
        };
        self.scheduler.run_in(self.delay(), from, move || {
            if let Some(work) = own.keep_if_held(held, from, Box::new(arrive)) {
                work();
            }
        });
    }

    /// Sends a call and waits for its outcome.
    pub(crate) fn call<R: Send + 'static>(
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

    fn note_call(&self, call: &Call, end: &str) {
        self.trace.note(|| {
            let receiver = self.parameters.name(call.to);
            format!("{} -> {receiver} {}{end}", self.sender(call), call.text)
        });
    }

    fn sender(&self, call: &Call) -> String {
        call.from
            .map_or("client".into(), |from| self.parameters.name(from.node))
    }
}

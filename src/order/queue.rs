//! Buys that wait for the same book: first come, first served.
//!
//! The first waiter of a book's queue is its *leader*: its thread serves the queue until it has its
//! own outcome, and then hands over to the next. So a queue needs no thread of its own, and it is
//! forgotten when it is empty.
//!
//! This is not [`crate::runtime::batcher`], whose batches are closed before they run and end as a
//! whole. Here a round that conflicts is repeated with all the waiters that have come since, each
//! waiter has a deadline of its own, and a leader leaves with its own outcome while others wait on.
//! A closed batch would make newcomers wait for every retry of the buys before them. Nor is there
//! anything to learn about how long to wait for others: the queue is what came during the round
//! before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::{Order, OrderId};
use crate::model::trace::Trace;
use crate::order::catalog_client::{Condition, READ_BYTES_MAX};
use crate::runtime::span::{self, SpanContext};
use crate::runtime::sync;

/// How long a buy is retried. Then it fails with what stood in its way, and the client may retry.
pub(super) const BUY_RETRY_MAX: Duration = Duration::from_secs(3);

/// A waiter that is not signaled for so much longer gives up. Not reached while leaders keep their
/// time limits.
const LEADER_GRACE: Duration = Duration::from_secs(20);

/// What came of a buy that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuyOutcome {
    Purchased {
        /// The same order was sent before, and took its copy then.
        replayed: bool,
        /// The order that was sold for its key, if the catalog says so.
        sold_as: Option<OrderId>,
    },
    OutOfStock,
}

/// The outcome of a buy, or its failure.
pub(super) type BuyResult = Result<BuyOutcome>;

/// A buy that waits for its outcome.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) order: Order,
    /// The client's request.
    pub(super) trace: Trace,
    /// The request's span, if it is recorded.
    pub(super) span: Option<SpanContext>,
    deadline: Instant,
    /// Held for moments only.
    state: Mutex<WaiterState>,
    signaled: Condvar,
}

#[derive(Debug, Default)]
struct WaiterState {
    signal: Option<Signal>,
    /// The version that an update of unknown outcome was conditional on: while the book is at this
    /// version, the update may still happen.
    unknown_at: Option<String>,
    /// So may one that was sent without a read, while this order's copies are there.
    unknown_unread: bool,
    /// Why the last round did not serve this waiter. `None`: a conflict.
    last_error: Option<Error>,
}

/// What ends a wait.
#[derive(Clone, Debug)]
pub(super) enum Signal {
    /// The waiter leads its queue now.
    Lead,
    Done(BuyResult),
}

impl Waiter {
    pub(super) fn new(order: Order, trace: Trace, now: Instant) -> Waiter {
        Waiter {
            order,
            trace,
            span: span::current(),
            deadline: now + BUY_RETRY_MAX,
            state: Mutex::default(),
            signaled: Condvar::new(),
        }
    }

    pub(super) fn outcome(&self) -> Option<BuyResult> {
        match &sync::lock(&self.state).signal {
            Some(Signal::Done(outcome)) => Some(outcome.clone()),
            _ => None,
        }
    }

    pub(super) fn succeed(&self, outcome: BuyOutcome) {
        self.signal(Signal::Done(Ok(outcome)));
    }

    /// Ends in failure. After an update of unknown outcome that is [`Error::TimedOut`], whatever
    /// `error` is.
    pub(super) fn fail(&self, error: Error) {
        let error = if self.is_unknown() && !error.indefinite() {
            Error::TimedOut(error.message().into())
        } else {
            error
        };
        self.signal(Signal::Done(Err(error)));
    }

    /// Ends in failure, unless it has ended: the time is up.
    pub(super) fn expire(&self) {
        if self.outcome().is_some() {
            return;
        }
        let busy = || Error::Busy("Too many customers want this book; please try again".into());
        let last_error = sync::lock(&self.state).last_error.take();
        self.fail(last_error.unwrap_or_else(busy));
    }

    /// An update on this condition ended without an outcome.
    pub(super) fn update_unknown(&self, condition: &Condition) {
        let mut state = sync::lock(&self.state);
        match condition {
            Condition::Version { version, .. } => state.unknown_at = Some(version.clone()),
            Condition::NotRestocked { .. } => state.unknown_unread = true,
        }
    }

    /// Whether an update that may have served this waiter ended without an outcome.
    pub(super) fn is_unknown(&self) -> bool {
        let state = sync::lock(&self.state);
        state.unknown_at.is_some() || state.unknown_unread
    }

    /// The book is at this version, with so many copies, and this order has none of them: an update
    /// that was conditional on another version, or on copies that are not there, can no longer happen.
    pub(super) fn saw(&self, version: &str, quantity: u32) {
        let mut state = sync::lock(&self.state);
        state.unknown_at.take_if(|at| at != version);
        state.unknown_unread &= self.order.copies <= quantity;
    }

    /// A round did not serve this waiter, because of this error or, without one, of a conflict.
    pub(super) fn not_served(&self, error: Option<Error>) {
        sync::lock(&self.state).last_error = error;
    }

    fn signal(&self, signal: Signal) {
        sync::lock(&self.state).signal = Some(signal);
        self.signaled.notify_all();
    }
}

/// The queues of all books.
#[derive(Debug, Default)]
pub(super) struct BuyQueues {
    /// A book is here while a buy waits for it; the first waiter leads. Held for moments only, and
    /// locked before a waiter's state.
    books: Mutex<HashMap<BookId, VecDeque<Arc<Waiter>>>>,
}

impl BuyQueues {
    /// Puts the waiter at the end of the book's queue. Returns whether it leads.
    pub(super) fn join(&self, id: BookId, waiter: &Arc<Waiter>) -> bool {
        let mut books = sync::lock(&self.books);
        let queue = books.entry(id).or_default();
        queue.push_back(waiter.clone());
        queue.len() == 1
    }

    /// Waits until the waiter is signaled.
    pub(super) fn wait(&self, id: BookId, waiter: &Arc<Waiter>) -> Signal {
        let state = sync::lock(&waiter.state);
        let timeout = BUY_RETRY_MAX + LEADER_GRACE;
        let waiting = |state: &mut WaiterState| state.signal.is_none();
        let state = sync::wait_timeout_while(&waiter.signaled, state, timeout, waiting);
        if let Some(signal) = state.signal.clone() {
            return signal;
        }
        drop(state);
        self.give_up(id, waiter)
    }

    /// Leaves the queue, unless the signal came just now.
    fn give_up(&self, id: BookId, waiter: &Arc<Waiter>) -> Signal {
        let mut books = sync::lock(&self.books);
        if let Some(signal) = sync::lock(&waiter.state).signal.clone() {
            return signal;
        }
        if let Some(queue) = books.get_mut(&id) {
            queue.retain(|other| !Arc::ptr_eq(other, waiter));
        }
        let why = "Nobody was served for too long";
        Signal::Done(Err(Error::TimedOut(why.into())))
    }

    /// The first `waiters_max` waiters that are not done, or fewer if their keys are long. Those
    /// whose deadline has passed at `now` expire first.
    pub(super) fn first(&self, id: BookId, waiters_max: usize, now: Instant) -> Vec<Arc<Waiter>> {
        let books = sync::lock(&self.books);
        let Some(queue) = books.get(&id) else {
            return Vec::new();
        };
        let late = queue.iter().filter(|waiter| waiter.deadline <= now);
        late.for_each(|waiter| waiter.expire());
        let waiting = queue.iter().filter(|waiter| waiter.outcome().is_none());
        let mut bytes = 0;
        let has_room = |waiter: &&Arc<Waiter>| {
            let is_first = bytes == 0;
            bytes += waiter.order.to_string().len();
            is_first || bytes <= READ_BYTES_MAX
        };
        waiting
            .take(waiters_max)
            .take_while(has_room)
            .cloned()
            .collect()
    }

    /// Takes the leader and all that are done out of the queue, and signals the next to lead.
    pub(super) fn hand_over(&self, id: BookId, leader: &Arc<Waiter>) {
        let mut books = sync::lock(&self.books);
        let Some(queue) = books.get_mut(&id) else {
            return;
        };
        queue.retain(|waiter| !Arc::ptr_eq(waiter, leader) && waiter.outcome().is_none());
        match queue.front() {
            Some(next) => next.signal(Signal::Lead),
            None => drop(books.remove(&id)),
        }
    }

    /// How many buys wait, for all books.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let books = sync::lock(&self.books);
        books.values().map(VecDeque::len).sum()
    }
}

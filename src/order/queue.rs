//! Customers of one book stand in line: who came first is served first, and leads.
//!
//! The first in a book's line is its *leader*: its thread serves the line until it has its own
//! answer, and then calls the next to lead. So a line needs no thread of its own, and is forgotten
//! when nobody stands in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::Order;

/// How long a buy is tried again after conflicts. Then the customer is told, and may try again.
pub const TRYING_MAX: Duration = Duration::from_secs(3);

/// A customer who has not been called for this long after that leaves the line. Not reached while
/// leaders keep their time limits.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a customer who was sold a copy, or could not be, hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sold {
    /// `replayed`: it had been sold before, when the same order was sent earlier.
    Purchased {
        replayed: bool,
    },
    OutOfStock,
}

/// Somebody who wants one copy of a book.
#[derive(Debug)]
pub struct Customer {
    pub order: Order,
    /// The id of the request, for the logs of all tiers.
    pub request: Arc<str>,
    deadline: Instant,
    /// Held for a moment only.
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct State {
    call: Option<Call>,
    /// The version that an update named whose outcome is not known: while the book is at this
    /// version, it may yet come.
    unsettled: Option<String>,
    /// What stood in the way the last time; nothing: competition.
    trouble: Option<Error>,
}

/// What a customer in line is called for.
#[derive(Clone, Debug)]
pub enum Call {
    Lead,
    Done(Result<Sold>),
}

impl Customer {
    pub fn new(order: Order, request: Arc<str>, now: Instant) -> Customer {
        Customer {
            order,
            request,
            deadline: now + TRYING_MAX,
            state: Mutex::default(),
            called: Condvar::new(),
        }
    }

    pub fn outcome(&self) -> Option<Result<Sold>> {
        match &self.state().call {
            Some(Call::Done(outcome)) => Some(outcome.clone()),
            _ => None,
        }
    }

    /// The outcome, if there is one already. If an update is not settled, that is one: nobody can
    /// tell.
    pub fn so_far(&self) -> Option<Result<Sold>> {
        let unsettled = self.state().unsettled.is_some();
        if unsettled && self.outcome().is_none() {
            self.expire();
        }
        self.outcome()
    }

    pub fn sold(&self, sold: Sold) {
        self.call(Call::Done(Ok(sold)));
    }

    /// It failed. If an update is not settled, the failure is [`Error::TimedOut`], whatever it
    /// would have been.
    pub fn fail(&self, error: Error) {
        let unknown = self.state().unsettled.is_some() && !error.indefinite();
        let error = match unknown {
            true => Error::TimedOut(error.message().into()),
            false => error,
        };
        self.call(Call::Done(Err(error)));
    }

    /// An update that named this version ended without an outcome.
    pub fn unsettle(&self, version: &str) {
        self.state().unsettled = Some(version.into());
    }

    /// The book is at this version, and this order has no copy of it: an update that named another
    /// can no longer happen.
    pub fn seen(&self, version: &str) {
        let mut state = self.state();
        state.unsettled.take_if(|named| named != version);
    }

    pub fn trouble(&self, trouble: Option<Error>) {
        self.state().trouble = trouble;
    }

    fn expire(&self) {
        let busy = || Error::Busy("Too many customers want this book; please try again".into());
        let trouble = self.state().trouble.take();
        self.fail(trouble.unwrap_or_else(busy));
    }

    fn call(&self, call: Call) {
        self.state().call = Some(call);
        self.called.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// The lines of all books.
#[derive(Debug, Default)]
pub struct Lines {
    /// A book is here while somebody stands in its line; the first is its leader. Held for a moment
    /// only. It is locked before a customer's state.
    books: Mutex<HashMap<BookId, VecDeque<Arc<Customer>>>>,
}

impl Lines {
    /// Joins a book's line at its end. Returns whether the customer leads it.
    pub fn join(&self, id: BookId, customer: &Arc<Customer>) -> bool {
        let mut books = self.lock();
        let line = books.entry(id).or_default();
        line.push_back(customer.clone());
        line.len() == 1
    }

    /// Waits until the customer is called.
    pub fn wait(&self, id: BookId, customer: &Arc<Customer>) -> Call {
        let limit = TRYING_MAX + PATIENCE;
        let waiting = customer
            .called
            .wait_timeout_while(customer.state(), limit, |state| state.call.is_none());
        let (state, _) = waiting.expect("no holder panics");
        match state.call.clone() {
            Some(call) => call,
            None => {
                drop(state);
                self.give_up(id, customer)
            }
        }
    }

    /// Leaves the line, unless the call came just now.
    fn give_up(&self, id: BookId, customer: &Arc<Customer>) -> Call {
        let mut books = self.lock();
        if let Some(call) = customer.state().call.clone() {
            return call;
        }
        if let Some(line) = books.get_mut(&id) {
            line.retain(|other| !Arc::ptr_eq(other, customer));
        }
        Call::Done(Err(Error::TimedOut(
            "Nobody was served for too long".into(),
        )))
    }

    /// The first in line, at most so many: those who are not done and whose time is not up at
    /// `now`. The others go, those whose time is up with a failure.
    pub fn first(&self, id: BookId, client_threads_max: usize, now: Instant) -> Vec<Arc<Customer>> {
        let mut books = self.lock();
        let Some(line) = books.get_mut(&id) else {
            return Vec::new();
        };
        for customer in line.iter().filter(|c| c.deadline <= now) {
            if customer.outcome().is_none() {
                customer.expire();
            }
        }
        let waiting = line.iter().filter(|c| c.outcome().is_none());
        waiting.take(client_threads_max).cloned().collect()
    }

    /// `leader` leaves. Those who are done go too, and who is first now is called to lead.
    pub fn hand_over(&self, id: BookId, leader: &Arc<Customer>) {
        let mut books = self.lock();
        let Some(line) = books.get_mut(&id) else {
            return;
        };
        line.retain(|c| !Arc::ptr_eq(c, leader) && c.outcome().is_none());
        match line.front() {
            Some(next) => next.call(Call::Lead),
            None => drop(books.remove(&id)),
        }
    }

    /// How many stand in line, of all books.
    pub fn len(&self) -> usize {
        self.lock().values().map(VecDeque::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BookId, VecDeque<Arc<Customer>>>> {
        self.books.lock().expect("no holder panics")
    }
}

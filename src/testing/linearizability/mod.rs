//! Was it one book? A recorded history of what customers did to one book and what they were told,
//! and the check that it is *linearizable*: that one order of all of it exists, in which nothing
//! comes before what had ended when it began, and in which each answer is what a single book in a
//! single drawer would have given.
//!
//! The simulation, the tests with real processes and `bazar bench` all record such histories. The
//! search is the just-in-time linearization of Lowe (2017), which goes back to Wing and Gong
//! (1993): go through the history in the order of time, carry along every state that the book can
//! be in, and when an operation ends, let it and as many others as it takes happen before. Three
//! facts keep the number of states small:
//!
//! - What only looks (a lookup, "out of stock") may happen as soon as it fits: that never spoils
//!   anything.
//! - Of operations that do the same, the one that ends first may happen first. Purchases are all
//!   alike.
//! - One whose outcome nobody knows never ends: it comes last of those alike, and only where
//!   nothing else explains what was seen. So unknown purchases are counted, not told apart.

#[cfg(test)]
mod tests;
pub mod window;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// The search looks at this many states of the book, a second or two's worth, and gives up then.
const STATES_MAX: usize = 1_000_000;

/// What a customer did and was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A lookup that showed this quantity.
    Saw(u32),
    /// A purchase; one copy less.
    Bought,
    /// A purchase that was refused: out of stock.
    SoldOut,
    /// An update of the quantity to this.
    Set(u32),
}

/// One operation, between two moments of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub kind: Kind,
    pub start: Duration,
    /// `None`: nobody knows what came of it (a time-out, a 409). It may happen at any time after
    /// its start, or never.
    pub end: Option<Duration>,
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckError {
    /// No single book behaves so; the smallest part of the history that shows it, to be read by
    /// people.
    NotLinearizable(String),
    /// Too many states were possible to try them all: nothing is known.
    GaveUp,
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::NotLinearizable(window) => write!(f, "not linearizable: {window}"),
            CheckError::GaveUp => write!(f, "gave up after {STATES_MAX} states"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(f, "{:10.3} ms to ", ms(self.start))?;
        match self.end {
            Some(end) => write!(f, "{:10.3} ms  ", ms(end))?,
            None => f.write_str("   unknown     ")?,
        }
        match self.kind {
            Kind::Saw(quantity) => write!(f, "saw {quantity}"),
            Kind::Bought => f.write_str("bought"),
            Kind::SoldOut => f.write_str("out of stock"),
            Kind::Set(quantity) => write!(f, "set to {quantity}"),
        }
    }
}

/// Checks that one book which started with `quantity` copies explains the history, in whatever
/// order it is given.
///
/// Fails with [`CheckError::NotLinearizable`] and the smallest window that no book explains, or [`CheckError::GaveUp`].
/// An operation that only looked and has no end says nothing and is passed over.
pub fn check(quantity: u32, history: &[Operation]) -> Result<(), CheckError> {
    match search(BTreeSet::from([quantity]), history) {
        Found::Fine => Ok(()),
        Found::GaveUp => Err(CheckError::GaveUp),
        Found::Stuck(end) => Err(CheckError::NotLinearizable(window::explain(
            quantity, history, end,
        ))),
    }
}

enum Found {
    Fine,
    GaveUp,
    /// What ended at this moment could not have.
    Stuck(Duration),
}

fn search(quantities: BTreeSet<u32>, history: &[Operation]) -> Found {
    let mut search = Search::new(quantities, history);
    for (time, ends, operation) in moments(history) {
        if !ends {
            search.begin(operation);
            continue;
        }
        if !search.end(operation) {
            return Found::GaveUp;
        }
        if search.states.is_empty() {
            return Found::Stuck(time);
        }
    }
    Found::Fine
}

/// Starts and ends in the order of time. At one moment starts come first: whatever touches may have
/// overlapped.
fn moments(history: &[Operation]) -> Vec<(Duration, bool, usize)> {
    let mut moments = Vec::new();
    for (i, operation) in history.iter().enumerate() {
        moments.push((operation.start, false, i));
        moments.extend(operation.end.map(|end| (end, true, i)));
    }
    moments.sort();
    moments
}

/// A state that the book can be in.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    quantity: u32,
    /// Which of the operations under way have happened; sorted.
    happened: Vec<usize>,
}

struct Search<'a> {
    history: &'a [Operation],
    /// Those that have begun and not ended, the one that ends first in front.
    under_way: Vec<usize>,
    states: HashSet<State>,
    looked_at: usize,
}

impl<'a> Search<'a> {
    fn new(quantities: BTreeSet<u32>, history: &'a [Operation]) -> Search<'a> {
        let state = |quantity| State {
            quantity,
            happened: Vec::new(),
        };
        Search {
            history,
            under_way: Vec::new(),
            states: quantities.into_iter().map(state).collect(),
            looked_at: 0,
        }
    }

    fn begin(&mut self, operation: usize) {
        let end = |i: usize| self.history[i].end.unwrap_or(Duration::MAX);
        let place = self
            .under_way
            .partition_point(|i| end(*i) <= end(operation));
        self.under_way.insert(place, operation);
        let states = std::mem::take(&mut self.states);
        self.states = states.into_iter().map(|s| self.look(s)).collect();
    }

    /// The operation ends, so it has happened in every state that is still possible. False: too
    /// many to look at.
    fn end(&mut self, operation: usize) -> bool {
        let mut left: Vec<State> = self.states.drain().collect();
        let mut seen: HashSet<State> = left.iter().cloned().collect();
        while let Some(mut state) = left.pop() {
            self.looked_at += 1;
            if STATES_MAX < self.looked_at {
                return false;
            }
            if let Ok(place) = state.happened.binary_search(&operation) {
                state.happened.remove(place);
                self.states.insert(state);
                continue;
            }
            let next = self.steps(&state).into_iter();
            left.extend(next.filter(|state| seen.insert(state.clone())));
        }
        self.under_way.retain(|i| *i != operation);
        self.spare();
        true
    }

    /// Of states that differ only in what happened of the unknown, those in which the least did:
    /// the rest is still to come.
    fn spare(&mut self) {
        let mut alike: HashMap<State, Vec<Vec<usize>>> = HashMap::new();
        for mut state in self.states.drain() {
            let unknown = |i: &usize| self.history[*i].end.is_none();
            let (spent, happened) = state.happened.into_iter().partition(unknown);
            state.happened = happened;
            alike.entry(state).or_default().push(spent);
        }
        for (state, mut spent) in alike {
            spent.sort_by_key(Vec::len);
            let mut least: Vec<Vec<usize>> = Vec::new();
            for spent in spent {
                if !least.iter().any(|less| contains(&spent, less)) {
                    let mut state = state.clone();
                    spent.iter().for_each(|i| mark(&mut state, *i));
                    self.states.insert(state);
                    least.push(spent);
                }
            }
        }
    }

    /// The states one change further: of the changes that are alike, the one that ends first.
    fn steps(&self, state: &State) -> Vec<State> {
        let mut alike = BTreeSet::new();
        let mut steps = Vec::new();
        for i in &self.under_way {
            let kind = self.history[*i].kind;
            let Some(quantity) = changed(kind, state.quantity) else {
                continue;
            };
            if state.happened.binary_search(i).is_err() && alike.insert(kind) {
                let mut next = state.clone();
                next.quantity = quantity;
                mark(&mut next, *i);
                steps.push(self.look(next));
            }
        }
        steps
    }

    /// Whoever looks and can have seen this has seen it.
    fn look(&self, mut state: State) -> State {
        for i in &self.under_way {
            let fits = match self.history[*i].kind {
                Kind::Saw(quantity) => quantity == state.quantity,
                Kind::SoldOut => state.quantity == 0,
                Kind::Bought | Kind::Set(_) => false,
            };
            if fits {
                mark(&mut state, *i);
            }
        }
        state
    }
}

fn contains(many: &[usize], few: &[usize]) -> bool {
    few.iter().all(|i| many.binary_search(i).is_ok())
}

fn mark(state: &mut State, operation: usize) {
    if let Err(place) = state.happened.binary_search(&operation) {
        state.happened.insert(place, operation);
    }
}

/// The quantity after this change; `None` if it changes nothing or cannot be.
fn changed(kind: Kind, quantity: u32) -> Option<u32> {
    match kind {
        Kind::Bought => quantity.checked_sub(1),
        Kind::Set(quantity) => Some(quantity),
        Kind::Saw(_) | Kind::SoldOut => None,
    }
}

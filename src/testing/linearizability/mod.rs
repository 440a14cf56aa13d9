//! A linearizability checker for the history of one book.
//!
//! A history has what clients did to the book, and what they were told. It is *linearizable* if all
//! of it can be put into one order, in which an operation that ended before another began comes
//! first, and in which each answer is what a single copy of the book would have given.
//!
//! The simulation and the tests with real processes record such histories. The search is the
//! just-in-time linearization of Lowe (2017), after Wing and Gong (1993): it goes through the
//! history in the order of time, with the set of all states that the book can be in. When an
//! operation ends, it must have taken effect; the search tries every choice of other operations in
//! progress that took effect before it. Three facts keep the number of states small:
//!
//! - An operation that only reads (a lookup, "out of stock") may take effect as soon as its answer
//!   fits the state. That never excludes a solution.
//! - Of operations in progress that do the same, the one that ends first may take effect first. All
//!   purchases of the same number of copies do the same.
//! - An operation with an unknown outcome never ends. So it comes last of those that do the same,
//!   and takes effect only where nothing else explains an answer.

#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// After this many states, which take a second or two, the search gives up.
const STATES_MAX: usize = 1_000_000;

/// The quantity of a book that was removed.
pub const REMOVED: u32 = u32::MAX;

/// What a client did and was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A lookup that was answered with this quantity, or, if it is [`REMOVED`], with 404.
    Saw(u32),
    /// A purchase of so many copies.
    Bought(u32),
    /// A purchase of so many copies that was answered with "out of stock": there were fewer.
    SoldOut(u32),
    /// So many copies more.
    Added(u32),
    /// An update of the quantity to this.
    Set(u32),
    /// An update of the quantity on the condition that the book is still the one with this
    /// quantity. From [`REMOVED`] it is a book that is added again.
    Replaced { from: u32, to: u32 },
    /// The removal of a book that was there.
    Removed,
}

/// One operation, between two moments of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub kind: Kind,
    pub start: Duration,
    /// `None`: the outcome is unknown (a timeout, a 409). It may take effect at any time after its
    /// start, or never.
    pub end: Option<Duration>,
}

/// Why a history did not pass.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckError {
    /// No single copy of a book behaves so. The text is the smallest part of the history that shows
    /// it.
    NotLinearizable(String),
    /// There were too many states to try them all, so nothing is known.
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
            Kind::Saw(REMOVED) => f.write_str("saw no book"),
            Kind::Saw(quantity) => write!(f, "saw {quantity}"),
            Kind::Bought(copies) => write!(f, "bought {copies}"),
            Kind::SoldOut(copies) => write!(f, "out of stock for {copies}"),
            Kind::Added(copies) => write!(f, "added {copies}"),
            Kind::Set(quantity) => write!(f, "set to {quantity}"),
            Kind::Removed => f.write_str("removed"),
            Kind::Replaced { from: REMOVED, to } => write!(f, "added again with {to}"),
            Kind::Replaced { from, to } => write!(f, "set from {from} to {to}"),
        }
    }
}

/// Checks that the history, in any order, is that of one book which started with `quantity` copies.
/// A lookup without an end proves nothing, and is ignored.
///
/// Fails with [`CheckError`]. A caller that checks many histories may count those with
/// [`CheckError::GaveUp`], and fail beyond a share of them.
pub fn check(quantity: u32, history: &[Operation]) -> Result<(), CheckError> {
    match search(BTreeSet::from([quantity]), history) {
        Found::Linearizable => Ok(()),
        Found::GaveUp => Err(CheckError::GaveUp),
        Found::Stuck(end) => Err(CheckError::NotLinearizable(window::explain(
            quantity, history, end,
        ))),
    }
}

enum Found {
    Linearizable,
    GaveUp,
    /// The operation that ended at this moment cannot have taken effect.
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
    Found::Linearizable
}

/// Starts and ends in the order of time. At one moment starts come first, because operations that
/// touch may have overlapped.
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
    /// Which of the operations in progress have taken effect; sorted.
    effective: Vec<usize>,
}

struct Search<'a> {
    history: &'a [Operation],
    /// In the order of their ends.
    in_progress: Vec<usize>,
    states: HashSet<State>,
    states_tried: usize,
}

impl<'a> Search<'a> {
    fn new(quantities: BTreeSet<u32>, history: &'a [Operation]) -> Search<'a> {
        let state = |quantity| State {
            quantity,
            effective: Vec::new(),
        };
        Search {
            history,
            in_progress: Vec::new(),
            states: quantities.into_iter().map(state).collect(),
            states_tried: 0,
        }
    }

    fn begin(&mut self, operation: usize) {
        let end = |i: usize| self.history[i].end.unwrap_or(Duration::MAX);
        let place = self
            .in_progress
            .partition_point(|i| end(*i) <= end(operation));
        self.in_progress.insert(place, operation);
        let states = std::mem::take(&mut self.states);
        self.states = states.into_iter().map(|s| self.read(s)).collect();
    }

    /// Ends an operation: it must have taken effect in every state that remains. Returns false if
    /// there are too many states to try.
    fn end(&mut self, operation: usize) -> bool {
        let mut left: Vec<State> = self.states.drain().collect();
        let mut seen: HashSet<State> = left.iter().cloned().collect();
        while let Some(mut state) = left.pop() {
            self.states_tried += 1;
            if STATES_MAX < self.states_tried {
                return false;
            }
            if let Ok(place) = state.effective.binary_search(&operation) {
                state.effective.remove(place);
                self.states.insert(state);
                continue;
            }
            let next = self.steps(&state).into_iter();
            left.extend(next.filter(|state| seen.insert(state.clone())));
        }
        self.in_progress.retain(|i| *i != operation);
        self.prune();
        true
    }

    /// Of states that differ only in which operations of unknown outcome took effect, keeps those
    /// with the fewest: the others can still take effect later.
    fn prune(&mut self) {
        let mut alike: HashMap<State, Vec<Vec<usize>>> = HashMap::new();
        for mut state in self.states.drain() {
            let unknown = |i: &usize| self.history[*i].end.is_none();
            let (unknowns, effective) = state.effective.into_iter().partition(unknown);
            state.effective = effective;
            alike.entry(state).or_default().push(unknowns);
        }
        for (state, mut unknowns) in alike {
            unknowns.sort_by_key(Vec::len);
            let mut fewest: Vec<Vec<usize>> = Vec::new();
            for unknowns in unknowns {
                if !fewest.iter().any(|fewer| contains(&unknowns, fewer)) {
                    let mut state = state.clone();
                    unknowns.iter().for_each(|i| mark(&mut state, *i));
                    self.states.insert(state);
                    fewest.push(unknowns);
                }
            }
        }
    }

    /// The states after one more change. Of equal changes, only the one that ends first is tried.
    fn steps(&self, state: &State) -> Vec<State> {
        let mut alike = BTreeSet::new();
        let mut steps = Vec::new();
        for i in &self.in_progress {
            let kind = self.history[*i].kind;
            let Some(quantity) = changed(kind, state.quantity) else {
                continue;
            };
            if state.effective.binary_search(i).is_err() && alike.insert(kind) {
                let mut next = state.clone();
                next.quantity = quantity;
                mark(&mut next, *i);
                steps.push(self.read(next));
            }
        }
        steps
    }

    /// Every read in progress whose answer fits the state takes effect.
    fn read(&self, mut state: State) -> State {
        for i in &self.in_progress {
            let fits = match self.history[*i].kind {
                Kind::Saw(quantity) => quantity == state.quantity,
                Kind::SoldOut(copies) => state.quantity < copies,
                _ => false,
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
    if let Err(place) = state.effective.binary_search(&operation) {
        state.effective.insert(place, operation);
    }
}

/// The quantity after a change. `None`: the operation only reads, or cannot take effect.
fn changed(kind: Kind, quantity: u32) -> Option<u32> {
    let is_there = quantity != REMOVED;
    match kind {
        Kind::Replaced { from, to } => (quantity == from).then_some(to),
        _ if !is_there => None,
        Kind::Bought(copies) => quantity.checked_sub(copies),
        Kind::Added(copies) => Some(quantity + copies),
        Kind::Set(quantity) => Some(quantity),
        Kind::Removed => Some(REMOVED),
        Kind::Saw(_) | Kind::SoldOut(_) => None,
    }
}

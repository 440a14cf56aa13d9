//! Changes of books: read, check, write on condition, and once more after a conflict.
//!
//! A change is first tried on the copy in memory. Whatever is refused because of that copy is
//! looked at again on one that etcd has just given.

use std::sync::Arc;
use std::time::Instant;

use crate::catalog::etcd::change::{self, Checked, Seen};
use crate::catalog::etcd::ledger_keys::{self, KeyUses};
use crate::catalog::etcd::operations::{KEYS_MAX, Write, Written};
use crate::catalog::etcd::{EtcdStore, Wanted};
use crate::catalog::replication::invalidate::invalidations;
use crate::catalog::replication::write::{Update, Updated};
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::order_ids::{OpenOrder, unix_ms};

/// How often a change begins again because the book changed meanwhile.
const ATTEMPTS_MAX: usize = 12;

/// One change under way.
struct Pending<'a> {
    id: BookId,
    update: &'a Update,
    known: Known,
    outcome: Option<Result<Updated>>,
}

/// What is known of the book, and of the keys.
enum Known {
    /// It may be another by now, and the keys may be used.
    Memory(Seen),
    /// It was so after the change was asked for.
    Etcd(Seen),
}

/// What is to be done next.
enum Step {
    Write(Box<Write>),
    Read,
    Nothing,
}

impl EtcdStore {
    /// Makes these changes, each by itself: as [`Store::update`](crate::catalog::store::Store).
    pub(super) fn change(&self, updates: &[(BookId, Update)]) -> Vec<Result<Updated>> {
        if let Err(error) = self.check_open() {
            return vec![Err(error); updates.len()];
        }
        let updates = updates.iter().map(|(id, update)| self.with_id(*id, update));
        // The ids stay open until the changes have ended.
        let (updates, _open): (Vec<_>, Vec<_>) = updates.unzip();
        let until = self.gateway.deadline();
        let begun = updates.iter().map(|(id, update)| Pending {
            id: *id,
            update,
            known: Known::Memory(Seen {
                book: self.memory.book(*id),
                uses: KeyUses::new(),
            }),
            outcome: check_keys(update).err().map(Err),
        });
        let mut all: Vec<Pending> = begun.collect();
        for _ in 0..ATTEMPTS_MAX {
            if !self.attempt(&mut all) || until <= Instant::now() {
                break;
            }
        }
        let outcomes = all.into_iter().map(|pending| {
            let busy = || Err(Error::Busy("Too many writes of this book at once".into()));
            pending.outcome.unwrap_or_else(busy)
        });
        outcomes.collect()
    }

    /// As [`EtcdStore::change`], of one book. A change with an id of this catalog's own that is
    /// closed was never made: it gets a later one.
    pub(super) fn change_one(&self, id: BookId, update: &Update) -> Result<Updated> {
        let change = || {
            let outcome = self.change(&[(id, update.clone())]).pop();
            outcome.expect("one outcome for one change")
        };
        match change() {
            Err(Error::Closed { forgotten, .. }) if update.orders.is_empty() => {
                self.write_ids.catch_up_with(forgotten);
                change()
            }
            outcome => outcome,
        }
    }

    /// A change that serves no order has an id of its own, so that it can be recognized. With a key
    /// that is looked for among the orders, as a customer's is.
    fn with_id(&self, id: BookId, update: &Update) -> ((BookId, Update), Option<OpenOrder>) {
        let mut update = update.clone();
        if !update.orders.is_empty() {
            return ((id, update), None);
        }
        let open = self.write_ids.open(update.key.clone());
        let order = open.order.clone();
        if update.key.is_some() {
            update.orders.push(Order { copies: 0, ..order });
        } else {
            update.write_id = Some(order);
        }
        ((id, update), Some(open))
    }

    /// Tries those once that have no outcome. Returns whether there were any.
    fn attempt(&self, all: &mut [Pending]) -> bool {
        let mut steps: Vec<Step> = all.iter_mut().map(Pending::step).collect();
        let unread = |place: &usize| matches!(steps[*place], Step::Read);
        let unread: Vec<usize> = (0..all.len()).filter(unread).collect();
        let wanted = unread.iter().map(|place| all[*place].wanted());
        let wanted: Vec<Wanted> = wanted.collect();
        for (place, read) in unread.into_iter().zip(self.read_newest(&wanted)) {
            steps[place] = all[place].was_read(read);
        }
        let writes = steps.into_iter().enumerate();
        let (places, writes): (Vec<usize>, Vec<Write>) = writes
            .filter_map(|(place, step)| match step {
                Step::Write(write) => Some((place, *write)),
                _ => None,
            })
            .unzip();
        let outcomes = self.writer.write(writes);
        for (place, outcome) in places.iter().zip(outcomes) {
            if let Some(book) = all[*place].was_written(outcome) {
                self.memory.put(&book);
            }
        }
        !places.is_empty()
    }
}

/// Fails with [`Error::Invalid`] when more orders have keys than one txn can look at.
fn check_keys(update: &Update) -> Result<()> {
    let keyed = update.orders.iter().filter(|order| order.key.is_some());
    if keyed.count() <= KEYS_MAX {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "orders must not be more than {KEYS_MAX} with keys: the books are in etcd"
    )))
}

impl Pending<'_> {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            id: self.id,
            orders: &self.update.orders,
        }
    }

    /// Checks the preconditions on what is known. They are not met only if they are not on a copy
    /// that etcd gave.
    fn step(&mut self) -> Step {
        if self.outcome.is_some() {
            return Step::Nothing;
        }
        let (seen, is_newest) = match &self.known {
            Known::Memory(seen) => (seen, false),
            Known::Etcd(seen) => (seen, true),
        };
        let check = |old| change::check(old, &seen.uses, self.update);
        let checked = match &seen.book {
            Some(old) => check(old).map(|checked| (old, checked)),
            None => Err(Error::NotFound),
        };
        self.outcome = Some(match checked {
            Ok((old, Checked::Write(new))) => {
                return Step::Write(Box::new(write(old, *new, self.update)));
            }
            _ if !is_newest => return Step::Read,
            Ok((old, Checked::Unchanged { replayed })) => Ok(Updated {
                book: old.clone(),
                replayed,
            }),
            Err(error) => Err(error),
        });
        Step::Nothing
    }

    fn was_read(&mut self, read: Result<Seen>) -> Step {
        match read {
            Ok(seen) => self.known = Known::Etcd(seen),
            Err(error) => self.outcome = Some(Err(error)),
        }
        self.step()
    }

    /// Returns the book as it is now, if that is known.
    fn was_written(&mut self, outcome: Result<Written>) -> Option<Arc<Book>> {
        match outcome {
            Ok(Written::Done(book)) => {
                self.outcome = Some(Ok(updated(&book)));
                Some(book)
            }
            Ok(Written::Conflict { seen, again }) => {
                let newest = seen.book.clone();
                if again && let Some(newest) = &newest {
                    self.outcome = match change::was_made(newest, self.update) {
                        Some(true) => Some(Ok(updated(newest))),
                        Some(false) => None,
                        None => Some(Err(forgotten())),
                    };
                }
                self.known = Known::Etcd(seen);
                newest
            }
            Err(error) => {
                self.outcome = Some(Err(error));
                None
            }
        }
    }
}

/// What an update writes on top of this copy.
fn write(old: &Book, new: Book, update: &Update) -> Write {
    let entry = ledger_keys::entry(update, old, &new, unix_ms());
    Write {
        base: old.version.number,
        stale: invalidations(old, &new),
        keys: ledger_keys::uses(&update.orders, new.id, &ledger_keys::name(&entry.key())),
        entry: Some(entry),
        book: Arc::new(new),
    }
}

fn updated(book: &Arc<Book>) -> Updated {
    Updated {
        book: book.clone(),
        replayed: false,
    }
}

fn forgotten() -> Error {
    Error::TimedOut("The book has changed so often that it cannot tell of this change".into())
}

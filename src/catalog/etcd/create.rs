//! New books: written like any change, on condition that their keys are free.

use std::sync::Arc;

use crate::catalog::etcd::EtcdStore;
use crate::catalog::etcd::ledger_keys::KeyUses;
use crate::catalog::etcd::operations::{Write, Written};
use crate::catalog::replication::write::Update;
use crate::model::book::{Book, BookId, STAMP_MAX, Version};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::model::validation::NewBook;

/// How many ids are tried for a book when other catalogs give the same one at the same moment: with
/// each, one of them gets its own.
const ATTEMPTS_MAX: usize = 32;

/// What came of trying an id.
enum Tried {
    Ended(Result<Arc<Book>>),
    /// A book had the id that was removed.
    WasRemoved(BookId),
    /// The id is in use, but the book may have another.
    InUse,
}

impl EtcdStore {
    /// As [`Store::create`](crate::catalog::store::Store::create).
    pub(super) fn add(&self, books: &[NewBook]) -> Vec<Result<Arc<Book>>> {
        if let Err(error) = self.check_open() {
            return vec![Err(error); books.len()];
        }
        let mut outcomes: Vec<Result<Arc<Book>>> = vec![Err(Error::IdInUse); books.len()];
        let mut left: Vec<usize> = (0..books.len()).collect();
        for _ in 0..ATTEMPTS_MAX {
            let tried = self.add_once(books, &left);
            let mut again = Vec::new();
            for (index, tried) in left.into_iter().zip(tried) {
                match tried {
                    Tried::Ended(outcome) => outcomes[index] = outcome,
                    Tried::WasRemoved(id) => outcomes[index] = self.add_again(id, &books[index]),
                    Tried::InUse => again.push(index),
                }
            }
            left = again;
            if left.is_empty() || self.catch_up_titles().is_err() {
                break;
            }
        }
        outcomes
    }

    fn add_once(&self, books: &[NewBook], indexes: &[usize]) -> Vec<Tried> {
        let writes = indexes.iter().map(|index| {
            let id = books[*index].id.unwrap_or_else(|| self.memory.reserve_id());
            first_write(id, &books[*index])
        });
        let writes: Vec<Write> = writes.collect();
        let outcomes = self.writer.write(writes.clone());
        let tried = indexes.iter().zip(&writes).zip(outcomes);
        let tried = tried.map(|((index, write), outcome)| {
            let newest = match outcome {
                Ok(Written::Done(book)) => {
                    self.memory.put(&book);
                    return Tried::Ended(Ok(book));
                }
                Ok(Written::Conflict { seen, .. }) => seen.book,
                Err(error) => return Tried::Ended(Err(error)),
            };
            newest.iter().for_each(|book| self.memory.put(book));
            let created = newest
                .as_ref()
                .and_then(|book| book.applied_orders.created());
            let was_removed = newest.is_some_and(|book| book.removed);
            match books[*index].id {
                // It was created, and changed since.
                _ if created == Some(write.book.version.stamp) => {
                    Tried::Ended(Ok(write.book.clone()))
                }
                Some(id) if was_removed => Tried::WasRemoved(id),
                Some(_) => Tried::Ended(Err(Error::IdInUse)),
                None => Tried::InUse,
            }
        });
        tried.collect()
    }

    /// Writes a new book on top of what is left of one that was removed: it knows the orders of the
    /// former one.
    fn add_again(&self, id: BookId, new: &NewBook) -> Result<Arc<Book>> {
        let update = Update {
            change: new.change_of_removed(),
            ..Update::default()
        };
        let outcome = self.change(&[(id, update)]).pop();
        let outcome = outcome.expect("one outcome for one change");
        outcome.map(|updated| updated.book)
    }
}

/// The first change of a book, which remembers it.
fn first_write(id: BookId, new: &NewBook) -> Write {
    let stamp = fastrand::u64(1..=STAMP_MAX);
    let mut book = new.first_copy(id, Version { number: 0, stamp });
    book.applied_orders.set_created(stamp);
    Write {
        base: 0,
        book: Arc::new(book),
        stale: vec![Invalidation::Item(id), Invalidation::AllTopics],
        entry: None,
        keys: KeyUses::new(),
    }
}

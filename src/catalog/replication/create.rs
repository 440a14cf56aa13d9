//! New books: written like any change, many at once, on top of nothing, or of what is left of a
//! book that was removed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::Replica;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::read_repair::not_repaired;
use crate::catalog::replication::write::Update;
use crate::model::book::{Book, BookId, STAMP_MAX, Version};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::model::validation::NewBook;

/// How long new books wait for this catalog to serve.
const SERVING_MAX: Duration = Duration::from_secs(1);

/// How many ids are tried for a book when several catalogs give the same one at the same moment.
const ATTEMPTS_MAX: usize = 8;

impl<E: Environment> Replica<E> {
    /// Creates these books, each by itself. A book without an id gets the next free one. Once it
    /// returns, those that are `Ok` are on disk at every live catalog, and no front-end has any
    /// search in its cache.
    ///
    /// Fails with [`Error::IdInUse`], with [`Error::Busy`] while this catalog does not serve, and
    /// with [`Error::TimedOut`] or [`Error::DiskRefuses`] as an update does.
    pub(crate) fn create(self: &Arc<Self>, books: &[NewBook]) -> Vec<Result<Arc<Book>>> {
        let until = self.deadline(SERVING_MAX);
        if let Err(error) = self.await_serving(self.lock(), until).map(drop) {
            return vec![Err(error); books.len()];
        }
        let mut outcomes: Vec<Result<Arc<Book>>> = vec![Err(Error::IdInUse); books.len()];
        let mut left: Vec<usize> = (0..books.len()).collect();
        left.retain(|index| match self.was_removed(books[*index].id) {
            Some(id) => {
                outcomes[*index] = self.add_again(id, &books[*index]);
                false
            }
            None => true,
        });
        for _ in 0..ATTEMPTS_MAX {
            for (index, outcome) in self.create_once(books, &left) {
                outcomes[index] = outcome;
            }
            left.retain(|i| books[*i].id.is_none() && outcomes[*i] == Err(Error::IdInUse));
            if left.is_empty() {
                break;
            }
        }
        outcomes
    }

    /// The id, if a book had it that was removed.
    fn was_removed(&self, id: Option<BookId>) -> Option<BookId> {
        let inner = self.lock();
        id.filter(|id| inner.shelf.book(*id).is_some_and(|book| book.removed))
    }

    /// Writes a new book on top of what is left of one that was removed, like any change: it goes
    /// on with its versions, and knows the orders of the former one.
    fn add_again(self: &Arc<Self>, id: BookId, new: &NewBook) -> Result<Arc<Book>> {
        let update = Update {
            change: new.change_of_removed(),
            ..Update::default()
        };
        for _ in 0..ATTEMPTS_MAX {
            match self.update(id, &update) {
                Err(Error::OutOfDate) => {}
                outcome => return outcome.map(|updated| updated.book),
            }
        }
        Err(Error::Busy("Too many writes of this book at once".into()))
    }

    /// Creates those at these indexes. A book whose id is in use here has no outcome.
    fn create_once(
        self: &Arc<Self>,
        books: &[NewBook],
        indexes: &[usize],
    ) -> Vec<(usize, Result<Arc<Book>>)> {
        let (begun, epoch) = self.begin_create(books, indexes);
        let copies: Vec<Arc<Book>> = begun.iter().map(|(_, copy)| copy.clone()).collect();
        let created = self.finish_create(&copies, epoch);
        let outcome = |copy: Arc<Book>| match &created {
            Ok(ids) if ids.contains(&copy.id) => Ok(copy),
            Ok(_) => Err(Error::IdInUse),
            Err(error) => Err(error.clone()),
        };
        let outcomes = begun
            .into_iter()
            .map(|(index, copy)| (index, outcome(copy)));
        outcomes.collect()
    }

    /// Makes tentative copies of those whose id is free here.
    fn begin_create(&self, books: &[NewBook], indexes: &[usize]) -> (Vec<(usize, Arc<Book>)>, u32) {
        let mut inner = self.lock();
        let mut begun = Vec::with_capacity(indexes.len());
        for index in indexes {
            let id = books[*index].id.unwrap_or_else(|| inner.shelf.next_id());
            if inner.shelf.book(id).is_none() {
                let version = Version {
                    number: 1,
                    stamp: self.env.random() & STAMP_MAX,
                };
                let copy = Arc::new(books[*index].first_copy(id, version));
                inner.propose(copy.clone());
                begun.push((*index, copy));
            }
        }
        (begun, inner.shelf.epoch())
    }

    /// `PROTOCOL.md`, Write 4 to Write 7. Returns the ids of the books that now exist as given.
    fn finish_create(
        self: &Arc<Self>,
        copies: &[Arc<Book>],
        epoch: u32,
    ) -> Result<HashSet<BookId>> {
        if copies.is_empty() {
            return Ok(HashSet::new());
        }
        let superseded = self.commit(copies, epoch, &[Invalidation::AllTopics])?;
        let (lost, won): (Vec<_>, Vec<_>) = copies
            .iter()
            .partition(|copy| superseded.contains(&copy.id));
        let mut created: HashSet<BookId> = won.iter().map(|copy| copy.id).collect();
        for copy in lost {
            // "Write 5: superseded": it may have been committed all the same.
            let newest = self.newest(copy.id).map_err(|_| not_repaired())?;
            if newest.is_some_and(|newest| grew_from(&newest, copy)) {
                created.insert(copy.id);
            }
        }
        Ok(created)
    }
}

/// Whether `book` is this first version of an added book, or what became of it.
fn grew_from(book: &Book, first: &Book) -> bool {
    book.version == first.version || book.applied_orders.created() == Some(first.version.stamp)
}

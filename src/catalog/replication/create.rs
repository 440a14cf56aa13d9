//! New books: like any write, many at once, on top of nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId, STAMP_MAX, Version};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::model::validation::NewBook;

/// How long an addition waits for this catalog to have caught up.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(1);

/// How often another id is tried when two catalogs give one at the same moment.
const TRIES_MAX: usize = 8;

impl<E: Environment> Replica<E> {
    /// Adds these books, each by itself. A book without an id gets the next one. Once it returns,
    /// those that are `Ok` are on disk at every live catalog, and every search is void.
    ///
    /// Fails with [`Error::IdInUse`], [`Error::Busy`] before this catalog has caught up,
    /// [`Error::TimedOut`] or [`Error::DiskRefuses`] as an update does.
    pub fn create(self: &Arc<Self>, news: &[NewBook]) -> Vec<Result<Arc<Book>>> {
        if let Err(error) = self.caught_up(self.in_time(CAUGHT_UP_MAX)) {
            return news.iter().map(|_| Err(error.clone())).collect();
        }
        let mut outcomes: Vec<Result<Arc<Book>>> = vec![Err(Error::IdInUse); news.len()];
        let mut left: Vec<usize> = (0..news.len()).collect();
        for _ in 0..TRIES_MAX {
            for (i, outcome) in self.create_once(news, &left) {
                outcomes[i] = outcome;
            }
            let again = |i: &usize| news[*i].id.is_none() && outcomes[*i] == Err(Error::IdInUse);
            left.retain(again);
            if left.is_empty() {
                break;
            }
        }
        outcomes
    }

    fn create_once(
        self: &Arc<Self>,
        news: &[NewBook],
        which: &[usize],
    ) -> Vec<(usize, Result<Arc<Book>>)> {
        let (begun, epoch) = self.begin_create(news, which);
        let books: Vec<Arc<Book>> = begun.iter().map(|(_, book)| book.clone()).collect();
        let added = match books.is_empty() {
            true => Ok(HashSet::new()),
            false => self.finish_create(books, epoch),
        };
        let outcome = |book: &Arc<Book>| match &added {
            Ok(ids) if ids.contains(&book.id) => Ok(book.clone()),
            Ok(_) => Err(Error::IdInUse),
            Err(error) => Err(error.clone()),
        };
        begun.iter().map(|(i, book)| (*i, outcome(book))).collect()
    }

    /// Puts the new books here, tentatively; those whose id is free.
    fn begin_create(&self, news: &[NewBook], which: &[usize]) -> (Vec<(usize, Arc<Book>)>, u32) {
        let mut inner = self.lock();
        let mut begun = Vec::with_capacity(which.len());
        for i in which {
            let id = news[*i].id.unwrap_or_else(|| inner.shelf.next_id());
            if inner.shelf.book(id).is_none() {
                let book = Arc::new(self.first_copy(&inner, id, &news[*i]));
                inner.shelf.put(book.clone(), CopyState::Tentative);
                begun.push((*i, book));
            }
        }
        (begun, inner.shelf.epoch())
    }

    fn first_copy(&self, inner: &Inner, id: BookId, new: &NewBook) -> Book {
        let version = Version {
            number: 1,
            stamp: self.env.random() & STAMP_MAX,
        };
        let all_live = inner.contact.peers.iter().all(|peer| peer.live);
        Book {
            id,
            title: new.title.clone(),
            topic: new.topic.clone(),
            quantity: new.quantity,
            price: new.price,
            version,
            committed: false,
            diverged_at: (!all_live).then_some(version),
            applied_orders: Default::default(),
        }
    }

    /// Steps 4 to 7. Returns the ids of the books that are now in the shop as they were given.
    fn finish_create(
        self: &Arc<Self>,
        books: Vec<Arc<Book>>,
        epoch: u32,
    ) -> Result<HashSet<BookId>> {
        let outdone = self.bring_about(&books, epoch, &[Invalidation::AllTopics])?;
        let brought = books.iter().filter(|book| !outdone.contains(&book.id));
        let mut added: HashSet<BookId> = brought.map(|book| book.id).collect();
        for book in books.iter().filter(|book| outdone.contains(&book.id)) {
            // Step 5: it may have come true all the same.
            let settled = self.settled(book.id)?;
            if settled.is_some_and(|settled| settled.version == book.version) {
                added.insert(book.id);
            }
        }
        Ok(added)
    }
}

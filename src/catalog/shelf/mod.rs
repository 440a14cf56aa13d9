//! The shelf: every copy in memory, by id and by topic, and what is known of each.
//!
//! The *valid list* of REPLICATION.md is a mark on each copy together with the shelf's epoch:
//! emptying the list is one step, however many books there are.

pub mod copy_state;
mod divergence;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::catalog::shelf::topics::TopicIndex;
use crate::model::book::{Book, BookId, Version};

/// One copy, and what is known of it.
struct Copy {
    book: Arc<Book>,
    /// `state` counts only while this is the shelf's epoch; before, the copy is unknown.
    epoch: u32,
    state: CopyState,
    /// Whether just this version is in the file.
    on_disk: bool,
    /// How many peers had been lost when this version came here; [`divergence::UNCONFIRMED`] if it
    /// may have come from one of those.
    separation: u32,
}

/// All copies of one catalog.
#[derive(Default)]
pub struct Shelf {
    copies: BTreeMap<BookId, Copy>,
    topics: TopicIndex,
    epoch: u32,
    /// How often a peer was lost.
    separation: u32,
    valid: usize,
    tentative: usize,
    /// Copies that became tentative or unknown one by one: their writer may be gone.
    unsettled: BTreeSet<BookId>,
}

/// How many copies are in each state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateCounts {
    pub valid: usize,
    pub tentative: usize,
    pub unknown: usize,
}

impl Shelf {
    /// A shelf of books that are on disk and of which nothing else is known.
    pub fn new(books: Vec<Book>) -> Shelf {
        let mut shelf = Shelf::default();
        for book in books {
            shelf.topics.insert(book.id, &book.topic);
            let (id, book) = (book.id, Arc::new(book));
            let copy = Copy {
                book,
                epoch: 0,
                state: CopyState::Unknown,
                on_disk: true,
                separation: 0,
            };
            shelf.copies.insert(id, copy);
        }
        shelf
    }

    pub fn book(&self, id: BookId) -> Option<&Arc<Book>> {
        self.copies.get(&id).map(|copy| &copy.book)
    }

    pub fn version(&self, id: BookId) -> Option<Version> {
        self.book(id).map(|book| book.version)
    }

    /// A book that is not here is unknown.
    pub fn state(&self, id: BookId) -> CopyState {
        self.copies
            .get(&id)
            .map_or(CopyState::Unknown, |copy| self.state_of(copy))
    }

    fn state_of(&self, copy: &Copy) -> CopyState {
        if copy.epoch == self.epoch {
            copy.state
        } else {
            CopyState::Unknown
        }
    }

    /// Whether just this version is here, in this state.
    pub fn is(&self, id: BookId, version: Version, state: CopyState) -> bool {
        self.version(id) == Some(version) && self.state(id) == state
    }

    /// Whether just this version is here and in its file.
    pub fn on_disk(&self, id: BookId, version: Version) -> bool {
        self.copies
            .get(&id)
            .is_some_and(|copy| copy.on_disk && copy.book.version == version)
    }

    /// This version was in its file when that was last replaced.
    pub fn saved(&mut self, id: BookId, version: Version) {
        if let Some(copy) = self.copies.get_mut(&id) {
            copy.on_disk |= copy.book.version == version;
        }
    }

    /// Puts a copy in the place of the one that is there.
    pub fn put(&mut self, book: Arc<Book>, state: CopyState) {
        let id = book.id;
        self.discount(id);
        match self.copies.get_mut(&id) {
            Some(copy) if copy.book.version == book.version => copy.book = book,
            Some(copy) => {
                self.topics.rename(id, &copy.book.topic, &book.topic);
                (copy.book, copy.on_disk) = (book, false);
                copy.separation = self.separation;
            }
            None => {
                self.topics.insert(id, &book.topic);
                let (epoch, separation) = (self.epoch, self.separation);
                let copy = Copy {
                    book,
                    epoch,
                    state,
                    on_disk: false,
                    separation,
                };
                self.copies.insert(id, copy);
            }
        }
        self.mark(id, state);
    }

    /// Changes what is known of the copy that is there. A valid one has come true.
    pub fn set_state(&mut self, id: BookId, state: CopyState) {
        self.discount(id);
        self.mark(id, state);
    }

    fn mark(&mut self, id: BookId, state: CopyState) {
        let copy = self
            .copies
            .get_mut(&id)
            .expect("only copies that are here are marked");
        (copy.epoch, copy.state) = (self.epoch, state);
        if state == CopyState::Valid && !copy.book.committed {
            Arc::make_mut(&mut copy.book).committed = true;
        }
        match state {
            CopyState::Valid => self.unsettled.remove(&id),
            CopyState::Tentative | CopyState::Unknown => self.unsettled.insert(id),
        };
        if let Some(counter) = self.counter(state) {
            *counter += 1;
        }
    }

    fn counter(&mut self, state: CopyState) -> Option<&mut usize> {
        match state {
            CopyState::Valid => Some(&mut self.valid),
            CopyState::Tentative => Some(&mut self.tentative),
            CopyState::Unknown => None,
        }
    }

    /// The copy is about to leave its state.
    fn discount(&mut self, id: BookId) {
        let state = self.state(id);
        if let Some(counter) = self.counter(state) {
            *counter -= 1;
        }
    }

    /// Notes that some catalog held this version valid.
    pub fn committed(&mut self, id: BookId, version: Version) {
        let copy = self
            .copies
            .get_mut(&id)
            .filter(|copy| copy.book.version == version);
        if let Some(copy) = copy.filter(|copy| !copy.book.committed) {
            Arc::make_mut(&mut copy.book).committed = true;
        }
    }

    /// Empties the valid list; tentative copies become unknown too.
    pub fn clear(&mut self) {
        self.epoch += 1;
        (self.valid, self.tentative) = (0, 0);
        self.unsettled.clear();
    }

    /// How often the valid list was emptied: grows with each [`Shelf::clear`].
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    pub fn state_counts(&self) -> StateCounts {
        let unknown = self.copies.len() - self.valid - self.tentative;
        StateCounts {
            valid: self.valid,
            tentative: self.tentative,
            unknown,
        }
    }

    /// The copies that became tentative or unknown one by one, and still are.
    pub fn unsettled(&self) -> Vec<(BookId, Version)> {
        self.unsettled
            .iter()
            .map(|id| (*id, self.copies[id].book.version))
            .collect()
    }

    pub fn any_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Books whose version here is not in its file, at most `limit`; when all are, the first book.
    pub fn unsaved(&self, limit: usize) -> Vec<BookId> {
        let unsaved = self.copies.values().filter(|copy| !copy.on_disk);
        let ids: Vec<BookId> = unsaved.take(limit).map(|copy| copy.book.id).collect();
        if ids.is_empty() {
            self.copies.keys().take(1).copied().collect()
        } else {
            ids
        }
    }

    /// The books from `first` to `last`, both included, as for a file.
    pub fn range(&self, first: BookId, last: BookId) -> Vec<Arc<Book>> {
        self.copies
            .range(first..=last)
            .map(|(_, copy)| copy.book.clone())
            .collect()
    }

    /// The books after `after`, at most `limit`.
    pub fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        self.after(after)
            .take(limit)
            .map(|copy| copy.book.clone())
            .collect()
    }

    /// The versions after `after`, at most `limit`.
    pub fn page(&self, after: Option<BookId>, limit: usize) -> Vec<PageEntry> {
        let entry = |copy: &Copy| PageEntry(copy.book.id, copy.book.version, self.state_of(copy));
        self.after(after).take(limit).map(entry).collect()
    }

    fn after(&self, after: Option<BookId>) -> impl Iterator<Item = &Copy> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.copies
            .range((from, Bound::Unbounded))
            .map(|(_, copy)| copy)
    }

    /// The books whose topic contains the text, ignoring case, by id; after `after`, at most
    /// `limit`.
    pub fn search(&self, text: &str, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        let ids = self.topics.search(text, after, limit);
        ids.into_iter()
            .map(|id| self.copies[&id].book.clone())
            .collect()
    }

    /// The lowest id that no book has had, above all that are here.
    pub fn next_id(&self) -> BookId {
        BookId(self.copies.last_key_value().map_or(1, |(id, _)| id.0 + 1))
    }

    pub fn len(&self) -> usize {
        self.copies.len()
    }
}

//! The shelf, the catalog's table in memory: every copy by id and by topic, and its state.
//!
//! The *valid list* of the protocol is a mark on each copy, together with the shelf's epoch: one
//! step empties the list, however many books there are. A shelf has no lock and no thread; the
//! replica's lock guards it.
//!
//! In which order to read: this file, `copy_state`, `topics` (the index for searches), `returning`
//! (what a catalog that was left out must take over, and what is owed to one).

pub(crate) mod copy_state;
pub(crate) mod returning;
#[cfg(test)]
mod tests;
pub(crate) mod titles;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::catalog::ledger::Ledger;
use crate::catalog::shelf::copy_state::{CopyState, PageEntry, StateCounts};
use crate::catalog::shelf::topics::TopicIndex;
use crate::model::book::{BOOK_ID_MAX, Book, BookId, Version};

/// One copy, and what this catalog knows of it.
struct Copy {
    book: Arc<Book>,
    /// In a later epoch of the shelf than this one the copy is unknown, whatever `state` says.
    epoch: u32,
    state: CopyState,
    /// Whether exactly this version is in the file.
    on_disk: bool,
    /// In which period of [`returning`] this version was taken from a catalog that serves.
    taken: u32,
    /// How many copies of the book have taken the place of another one here. The same version may do
    /// so twice.
    placed: u32,
    /// This version was valid here: a front-end may have it in its cache.
    was_valid: bool,
}

impl Copy {
    fn state_in(&self, epoch: u32) -> CopyState {
        if self.epoch == epoch {
            self.state
        } else {
            CopyState::Unknown
        }
    }
}

/// All copies of one catalog.
#[derive(Default)]
pub(crate) struct Shelf {
    copies: BTreeMap<BookId, Copy>,
    topics: TopicIndex,
    epoch: u32,
    counts: StateCounts,
    /// How many copies are not in their files.
    unsaved: usize,
    /// Copies that became tentative or unknown one by one: their writer may have failed.
    needing_repair: BTreeSet<BookId>,
    /// Books that were replaced here after they had been valid, and are not valid again yet: a
    /// front-end may have an older version in its cache.
    may_be_cached: BTreeSet<BookId>,
    returning: returning::Returning,
    /// What is known to have come true: the entries of each version that was valid here, and what
    /// peers had.
    pub(crate) ledger: Ledger,
}

impl Shelf {
    /// A shelf of books that are on disk and whose state is unknown.
    pub(crate) fn new(books: Vec<Book>) -> Shelf {
        let mut shelf = Shelf::default();
        for book in books {
            shelf.insert(Arc::new(book), true);
        }
        shelf
    }

    pub(crate) fn book(&self, id: BookId) -> Option<&Arc<Book>> {
        self.copies.get(&id).map(|copy| &copy.book)
    }

    pub(crate) fn version(&self, id: BookId) -> Option<Version> {
        self.book(id).map(|book| book.version)
    }

    /// The state of a copy. A book that is not here is unknown.
    pub(crate) fn state(&self, id: BookId) -> CopyState {
        let copy = self.copies.get(&id);
        copy.map_or(CopyState::Unknown, |copy| copy.state_in(self.epoch))
    }

    /// Whether exactly this version is here, in this state.
    pub(crate) fn has(&self, id: BookId, version: Version, state: CopyState) -> bool {
        let copy = self.copies.get(&id);
        copy.is_some_and(|copy| copy.book.version == version && copy.state_in(self.epoch) == state)
    }

    /// Whether exactly this version is here and in its file.
    pub(crate) fn on_disk(&self, id: BookId, version: Version) -> bool {
        self.copies
            .get(&id)
            .is_some_and(|copy| copy.on_disk && copy.book.version == version)
    }

    /// Whether each copy is in its file, so that none of many need be looked up.
    pub(crate) fn is_all_on_disk(&self) -> bool {
        self.unsaved == 0
    }

    /// Tells the copy that is here from every one that comes later, even of the same version.
    pub(crate) fn placed(&self, id: BookId) -> Option<u32> {
        self.copies.get(&id).map(|copy| copy.placed)
    }

    /// Records that the copy of which this is [`Self::placed`] was in its file when that was last
    /// replaced.
    pub(crate) fn mark_saved(&mut self, id: BookId, placed: u32) {
        let copy = self.copies.get_mut(&id);
        let unsaved = |copy: &&mut Copy| !copy.on_disk && copy.placed == placed;
        if let Some(copy) = copy.filter(unsaved) {
            copy.on_disk = true;
            self.unsaved -= 1;
        }
    }

    /// Adds a copy, or replaces the one that is there, of another version.
    pub(crate) fn put(&mut self, book: Arc<Book>, state: CopyState) {
        let id = book.id;
        if let Some(copy) = self.copies.get_mut(&id) {
            self.topics.replace(&copy.book, &book);
            self.ledger.add_forgotten(&copy.book, &book);
            if std::mem::take(&mut copy.was_valid) {
                self.may_be_cached.insert(id);
            }
            self.unsaved += usize::from(copy.on_disk);
            (copy.book, copy.on_disk, copy.taken) = (book, false, 0);
            copy.placed = copy.placed.wrapping_add(1);
        } else {
            self.insert(book, false);
        }
        self.returning.note_change(id);
        self.set_state(id, state);
    }

    fn insert(&mut self, book: Arc<Book>, on_disk: bool) {
        self.topics.insert(&book);
        self.counts.unknown += 1;
        self.unsaved += usize::from(!on_disk);
        let copy = Copy {
            epoch: self.epoch,
            state: CopyState::Unknown,
            on_disk,
            taken: 0,
            placed: 0,
            was_valid: false,
            book,
        };
        self.copies.insert(copy.book.id, copy);
    }

    /// Changes the state of a copy that is here. Before a copy becomes valid, all front-ends have
    /// invalidated what came from older ones.
    pub(crate) fn set_state(&mut self, id: BookId, state: CopyState) {
        let copy = self.copies.get_mut(&id);
        let copy = copy.expect("only a copy that is here has a state");
        *self.counts.of(copy.state_in(self.epoch)) -= 1;
        *self.counts.of(state) += 1;
        (copy.epoch, copy.state) = (self.epoch, state);
        if state == CopyState::Valid {
            copy.was_valid = true;
            self.may_be_cached.remove(&id);
            self.needing_repair.remove(&id);
            self.ledger.add_all(&copy.book);
        } else {
            self.needing_repair.insert(id);
        }
    }

    /// Whether a front-end may still offer what this catalog answered from an older copy.
    pub(crate) fn may_be_cached(&self, id: BookId) -> bool {
        self.may_be_cached.contains(&id)
    }

    /// The books of which a front-end may still offer an older copy.
    pub(crate) fn all_that_may_be_cached(&self) -> BTreeSet<BookId> {
        self.may_be_cached.clone()
    }

    /// All front-ends have invalidated these since they were replaced here.
    pub(crate) fn note_invalidated(&mut self, ids: &BTreeSet<BookId>) {
        self.may_be_cached.retain(|id| !ids.contains(id));
    }

    /// Empties the valid list; tentative copies become unknown too.
    pub(crate) fn clear(&mut self) {
        self.epoch += 1;
        self.counts = StateCounts {
            unknown: self.copies.len(),
            ..StateCounts::default()
        };
        self.needing_repair.clear();
    }

    /// How often the valid list was emptied: grows with each [`Shelf::clear`].
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn state_counts(&self) -> StateCounts {
        self.counts
    }

    /// The copies that became tentative or unknown one by one, and still are.
    pub(crate) fn needing_repair(&self) -> Vec<(BookId, Version)> {
        self.needing_repair
            .iter()
            .map(|id| (*id, self.copies[id].book.version))
            .collect()
    }

    /// The copies that are just being written, and others that need repair, by id.
    pub(crate) fn tentative(&self) -> impl Iterator<Item = &Arc<Book>> {
        self.needing_repair.iter().map(|id| &self.copies[id].book)
    }

    pub(crate) fn any_needs_repair(&self) -> bool {
        !self.needing_repair.is_empty()
    }

    /// Books whose version is not in its file, at most `limit`. If all are, the first book: saving
    /// it tells whether the disk works.
    pub(crate) fn unsaved(&self, limit: usize) -> Vec<BookId> {
        let unsaved = self.copies.values().filter(|copy| !copy.on_disk);
        let ids: Vec<BookId> = unsaved.take(limit).map(|copy| copy.book.id).collect();
        if ids.is_empty() {
            self.copies.keys().take(1).copied().collect()
        } else {
            ids
        }
    }

    /// The books from `first` to `last`, both included.
    pub(crate) fn range(&self, first: BookId, last: BookId) -> Vec<Arc<Book>> {
        self.copies
            .range(first..=last)
            .map(|(_, copy)| copy.book.clone())
            .collect()
    }

    /// The books after `after` that were not removed, at most `limit`.
    pub(crate) fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        self.after(after)
            .filter(|copy| !copy.book.removed)
            .take(limit)
            .map(|copy| copy.book.clone())
            .collect()
    }

    /// The versions after `after`, by id.
    pub(crate) fn versions_after(&self, after: Option<BookId>) -> impl Iterator<Item = PageEntry> {
        self.after(after)
            .map(|copy| PageEntry(copy.book.id, copy.book.version, copy.state_in(self.epoch)))
    }

    fn after(&self, after: Option<BookId>) -> impl Iterator<Item = &Copy> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.copies
            .range((from, Bound::Unbounded))
            .map(|(_, copy)| copy)
    }

    /// The books whose topic contains the text, ignoring case, by id: those after `after`, at most
    /// `limit`. And whether all of them are valid.
    pub(crate) fn search(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool) {
        let mut are_valid = true;
        let ids = self.topics.search(text, after, limit).into_iter();
        // Each copy is looked up once: of many books that is what a search costs.
        let books = ids.map(|id| {
            let copy = &self.copies[&id];
            are_valid &= copy.state_in(self.epoch) == CopyState::Valid;
            copy.book.clone()
        });
        (books.collect(), are_valid)
    }

    /// The books of exactly this topic, by id: those after `after`, at most `limit`.
    pub(crate) fn of_topic(
        &self,
        topic: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> Vec<Arc<Book>> {
        let ids = self.topics.of(topic, after, limit).into_iter();
        ids.map(|id| self.copies[&id].book.clone()).collect()
    }

    /// The lowest id above those of all books that are here; if there is none, the highest free
    /// one.
    pub(crate) fn next_id(&self) -> BookId {
        let above = self.copies.last_key_value().map_or(1, |(id, _)| id.0 + 1);
        let mut ids = (1..=above.min(BOOK_ID_MAX)).rev().map(BookId);
        ids.find(|id| !self.copies.contains_key(id))
            .expect("there are fewer books than ids")
    }

    pub(crate) fn len(&self) -> usize {
        self.copies.len()
    }
}

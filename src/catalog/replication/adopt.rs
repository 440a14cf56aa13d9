//! Adopting: a better copy from another catalog takes the place of the copy here.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use crate::catalog::replication::Replica;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::Copies;
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};
use crate::runtime::log::{self, RateLimited};

impl<E: Environment> Replica<E> {
    /// Adopts a copy that another catalog sent, if it is better. It is valid here if it was valid
    /// there and the valid list has not been emptied since `epoch`. Returns once it is on disk.
    pub(super) fn adopt(
        self: &Arc<Self>,
        book: Arc<Book>,
        state: CopyState,
        epoch: u32,
    ) -> Result<()> {
        let (id, version) = (book.id, book.version);
        let mut inner = self.lock();
        if inner.shelf.version(id) == Some(version) {
            log_other_content(inner.shelf.book(id), &book);
            if state == CopyState::Tentative && inner.shelf.state(id) == CopyState::Unknown {
                inner.shelf.set_state(id, CopyState::Tentative);
            }
        } else if inner.shelf.version(id) < Some(version) {
            inner.shelf.put(book, unless_valid(state));
        }
        let on_disk = inner.shelf.on_disk(id, version);
        drop(inner);
        if !on_disk {
            self.save(&[id])?;
        }
        let mut inner = self.lock();
        let same = inner.shelf.version(id) == Some(version) && inner.shelf.epoch() == epoch;
        let is_fresh = !inner.shelf.may_be_cached(id);
        if same && state == CopyState::Valid && is_fresh && !inner.left_out.must_yield() {
            inner.shelf.set_state(id, CopyState::Valid);
        }
        drop(inner);
        self.env.wake(WaitKey::Book(id));
        Ok(())
    }

    /// As [`Replica::adopt`], for many books with one save.
    pub(super) fn adopt_many(self: &Arc<Self>, books: Copies, epoch: u32) -> Result<()> {
        let mut inner = self.lock();
        let mut unsaved = Vec::new();
        for (book, state) in &books {
            if book.defect().is_some() {
                return Err(Error::Invalid(format!("book {} is malformed", book.id)));
            }
            log_other_content(inner.shelf.book(book.id), book);
            if inner.shelf.version(book.id) < Some(book.version) {
                inner.shelf.put(book.clone(), unless_valid(*state));
            }
            if !inner.shelf.on_disk(book.id, book.version) {
                unsaved.push(book.id);
            }
        }
        drop(inner);
        if !unsaved.is_empty() {
            self.save(&unsaved)?;
        }
        let valid = books
            .iter()
            .filter(|(_, state)| *state == CopyState::Valid)
            .map(|(book, _)| (book.id, book.version));
        self.make_valid(valid, epoch);
        self.wake_for(books.iter().map(|(book, _)| book.id));
        Ok(())
    }

    /// Adopts the best of the conflicting copies of each book. Returns the ids of those books.
    pub(super) fn adopt_best_of_each(
        self: &Arc<Self>,
        conflicts: Copies,
        epoch: u32,
    ) -> Result<HashSet<BookId>> {
        let mut by_book: BTreeMap<BookId, Vec<_>> = BTreeMap::new();
        for (book, state) in conflicts {
            by_book.entry(book.id).or_default().push((book, state));
        }
        let ids = by_book.keys().copied().collect();
        for conflicts in by_book.into_values() {
            self.adopt_best(conflicts, epoch)?;
        }
        Ok(ids)
    }

    /// Adopts the best of several copies of one book.
    pub(super) fn adopt_best(self: &Arc<Self>, copies: Copies, epoch: u32) -> Result<()> {
        let best = copies.into_iter().max_by_key(|(book, _)| book.version);
        let (book, state) = best.expect("there is at least one copy");
        let state = match state {
            CopyState::Unknown => CopyState::Tentative,
            state => state,
        };
        self.adopt(book, state, epoch)
    }
}

/// A copy that is valid elsewhere is unknown here until it is on disk.
fn unless_valid(state: CopyState) -> CopyState {
    if state == CopyState::Valid {
        CopyState::Unknown
    } else {
        state
    }
}

/// A version has one content. If a peer shows another, one of the two catalogs is broken, and the
/// copy here stays.
fn log_other_content(ours: Option<&Arc<Book>>, theirs: &Book) {
    static OFTEN: RateLimited = RateLimited::new();
    let other = ours.filter(|ours| ours.version == theirs.version && !ours.same_content(theirs));
    if let Some(ours) = other.filter(|_| OFTEN.due()) {
        let fields: [(&str, &dyn Display); 2] = [("book", &ours.id), ("version", &ours.version)];
        let event = "a peer has another content at the same version; ours stays";
        log::warn(event, &fields);
    }
}

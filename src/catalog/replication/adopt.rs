//! Adopting: a better copy from another catalog takes the place of the copy here.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::catalog::replication::Replica;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::left_out::Asked;
use crate::catalog::replication::messages::Versions;
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId};
use crate::model::error::Result;
use crate::runtime::log::{self, RateLimited};

/// A copy that a peer has sent in an answer, with its state there.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) from: Asked,
    pub(super) book: Arc<Book>,
    pub(super) state: CopyState,
}

impl<E: Environment> Replica<E> {
    /// Adopts those of these copies that are better, and still count. They are valid here if they
    /// were valid there and the valid list has not been emptied since `epoch`. Returns once they are
    /// on disk.
    pub(super) fn adopt(self: &Arc<Self>, mut copies: Vec<Offered>, epoch: u32) -> Result<()> {
        let mut inner = self.lock();
        copies.retain(|copy| inner.left_out.counts(&copy.from));
        for Offered { book, state, .. } in &copies {
            let id = book.id;
            log_other_content(inner.shelf.book(id), book);
            if inner.shelf.version(id) < Some(book.version) {
                self.note_dropped(&mut inner, None, book);
                // What is valid elsewhere is unknown here until it is on disk.
                inner.shelf.put(book.clone(), CopyState::Unknown);
            }
            let unknown = inner.shelf.has(id, book.version, CopyState::Unknown);
            if unknown && *state == CopyState::Tentative {
                inner.shelf.set_state(id, CopyState::Tentative);
            }
        }
        drop(inner);
        let versions: Versions = copies
            .iter()
            .map(|Offered { book, .. }| (book.id, book.version))
            .collect();
        self.save_missing(&versions)?;
        let mut inner = self.lock();
        let trusted = inner.shelf.epoch() == epoch && !inner.left_out.must_yield();
        for Offered { book, state, .. } in copies.iter().filter(|_| trusted) {
            let same = inner.shelf.version(book.id) == Some(book.version);
            if same && *state == CopyState::Valid && !inner.shelf.may_be_cached(book.id) {
                inner.shelf.set_state(book.id, CopyState::Valid);
            }
        }
        drop(inner);
        self.wake_for(versions.iter().map(|(id, _)| *id));
        Ok(())
    }

    /// Adopts the best of the conflicting copies of each book. Returns the ids of those books.
    pub(super) fn adopt_best(
        self: &Arc<Self>,
        mut copies: Vec<Offered>,
        epoch: u32,
    ) -> Result<Vec<BookId>> {
        if copies.is_empty() {
            return Ok(Vec::new());
        }
        copies.sort_by_key(|copy| (copy.book.id, Reverse(copy.book.version)));
        copies.dedup_by_key(|copy| copy.book.id);
        for copy in &mut copies {
            if copy.state == CopyState::Unknown {
                copy.state = CopyState::Tentative;
            }
        }
        let ids = copies.iter().map(|copy| copy.book.id).collect();
        self.adopt(copies, epoch)?;
        Ok(ids)
    }
}

/// A version has one content. If a peer shows another, one of the two catalogs is broken, and the
/// copy here stays.
fn log_other_content(ours: Option<&Arc<Book>>, theirs: &Book) {
    static OFTEN: RateLimited = RateLimited::new();
    let other = ours.filter(|ours| ours.version == theirs.version && !ours.same_content(theirs));
    if let Some(ours) = other {
        let fields: [log::Field; 2] = [("book", &ours.id), ("version", &ours.version)];
        let event = "a peer has another content at the same version; ours stays";
        OFTEN.warn(event, &fields);
    }
}

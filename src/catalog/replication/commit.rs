//! Committing: `PROTOCOL.md`, Write 4, Write 6 and Write 7, for copies that are tentative here.
//! Every new copy goes through this, of one book or of many.

use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::messages::{Confirm, Message, Versions};
use crate::catalog::replication::replicate::Payload;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::Result;
use crate::model::invalidation::Invalidation;

impl<E: Environment> Replica<E> {
    /// Commits copies that have been here, tentatively, since `epoch`. Returns the ids of those
    /// that were superseded: another copy took their place. All others are committed.
    ///
    /// Fails as [`Replica::replicate`] and [`Replica::invalidate`] do. The copies stay tentative
    /// then, and read repair decides about them.
    pub(super) fn commit(
        self: &Arc<Self>,
        books: &[Arc<Book>],
        epoch: u32,
        invalidations: &[Invalidation],
    ) -> Result<HashSet<BookId>> {
        self.wake_for(books.iter().map(|book| book.id));
        let replicated = self.replicate(&Payload::Books(books.to_vec()))?;
        let superseded = self.adopt_best(replicated.conflicts, epoch)?;
        let mut superseded: HashSet<BookId> = superseded.into_iter().collect();
        superseded.extend(replaced(&self.lock(), books));
        if books.iter().all(|book| superseded.contains(&book.id)) {
            return Ok(superseded);
        }
        // Front-ends first: when anybody can read the new copy, no cache may offer the old one.
        self.invalidate(invalidations)?;
        let mut inner = self.lock();
        superseded.extend(replaced(&inner, books));
        let committed: Versions = books
            .iter()
            .filter(|book| !superseded.contains(&book.id))
            .map(|book| (book.id, book.version))
            .collect();
        for book in books.iter().filter(|book| !superseded.contains(&book.id)) {
            let tentative = inner.shelf.state(book.id) == CopyState::Tentative;
            if tentative && inner.shelf.epoch() == epoch {
                inner.shelf.set_state(book.id, CopyState::Valid);
            } else {
                inner.shelf.ledger.add_all(book);
            }
        }
        drop(inner);
        self.wake_for(books.iter().map(|book| book.id));
        self.confirm(committed);
        self.save_ledger_alone()?;
        Ok(superseded)
    }

    /// `PROTOCOL.md`, "Write 7: confirm": tells the live peers. Nobody waits for their answers.
    pub(super) fn confirm(self: &Arc<Self>, versions: Versions) {
        let live: Vec<usize> = self.lock().membership.live_peers().collect();
        for peer in live {
            let versions = versions.clone();
            let message = Message::Confirm(Confirm { versions });
            self.env.send(peer, message, Box::new(|_| ()));
        }
    }

    /// Makes copies valid that all live catalogs have, if they are still unknown here, in this
    /// version, and the valid list was not emptied since `epoch`. Returns those that it made valid.
    pub(super) fn make_valid(
        &self,
        versions: impl IntoIterator<Item = (BookId, Version)>,
        epoch: u32,
    ) -> Versions {
        let mut inner = self.lock();
        let mut made = Vec::new();
        for (id, version) in versions {
            let is_fresh = !inner.shelf.may_be_cached(id);
            let unknown = inner.shelf.has(id, version, CopyState::Unknown);
            if inner.shelf.epoch() != epoch || !unknown {
                continue;
            }
            if is_fresh {
                inner.shelf.set_state(id, CopyState::Valid);
                made.push((id, version));
            } else {
                // A claim will invalidate it.
                inner.shelf.set_state(id, CopyState::Unknown);
            }
        }
        made
    }
}

/// Those whose version is no longer the one that is here.
fn replaced<'a>(inner: &'a Inner, books: &'a [Arc<Book>]) -> impl Iterator<Item = BookId> + 'a {
    let replaced = |book: &&Arc<Book>| inner.shelf.version(book.id) != Some(book.version);
    books.iter().filter(replaced).map(|book| book.id)
}

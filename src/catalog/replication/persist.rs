//! Putting copies on disk, and knowing whether the disk accepts them: `PROTOCOL.md`, "When a
//! catalog's disk is full".

use std::sync::Arc;

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::storage::Reader;
use crate::model::book::{BookId, Version};
use crate::model::error::{Error, Result};
use crate::runtime::log;

/// How many books a trial write saves at most.
const TRIAL_BOOKS_MAX: usize = 500;

impl<E: Environment> Replica<E> {
    /// Puts the files of these books on disk, and notes which versions are there now, or that the
    /// disk refuses.
    pub(super) fn save(self: &Arc<Self>, ids: &[BookId]) -> Result<()> {
        let replica = self.clone();
        let read: Reader = Arc::new(move |first, last| {
            let books = replica.lock().shelf.range(first, last);
            // What these have forgotten gets there before them.
            replica.save_due_entries()?;
            Ok(books)
        });
        let saved: Vec<_> = {
            let inner = self.lock();
            let placed = |id: &BookId| Some((*id, inner.shelf.placed(*id)?));
            ids.iter().filter_map(placed).collect()
        };
        let outcome = self.env.save(ids, &read);
        let mut inner = self.lock();
        inner.note_disk(|inner| &mut inner.refuses_books, outcome.as_ref().copied());
        outcome.map_err(|why| Error::disk_refuses(&why))?;
        for (id, placed) in saved {
            inner.shelf.mark_saved(id, placed);
        }
        Ok(())
    }

    /// Saves those of these versions that are not on disk yet, such as a copy that arrived while
    /// the disk was slow.
    pub(super) fn save_missing(self: &Arc<Self>, versions: &[(BookId, Version)]) -> Result<()> {
        let missing: Vec<BookId> = {
            let inner = self.lock();
            if inner.shelf.is_all_on_disk() {
                return Ok(());
            }
            let missing = |(id, version): &&(BookId, Version)| !inner.shelf.on_disk(*id, *version);
            versions.iter().filter(missing).map(|(id, _)| *id).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        self.save(&missing)
    }

    /// A trial write of the list, if that is not on disk, and of books that are not, or of any one
    /// book. Once it succeeds, heartbeats say no longer that the disk refuses.
    pub(super) fn try_disk(self: &Arc<Self>) -> Result<()> {
        self.save_list()?;
        let ids = self.lock().shelf.unsaved(TRIAL_BOOKS_MAX);
        self.save(&ids)
    }
}

impl Inner {
    /// Notes whether the disk has taken books, or the list: which of the two it `refuses`.
    pub(super) fn note_disk(
        &mut self,
        refuses: fn(&mut Inner) -> &mut bool,
        outcome: std::result::Result<(), &String>,
    ) {
        let was_refusing = self.disk_refuses();
        *refuses(self) = outcome.is_err();
        match outcome {
            Err(why) if !was_refusing => log::warn("disk refuses", &[("why", why)]),
            Ok(()) if was_refusing && !self.disk_refuses() => log::warn("disk is back", &[]),
            _ => (),
        }
    }
}

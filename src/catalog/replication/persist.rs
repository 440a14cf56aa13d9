//! Copies: putting them on disk, and taking over better ones.

use std::fmt::Display;
use std::sync::Arc;

use super::Replica;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::rules::Rule;
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::storage::Reader;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};
use crate::runtime::log::{self, RateLimited};

impl<E: Environment> Replica<E> {
    /// Puts the files of these books on disk. Notes what is on disk then, or that the disk refuses.
    pub(super) fn save(self: &Arc<Self>, ids: &[BookId]) -> Result<()> {
        let replica = self.clone();
        let read: Reader = Arc::new(move |first, last| replica.lock().shelf.range(first, last));
        let wanted: Vec<_> = {
            let inner = self.lock();
            ids.iter()
                .filter_map(|id| Some((*id, inner.shelf.version(*id)?)))
                .collect()
        };
        let outcome = self.env.save(ids, &read);
        let mut inner = self.lock();
        let refused = outcome.is_err();
        if std::mem::replace(&mut inner.disk_refuses, refused) != refused {
            log::warn(
                if refused {
                    "disk refuses"
                } else {
                    "disk is back"
                },
                &[],
            );
        }
        outcome.map_err(Error::DiskRefuses)?;
        for (id, version) in wanted {
            inner.shelf.mark_saved(id, version);
        }
        Ok(())
    }

    /// Puts on disk what of this is not there yet, such as a copy that was taken while the disk was
    /// slow.
    pub(super) fn save_missing(self: &Arc<Self>, versions: &[(BookId, Version)]) -> Result<()> {
        let missing: Vec<BookId> = {
            let inner = self.lock();
            let missing = |(id, version): &&(BookId, Version)| !inner.shelf.on_disk(*id, *version);
            versions.iter().filter(missing).map(|(id, _)| *id).collect()
        };
        if missing.is_empty() {
            Ok(())
        } else {
            self.save(&missing)
        }
    }

    /// Takes over a copy that another catalog sent, if it is better. It is valid here when it was
    /// `state` valid there and contact was not lost since `epoch`. Returns once it is on disk.
    pub(super) fn adopt(
        self: &Arc<Self>,
        book: Arc<Book>,
        state: CopyState,
        epoch: u32,
    ) -> Result<()> {
        let (id, version) = (book.id, book.version);
        let mut inner = self.lock();
        if inner.shelf.version(id) == Some(version) {
            note_other_content(inner.shelf.book(id), &book);
            if book.committed && self.holds(Rule::Committed) {
                inner.shelf.mark_committed(id, version);
            }
            if state == CopyState::Tentative && inner.shelf.state(id) == CopyState::Unknown {
                inner.shelf.set_state(id, CopyState::Tentative);
            }
        } else if self.rank_here(&inner, id) < Some(self.rank(&book)) {
            note_dropped(inner.shelf.book(id), &book);
            let state = if state == CopyState::Valid {
                CopyState::Unknown
            } else {
                state
            };
            inner.shelf.put(book, state);
        }
        let on_disk = inner.shelf.on_disk(id, version);
        drop(inner);
        if !on_disk {
            self.save(&[id])?;
        }
        let mut inner = self.lock();
        let same = inner.shelf.version(id) == Some(version) && inner.shelf.epoch() == epoch;
        if same && state == CopyState::Valid {
            inner.shelf.mark_confirmed(id);
            inner.shelf.set_state(id, CopyState::Valid);
        }
        drop(inner);
        self.env.wake(WaitKey::Book(id));
        Ok(())
    }
}

/// A version has one content. Whoever shows another lies or is broken: ours stays.
pub(super) fn note_other_content(ours: Option<&Arc<Book>>, theirs: &Book) {
    static OFTEN: RateLimited = RateLimited::new();
    let other = ours.filter(|ours| ours.version == theirs.version && !ours.same_content(theirs));
    if let Some(ours) = other.filter(|_| OFTEN.due()) {
        let fields: [(&str, &dyn Display); 2] = [("book", &ours.id), ("version", &ours.version)];
        log::warn(
            "a peer has another content at the same version; ours stays",
            &fields,
        );
    }
}

/// A copy that came true on one side of a cut gives way to the other side's: nothing vanishes
/// silently.
pub(super) fn note_dropped(ours: Option<&Arc<Book>>, theirs: &Book) {
    let Some(ours) = ours.filter(|ours| ours.committed && ours.diverged_at.is_some()) else {
        return;
    };
    // A side that began to be apart later than our copy grew from it, or from what all had after a
    // cut had healed.
    let began = theirs
        .diverged_at
        .filter(|diverged_at| diverged_at.number <= ours.version.number);
    if began.is_some() && began != ours.diverged_at {
        let fields: [(&str, &dyn Display); 5] = [
            ("book", &ours.id),
            ("dropped", &ours.version),
            ("dropped_quantity", &ours.quantity),
            ("kept", &theirs.version),
            ("kept_quantity", &theirs.quantity),
        ];
        log::warn(
            "a copy from the other side of a cut takes the place of ours",
            &fields,
        );
    }
}

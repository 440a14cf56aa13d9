//! Writes of several books at once, each by itself, with one round of messages and one save.
//!
//! Nothing here waits for one book only. A write that would have to (for another writer, for read
//! repair, for a better copy elsewhere) is handed back with an error, and the caller sends it again
//! through [`Replica::update`]. So a slow book delays no sale of another. But a change that serves no
//! order has an id of this catalog's own, which is over when its batch is: whether it was committed,
//! though another copy took its place, is found out here.

use std::sync::Arc;

use crate::catalog::replication::Replica;
use crate::catalog::replication::book_locks::BookLock;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::invalidate::invalidations;
use crate::catalog::replication::write::{PendingWrite, Prepared, Update, Updated};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};

impl<E: Environment> Replica<E> {
    /// Changes these books, as [`Replica::update`] does one.
    ///
    /// Each fails by itself, as an update does; and with [`Error::Busy`] when it must be sent
    /// alone. A sale that met a better copy is [`Error::TimedOut`]: it may be committed all the
    /// same, which an update would find out.
    pub(crate) fn batch_write(
        self: &Arc<Self>,
        updates: &[(BookId, Update)],
    ) -> Vec<Result<Updated>> {
        let mut outcomes = vec![Err(send_alone()); updates.len()];
        let mut started = Vec::new();
        // Their ids stay open until the changes have ended.
        let with_ids: Vec<_> = updates.iter().map(|(_, it)| self.with_id(it)).collect();
        let ids = updates.iter().map(|(id, _)| *id);
        let updates = ids.zip(with_ids.iter().map(|(update, _open)| &**update));
        let updates: Vec<(BookId, &Update)> = updates.collect();
        let (keys, mut refused) = self.reserve_keys(&updates);
        for (index, (id, update)) in updates.iter().enumerate() {
            if let Some(error) = refused.remove(&index) {
                outcomes[index] = Err(error);
                continue;
            }
            match self.try_begin(*id, update) {
                Ok((lock, Prepared::Pending(write))) => started.push((index, write, lock)),
                Ok((_, Prepared::Unchanged(updated))) => {
                    outcomes[index] = self.save_ledger_alone().map(|()| updated);
                }
                Ok((_, Prepared::NeedsRepair)) => (),
                Err(error) => outcomes[index] = Err(error),
            }
        }
        self.finish_batch(&started, &updates, &mut outcomes);
        keys.end(&outcomes);
        outcomes
    }

    /// `PROTOCOL.md`, Write 1 to Write 3, if they need no waiting.
    fn try_begin(&self, id: BookId, update: &Update) -> Result<(BookLock<'_, E>, Prepared)> {
        let mut inner = self.lock();
        if !self.answers(&inner) || !self.knows(&inner, id) {
            return Err(send_alone());
        }
        if inner.shelf.book(id).is_none() {
            return Err(Error::NotFound);
        }
        let lock = self.try_lock_for_write(&mut inner, id);
        let lock = lock.ok_or_else(send_alone)?;
        let prepared = self.prepare(&mut inner, id, update);
        // If that failed, the lock is dropped, which takes the mutex.
        drop(inner);
        Ok((lock, prepared?))
    }

    /// Commits what has begun, by its place in the batch.
    fn finish_batch(
        self: &Arc<Self>,
        started: &[(usize, PendingWrite, BookLock<'_, E>)],
        updates: &[(BookId, &Update)],
        outcomes: &mut [Result<Updated>],
    ) {
        let Some((_, first, _)) = started.first() else {
            return;
        };
        let stale: Vec<_> = started
            .iter()
            .flat_map(|(_, write, _)| invalidations(&write.old, &write.new))
            .collect();
        let books: Vec<_> = started
            .iter()
            .map(|(_, write, _)| write.new.clone())
            .collect();
        // The valid list may have been emptied between two beginnings. Then the first one's epoch
        // is over, and no copy of the batch becomes valid here.
        let superseded = self.commit(&books, first.epoch, &stale);
        for ((index, ..), book) in started.iter().zip(books) {
            let update = updates[*index].1;
            outcomes[*index] = match &superseded {
                Ok(superseded) if superseded.contains(&book.id) => match update.write_id {
                    Some(_) => self.superseded(&book, update),
                    None => Err(may_be_committed()),
                },
                Ok(_) => Ok(Updated {
                    book,
                    replayed: false,
                }),
                Err(error) => Err(error.clone()),
            };
        }
    }
}

fn send_alone() -> Error {
    Error::Busy("This change would have to wait: send it alone".into())
}

fn may_be_committed() -> Error {
    Error::TimedOut(
        "Another copy took the place of this change, which may be committed all the same".into(),
    )
}

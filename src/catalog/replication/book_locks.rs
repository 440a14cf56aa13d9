//! The locks of single books: writes of one book take turns, and one read repair of a book runs at
//! a time. Messages from peers never wait for these locks, or two catalogs could wait for each
//! other.

use std::collections::VecDeque;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};

/// Who holds the locks of one book. It exists only while somebody holds one or waits for one.
#[derive(Debug, Default)]
pub(super) struct BookLocks {
    /// The writers in order of arrival. The first one holds the lock.
    writers: VecDeque<u64>,
    next: u64,
    in_repair: bool,
}

/// The right to write a book, or a place in the queue for it. Released when dropped.
pub(super) struct WriteLock<'a, E: Environment> {
    replica: &'a Replica<E>,
    id: BookId,
    number: u64,
}

/// The right to repair a book. Released when dropped.
pub(super) struct RepairLock<'a, E: Environment> {
    replica: &'a Replica<E>,
    id: BookId,
}

impl<E: Environment> Replica<E> {
    /// Waits for the write lock of a book. Fails with [`Error::Busy`] when it is not free by
    /// `until`.
    pub(super) fn lock_for_write(&self, id: BookId, until: Duration) -> Result<WriteLock<'_, E>> {
        let mut inner = self.lock();
        let lock = self.enqueue_writer(&mut inner, id);
        let taken = |inner: &Inner| inner.book_locks[&id].writers.front() != Some(&lock.number);
        let inner = self.wait_while(inner, WaitKey::Book(id), until, taken);
        let taken = taken(&inner);
        // Dropping `lock` takes the mutex.
        drop(inner);
        if taken {
            return Err(Error::Busy("Too many writes of this book at once".into()));
        }
        Ok(lock)
    }

    /// The write lock of a book, if it is free.
    pub(super) fn try_lock_for_write(
        &self,
        inner: &mut Inner,
        id: BookId,
    ) -> Option<WriteLock<'_, E>> {
        let locks = inner.book_locks.get(&id);
        let free = locks.is_none_or(|locks| locks.writers.is_empty());
        free.then(|| self.enqueue_writer(inner, id))
    }

    fn enqueue_writer(&self, inner: &mut Inner, id: BookId) -> WriteLock<'_, E> {
        let locks = inner.book_locks.entry(id).or_default();
        let number = locks.next;
        locks.next += 1;
        locks.writers.push_back(number);
        WriteLock {
            replica: self,
            id,
            number,
        }
    }

    /// The repair lock of a book, if it is free.
    pub(super) fn try_lock_for_repair<'a>(
        &'a self,
        inner: &mut Inner,
        id: BookId,
    ) -> Option<RepairLock<'a, E>> {
        let locks = inner.book_locks.entry(id).or_default();
        let free = !std::mem::replace(&mut locks.in_repair, true);
        free.then(|| RepairLock { replica: self, id })
    }

    /// Changes the locks of a book, removes them when nobody needs them, and wakes those who wait.
    fn release(&self, id: BookId, change: impl FnOnce(&mut BookLocks)) {
        let mut inner = self.lock();
        let locks = inner.book_locks.get_mut(&id);
        let locks = locks.expect("a book's locks exist while one of them is held");
        change(locks);
        if locks.writers.is_empty() && !locks.in_repair {
            inner.book_locks.remove(&id);
        }
        drop(inner);
        self.env.wake(WaitKey::Book(id));
    }
}

impl<E: Environment> Drop for WriteLock<'_, E> {
    fn drop(&mut self) {
        let leave = |locks: &mut BookLocks| locks.writers.retain(|writer| *writer != self.number);
        self.replica.release(self.id, leave);
    }
}

impl<E: Environment> Drop for RepairLock<'_, E> {
    fn drop(&mut self) {
        self.replica
            .release(self.id, |locks| locks.in_repair = false);
    }
}

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

/// The right to write a book, or to repair it. Released when dropped.
pub(super) struct BookLock<'a, E: Environment> {
    replica: &'a Replica<E>,
    id: BookId,
    /// `None`: to repair it.
    writer: Option<u64>,
}

impl<E: Environment> Replica<E> {
    /// Waits for the right to write a book. Fails with [`Error::Busy`] when it is not free by
    /// `until`.
    pub(super) fn lock_for_write(&self, id: BookId, until: Duration) -> Result<BookLock<'_, E>> {
        let mut inner = self.lock();
        let lock = self.enqueue_writer(&mut inner, id);
        let taken = |inner: &Inner| inner.book_locks[&id].writers.front().copied() != lock.writer;
        let inner = self.wait_while(inner, WaitKey::Book(id), until, taken);
        let taken = taken(&inner);
        // Dropping `lock` takes the mutex.
        drop(inner);
        if taken {
            return Err(Error::Busy("Too many writes of this book at once".into()));
        }
        Ok(lock)
    }

    /// The right to write a book, if nobody has it.
    pub(super) fn try_lock_for_write(
        &self,
        inner: &mut Inner,
        id: BookId,
    ) -> Option<BookLock<'_, E>> {
        let locks = inner.book_locks.get(&id);
        let free = locks.is_none_or(|locks| locks.writers.is_empty());
        free.then(|| self.enqueue_writer(inner, id))
    }

    /// A place in the queue of writers.
    fn enqueue_writer(&self, inner: &mut Inner, id: BookId) -> BookLock<'_, E> {
        let locks = inner.book_locks.entry(id).or_default();
        let writer = Some(locks.next);
        locks.writers.push_back(locks.next);
        locks.next += 1;
        let replica = self;
        BookLock {
            replica,
            id,
            writer,
        }
    }

    /// The right to repair a book, if nobody has it.
    pub(super) fn try_lock_for_repair(
        &self,
        inner: &mut Inner,
        id: BookId,
    ) -> Option<BookLock<'_, E>> {
        let locks = inner.book_locks.entry(id).or_default();
        let free = !std::mem::replace(&mut locks.in_repair, true);
        let (replica, writer) = (self, None);
        free.then(|| BookLock {
            replica,
            id,
            writer,
        })
    }
}

impl<E: Environment> Drop for BookLock<'_, E> {
    fn drop(&mut self) {
        let mut inner = self.replica.lock();
        let locks = inner.book_locks.get_mut(&self.id);
        let locks = locks.expect("a book's locks exist while one of them is held");
        match self.writer {
            Some(number) => locks.writers.retain(|writer| *writer != number),
            None => locks.in_repair = false,
        }
        if locks.writers.is_empty() && !locks.in_repair {
            inner.book_locks.remove(&self.id);
        }
        drop(inner);
        self.replica.env.wake(WaitKey::Book(self.id));
    }
}

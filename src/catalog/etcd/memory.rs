//! The books in memory: the search index, and what a write is first tried on.
//!
//! A watch feeds it, and so does every answer of etcd that has a book in it. It may be behind, so
//! no answer that must be the newest comes from it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::etcd::record;
use crate::catalog::etcd::wire::KeyValue;
use crate::catalog::shelf::Shelf;
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{BOOK_ID_MAX, Book, BookId, Version};
use crate::runtime::{log, sync};

pub(super) struct Memory {
    /// Held for moments only, never across a request.
    inner: Mutex<Inner>,
    advanced: Condvar,
}

pub(super) struct Inner {
    pub(super) shelf: Shelf,
    /// Every change up to this revision is here.
    revision: u64,
    /// All books were read since the start.
    loaded: bool,
    /// Ids below are given to new books already.
    next_id: u64,
}

impl Memory {
    pub(super) fn new() -> Memory {
        Memory {
            inner: Mutex::new(Inner {
                shelf: Shelf::default(),
                revision: 0,
                loaded: false,
                next_id: 0,
            }),
            advanced: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        sync::lock(&self.inner)
    }

    pub(super) fn book(&self, id: BookId) -> Option<Arc<Book>> {
        self.lock().shelf.book(id).cloned()
    }

    /// Takes over a book, unless a newer one is here.
    pub(super) fn put(&self, book: &Arc<Book>) {
        self.lock().put(book.clone());
    }

    /// Takes over what has changed up to a revision. `is_all`: these are all books.
    pub(super) fn advance(&self, changed: Vec<Arc<Book>>, revision: u64, is_all: bool) {
        let mut inner = self.lock();
        changed.into_iter().for_each(|book| inner.put(book));
        inner.revision = inner.revision.max(revision);
        inner.loaded |= is_all;
        self.advanced.notify_all();
    }

    /// A book's key was deleted, which no catalog does.
    pub(super) fn delete(&self, id: BookId, revision: u64) {
        let mut inner = self.lock();
        let Some(book) = inner.shelf.book(id) else {
            return;
        };
        let mut gone = Book::clone(book);
        gone.removed = true;
        gone.version = Version {
            number: revision,
            stamp: 0,
        };
        inner.put(Arc::new(gone));
    }

    /// Up to which revision everything is here; `None` before all books were read.
    pub(super) fn revision(&self) -> Option<u64> {
        let inner = self.lock();
        inner.loaded.then_some(inner.revision)
    }

    /// Waits until everything up to this revision is here, at most for `timeout`. Returns whether
    /// it is.
    pub(super) fn await_revision(&self, revision: u64, timeout: Duration) -> bool {
        let is_behind = |inner: &mut Inner| !inner.loaded || inner.revision < revision;
        let inner = sync::wait_timeout_while(&self.advanced, self.lock(), timeout, is_behind);
        inner.loaded && revision <= inner.revision
    }

    /// An id for a new book, above all ids that are here or were given before.
    pub(super) fn reserve_id(&self) -> BookId {
        let mut inner = self.lock();
        let free = inner.shelf.next_id();
        let id = free.0.max(inner.next_id);
        if BOOK_ID_MAX < id {
            return free;
        }
        inner.next_id = id + 1;
        BookId(id)
    }
}

impl Inner {
    fn put(&mut self, book: Arc<Book>) {
        if self
            .shelf
            .version(book.id)
            .is_none_or(|here| here.number < book.version.number)
        {
            self.shelf.put(book, CopyState::Valid);
        }
    }
}

/// The books among these; what is no book is logged and left out.
pub(super) fn books(kvs: &[KeyValue]) -> Vec<Arc<Book>> {
    let is_book = |kv: &&KeyValue| record::id(&kv.key).is_some();
    let decoded = kvs.iter().filter(is_book).map(record::decode);
    let sound = |book: Result<Arc<Book>, String>| match book {
        Ok(book) => Some(book),
        Err(why) => {
            log::error("a key in etcd is left out", &[("why", &why)]);
            None
        }
    };
    decoded.filter_map(sound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(id: u64, revision: u64, topic: &str) -> Arc<Book> {
        let json = format!(
            r#"{{"id":{id},"title":"t","topic":"{topic}","quantity":3,"price":1.5,"version":"{revision}-7"}}"#
        );
        Arc::new(serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn an_older_copy_that_comes_late_changes_nothing() {
        let memory = Memory::new();
        memory.advance(vec![book(1, 5, "new")], 5, true);
        memory.put(&book(1, 4, "old"));
        assert_eq!(memory.book(BookId(1)), Some(book(1, 5, "new")));
        assert_eq!(memory.lock().shelf.search("old", None, 9).0, []);
    }

    #[test]
    fn a_reader_waits_until_the_memory_is_new_enough() {
        let memory = Memory::new();
        assert!(!memory.await_revision(0, Duration::ZERO));
        memory.advance(Vec::new(), 5, true);
        assert!(memory.await_revision(5, Duration::ZERO));
        assert!(!memory.await_revision(6, Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| memory.await_revision(6, Duration::from_secs(30)));
            memory.advance(Vec::new(), 6, false);
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn two_new_books_get_two_ids() {
        let memory = Memory::new();
        memory.advance(vec![book(7, 1, "t")], 1, true);
        let ids = [memory.reserve_id(), memory.reserve_id()].map(|id| id.0);
        assert_eq!(ids, [8, 9]);
    }

    #[test]
    fn a_deleted_key_is_a_removed_book() {
        let memory = Memory::new();
        memory.advance(vec![book(1, 5, "here")], 5, true);
        memory.delete(BookId(1), 6);
        assert!(memory.book(BookId(1)).unwrap().removed);
        assert_eq!(memory.lock().shelf.search("here", None, 9).0, []);
    }
}

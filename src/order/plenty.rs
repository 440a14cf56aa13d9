//! The books that had copies in plenty when they were last heard of. An update that takes copies off
//! whatever is left needs no read before it: one exchange with the catalog instead of two.
//!
//! It is sent only while there is plenty, because of what is left open when it is not answered. An
//! update conditional on a version ends, done or not, when the book has another one. This one may be
//! done at any time, so the buyer can be told "purchased", but not "out of stock" any more. While
//! there is plenty nobody has to be told that.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::model::book::BookId;
use crate::runtime::sync;

/// When there are more books, all are forgotten, and read once again.
const BOOKS_MAX: usize = 100_000;

pub(super) struct Plenty {
    /// So many copies are plenty.
    least: u32,
    /// Held for moments only.
    books: Mutex<HashSet<BookId>>,
}

impl Plenty {
    pub(super) fn new(least: u32) -> Plenty {
        Plenty {
            least,
            books: Mutex::default(),
        }
    }

    /// So many copies are left of a book.
    pub(super) fn heard(&self, id: BookId, quantity: u32) {
        let mut books = sync::lock(&self.books);
        if quantity < self.least {
            books.remove(&id);
            return;
        }
        if BOOKS_MAX <= books.len() && !books.contains(&id) {
            books.clear();
        }
        books.insert(id);
    }

    /// The book is to be read before the next sale.
    pub(super) fn forget(&self, id: BookId) {
        sync::lock(&self.books).remove(&id);
    }

    pub(super) fn is_plenty(&self, id: BookId) -> bool {
        sync::lock(&self.books).contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_plenty_from_the_least_number_of_copies_on() {
        let (plenty, id) = (Plenty::new(10), BookId(1));
        assert!(!plenty.is_plenty(id));
        for (left, expected) in [(9, false), (10, true), (11, true), (9, false)] {
            plenty.heard(id, left);
            assert_eq!(plenty.is_plenty(id), expected, "{left}");
        }
    }

    #[test]
    fn its_memory_is_bounded() {
        let plenty = Plenty::new(1);
        for id in 0..=BOOKS_MAX as u64 {
            plenty.heard(BookId(id), 1);
        }
        assert!(plenty.is_plenty(BookId(BOOKS_MAX as u64)));
        assert!(sync::lock(&plenty.books).len() <= BOOKS_MAX);
    }
}

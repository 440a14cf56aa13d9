//! The books that had copies in plenty when they were last heard of. They are sold without a read:
//! one exchange with the catalog instead of two.
//!
//! Such an update takes copies off whatever there is, on condition that there was plenty at every
//! version since the last one that was heard of. As no order is for more copies than plenty, a buyer
//! who is told "out of stock" was told so at a version with less. So what was sent for this buyer
//! before, and is still on its way, can no longer be executed.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::model::book::BookId;
use crate::runtime::sync;

/// When there are more books, all are forgotten, and read once again.
const BOOKS_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Plenty {
    /// The number of a version with plenty. Held for moments only.
    books: Mutex<HashMap<BookId, u64>>,
}

impl Plenty {
    /// There was plenty at the version with this number, or (`None`) perhaps not.
    pub(super) fn heard(&self, id: BookId, at: Option<u64>) {
        let mut books = sync::lock(&self.books);
        let Some(at) = at else {
            books.remove(&id);
            return;
        };
        if BOOKS_MAX <= books.len() && !books.contains_key(&id) {
            books.clear();
        }
        books.insert(id, at);
    }

    pub(super) fn since(&self, id: BookId) -> Option<u64> {
        sync::lock(&self.books).get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_last_counts_and_its_memory_is_bounded() {
        let plenty = Plenty::default();
        for id in 0..=BOOKS_MAX as u64 {
            plenty.heard(BookId(id), Some(id));
        }
        let last = BookId(BOOKS_MAX as u64);
        assert_eq!(plenty.since(last), Some(BOOKS_MAX as u64));
        assert!(sync::lock(&plenty.books).len() <= BOOKS_MAX);
        plenty.heard(last, None);
        assert_eq!(plenty.since(last), None);
    }
}

//! The books that this order server has heard of: they had copies left after a sale. They are sold
//! without a read: one exchange with the catalog instead of two.
//!
//! Such an update takes copies off whatever there is, on condition that none came in since the
//! version that was heard of last. So a buyer who is told "out of stock" was told so at a version
//! with fewer copies than the order wants, and what was sent for this buyer before, and is still on
//! its way, can no longer be executed: there are not more since, or copies came in.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::model::book::BookId;
use crate::runtime::sync;

/// When there are more books, all are forgotten, and read once again.
const BOOKS_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Heard {
    /// The number of a version with copies left. Held for moments only.
    books: Mutex<HashMap<BookId, u64>>,
}

impl Heard {
    /// There were copies left at the version with this number, or (`None`) perhaps not.
    pub(super) fn hear(&self, id: BookId, at: Option<u64>) {
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
        let heard = Heard::default();
        for id in 0..=BOOKS_MAX as u64 {
            heard.hear(BookId(id), Some(id));
        }
        let last = BookId(BOOKS_MAX as u64);
        assert_eq!(heard.since(last), Some(BOOKS_MAX as u64));
        assert!(sync::lock(&heard.books).len() <= BOOKS_MAX);
        heard.hear(last, None);
        assert_eq!(heard.since(last), None);
    }
}

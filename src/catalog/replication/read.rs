//! What clients read: a book, the books of a topic, all books. `PROTOCOL.md`, "Read".

use std::sync::Arc;

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::write::ids_where;
use crate::catalog::replication::{Inner, Read, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::shelf::titles;
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};
use crate::model::order::Order;

impl<E: Environment> Replica<E> {
    /// The newest copy of a book, after read repair if need be, and which of these orders are
    /// applied already, perhaps for another number of copies, or closed.
    ///
    /// A book that was removed is shown, too, for the sake of the orders.
    ///
    /// Fails with [`Error::NotFound`], or with [`Error::TimedOut`] when read repair did not succeed
    /// in time.
    pub(crate) fn read(self: &Arc<Self>, id: BookId, orders: &[Order]) -> Result<Read> {
        let book = self.newest(id)?.ok_or(Error::NotFound)?;
        Ok(self.show(&self.lock(), book, orders))
    }

    /// As [`Replica::read`]. `None`: that would have to wait.
    pub(crate) fn try_read(&self, id: BookId, orders: &[Order]) -> Option<Result<Read>> {
        let inner = self.lock();
        if !self.answers(&inner) || !self.knows(&inner, id) {
            return None;
        }
        let book = inner.shelf.book(id).cloned().ok_or(Error::NotFound);
        Some(book.map(|book| self.show(&inner, book, orders)))
    }

    fn show(&self, inner: &Inner, book: Arc<Book>, orders: &[Order]) -> Read {
        let before = self.made_before(inner, &book, orders);
        let (differing, applied) = (before.other, before.same);
        let named = orders.iter().filter(|order| applied.contains(&order.id));
        let sold_as = named.filter_map(|order| {
            let sold = self.sold_for(inner, &book, order)?;
            Some((order.id, sold))
        });
        let sold_as = sold_as.collect();
        let known = |order: &Order| applied.contains(&order.id) || differing.contains(&order.id);
        let closed = ids_where(orders, |order| {
            self.is_closed(&book, order) && !known(order)
        });
        Read {
            book,
            applied,
            sold_as,
            differing,
            closed,
        }
    }

    /// The books after `after` as they are here, in whatever state.
    pub(crate) fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        self.lock().shelf.books_after(after, limit)
    }

    /// The books of the topics that contain the text, by id, and whether the answer may be cached:
    /// not before this catalog has caught up, nor while one of the books is not valid.
    pub(crate) fn search(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool) {
        let inner = self.lock();
        let (books, are_valid) = inner.shelf.search(text, after, limit);
        (books, are_valid && self.may_be_cached(&inner))
    }

    /// As [`Replica::search`], of the books whose titles contain the text. The lock is held for one
    /// page only.
    pub(crate) fn search_titles(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool) {
        let (mut found, mut cacheable) = (Vec::new(), true);
        let read = |after, limit| self.books_after(after, limit);
        for page in titles::pages(text, after, limit, read) {
            let inner = self.lock();
            let valid = |book: &Arc<Book>| inner.shelf.has(book.id, book.version, CopyState::Valid);
            cacheable &= self.may_be_cached(&inner) && page.iter().all(valid);
            drop(inner);
            found.extend(page);
        }
        (found, cacheable)
    }

    /// Whether valid books are the newest ones, and no other book is found.
    fn may_be_cached(&self, inner: &Inner) -> bool {
        inner.caught_up && self.serves(inner)
    }

    /// The books of exactly this topic as they are here, by id.
    pub(crate) fn of_topic(
        &self,
        topic: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> Vec<Arc<Book>> {
        self.lock().shelf.of_topic(topic, after, limit)
    }
}

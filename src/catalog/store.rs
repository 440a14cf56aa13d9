//! Where the books are kept: the seam between the routes of a catalog and what is below them.
//!
//! Above it nothing knows how catalogs agree. Below it are two: the own store, `replication` with
//! `storage`, and `etcd`.

use std::sync::Arc;

use crate::catalog::metrics;
use crate::catalog::replication::ledger::Found;
use crate::catalog::replication::messages::{Message, Reply};
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::replication::{Health, Read, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::transport::http_env::HttpEnvironment;
use crate::model::book::entry::{Entry, EntryKey};
use crate::model::book::{Book, BookId, Version};
use crate::model::error::Result;
use crate::model::order::{Order, OrderId};
use crate::model::validation::{BatchQuery, NewBook};
use crate::runtime::metrics::Exposition;

/// The books of a shop, linearizable one by one: a read returns what the last acknowledged change
/// made, or a later one.
///
/// The methods are those of [`Replica`], where they are documented.
pub(super) trait Store: Send + Sync + 'static {
    fn read(&self, id: BookId, orders: &[Order]) -> Result<Read>;

    /// `None`: the read would have to wait.
    fn try_read(&self, id: BookId, orders: &[Order]) -> Option<Result<Read>>;

    /// Reads several books, and hands each to `each`, in their order; `None` if that one must be
    /// asked for alone.
    fn read_batch(&self, queries: &[BatchQuery], each: &mut dyn FnMut(Option<Result<Read>>));

    /// Whether [`Store::read_batch`] may wait for other servers.
    fn reads_wait(&self) -> bool;

    fn update(&self, id: BookId, update: &Update) -> Result<Updated>;

    fn batch_write(&self, updates: &[(BookId, Update)]) -> Vec<Result<Updated>>;

    fn create(&self, books: &[NewBook]) -> Vec<Result<Arc<Book>>>;

    /// Before a search: what was acknowledged until now is found by it. Fails with
    /// [`Error::Busy`](crate::model::error::Error::Busy).
    fn refresh_index(&self) -> Result<()>;

    /// As [`Store::refresh_index`], before all books are shown.
    fn refresh(&self) -> Result<()>;

    fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>>;

    fn search(&self, text: &str, after: Option<BookId>, limit: usize) -> (Vec<Arc<Book>>, bool);

    fn search_titles(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool);

    fn of_topic(&self, topic: &str, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>>;

    /// Answers another catalog, or the heartbeat of a front-end.
    fn receive(&self, message: Message) -> Result<Reply>;

    fn copies(&self, ids: &[BookId]) -> Vec<(Option<Version>, CopyState)>;

    fn health(&self) -> Health;

    /// Appends what only this kind of store has.
    fn append_metrics(&self, page: &mut Exposition);

    /// What was sold.
    fn ledger(&self) -> &dyn OrderLedger;
}

/// What was sold, for the owner and for an audit. The methods are those of [`Replica`].
pub(super) trait OrderLedger {
    fn order(&self, order: OrderId) -> Result<Option<Found>>;

    fn cancel(&self, order: OrderId) -> Result<Found>;

    fn order_here(&self, order: OrderId) -> Result<Option<Arc<Entry>>>;

    /// Whether it is known that these were taken back, one by one.
    fn are_cancelled(&self, orders: &[OrderId]) -> Result<Vec<bool>>;

    /// Fewer than `limit`: there are no more.
    fn entries(&self, since: u64, after: Option<EntryKey>, limit: usize)
    -> Result<Vec<Arc<Entry>>>;
}

impl OrderLedger for Arc<Replica<HttpEnvironment>> {
    fn order(&self, order: OrderId) -> Result<Option<Found>> {
        Replica::order(self, order)
    }

    fn cancel(&self, order: OrderId) -> Result<Found> {
        Replica::cancel(self, order)
    }

    fn order_here(&self, order: OrderId) -> Result<Option<Arc<Entry>>> {
        Ok(Replica::order_here(self, order))
    }

    fn are_cancelled(&self, orders: &[OrderId]) -> Result<Vec<bool>> {
        let is_cancelled = |order: &OrderId| Replica::is_cancelled(self, *order);
        Ok(orders.iter().map(is_cancelled).collect())
    }

    fn entries(
        &self,
        since: u64,
        after: Option<EntryKey>,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        Ok(Replica::entries(self, since, after, limit))
    }
}

impl Store for Arc<Replica<HttpEnvironment>> {
    fn read(&self, id: BookId, orders: &[Order]) -> Result<Read> {
        Replica::read(self, id, orders)
    }

    fn try_read(&self, id: BookId, orders: &[Order]) -> Option<Result<Read>> {
        Replica::try_read(self, id, orders)
    }

    fn read_batch(&self, queries: &[BatchQuery], each: &mut dyn FnMut(Option<Result<Read>>)) {
        for query in queries {
            each(Replica::try_read(self, query.id, &query.orders));
        }
    }

    fn reads_wait(&self) -> bool {
        false
    }

    fn update(&self, id: BookId, update: &Update) -> Result<Updated> {
        Replica::update(self, id, update)
    }

    fn batch_write(&self, updates: &[(BookId, Update)]) -> Vec<Result<Updated>> {
        Replica::batch_write(self, updates)
    }

    fn create(&self, books: &[NewBook]) -> Vec<Result<Arc<Book>>> {
        Replica::create(self, books)
    }

    /// What is here is all there is.
    fn refresh_index(&self) -> Result<()> {
        Ok(())
    }

    fn refresh(&self) -> Result<()> {
        Ok(())
    }

    fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        Replica::books_after(self, after, limit)
    }

    fn search(&self, text: &str, after: Option<BookId>, limit: usize) -> (Vec<Arc<Book>>, bool) {
        Replica::search(self, text, after, limit)
    }

    fn search_titles(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool) {
        Replica::search_titles(self, text, after, limit)
    }

    fn of_topic(&self, topic: &str, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        Replica::of_topic(self, topic, after, limit)
    }

    fn receive(&self, message: Message) -> Result<Reply> {
        Replica::receive(self, message)
    }

    fn copies(&self, ids: &[BookId]) -> Vec<(Option<Version>, CopyState)> {
        Replica::copies(self, ids)
    }

    fn health(&self) -> Health {
        Replica::health(self)
    }

    fn append_metrics(&self, page: &mut Exposition) {
        metrics::append_environment(&self.env, page);
    }

    fn ledger(&self) -> &dyn OrderLedger {
        self
    }
}

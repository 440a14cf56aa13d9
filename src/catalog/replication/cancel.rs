//! Taking an order back: `PROTOCOL.md`, "The ledger".

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::ledger::Found;
use crate::catalog::replication::write::Update;
use crate::catalog::replication::{Inner, Replica};
use crate::model::audit::history;
use crate::model::book::entry::Entry;
use crate::model::book::{Book, BookId, Change, Version};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;

/// How often the copy here is found to be out of date.
const ATTEMPTS_MAX: u32 = 3;

/// Entries that are looked at while the lock is held.
const SCAN_MAX: usize = 10_000;

impl<E: Environment> Replica<E> {
    /// Takes an order back, once: its copies return to the stock. What the other side of a cut sold
    /// is not missing from the stock, so it is only noted that it was taken back. What only the
    /// other side took back is taken back here.
    ///
    /// Fails with [`Error::NoSuchOrder`]; with [`Error::Busy`] when a peer does not say whether it
    /// was taken back already, or the ledger here is not complete yet; and as [`Replica::update`].
    pub(crate) fn cancel(self: &Arc<Self>, order: OrderId) -> Result<Found> {
        let (entry, back) = self.order(order)?.ok_or(Error::NoSuchOrder)?;
        if back.is_none() {
            // The book's record may have forgotten a cancellation that is in a ledger only.
            self.ask_all_for(order)?;
        }
        for _ in 0..ATTEMPTS_MAX {
            let Some(update) = self.cancellation(entry.book, order)? else {
                break;
            };
            match self.update(entry.book, &update) {
                Err(Error::OutOfDate) => continue,
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        let found = self.order(order)?;
        found.filter(|(_, back)| back.is_some()).ok_or_else(busy)
    }

    /// What takes back an order of this book that is in the ledger here. `None`: it was taken back.
    pub(crate) fn cancellation(
        self: &Arc<Self>,
        book: BookId,
        order: OrderId,
    ) -> Result<Option<Update>> {
        let cancelled_by: Vec<Version> = {
            let inner = self.lock();
            let entries = inner.shelf.ledger.cancellations(order);
            entries.map(|entry| entry.version).collect()
        };
        let (history, missing) = self.history(book)?;
        let is_returned = history.iter().any(|entry| entry.cancels == Some(order));
        // Each side of a cut may have sold it: one of them took the copies that are missing now.
        let sold = history.iter().find_map(|entry| entry.sale(order));
        if is_returned || !cancelled_by.is_empty() && sold.is_none() {
            return Ok(None);
        }
        let is_above = |missing: Version| {
            let inner = self.lock();
            let mut sales = inner.shelf.ledger.sales(order);
            sales.all(|entry| entry.book != book || missing.number < entry.version.number)
        };
        if sold.is_none() && !missing.is_none_or(is_above) {
            return Err(busy());
        }
        Ok(Some(Update {
            change: Change {
                // A sale that is not in the history of the book as it is now took no copies from it.
                added: sold.map(|sale| i64::from(sale.copies)),
                ..Change::default()
            },
            // No client's key has a space in it.
            key: Some(format!("cancels {order}").into()),
            cancels: Some(order),
            cancelled_by,
            ..Update::default()
        }))
    }

    /// Whether another one has taken back the order that this update takes back, since that was
    /// decided: its key is no proof, because the book's record forgets keys.
    pub(super) fn is_cancelled_since(&self, inner: &Inner, book: &Book, update: &Update) -> bool {
        let Some(order) = update.cancels else {
            return false;
        };
        let in_record = book.account.entries();
        let in_record = in_record.filter(|entry| entry.cancels == Some(order));
        let mut all = inner.shelf.ledger.cancellations(order).chain(in_record);
        all.any(|entry| !update.cancelled_by.contains(&entry.version))
    }

    /// The entries that led to the book as it is now, the newest first, and the version of which
    /// none is known.
    fn history(self: &Arc<Self>, book: BookId) -> Result<(Vec<Arc<Entry>>, Option<Version>)> {
        let version = self.newest(book)?.ok_or(Error::NotFound)?.version;
        let mut entries: HashMap<Version, Arc<Entry>> = HashMap::new();
        let mut after = None;
        loop {
            let page = self.entries(0, after, SCAN_MAX);
            after = page.last().map(|entry| entry.key());
            let is_last = page.len() < SCAN_MAX;
            let own = page.into_iter().filter(|other| other.book == book);
            entries.extend(own.map(|entry| (entry.version, entry)));
            if is_last {
                break;
            }
        }
        let (history, missing) = history(version, |version| entries.get(&version));
        Ok((history.into_iter().cloned().collect(), missing))
    }
}

fn busy() -> Error {
    Error::Busy("The ledger here is not complete yet; nothing happened".into())
}

//! Taking an order back: `PROTOCOL.md`, "The ledger".

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::replication::Replica;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::ledger::Found;
use crate::catalog::replication::write::Update;
use crate::model::audit::history;
use crate::model::book::entry::Entry;
use crate::model::book::{BookId, Change, Version};
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
            let Some(change) = self.change_to_cancel(&entry, order)? else {
                break;
            };
            let update = Update {
                change,
                // No client's key has a space in it.
                key: Some(format!("cancels {order}").into()),
                cancels: Some(order),
                ..Update::default()
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

    /// What takes back the order of this entry. `None`: it was taken back.
    fn change_to_cancel(self: &Arc<Self>, entry: &Entry, order: OrderId) -> Result<Option<Change>> {
        let is_cancelled = self.is_cancelled(order);
        let (history, missing) = self.history(entry.book)?;
        let is_returned = history.iter().any(|other| other.cancels == Some(order));
        let is_sold = history.iter().any(|other| other.version == entry.version);
        if is_returned || is_cancelled && !is_sold {
            return Ok(None);
        }
        let is_known =
            is_sold || missing.is_none_or(|version| version.number < entry.version.number);
        if !is_known {
            return Err(busy());
        }
        let sale = entry.sale(order).expect("the entry has this order");
        Ok(Some(Change {
            // A sale that is not in the history of the book as it is now took no copies from it.
            added: is_sold.then_some(i64::from(sale.copies)),
            ..Change::default()
        }))
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

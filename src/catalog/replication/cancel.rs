//! Taking an order back: `PROTOCOL.md`, "The ledger".

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::replication::Replica;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::ledger::Found;
use crate::catalog::replication::write::Update;
use crate::model::audit::history;
use crate::model::book::Change;
use crate::model::book::Version;
use crate::model::book::entry::{Entry, Sale};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;

/// How often the copy here is found to be out of date.
const ATTEMPTS_MAX: u32 = 3;

/// Entries that are looked at while the lock is held.
const SCAN_MAX: usize = 10_000;

impl<E: Environment> Replica<E> {
    /// Takes an order back, once: its copies return to the stock. What the other side of a cut sold
    /// is not missing from the stock, so it is only noted that it was taken back.
    ///
    /// Fails with [`Error::NoSuchOrder`]; with [`Error::Busy`] when a peer does not say whether it
    /// was taken back already, or the ledger here is not complete yet; and as [`Replica::update`].
    pub(crate) fn cancel(self: &Arc<Self>, order: OrderId) -> Result<Found> {
        let (entry, back) = self.order(order)?.ok_or(Error::NoSuchOrder)?;
        if back.is_some() {
            return Ok((entry, back));
        }
        // The book's record may have forgotten a cancellation that is in a ledger only.
        self.ask_all_for(order)?;
        let sale = entry.sale(order).expect("the entry has this order").clone();
        for _ in 0..ATTEMPTS_MAX {
            let update = Update {
                change: Change {
                    added: self.copies_to_return(&entry, &sale)?,
                    ..Change::default()
                },
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

    /// `None`: the sale is not in the history of the book as it is now.
    fn copies_to_return(self: &Arc<Self>, entry: &Entry, sale: &Sale) -> Result<Option<i64>> {
        let book = self.newest(entry.book)?.ok_or(Error::NotFound)?;
        let mut entries: HashMap<Version, Arc<Entry>> = HashMap::new();
        let mut after = None;
        loop {
            let page = self.entries(0, after, SCAN_MAX);
            after = page.last().map(|entry| entry.key());
            let is_last = page.len() < SCAN_MAX;
            let own = page.into_iter().filter(|other| other.book == entry.book);
            entries.extend(own.map(|entry| (entry.version, entry)));
            if is_last {
                break;
            }
        }
        let (history, missing) = history(book.version, |version| entries.get(&version));
        if history.iter().any(|other| other.version == entry.version) {
            return Ok(Some(i64::from(sale.copies)));
        }
        match missing.filter(|version| entry.version.number <= version.number) {
            Some(_) => Err(busy()),
            None => Ok(None),
        }
    }
}

fn busy() -> Error {
    Error::Busy("The ledger here is not complete yet; nothing happened".into())
}

//! The ledger as an owner and an audit read it. All of it is in etcd, and nothing of it is kept
//! here. So every catalog has the same, and what was acknowledged is in it.

use std::sync::Arc;

use crate::catalog::etcd::EtcdStore;
use crate::catalog::etcd::ledger_keys::{self, apart_key, cancels, entry_key, key_key};
use crate::catalog::etcd::wire::KeyValue;
use crate::catalog::replication::ledger::Found;
use crate::catalog::replication::write::Update;
use crate::catalog::store::OrderLedger;
use crate::model::book::Change;
use crate::model::book::entry::{Entry, EntryKey};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;
use crate::runtime::log;

/// Entries that are read in one request.
const PAGE_ENTRIES: usize = 250;

impl EtcdStore {
    /// Reads keys of which each may be missing.
    fn read_keys(&self, keys: Vec<String>) -> Result<Vec<Option<KeyValue>>> {
        self.check_open()?;
        self.reader.read(keys)
    }

    fn read_entry(&self, name: &str) -> Result<Arc<Entry>> {
        let kv = self.read_keys(vec![entry_key(name)])?.pop().flatten();
        let missing = || format!("the entry {name} is missing");
        let entry = kv
            .ok_or_else(missing)
            .and_then(|kv| ledger_keys::decode_entry(&kv));
        entry.map_err(|why| nonsense(&why))
    }

    /// The entry that sold this order. Of the entries that may have, some were never made.
    fn sale(&self, order: OrderId) -> Result<Option<Arc<Entry>>> {
        self.check_open()?;
        let place = ledger_keys::place(order);
        let end = ledger_keys::place_end(&place);
        let (kvs, ..) = self.reader.read_between(&place, &end, 0, 0)?;
        let mut keys = Vec::new();
        for kv in &kvs {
            let name = ledger_keys::decode_place(kv, order).map_err(|why| nonsense(&why))?;
            keys.extend(name.map(|name| entry_key(&name)));
        }
        let found = self.reader.read(keys)?;
        for kv in found.iter().flatten() {
            let entry = ledger_keys::decode_entry(kv).map_err(|why| nonsense(&why))?;
            if entry.sale(order).is_some() {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

impl OrderLedger for Arc<EtcdStore> {
    fn order(&self, order: OrderId) -> Result<Option<Found>> {
        let Some(sale) = self.sale(order)? else {
            return Ok(None);
        };
        let back = self.read_keys(vec![key_key(&cancels(order))])?.pop();
        let back = back.flatten().map(|kv| {
            let used = ledger_keys::decode_use(&kv).map_err(|why| nonsense(&why))?;
            self.read_entry(&used.entry)
        });
        Ok(Some((sale, back.transpose()?)))
    }

    fn cancel(&self, order: OrderId) -> Result<Found> {
        let (entry, back) = self.order(order)?.ok_or(Error::NoSuchOrder)?;
        if back.is_some() {
            return Ok((entry, back));
        }
        let copies = entry.sale(order).expect("the entry has this order").copies;
        // What the other side of a cut sold is not missing from the stock.
        let is_apart = self.read_keys(vec![apart_key(order)])?[0].is_some();
        let update = Update {
            change: Change {
                added: (!is_apart).then_some(i64::from(copies)),
                ..Change::default()
            },
            key: Some(cancels(order)),
            cancels: Some(order),
            ..Update::default()
        };
        self.change_one(entry.book, &update)?;
        let found = self.order(order)?.filter(|(_, back)| back.is_some());
        found.ok_or_else(|| nonsense(&format!("the order {order} is not taken back")))
    }

    fn order_here(&self, order: OrderId) -> Result<Option<Arc<Entry>>> {
        self.sale(order)
    }

    fn are_cancelled(&self, orders: &[OrderId]) -> Result<Vec<bool>> {
        let keys = orders.iter().map(|order| key_key(&cancels(*order)));
        let found = self.read_keys(keys.collect())?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    fn entries(
        &self,
        since: u64,
        after: Option<EntryKey>,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        self.check_open()?;
        let behind = after.filter(|after| since <= after.at);
        let mut first = match behind {
            Some(after) => next(&entry_key(&ledger_keys::name(&after))),
            None => format!("{}{since:016}", ledger_keys::FIRST),
        };
        let mut entries = Vec::new();
        while entries.len() < limit {
            let wanted = PAGE_ENTRIES.min(limit - entries.len());
            let page = self
                .reader
                .read_between(&first, ledger_keys::END, wanted, 0)?;
            let (kvs, more, _) = page;
            for kv in &kvs {
                entries.push(ledger_keys::decode_entry(kv).map_err(|why| nonsense(&why))?);
            }
            match kvs.last().filter(|_| more) {
                Some(last) => first = next(&String::from_utf8_lossy(&last.key)),
                None => break,
            }
        }
        Ok(entries)
    }
}

/// The next key after this one.
fn next(key: &str) -> String {
    format!("{key}\0")
}

/// Something else than a catalog has written to the ledger.
fn nonsense(why: &str) -> Error {
    log::error("the ledger in etcd makes no sense", &[("why", &why)]);
    Error::Internal
}

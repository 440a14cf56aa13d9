//! This catalog's own key in etcd, which every txn of it compares.
//!
//! A txn whose outcome is not known may be done much later, by a member that was stopped, even when
//! the catalog that sent it is dead. While it may, front-ends must not keep what it would make
//! stale. Putting the key once more ends that: the txns of before compare a revision that the key
//! never has again. A catalog does so when it starts, which ends those of its former self, and
//! after each txn of unknown outcome.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::catalog::etcd::gateway::Gateway;
use crate::catalog::etcd::reader::Reader;
use crate::catalog::etcd::wire::{self, Txn, TxnReply};
use crate::model::address::Address;
use crate::model::error::{Error, Result};
use crate::runtime::sync;

pub(super) struct Registration {
    pub(super) key: String,
    gateway: Arc<Gateway>,
    /// Held for moments only, never across a request.
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Of the key, as this catalog last put it; 0: it never has.
    revision: u64,
    /// The numbers of changes that may still be made.
    doubtful: Vec<u64>,
}

impl Registration {
    pub(super) fn new(address: &Address, gateway: Arc<Gateway>) -> Registration {
        Registration {
            key: format!("bazar/catalog/{address}"),
            gateway,
            inner: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        sync::lock(&self.inner).revision
    }

    /// Waits until the key was put anew, or until the deadline.
    pub(super) fn await_other(&self, revision: u64, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let inner = sync::lock(&self.inner);
        let is_same = |inner: &mut Inner| inner.revision == revision;
        drop(sync::wait_timeout_while(
            &self.changed,
            inner,
            left,
            is_same,
        ));
    }

    /// The change with this number may still be made.
    pub(super) fn doubt(&self, number: u64) {
        sync::lock(&self.inner).doubtful.push(number);
    }

    /// The changes that may still be made, until the key is put anew.
    pub(super) fn take_doubtful(&self) -> Vec<u64> {
        std::mem::take(&mut sync::lock(&self.inner).doubtful)
    }

    /// Puts the key anew: no txn that was sent before is done after this. One thread does so at a
    /// time.
    ///
    /// Fails as [`Gateway::txn`] does, and with [`Error::Busy`].
    pub(super) fn renew(&self, reader: &Reader) -> Result<()> {
        let mark = fastrand::u64(..).to_string();
        let found = reader.read(vec![self.key.clone()])?.pop().flatten();
        let before = found.map_or(0, |kv| kv.mod_revision);
        let put = wire::put(&self.key, mark.as_bytes());
        let txn = Txn {
            compare: vec![wire::is_at(&self.key, before)],
            ..Txn::of(vec![put])
        };
        self.gateway
            .txn::<TxnReply>(&txn, self.gateway.deadline())?;
        // It may be that not this sending of it was done, but an earlier one.
        let found = reader.read(vec![self.key.clone()])?.pop().flatten();
        let own = found.filter(|kv| kv.value == mark.as_bytes());
        let own = own.ok_or_else(|| {
            Error::Busy("Another catalog with this one's address starts at the same time".into())
        })?;
        sync::lock(&self.inner).revision = own.mod_revision;
        self.changed.notify_all();
        Ok(())
    }
}

//! The ledger among the catalogs: `PROTOCOL.md`, "The ledger". Entries enter it when a version
//! becomes valid or is acknowledged (`Shelf::set_state`, `commit`). Here they get to the disk, and
//! to catalogs that lack them.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::ledger::{Digests, bucket_of};
use crate::catalog::replication::catch_up::no_answer;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{AskLedger, LedgerReply, Message, Outcome, Reply};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::write::Update;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::model::book::entry::{Entry, EntryKey, Opening};
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};
use crate::model::number;
use crate::model::order::OrderId;
use crate::runtime::log;

/// Entries that are put on disk together, or travel in one message.
const ENTRIES_MAX: usize = 1000;

/// How often it is looked whether another thread has put its entries on disk, if it did not say so.
const SAVE_WAIT: Duration = Duration::from_secs(1);

/// Keys in one message.
const KEYS_MAX: usize = 5000;

/// Records that are looked through while the lock is held.
const RECORDS_MAX: usize = 1000;

/// How often an order is looked for while it is on its way from a record to the ledger.
const ORDER_ATTEMPTS_MAX: usize = 3;

/// How long an order that is not here waits until this catalog serves.
const SERVING_WAIT: Duration = Duration::from_secs(2);

/// Younger entries may be on their way to a peer.
const SETTLED_MS: u64 = 1000;

/// A book whose record has so many orders and other changes that are not in the ledger on disk
/// takes no more: its disk is slower than its buyers.
const ACCOUNT_WEIGHT_MAX: usize = 4096;

impl<E: Environment> Replica<E> {
    /// Notes in the new copy what the change from the old one was. The record forgets what is in
    /// the ledger on disk here.
    ///
    /// Fails with [`Error::Busy`] when too much waits for that.
    pub(super) fn enter(
        &self,
        inner: &Inner,
        old: &Book,
        new: &mut Book,
        update: &Update,
    ) -> Result<()> {
        if ACCOUNT_WEIGHT_MAX < old.account.weight() {
            return Err(Error::Busy("The ledger's disk is too slow".into()));
        }
        let opens = old.account.is_empty().then(|| opening(old.version));
        let entry = update.entry(old, new, self.env.unix_ms(), opens);
        let saved = |entry: &Entry| inner.shelf.ledger.is_saved(&entry.key());
        let may_forget = |entry: &Entry| saved(entry) || !self.enforces(Rule::LedgerFirst);
        new.account = old.account.with(entry, may_forget);
        Ok(())
    }

    /// Waits until the ledger has entries that are not on disk, at most for `timeout`.
    pub(crate) fn await_entries(&self, timeout: Duration) {
        let until = self.deadline(timeout);
        let all_saved = |inner: &Inner| inner.shelf.ledger.unsaved_len() == 0;
        drop(self.wait_while(self.lock(), WaitKey::Entries, until, all_saved));
    }

    /// One step of a loop of the ledger: after a pause, puts on disk what is not there yet.
    pub(crate) fn save_ledger(self: &Arc<Self>, pause: Duration) {
        self.pause(pause);
        if let Err(why) = self.save_all_entries() {
            static OFTEN: log::RateLimited = log::RateLimited::new();
            OFTEN.warn("the ledger is not saved", &[("why", &why)]);
        }
    }

    /// Puts on disk what is not there when this is called. One thread writes at a time.
    fn save_all_entries(&self) -> std::result::Result<(), String> {
        let mut left = self.lock().shelf.ledger.unsaved_len();
        while 0 < left {
            let mut inner = self.lock();
            while inner.saving_entries {
                inner = self.wait(inner, WaitKey::Ledger, self.deadline(SAVE_WAIT));
            }
            let entries = inner.shelf.ledger.unsaved(ENTRIES_MAX);
            if entries.is_empty() {
                return Ok(());
            }
            inner.saving_entries = true;
            drop(inner);
            let outcome = self.env.save_entries(&entries);
            inner = self.lock();
            inner.saving_entries = false;
            if outcome.is_ok() {
                inner.shelf.ledger.mark_saved(&entries);
            }
            drop(inner);
            self.env.wake(WaitKey::Ledger);
            outcome?;
            left = left.saturating_sub(entries.len());
        }
        Ok(())
    }

    /// Before copies are put on disk: puts in the ledger's files what they have forgotten. Nowhere
    /// else may it be, once the folder is lost in whose files it is.
    pub(super) fn save_due_entries(&self) -> std::result::Result<(), String> {
        if !self.lock().shelf.ledger.is_due() || !self.enforces(Rule::LedgerDue) {
            return Ok(());
        }
        self.save_all_entries()
    }

    /// Before a change is acknowledged without a peer: puts it in the ledger's files. That peer may
    /// be on the other side of a cut, and this copy may give way to one of that side: if this
    /// catalog crashed meanwhile, its book's record would not tell that the change came true.
    ///
    /// Fails with [`Error::DiskRefuses`].
    pub(super) fn save_ledger_alone(&self) -> Result<()> {
        let is_alone = {
            let left_out = &self.lock().left_out;
            left_out.peers().any(|i| left_out.is_told(i))
        };
        if !is_alone || !self.enforces(Rule::LedgerAlone) {
            return Ok(());
        }
        self.save_all_entries()
            .map_err(|why| Error::disk_refuses(&why))
    }

    /// Takes what this peer's ledger has, to disk. A catalog that missed changes of a book may have
    /// missed their entries too, if its record has forgotten them since.
    ///
    /// Fails when the peer does not answer, and with [`Error::DiskRefuses`].
    pub(super) fn take_ledger(self: &Arc<Self>, peer: usize) -> Result<()> {
        if !self.enforces(Rule::LedgerBack) {
            return Ok(());
        }
        self.take_entries(peer, true)?;
        self.save_all_entries()
            .map_err(|why| Error::disk_refuses(&why))
    }

    /// One step of the other loop: after a pause, takes from each live peer what is lacking here.
    pub(crate) fn compare_ledgers(self: &Arc<Self>, pause: Duration) {
        let before = self.lock().shelf.ledger.len();
        self.pause(pause);
        let is_quiet = self.lock().shelf.ledger.len() == before;
        let live: Vec<usize> = self.lock().membership.live_peers().collect();
        for peer in live {
            if let Err(error) = self.take_entries(peer, is_quiet) {
                let peer = &self.config.peers[peer];
                let fields: [log::Field; 2] = [("peer", peer), ("reason", &error)];
                log::debug("the ledger was not compared", &fields);
            }
        }
    }

    fn pause(&self, pause: Duration) {
        let until = self.deadline(pause);
        drop(self.wait_while(self.lock(), WaitKey::Ledger, until, |_| true));
    }

    /// Takes the entries that a peer has and this catalog lacks; without `all`, those that are so
    /// old that they are not just on their way.
    fn take_entries(self: &Arc<Self>, peer: usize, all: bool) -> Result<()> {
        let before = match all {
            true => number::EXACT_MAX,
            false => bucket_of(self.env.unix_ms().saturating_sub(SETTLED_MS)),
        };
        let theirs = self.ask_digests(peer, AskLedger::Days { before })?;
        let ours = self.lock().shelf.ledger.days(before);
        for day in differing(&ours, &theirs) {
            let theirs = self.ask_digests(peer, AskLedger::Buckets { day, before })?;
            let ours = self.lock().shelf.ledger.buckets(day, before);
            for bucket in differing(&ours, &theirs) {
                self.take_bucket(peer, bucket)?;
            }
        }
        Ok(())
    }

    fn take_bucket(self: &Arc<Self>, peer: usize, bucket: u64) -> Result<()> {
        let mut after = None;
        loop {
            let LedgerReply::Keys(keys) =
                self.ask_ledger(peer, AskLedger::Keys { bucket, after })?
            else {
                return Err(no_answer());
            };
            let lacking = {
                let inner = self.lock();
                let lacks = |key: &EntryKey| !inner.shelf.ledger.contains(key);
                keys.iter().copied().filter(lacks).collect::<Vec<_>>()
            };
            for keys in lacking.chunks(ENTRIES_MAX) {
                let keys = keys.to_vec();
                self.take(peer, AskLedger::Entries { keys })?;
            }
            // A peer that gives the same keys again is not asked again.
            let last = keys.last().copied().filter(|last| after < Some(*last));
            if last.is_none() || keys.len() < KEYS_MAX {
                return Ok(());
            }
            after = last;
        }
    }

    /// Adds the entries that a peer answers with.
    fn take(self: &Arc<Self>, peer: usize, asked: AskLedger) -> Result<()> {
        let LedgerReply::Entries(entries) = self.ask_ledger(peer, asked)? else {
            return Err(no_answer());
        };
        let mut inner = self.lock();
        for entry in entries.iter().filter(|entry| entry.defect().is_none()) {
            inner.shelf.ledger.add(entry);
        }
        drop(inner);
        self.env.wake(WaitKey::Entries);
        Ok(())
    }

    /// The entry with this order, and the one that took it back. An order that is not in the ledger
    /// here is asked for at all peers that are not left out, and looked for in the records of books
    /// that are not valid. `None`, which is a promise: nobody has it.
    ///
    /// Fails with [`Error::Busy`] when a peer does not answer, or this catalog does not serve.
    pub(crate) fn order(self: &Arc<Self>, order: OrderId) -> Result<Option<Found>> {
        let found = self.lock().shelf.ledger.order(order);
        if found.is_some() {
            return Ok(found);
        }
        let until = self.deadline(SERVING_WAIT);
        let epoch = self.await_serving(self.lock(), until)?.shelf.epoch();
        self.ask_all_for(order)?;
        for _ in 0..ORDER_ATTEMPTS_MAX {
            let book = self.sold_in_record(order);
            if let Some(book) = book {
                // Once its newest copy is valid, what its record has came true.
                self.newest(book).map_err(|_| not_known())?;
            }
            let inner = self.lock();
            let found = inner.shelf.ledger.order(order);
            let is_certain = self.answers(&inner) && inner.shelf.epoch() == epoch;
            if found.is_some() || book.is_none() && is_certain {
                return Ok(found);
            }
        }
        Err(not_known())
    }

    /// A book whose copy is not valid, and whose record has this order: that may be nowhere else. Of
    /// a book that is valid all is in the ledger.
    fn sold_in_record(&self, order: OrderId) -> Option<BookId> {
        let sold = |book: &Book| {
            let mut entries = book.account.entries();
            entries.any(|entry| entry.sale(order).is_some())
        };
        let inner = self.lock();
        if inner.shelf.state_counts().unknown == 0 {
            let found = inner.shelf.tentative().find(|book| sold(book));
            return found.map(|book| book.id);
        }
        drop(inner);
        let mut after = None;
        loop {
            let inner = self.lock();
            let copies = inner.shelf.versions_after(after);
            let page: Vec<PageEntry> = copies.take(RECORDS_MAX).collect();
            let last = page.last()?;
            after = Some(last.0);
            let found = page.iter().find(|PageEntry(id, _, state)| {
                *state != CopyState::Valid && inner.shelf.book(*id).is_some_and(|book| sold(book))
            });
            if let Some(PageEntry(id, ..)) = found {
                return Some(*id);
            }
        }
    }

    /// Takes what the peers that are not left out have of an order. Fails with [`Error::Busy`].
    pub(super) fn ask_all_for(self: &Arc<Self>, order: OrderId) -> Result<()> {
        let mut peers = self.peers_to_ask().into_iter();
        let taken = peers.try_for_each(|peer| self.take(peer, AskLedger::Order { order }));
        taken.map_err(|_| Error::Busy("Another catalog does not say what it knows".into()))
    }

    /// The entry with this order, if it is here.
    pub(crate) fn order_here(&self, order: OrderId) -> Option<Arc<Entry>> {
        let found = self.lock().shelf.ledger.order(order);
        found.map(|(sale, _)| sale)
    }

    /// Whether it is known here that an order was taken back.
    pub(crate) fn is_cancelled(&self, order: OrderId) -> bool {
        self.lock().shelf.ledger.is_cancelled(order)
    }

    /// The entries behind `after`, or from `since` on, by time, at most `limit`.
    pub(crate) fn entries(
        &self,
        since: u64,
        after: Option<EntryKey>,
        limit: usize,
    ) -> Vec<Arc<Entry>> {
        let inner = self.lock();
        let entries = inner.shelf.ledger.after(since, after);
        entries.take(limit).cloned().collect()
    }

    fn ask_digests(self: &Arc<Self>, peer: usize, asked: AskLedger) -> Result<Digests> {
        match self.ask_ledger(peer, asked)? {
            LedgerReply::Digests(digests) => Ok(digests),
            _ => Err(no_answer()),
        }
    }

    fn ask_ledger(self: &Arc<Self>, peer: usize, asked: AskLedger) -> Result<LedgerReply> {
        match self.ask(peer, Message::Ledger(asked)) {
            Outcome::Reply(Reply::Ledger(answer)) => Ok(answer),
            _ => Err(no_answer()),
        }
    }

    pub(super) fn answer_ledger(&self, asked: &AskLedger) -> Reply {
        let inner = self.lock();
        let ledger = &inner.shelf.ledger;
        Reply::Ledger(match asked {
            AskLedger::Days { before } => LedgerReply::Digests(ledger.days(*before)),
            AskLedger::Buckets { day, before } => {
                LedgerReply::Digests(ledger.buckets(*day, *before))
            }
            AskLedger::Keys { bucket, after } => {
                LedgerReply::Keys(ledger.keys(*bucket, *after, KEYS_MAX))
            }
            AskLedger::Entries { keys } => {
                let asked = &keys[..keys.len().min(ENTRIES_MAX)];
                LedgerReply::Entries(ledger.entries(asked))
            }
            AskLedger::Order { order } => {
                let entries = ledger.sales(*order).chain(ledger.cancellations(*order));
                LedgerReply::Entries(entries.cloned().collect())
            }
        })
    }
}

/// The entry with a sale, and the one that took it back, if one did.
pub(crate) type Found = (Arc<Entry>, Option<Arc<Entry>>);

fn not_known() -> Error {
    Error::Busy("It is not known yet whether this order was sold".into())
}

/// Where a book's quantity at its first version here came from.
fn opening(version: Version) -> Opening {
    match version {
        Version::FIRST => Opening::Stock,
        Version { number: 1, .. } => Opening::Added,
        _ => Opening::Older,
    }
}

/// The days or buckets of which the other has another digest.
fn differing(ours: &Digests, theirs: &Digests) -> Vec<u64> {
    let differs = theirs
        .iter()
        .filter(|(at, digest)| ours.get(at) != Some(digest));
    differs.map(|(at, _)| *at).collect()
}

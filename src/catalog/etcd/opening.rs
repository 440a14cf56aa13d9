//! How a catalog opens its store: the first stock, all books into the memory, and then their
//! changes, for as long as it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::catalog::etcd::ledger_keys::KeyUses;
use crate::catalog::etcd::operations::{Write, Written};
use crate::catalog::etcd::wire::Txn;
use crate::catalog::etcd::{EtcdStore, memory, reader, record, wire};
use crate::model::book::{Book, STAMP_MAX};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::{log, sync};

/// This key is there once all of the first stock, or all that was migrated, is.
pub(super) const WHOLE: &str = "bazar/whole";

/// Books that are read in one request.
const PAGE_BOOKS: usize = 1000;

/// Books of the first stock that are written in one request.
const STOCK_BOOKS: usize = 500;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// A watch may hang without a word. So it lives no longer than this, and the next one may be at
/// another member.
const WATCH_MAX: Duration = Duration::from_secs(3);

/// Behind the books and [`TITLES`](crate::catalog::etcd::writer::TITLES), and before what was sold,
/// which is not followed.
const WATCHED_END: &str = "bazar/c";

/// How often etcd is asked whether it answers.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

impl EtcdStore {
    /// Starts the loops that open the store and follow its changes.
    pub(super) fn start_loops(
        self: &Arc<Self>,
        first_stock: Vec<Book>,
    ) -> std::result::Result<(), String> {
        let opening = self.clone();
        sync::spawn("etcd", move || {
            opening.retry("open the store", |store| store.open(&first_stock));
            loop {
                opening.retry("read all books", EtcdStore::load);
                opening.follow();
            }
        })?;
        let probing = self.clone();
        sync::spawn("etcd probe", move || {
            loop {
                probing.probe();
                probing.end_doubt();
                thread::sleep(PROBE_INTERVAL);
            }
        })
    }

    fn retry(&self, what: &str, step: impl Fn(&EtcdStore) -> Result<()>) {
        while let Err(error) = step(self) {
            static OFTEN: log::RateLimited = log::RateLimited::new();
            OFTEN.warn("etcd: cannot go on yet", &[("to", &what), ("why", &error)]);
            thread::sleep(PAUSE);
        }
    }

    /// Puts the first stock there, unless the store has been opened before.
    fn open(&self, first_stock: &[Book]) -> Result<()> {
        self.registration.renew(&self.reader)?;
        let whole = self.reader.read(vec![WHOLE.into()])?;
        if whole[0].is_none() {
            for books in first_stock.chunks(STOCK_BOOKS) {
                self.put_first(books)?;
            }
            let txn = Txn::of(vec![wire::put(WHOLE, b"")]);
            self.gateway
                .txn::<serde::de::IgnoredAny>(&txn, self.gateway.deadline())?;
            log::info(
                "the first stock is in etcd",
                &[("books", &first_stock.len())],
            );
        }
        self.front_ends.lend();
        self.is_open.store(true, Relaxed);
        Ok(())
    }

    /// A book that is there already stays as it is: another catalog may have been faster.
    fn put_first(&self, books: &[Book]) -> Result<()> {
        let write = |book: &Book| {
            let mut book = book.clone();
            book.version.stamp = fastrand::u64(1..=STAMP_MAX);
            Write {
                base: 0,
                book: Arc::new(book),
                stale: vec![Invalidation::AllTopics],
                entry: None,
                keys: KeyUses::new(),
            }
        };
        let outcomes = self.writer.write(books.iter().map(write).collect());
        let fine = |outcome: Result<Written>| outcome.map(drop);
        outcomes.into_iter().try_for_each(fine)
    }

    /// Reads all books. What changes meanwhile is followed afterwards.
    fn load(&self) -> Result<()> {
        let (mut first, mut begun) = (record::FIRST.to_string(), None);
        loop {
            let page = self
                .reader
                .read_between(&first, record::END, PAGE_BOOKS, 0)?;
            let (kvs, more, revision) = page;
            let begun = *begun.get_or_insert(revision);
            let last = kvs
                .last()
                .map(|kv| String::from_utf8_lossy(&kv.key).into_owned());
            self.memory.advance(memory::books(&kvs), 0, false);
            match last.filter(|_| more) {
                // The next key after this one.
                Some(last) => first = last + "\0",
                None => {
                    self.memory.advance(Vec::new(), begun, true);
                    return Ok(());
                }
            }
        }
    }

    /// Follows the changes until some are gone, so that all books must be read again.
    fn follow(&self) {
        loop {
            let Some(revision) = self.memory.revision() else {
                return;
            };
            let body = wire::watch(record::FIRST, WATCHED_END, revision + 1);
            let ended = match self.gateway.watch(&body, WATCH_MAX) {
                Ok(lines) => self.follow_lines(lines),
                Err(why) => {
                    log::debug("etcd: no watch", &[("why", &why)]);
                    thread::sleep(PAUSE);
                    Ended::Anyhow
                }
            };
            if let Ended::Compacted = ended {
                log::info("etcd has compacted what was not followed yet", &[]);
                return;
            }
        }
    }

    fn follow_lines(&self, lines: impl Iterator<Item = std::io::Result<Vec<u8>>>) -> Ended {
        for line in lines.map_while(std::io::Result::ok) {
            let Ok(line) = serde_json::from_slice::<wire::WatchLine>(&line) else {
                return Ended::Anyhow;
            };
            let Some(reply) = line.result else {
                log::debug("etcd ends a watch", &[("why", &line.error)]);
                return Ended::Anyhow;
            };
            if reply.compact_revision != 0 {
                return Ended::Compacted;
            }
            if reply.canceled {
                return Ended::Anyhow;
            }
            self.take_over(reply.events);
        }
        Ended::Anyhow
    }

    fn take_over(&self, events: Vec<wire::Event>) {
        let newest = events.iter().map(|event| event.kv.mod_revision).max();
        let (deleted, put): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.kind == "DELETE");
        let deleted = deleted.iter().map(|event| &event.kv);
        for kv in deleted {
            if let Some(id) = record::id(&kv.key) {
                self.memory.delete(id, kv.mod_revision);
            }
        }
        let kvs: Vec<wire::KeyValue> = put.into_iter().map(|event| event.kv).collect();
        self.memory
            .advance(memory::books(&kvs), newest.unwrap_or(0), false);
    }

    /// Makes sure that changes of unknown outcome can be made no more, and then releases what the
    /// front-ends hold for them.
    fn end_doubt(&self) {
        let doubtful = self.registration.take_doubtful();
        if doubtful.is_empty() || !self.is_open.load(Relaxed) {
            return;
        }
        let renewed = self.registration.renew(&self.reader);
        for number in doubtful {
            match &renewed {
                Ok(()) => self.front_ends.release(number),
                Err(_) => self.registration.doubt(number),
            }
        }
    }

    /// Notes whether etcd answers, and how its members must be read.
    fn probe(&self) {
        let read = self.reader.read(vec![WHOLE.into()]);
        if read.is_ok() && self.reader.is_through_log.load(Relaxed) {
            self.look_at_versions();
        }
        let mut health = sync::lock(&self.health);
        health.silent = match read {
            Ok(_) => None,
            Err(Error::Busy(why)) => Some(why),
            Err(error) => Some(error.message().to_string()),
        };
    }

    fn look_at_versions(&self) {
        let Ok(versions) = self.gateway.versions() else {
            return;
        };
        if versions
            .iter()
            .all(|version| reader::reads_are_new(version))
        {
            self.reader.is_through_log.store(false, Relaxed);
        } else if !sync::lock(&self.health).is_old_told {
            sync::lock(&self.health).is_old_told = true;
            let event = "this etcd can answer a read from the past after a pause: every read goes \
                         through its log; 3.5.21, 3.6 and newer need no such care";
            log::warn(event, &[("versions", &json!(versions))]);
        }
    }
}

enum Ended {
    /// What came next is gone.
    Compacted,
    Anyhow,
}

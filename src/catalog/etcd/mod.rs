//! The other store: the books in etcd, which catalogs share instead of agreeing among themselves.
//! `ETCD.md` beside this file is for those who run it.
//!
//! A book is the key `bazar/book/<20 digits>`, its value the JSON that stands in data files too,
//! with the orders that took copies off its stock. Its version is the revision of its last change:
//! `ETag` and sequence number. A change is a txn: "if the book is still at this revision, put that",
//! so that of two changes of one version etcd makes one. It is acknowledged once etcd has it on the
//! disks of most members.
//!
//! | file | what |
//! |---|---|
//! | `base64`, `wire`, `record` | what is sent to etcd, and what comes back |
//! | `gateway` | its members, deadlines, failures |
//! | `reader`, `writer`, `operations` | reads and changes, many in one txn |
//! | `ledger_keys`, `ledger` | what was sold, and for which keys |
//! | `front_ends`, `registration` | their caches; how txns of unknown outcome are ended |
//! | `change`, `update`, `create` | from an update to the book that is written |
//! | `memory`, `opening` | the search index, and what feeds it |
//! | `migrate` | `bazar migrate`: from a folder to etcd, and back |
//!
//! # Why each book is linearizable
//!
//! - **Changes** are txns, which etcd does one after the other. Each compares the revision of the
//!   copy that it was made from, and of two that compare the same one only one is done.
//! - **Reads** that answer a client are linearizable reads of etcd that began after the client
//!   asked. Nothing is answered from memory but searches and the dump, which first bring it up to
//!   what etcd has.
//! - **Refusals** ("sold out", "not at that version") are made on a copy that etcd gave after the
//!   request came, never on one from memory.
//! - **Caches**: before a txn is sent, every front-end drops what it changes, and keeps nothing of
//!   it until it is told that the change has ended: see `front_ends`.
//!
//! # When the outcome of a change is unknown
//!
//! A txn that timed out may have been done, or may be done later, by a member that was only slow.
//! The same txn is then sent again, to the next member. If the book is still at the revision that
//! was compared, it is done now, and the first one, if it comes late, finds another revision. If
//! not, neither will ever be done; whether the first one was, the book tells: by the stamp of its
//! last change, or by the ids of its orders. So a change is refused only once it cannot be made any
//! more. When time is up before that, the answer is 504, "it may have happened".
//!
//! Changes of many books are first tried all or none, then each by itself: see `operations`. That is
//! no more than the same txn sent again. All or none was refused because some book or key was not
//! as compared, or the catalog's own key. What was compared never comes back, so a copy of that
//! txn that comes late is refused, too.
//!
//! # What a cut does
//!
//! A catalog that reaches only a minority of etcd's members answers 503 and 504: no read, no
//! sale. The others go on. There is no left-out list, and nothing to merge afterwards.

mod base64;
mod change;
mod create;
mod front_ends;
mod gateway;
mod ledger;
mod ledger_keys;
mod memory;
pub(super) mod migrate;
mod opening;
mod operations;
mod reader;
mod record;
mod registration;
mod update;
mod wire;
mod writer;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::catalog::etcd::change::Seen;
use crate::catalog::etcd::front_ends::FrontEnds;
use crate::catalog::etcd::gateway::Gateway;
use crate::catalog::etcd::memory::Memory;
use crate::catalog::etcd::reader::Reader;
use crate::catalog::etcd::registration::Registration;
use crate::catalog::etcd::writer::{TITLES, Writer};
use crate::catalog::replication::messages::{Message, Reply};
use crate::catalog::replication::write::{Update, Updated, ids_where};
use crate::catalog::replication::{Health, Read};
use crate::catalog::shelf::copy_state::{CopyState, StateCounts};
use crate::catalog::shelf::titles;
use crate::catalog::store::{OrderLedger, Store};
use crate::config::CatalogSettings;
use crate::model::book::{Book, BookId, STAMP_MAX, Version};
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use crate::model::order_ids::OrderIds;
use crate::model::validation::{BatchQuery, NewBook};
use crate::runtime::metrics::Exposition;
use crate::runtime::sync;

/// How long a search waits for the watch, before it asks etcd for all that has changed.
const WATCH_PATIENCE: Duration = Duration::from_millis(200);

/// The books in etcd.
pub(super) struct EtcdStore {
    gateway: Arc<Gateway>,
    reader: Reader,
    writer: Writer,
    memory: Memory,
    /// The ids of changes that serve no order.
    write_ids: OrderIds,
    /// The first stock is there.
    is_open: AtomicBool,
    /// Held for moments only.
    health: Mutex<EtcdHealth>,
    front_ends: Arc<FrontEnds>,
    registration: Arc<Registration>,
}

/// What the last probe found.
#[derive(Default)]
struct EtcdHealth {
    /// Why etcd did not answer.
    silent: Option<String>,
    /// That its reads need care was logged.
    is_old_told: bool,
}

/// A book that is to be read, and orders of it.
struct Wanted<'a> {
    id: BookId,
    orders: &'a [Order],
}

impl Wanted<'_> {
    /// The `Idempotency-Key`s of the orders.
    fn used(&self) -> impl Iterator<Item = &Arc<str>> {
        self.orders.iter().filter_map(|order| order.key.as_ref())
    }

    /// What is to be read for it.
    fn keys(&self) -> impl Iterator<Item = String> {
        let used = self.used().map(|key| ledger_keys::key_key(key));
        [record::key(self.id)].into_iter().chain(used)
    }
}

impl EtcdStore {
    /// A store that opens by itself as soon as etcd answers. `first_stock` is what it then holds,
    /// if it has never been opened before.
    pub(super) fn start(
        settings: &CatalogSettings,
        first_stock: Vec<Book>,
    ) -> std::result::Result<Arc<EtcdStore>, String> {
        let gateway = Arc::new(Gateway::new(&settings.etcd, settings.limits));
        let silent = Some("etcd was not asked yet".into());
        let start = fastrand::u64(1..=STAMP_MAX);
        let front_ends = Arc::new(FrontEnds::new(settings, start));
        let registration = Registration::new(&settings.common.address, gateway.clone());
        let registration = Arc::new(registration);
        let store = Arc::new(EtcdStore {
            reader: Reader::new(gateway.clone()),
            writer: Writer::new(gateway.clone(), front_ends.clone(), registration.clone()),
            gateway,
            memory: Memory::new(),
            write_ids: OrderIds::of_start(start),
            is_open: AtomicBool::new(false),
            health: Mutex::new(EtcdHealth {
                silent,
                ..EtcdHealth::default()
            }),
            front_ends,
            registration,
        });
        store.start_loops(first_stock)?;
        Ok(store)
    }

    fn check_open(&self) -> Result<()> {
        if self.is_open.load(Relaxed) {
            return Ok(());
        }
        let silent = sync::lock(&self.health).silent.clone();
        let why = silent.unwrap_or_else(|| "the first stock is on its way".into());
        Err(Error::Busy(format!("This catalog has just started: {why}")))
    }

    /// The books as etcd has them now, and which of their orders' keys were used; each by itself.
    fn read_newest(&self, wanted: &[Wanted]) -> Vec<Result<Seen>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let keys = wanted.iter().flat_map(Wanted::keys).collect();
        let found = match self.check_open().and_then(|()| self.reader.read(keys)) {
            Ok(found) => found,
            Err(error) => return vec![Err(error); wanted.len()],
        };
        let mut rest = found.as_slice();
        let seen = wanted.iter().map(|one| {
            let (found, others) = rest.split_at(one.keys().count());
            rest = others;
            let seen = Seen::of(found, one.used().cloned())?;
            seen.book.iter().for_each(|book| self.memory.put(book));
            Ok(seen)
        });
        seen.collect()
    }

    /// Brings the search index up to what etcd has.
    fn catch_up_titles(&self) -> Result<()> {
        let titles = self.reader.read(vec![TITLES.into()])?.pop().flatten();
        let revision = titles.map_or(0, |titles| titles.mod_revision);
        if self.memory.await_revision(revision, WATCH_PATIENCE) {
            return Ok(());
        }
        self.catch_up()
    }

    /// Asks etcd for all that has changed since the memory was complete.
    fn catch_up(&self) -> Result<()> {
        let behind = || Error::Busy("This catalog has not read all books yet".into());
        let since = self.memory.revision().ok_or_else(behind)?;
        let (first, end) = (record::FIRST, record::END);
        let (kvs, _, revision) = self.reader.read_between(first, end, 0, since + 1)?;
        self.memory.advance(memory::books(&kvs), revision, false);
        Ok(())
    }
}

impl Store for Arc<EtcdStore> {
    fn read(&self, id: BookId, orders: &[Order]) -> Result<Read> {
        let seen = self.read_newest(&[Wanted { id, orders }]).pop();
        show(seen.expect("one for one")?, orders)
    }

    fn try_read(&self, _: BookId, _: &[Order]) -> Option<Result<Read>> {
        None
    }

    fn read_batch(&self, queries: &[BatchQuery], each: &mut dyn FnMut(Option<Result<Read>>)) {
        let wanted = queries.iter().map(|query| Wanted {
            id: query.id,
            orders: &query.orders,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        for (query, seen) in queries.iter().zip(self.read_newest(&wanted)) {
            each(Some(seen.and_then(|seen| show(seen, &query.orders))));
        }
    }

    fn reads_wait(&self) -> bool {
        true
    }

    fn update(&self, id: BookId, update: &Update) -> Result<Updated> {
        self.change_one(id, update)
    }

    fn batch_write(&self, updates: &[(BookId, Update)]) -> Vec<Result<Updated>> {
        self.change(updates)
    }

    fn create(&self, books: &[NewBook]) -> Vec<Result<Arc<Book>>> {
        self.add(books)
    }

    fn refresh_index(&self) -> Result<()> {
        self.check_open()?;
        self.catch_up_titles()
    }

    fn refresh(&self) -> Result<()> {
        self.check_open()?;
        self.catch_up()
    }

    fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        self.memory.lock().shelf.books_after(after, limit)
    }

    fn search(&self, text: &str, after: Option<BookId>, limit: usize) -> (Vec<Arc<Book>>, bool) {
        self.memory.lock().shelf.search(text, after, limit)
    }

    fn search_titles(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool) {
        let read = |after, limit| self.books_after(after, limit);
        let found = titles::pages(text, after, limit, read).flatten();
        (found.collect(), true)
    }

    fn of_topic(&self, topic: &str, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        self.memory.lock().shelf.of_topic(topic, after, limit)
    }

    /// There is no other catalog to agree with.
    fn receive(&self, message: Message) -> Result<Reply> {
        match message {
            Message::Heartbeat(heartbeat) => Ok(self.front_ends.answer(&heartbeat)),
            _ => Err(Error::NoSuchPath),
        }
    }

    fn copies(&self, ids: &[BookId]) -> Vec<(Option<Version>, CopyState)> {
        let memory = self.memory.lock();
        let copy = |id: &BookId| (memory.shelf.version(*id), memory.shelf.state(*id));
        ids.iter().map(copy).collect()
    }

    fn health(&self) -> Health {
        let is_loaded = self.memory.revision().is_some();
        let mut state_counts = StateCounts::default();
        let books = self.memory.lock().shelf.len();
        if is_loaded {
            state_counts.valid = books;
        } else {
            state_counts.unknown = books;
        }
        let silent = sync::lock(&self.health).silent.clone();
        let closed = || {
            self.check_open()
                .err()
                .map(|error| error.message().to_string())
        };
        Health {
            state_counts,
            not_serving: silent
                .map(|why| format!("an etcd that answers: {why}"))
                .or_else(closed),
            waits_for: None,
            caught_up: is_loaded,
            was_caught_up: is_loaded,
            disk_refuses: false,
            left_out: BTreeSet::new(),
            front_ends: self.front_ends.contacts(),
            epoch: 0,
            peers: Vec::new(),
            peers_lost: 0,
            copies_dropped: 0,
        }
    }

    fn ledger(&self) -> &dyn OrderLedger {
        self
    }

    fn append_metrics(&self, page: &mut Exposition) {
        let metrics = &self.gateway.metrics;
        let help = "How long etcd took to answer a request.";
        page.histogram("bazar_etcd_seconds", help, &[], &metrics.seconds);
        let help = "Requests that were sent to etcd again.";
        page.counter("bazar_etcd_retries_total", help, &[], metrics.retried.get());
        let help = "Requests that etcd had no space for.";
        page.counter("bazar_etcd_full_total", help, &[], metrics.full.get());
    }
}

/// What a client is shown of a book, and of its orders.
fn show(seen: Seen, orders: &[Order]) -> Result<Read> {
    let Seen { book, uses } = seen;
    let book = book.ok_or(Error::NotFound)?;
    let before = |order: &Order| change::made_before(&book, order, &uses);
    let differing = ids_where(orders, |order| before(order) == Some(false));
    let applied = ids_where(orders, |order| before(order) == Some(true));
    let closed = ids_where(orders, |order| {
        book.applied_orders.is_closed(order) && before(order).is_none()
    });
    let sold_as = orders.iter().filter(|order| applied.contains(&order.id));
    let sold_as = sold_as.filter_map(|order| {
        let used = uses.get(order.key.as_ref()?)?;
        Some((order.id, used.order?))
    });
    let sold_as = sold_as.collect();
    Ok(Read {
        book,
        applied,
        sold_as,
        differing,
        closed,
    })
}

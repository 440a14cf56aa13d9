//! One catalog's part in the agreement: REPLICATION.md as code, without HTTP, files or clock.
//!
//! A [`Replica`] is asked by customers ([`Replica::read`], [`Replica::update`], [`Replica::add`]),
//! by other catalogs ([`Replica::receive`]), and by its owner's two loops ([`Replica::tick`],
//! [`Replica::repair`]). What it needs of the env it asks of its [`Environment`].
//!
//! - `heartbeat.rs`: contact.
//! - `write.rs`: an update, steps 1 to 7; of these `spread.rs` is step 4, `void.rs` step 6.
//!   `together.rs`: several books at once; `adding.rs`: new ones.
//! - `settle.rs`: reading a copy of which too little is known. `catch_up.rs`: settling all, in
//!   bulk.
//! - `receive.rs`: what other catalogs say.
//! - `round.rs`, `queue.rs`, `copies.rs`: what these have in common.
//!
//! One mutex guards all state. It is never held across a message, the disk, or a wait.

pub mod batch_write;
pub mod book_locks;
pub mod catch_up;
pub mod create;
pub mod diff;
pub mod env;
pub mod heartbeat;
pub mod invalidate;
pub mod messages;
pub mod persist;
pub mod read_repair;
pub mod receive;
pub mod replicate;
pub mod rpc_round;
pub mod rules;
pub mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::Outcome;
use crate::catalog::shelf::Shelf;
use crate::catalog::shelf::copy_state::{CopyState, StateCounts};
use crate::config::timing::Timing;
use crate::membership::{LeaseOf, Membership, Time};
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank, Version};
use crate::model::error::{Error, Result};
use crate::model::order::{Order, OrderId};
use book_locks::Desk;
use rules::{Rule, Rules};

/// How a replica stands among the others.
#[derive(Clone, Debug)]
pub struct Config {
    pub address: Address,
    pub peers: Vec<Address>,
    pub front_ends: Vec<Address>,
    pub timing: Timing,
    /// How long one message, and one write's round of messages, may take.
    pub timeout: Duration,
    pub rules: Rules,
}

/// One catalog among its peers.
pub struct Replica<E: Environment> {
    config: Config,
    pub env: E,
    inner: Mutex<Inner>,
}

/// All that a replica knows. Guarded by its one mutex, which is held for moments only.
struct Inner {
    shelf: Shelf,
    contact: Membership,
    /// The first round of heartbeat after the start is done.
    greeted: bool,
    /// Nothing was missed since the last catch-up: a book that is not here is nowhere.
    caught_up: bool,
    /// The disk refused the last write, and every trial since.
    disk_refuses: bool,
    /// What the last sweep found unsettled.
    swept: Vec<(BookId, Version)>,
    /// What is under way for single books.
    desks: HashMap<BookId, Desk>,
    /// Rounds of messages under way, by number: the answers that came and were not yet looked at.
    rounds: HashMap<u64, Vec<(usize, Outcome)>>,
    next_round: u64,
}

/// The answer to [`Replica::read`].
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub book: Arc<Book>,
    /// Of the orders that were shown, those that have their copies already.
    pub applied: Vec<OrderId>,
}

/// How a replica is doing, for `/readyz` and `/metrics`.
#[derive(Clone, Debug)]
pub struct Health {
    pub state_counts: StateCounts,
    pub lease: bool,
    pub caught_up: bool,
    pub disk_refuses: bool,
    /// How often the valid list was emptied since the start.
    pub epoch: u32,
    /// Every other catalog, and whether it is live.
    pub peers: Vec<(Address, bool)>,
}

type Hold<'a> = MutexGuard<'a, Inner>;

impl<E: Environment> Replica<E> {
    /// A replica that has just started with these books, of which it knows nothing more. `start`
    /// tells this start from every other.
    pub fn new(config: Config, start: u64, books: Vec<Book>, env: E) -> Arc<Replica<E>> {
        // First: a million books take longer than a stall, which would look as if this process had
        // been asleep.
        let shelf = Shelf::new(books);
        let (timing, now) = (config.timing, env.now());
        let lease_of = LeaseOf::LivePeers;
        let contact = Membership::new(
            start,
            lease_of,
            timing,
            &config.peers,
            &config.front_ends,
            now,
        );
        let inner = Inner {
            shelf,
            contact,
            greeted: false,
            caught_up: false,
            disk_refuses: false,
            swept: Vec::new(),
            desks: HashMap::new(),
            rounds: HashMap::new(),
            next_round: 0,
        };
        Arc::new(Replica {
            config,
            env,
            inner: Mutex::new(inner),
        })
    }

    /// The book, newest version, settled first if need be; and which of these orders have their
    /// copies already.
    ///
    /// Fails with [`Error::NotFound`], or with [`Error::TimedOut`] when it could not be settled in
    /// time.
    pub fn read(self: &Arc<Self>, id: BookId, orders: &[Order]) -> Result<Read> {
        let book = self.settled(id)?.ok_or(Error::NotFound)?;
        Ok(self.show(book, orders))
    }

    /// As [`Replica::read`] if that needs no waiting.
    pub fn try_read(&self, id: BookId, orders: &[Order]) -> Option<Result<Read>> {
        let inner = self.lock();
        if !self.trusts(&inner) {
            return None;
        }
        match inner.shelf.book(id) {
            None => inner.caught_up.then_some(Err(Error::NotFound)),
            Some(_) if inner.shelf.state(id) != CopyState::Valid => None,
            Some(book) => Some(Ok(self.show(book.clone(), orders))),
        }
    }

    fn show(&self, book: Arc<Book>, orders: &[Order]) -> Read {
        let applied =
            |order: &&Order| self.holds(Rule::Idempotency) && book.applied_orders.contains(order);
        let applied = orders
            .iter()
            .filter(applied)
            .map(|order| order.id)
            .collect();
        Read { book, applied }
    }

    /// The books after `after` as they are here, whatever is known of them.
    pub fn books_after(&self, after: Option<BookId>, limit: usize) -> Vec<Arc<Book>> {
        self.lock().shelf.books_after(after, limit)
    }

    /// The books of the topics that contain the text, by id, and whether the answer may be kept:
    /// not before this catalog has caught up, nor while one of the books is tentative.
    pub fn search(
        &self,
        text: &str,
        after: Option<BookId>,
        limit: usize,
    ) -> (Vec<Arc<Book>>, bool) {
        let inner = self.lock();
        let books = inner.shelf.search(text, after, limit);
        let valid = |book: &Arc<Book>| inner.shelf.state(book.id) == CopyState::Valid;
        let keep = inner.caught_up && self.trusts(&inner) && books.iter().all(valid);
        (books, keep)
    }

    pub fn health(&self) -> Health {
        let inner = self.lock();
        let party = |p: &crate::membership::Peer| (p.address.clone(), p.live);
        Health {
            state_counts: inner.shelf.state_counts(),
            lease: self.trusts(&inner),
            caught_up: inner.caught_up,
            disk_refuses: inner.disk_refuses,
            epoch: inner.shelf.epoch(),
            peers: inner.contact.peers.iter().map(party).collect(),
        }
    }

    /// Whether anything is left to [`Replica::repair`].
    pub fn needs_repair(&self) -> bool {
        self.lock().needs_repair()
    }

    /// Waits until there is something to tend, at most for `time`.
    pub fn await_repair(&self, time: Duration) {
        let until = self.in_time(time);
        let inner = self.lock();
        if !inner.needs_repair() {
            drop(self.wait(inner, WaitKey::Membership, until));
        }
    }

    fn holds(&self, rule: Rule) -> bool {
        self.config.rules.hold(rule)
    }

    fn lock(&self) -> Hold<'_> {
        self.inner
            .lock()
            .expect("whoever panicked with this lock has ended the process")
    }

    /// Waits for `key`, at most until `until`.
    fn wait<'a>(&'a self, hold: Hold<'a>, key: WaitKey, until: Duration) -> Hold<'a> {
        self.env.wait(&self.inner, hold, key, until)
    }

    fn now(&self) -> Time {
        self.env.now()
    }

    fn in_time(&self, time: Duration) -> Duration {
        self.now().monotonic + time
    }

    /// Whether copies on the valid list may be answered from.
    fn trusts(&self, inner: &Inner) -> bool {
        match self.holds(Rule::Lease) {
            true => inner.greeted && inner.contact.lease_holds(self.now()),
            false => inner.greeted,
        }
    }

    fn stalled(&self, inner: &Inner) -> bool {
        self.holds(Rule::Stall) && inner.contact.stalled(self.now())
    }

    /// How good a copy is; see [`Book::rank`].
    fn rank(&self, book: &Book) -> Rank {
        let (number, committed, stamp) = book.rank();
        (number, committed && self.holds(Rule::Committed), stamp)
    }

    fn rank_here(&self, inner: &Inner, id: BookId) -> Option<Rank> {
        inner.shelf.book(id).map(|book| self.rank(book))
    }

    /// Puts the copy on the valid list, as if it had come true here: for tests that begin there.
    #[cfg(test)]
    pub fn assume_valid(&self, id: BookId) {
        self.lock().shelf.set_state(id, CopyState::Valid);
    }

    /// The copy, what is known of it, and whether it is on disk: for tests of what no customer
    /// sees.
    #[cfg(test)]
    pub fn peek(&self, id: BookId) -> Option<(Arc<Book>, CopyState, bool)> {
        let inner = self.lock();
        let book = inner.shelf.book(id)?.clone();
        let on_disk = inner.shelf.on_disk(id, book.version);
        Some((book, inner.shelf.state(id), on_disk))
    }
}

impl Inner {
    fn needs_repair(&self) -> bool {
        self.greeted && (self.disk_refuses || !self.caught_up || self.shelf.any_needs_repair())
    }

    /// Something may have been missed: nothing that is here is known to be the newest any more.
    fn clear(&mut self) {
        self.shelf.clear();
        self.caught_up = false;
    }
}

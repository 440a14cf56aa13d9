//! Replication: how the catalogs agree on every book. Here is no HTTP, no file and no clock: a
//! `Replica` is one catalog's part in the protocol, and asks its `Environment` for those.
//!
//! Routes call `Replica::read`, `Replica::update`, `Replica::create` and others for clients,
//! and `Replica::receive` for other catalogs. The owner runs two loops, `Replica::tick` and
//! `Replica::repair`. One mutex guards all state. It is never held across a message, the disk, or
//! a wait.
//!
//! Read the protocol below first; then the files in this order:
//!
//! | file | what |
//! |---|---|
//! | `messages.rs`, `env.rs` | what catalogs send to each other; what a replica needs around it |
//! | `heartbeat.rs` | "Membership" |
//! | `write.rs` | Write 1 to Write 3, Write 5 |
//! | `commit.rs`, `replicate.rs`, `invalidate.rs` | Write 4, Write 6, Write 7 |
//! | `batch_write.rs`, `create.rs` | several books at once; new books |
//! | `read.rs`, `read_repair.rs` | "Read" |
//! | `catch_up.rs`, `diff.rs` | "Catch-up" |
//! | `receive.rs` | the answers to other catalogs' messages |
//! | `adopt.rs`, `persist.rs`, `book_locks.rs`, `rpc_round.rs` | what these share |
//! | `rules.rs` | rules that tests leave out |
//!
#![doc = include_str!("PROTOCOL.md")]

mod adopt;
mod batch_write;
mod book_locks;
mod catch_up;
mod commit;
mod create;
mod diff;
pub(crate) mod env;
mod heartbeat;
mod invalidate;
pub(crate) mod messages;
mod persist;
mod read;
mod read_repair;
mod receive;
mod replicate;
mod rpc_round;
pub(crate) mod rules;
pub(crate) mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::replication::book_locks::BookLocks;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::Versions;
use crate::catalog::replication::rpc_round::Outcomes;
use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::shelf::Shelf;
use crate::catalog::shelf::copy_state::{CopyState, StateCounts};
use crate::config::timing::Timing;
use crate::membership::peer::Peer;
use crate::membership::time::Time;
use crate::membership::{LeaseNeeds, Membership};
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank};
use crate::model::order::OrderId;
use crate::runtime::sync;

/// One catalog's place among the others.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// This catalog's address, as the others know it.
    pub(crate) address: Address,
    pub(crate) peers: Vec<Address>,
    pub(crate) front_ends: Vec<Address>,
    pub(crate) timing: Timing,
    /// How long one message, and one write's round of messages, may take.
    pub(crate) timeout: Duration,
    pub(crate) rules: Rules,
}

/// One catalog among its peers.
pub(crate) struct Replica<E: Environment> {
    config: Config,
    pub(crate) env: E,
    inner: Mutex<Inner>,
}

/// All that a replica knows. Its mutex is held for moments only.
struct Inner {
    shelf: Shelf,
    membership: Membership,
    /// The first round of heartbeats after the start is complete.
    first_round_done: bool,
    /// Nothing was missed since the last catch-up: a book that is not here does not exist.
    caught_up: bool,
    /// The disk refused the last write, and every trial write since.
    disk_refuses: bool,
    /// What needed repair when the last pass of background repair began.
    needed_repair_before: Versions,
    /// The locks that are held or waited for.
    book_locks: HashMap<BookId, BookLocks>,
    /// The rounds of messages in progress, by number: outcomes that nobody has taken yet.
    rounds: HashMap<u64, Outcomes>,
    next_round: u64,
    /// Copies of this side of a cut that gave way to the other side's.
    copies_dropped: u64,
}

/// The answer to [`Replica::read`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) book: Arc<Book>,
    /// Of the orders that the request named, those that are applied already.
    pub(crate) applied: Vec<OrderId>,
}

/// The state of a replica, for `/readyz` and `/metrics`.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) state_counts: StateCounts,
    pub(crate) lease: bool,
    pub(crate) caught_up: bool,
    pub(crate) disk_refuses: bool,
    /// How often the valid list was emptied since the start.
    pub(crate) epoch: u32,
    /// Every other catalog, and whether it is live.
    pub(crate) peers: Vec<(Address, bool)>,
    /// How often another server was counted as down.
    pub(crate) peers_lost: u64,
    /// Copies of this side of a cut that gave way to the other side's.
    pub(crate) copies_dropped: u64,
}

type Guard<'a> = MutexGuard<'a, Inner>;

impl<E: Environment> Replica<E> {
    /// A replica that has just started with these books from its disk, all of them unknown. `start`
    /// tells this start from every other.
    pub(crate) fn new(config: Config, start: u64, books: Vec<Book>, env: E) -> Arc<Replica<E>> {
        // The shelf comes first: a million books take longer than a stall, which would look as if
        // this process had been asleep.
        let shelf = Shelf::new(books);
        let membership = Membership::new(
            start,
            LeaseNeeds::LivePeers,
            config.timing,
            &config.peers,
            &config.front_ends,
            env.now(),
        );
        let inner = Inner {
            shelf,
            membership,
            first_round_done: false,
            caught_up: false,
            disk_refuses: false,
            needed_repair_before: Vec::new(),
            book_locks: HashMap::new(),
            rounds: HashMap::new(),
            next_round: 0,
            copies_dropped: 0,
        };
        Arc::new(Replica {
            config,
            env,
            inner: Mutex::new(inner),
        })
    }

    pub(crate) fn health(&self) -> Health {
        let inner = self.lock();
        let peer = |peer: &Peer| (peer.address.clone(), peer.live);
        Health {
            state_counts: inner.shelf.state_counts(),
            lease: self.lease_holds(&inner),
            caught_up: inner.caught_up,
            disk_refuses: inner.disk_refuses,
            epoch: inner.shelf.epoch(),
            peers: inner.membership.peers.iter().map(peer).collect(),
            peers_lost: inner.membership.lost_count(),
            copies_dropped: inner.copies_dropped,
        }
    }

    /// Whether [`Replica::repair`] has work.
    pub(crate) fn needs_repair(&self) -> bool {
        self.lock().needs_repair()
    }

    /// Waits until [`Replica::repair`] has work, at most for `timeout`.
    pub(crate) fn await_repair(&self, timeout: Duration) {
        let until = self.deadline(timeout);
        let inner = self.lock();
        if !inner.needs_repair() {
            drop(self.wait(inner, WaitKey::Membership, until));
        }
    }

    fn enforces(&self, rule: Rule) -> bool {
        self.config.rules.enforce(rule)
    }

    fn lock(&self) -> Guard<'_> {
        sync::lock(&self.inner)
    }

    /// Waits until `key` is woken, at most until `until`. It may return early.
    fn wait<'a>(&'a self, inner: Guard<'a>, key: WaitKey, until: Duration) -> Guard<'a> {
        self.env.wait(&self.inner, inner, key, until)
    }

    /// Waits while `condition` holds, at most until `until`.
    fn wait_while<'a>(
        &'a self,
        mut inner: Guard<'a>,
        key: WaitKey,
        until: Duration,
        condition: impl Fn(&Inner) -> bool,
    ) -> Guard<'a> {
        while condition(&inner) && self.now().monotonic < until {
            inner = self.wait(inner, key, until);
        }
        inner
    }

    fn wake_for(&self, ids: impl Iterator<Item = BookId>) {
        ids.for_each(|id| self.env.wake(WaitKey::Book(id)));
    }

    fn now(&self) -> Time {
        self.env.now()
    }

    /// The moment when this much time has passed, by the monotonic clock.
    fn deadline(&self, timeout: Duration) -> Duration {
        self.now().monotonic + timeout
    }

    fn is_over(&self, deadline: Duration) -> bool {
        deadline <= self.now().monotonic
    }

    /// Whether copies on the valid list may be answered from.
    fn lease_holds(&self, inner: &Inner) -> bool {
        let lease = || inner.membership.lease_holds(self.now());
        inner.first_round_done && (!self.enforces(Rule::Lease) || lease())
    }

    /// Whether the newest copy of a book, or that there is none, is known while the lease holds.
    fn knows(&self, inner: &Inner, id: BookId) -> bool {
        match inner.shelf.book(id) {
            Some(_) => inner.shelf.state(id) == CopyState::Valid,
            None => inner.caught_up,
        }
    }

    fn stalled(&self, inner: &Inner) -> bool {
        self.enforces(Rule::Stall) && inner.membership.stalled(self.now())
    }

    /// The rank of a copy; see [`Book::rank`].
    fn rank(&self, book: &Book) -> Rank {
        let (number, committed, stamp) = book.rank();
        (number, committed && self.enforces(Rule::Committed), stamp)
    }

    fn rank_here(&self, inner: &Inner, id: BookId) -> Option<Rank> {
        inner.shelf.book(id).map(|book| self.rank(book))
    }

    fn live_peers(&self) -> Vec<usize> {
        self.lock().membership.live_peers().collect()
    }

    /// Puts the copy on the valid list, for tests that begin with a valid copy.
    #[cfg(test)]
    pub(crate) fn assume_valid(&self, id: BookId) {
        self.lock().shelf.set_state(id, CopyState::Valid);
    }

    /// The copy, its state, and whether it is on disk, for tests of what no client sees.
    #[cfg(test)]
    pub(crate) fn peek(&self, id: BookId) -> Option<(Arc<Book>, CopyState, bool)> {
        let inner = self.lock();
        let book = inner.shelf.book(id)?.clone();
        let on_disk = inner.shelf.on_disk(id, book.version);
        Some((book, inner.shelf.state(id), on_disk))
    }
}

impl Inner {
    fn needs_repair(&self) -> bool {
        let work = self.disk_refuses || !self.caught_up || self.shelf.any_needs_repair();
        self.first_round_done && work
    }

    /// Something may have been missed: no copy here is known to be the newest any more.
    fn empty_valid_list(&mut self) {
        self.shelf.clear();
        self.caught_up = false;
    }
}

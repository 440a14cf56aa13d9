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
//! | `returning.rs`, `dropped.rs` | "Coming back"; what is dropped after a cut |
//! | `ledger.rs`, `cancel.rs` | "The ledger" |
//! | `prior.rs`, `keys.rs` | "Orders" |
//! | `adopt.rs`, `persist.rs`, `book_locks.rs`, `rpc_round.rs` | what these share |
//! | `rules.rs` | rules that tests leave out |
//!
#![doc = include_str!("PROTOCOL.md")]

mod adopt;
mod batch_write;
mod book_locks;
mod cancel;
mod catch_up;
mod commit;
mod create;
mod diff;
mod dropped;
pub(crate) mod env;
mod heartbeat;
pub(crate) mod invalidate;
mod keys;
pub(crate) mod ledger;
pub(crate) mod left_out;
pub(crate) mod list;
pub(crate) mod messages;
mod persist;
mod prior;
mod read;
mod read_repair;
mod receive;
mod replicate;
mod returning;
mod rpc_round;
pub(crate) mod rules;
pub(crate) mod write;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::ledger::Ledger;
use crate::catalog::replication::book_locks::BookLocks;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::keys::Keys;
use crate::catalog::replication::left_out::{LeftOut, NotServing, Record};
use crate::catalog::replication::messages::{DroppedCopy, Versions};
use crate::catalog::replication::rpc_round::Outcomes;
use crate::catalog::replication::rules::{Rule, Rules};
use crate::catalog::shelf::Shelf;
use crate::catalog::shelf::copy_state::{CopyState, StateCounts};
use crate::config::timing::Timing;
use crate::membership::Membership;
use crate::membership::peer::Peer;
use crate::membership::time::Time;
use crate::model::address::Address;
use crate::model::book::entry::Entry;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;
use crate::model::order_ids::OrderIds;
use crate::runtime::{log, sync};

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

/// What a data folder holds at its start.
pub(crate) struct Opened {
    pub(crate) books: Vec<Book>,
    /// The ledger.
    pub(crate) entries: Vec<Entry>,
    /// Its count of starts is that of this start, and on disk.
    pub(crate) record: Record,
    /// What a new folder would open with.
    pub(crate) first_stock: Option<Vec<Book>>,
    /// Peers that an operator does not want to be waited for.
    pub(crate) go_on_without: Vec<usize>,
}

/// One catalog among its peers.
pub(crate) struct Replica<E: Environment> {
    config: Config,
    pub(crate) env: E,
    /// The ids of the changes that serve no order.
    write_ids: OrderIds,
    inner: Mutex<Inner>,
}

/// All that a replica knows. Its mutex is held for moments only.
struct Inner {
    shelf: Shelf,
    membership: Membership,
    left_out: LeftOut,
    /// A thread is writing entries of the ledger.
    saving_entries: bool,
    was_serving: bool,
    /// Since this catalog last began to serve, all unknown copies were claimed.
    caught_up: bool,
    /// So they were once since the start.
    was_caught_up: bool,
    /// New copies that this catalog made, which are on their way to the peers and which it has
    /// acknowledged to nobody. No client was told of them.
    own_writes: HashSet<(BookId, Version)>,
    /// By returning peer: its start, its period, and the count of its gaps when it began to come
    /// back.
    returning: HashMap<usize, (u64, u64, u64)>,
    /// While the folder is new: the books to open with.
    first_stock: Option<Vec<Arc<Book>>>,
    /// The disk refused the last write of books, and every trial write since.
    refuses_books: bool,
    /// It refused the left-out list.
    refuses_list: bool,
    /// What needed repair when the last pass of background repair began.
    needed_repair_before: Versions,
    /// The locks that are held or waited for.
    book_locks: HashMap<BookId, BookLocks>,
    keys: Keys,
    /// The rounds of messages in progress, by number: outcomes that nobody has taken yet.
    rounds: HashMap<u64, Outcomes>,
    next_round: u64,
    /// Copies of this side of a cut that gave way to the other side's.
    copies_dropped: u64,
    /// Those of which the peer on the other side was not told yet.
    untold: HashMap<usize, Vec<DroppedCopy>>,
}

/// The answer to [`Replica::read`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) book: Arc<Book>,
    /// Of the orders that the request named, those that are applied already.
    pub(crate) applied: Vec<OrderId>,
    /// The order that was sold for the key of some of these, which may be the same one.
    pub(crate) sold_as: Vec<(OrderId, OrderId)>,
    /// Those whose id or key was used for another book or number of copies.
    pub(crate) differing: Vec<OrderId>,
    /// Those that the book may have applied and forgotten.
    pub(crate) closed: Vec<OrderId>,
}

/// The state of a replica, for `/readyz` and `/metrics`.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) state_counts: StateCounts,
    /// Why it does not serve, in words; `None`: it does.
    pub(crate) not_serving: Option<String>,
    /// The peer that it waits for.
    pub(crate) waits_for: Option<Address>,
    pub(crate) caught_up: bool,
    /// So it has since its start.
    pub(crate) was_caught_up: bool,
    pub(crate) disk_refuses: bool,
    /// Whom this catalog goes on without.
    pub(crate) left_out: BTreeSet<Address>,
    /// Every front-end, and whether it is live.
    pub(crate) front_ends: Vec<(Address, bool)>,
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

impl Inner {
    /// Puts a new copy that this catalog made here, tentatively.
    fn propose(&mut self, new: Arc<Book>) {
        self.own_writes.insert((new.id, new.version));
        self.shelf.put(new, CopyState::Tentative);
    }
}

impl<E: Environment> Replica<E> {
    /// A replica that has just started with what its folder holds, all copies unknown. `start`
    /// tells this start from every other.
    pub(crate) fn new(config: Config, start: u64, opened: Opened, env: E) -> Arc<Replica<E>> {
        // The shelf comes first: a million books take longer than a stall, which would look as if
        // this process had been asleep.
        let mut shelf = Shelf::new(opened.books);
        shelf.ledger = Ledger::new(opened.entries);
        let membership = Membership::new(
            start,
            config.timing,
            &config.peers,
            &config.front_ends,
            env.now(),
        );
        let mut left_out = LeftOut::new(&config, start, &opened.record, env.now());
        left_out.first_stock = opened.first_stock.as_deref().map(list::digest);
        for peer in opened.go_on_without {
            let event = "goes on without a peer, as the operator wants";
            log::warn(event, &[("peer", &config.peers[peer])]);
            left_out.go_on_without(peer);
        }
        let inner = Inner {
            shelf,
            membership,
            left_out,
            saving_entries: false,
            was_serving: false,
            caught_up: false,
            was_caught_up: false,
            own_writes: HashSet::new(),
            returning: HashMap::new(),
            first_stock: opened
                .first_stock
                .map(|books| books.into_iter().map(Arc::new).collect()),
            refuses_books: false,
            refuses_list: false,
            needed_repair_before: Vec::new(),
            book_locks: HashMap::new(),
            keys: Keys::default(),
            rounds: HashMap::new(),
            next_round: 0,
            copies_dropped: 0,
            untold: HashMap::new(),
        };
        Arc::new(Replica {
            config,
            env,
            write_ids: OrderIds::of_start(start),
            inner: Mutex::new(inner),
        })
    }

    pub(crate) fn health(&self) -> Health {
        let inner = self.lock();
        let peer = |peer: &Peer| (peer.address.clone(), peer.live);
        // While its list is being saved it waits for nobody.
        let left_out = &inner.left_out;
        let saved = left_out.serves_once_saved(&inner.membership, self.now());
        let waits = !saved || self.serves(&inner);
        let why = self.answering(&inner).err().filter(|_| waits);
        let waits_for = match why {
            Some(NotServing::WaitsFor(i)) => Some(self.config.peers[i].clone()),
            _ => None,
        };
        Health {
            state_counts: inner.shelf.state_counts(),
            not_serving: why.map(|why| self.explain(&inner, why)),
            waits_for,
            caught_up: inner.caught_up,
            was_caught_up: inner.was_caught_up,
            disk_refuses: inner.disk_refuses(),
            left_out: inner.left_out.list_on_disk(),
            front_ends: inner.membership.holders.iter().map(peer).collect(),
            epoch: inner.shelf.epoch(),
            peers: inner.membership.peers.iter().map(peer).collect(),
            peers_lost: inner.membership.lost_count(),
            copies_dropped: inner.copies_dropped,
        }
    }

    /// The versions and states of these books' copies here.
    pub(crate) fn copies(&self, ids: &[BookId]) -> Vec<(Option<Version>, CopyState)> {
        let inner = self.lock();
        let copy = |id: &BookId| (inner.shelf.version(*id), inner.shelf.state(*id));
        ids.iter().map(copy).collect()
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

    /// Wakes who waits for a change of these books, or for the ledger's entries that it made true.
    fn wake_for(&self, ids: impl Iterator<Item = BookId>) {
        ids.for_each(|id| self.env.wake(WaitKey::Book(id)));
        self.env.wake(WaitKey::Entries);
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

    /// Whether copies on the valid list may be answered from, and writes begun: `PROTOCOL.md`, "The
    /// left-out list".
    fn serves(&self, inner: &Inner) -> bool {
        self.serving(inner).is_ok()
    }

    fn serving(&self, inner: &Inner) -> std::result::Result<(), NotServing> {
        let left_out = &inner.left_out;
        if !self.enforces(Rule::Lease) && left_out.ready && left_out.whole {
            return Ok(());
        }
        left_out.serving(&inner.membership, self.now())
    }

    /// Whether clients may be answered: it serves, and is not split from a peer that is not there.
    fn answering(&self, inner: &Inner) -> std::result::Result<(), NotServing> {
        self.serving(inner)?;
        let lost = inner.left_out.split_from_lost(&inner.membership);
        lost.map_or(Ok(()), |i| Err(NotServing::WaitsFor(i)))
    }

    fn answers(&self, inner: &Inner) -> bool {
        self.answering(inner).is_ok()
    }

    /// Whether the newest copy of a book, or that there is none, is known while this catalog
    /// serves.
    fn knows(&self, inner: &Inner, id: BookId) -> bool {
        inner.shelf.book(id).is_none() || inner.shelf.state(id) == CopyState::Valid
    }

    /// Waits until this catalog serves, but no longer than it takes to leave a peer out. Fails with
    /// [`Error::Busy`] and the reason.
    fn await_serving<'a>(&'a self, inner: Guard<'a>, until: Duration) -> Result<Guard<'a>> {
        let timing = self.config.timing;
        let until = until.min(self.deadline(timing.silent + timing.lease));
        let waits = |inner: &Inner| !self.answers(inner);
        let inner = self.wait_while(inner, WaitKey::Membership, until, waits);
        match self.answering(&inner) {
            Ok(()) => Ok(inner),
            Err(why) => Err(Error::Busy(self.explain(&inner, why))),
        }
    }

    /// Why this catalog does not serve, for whoever must wait.
    fn explain(&self, inner: &Inner, why: NotServing) -> String {
        let is_new = |i| inner.left_out.whole && inner.left_out.has_new_folder(i);
        match why {
            NotServing::Starting => "This catalog has just started".into(),
            NotServing::Stalled => "This catalog was stopped for a moment".into(),
            NotServing::Empty => "This catalog's folder is new, and it has no books yet".into(),
            NotServing::WaitsFor(i) if inner.refuses_list && inner.left_out.is_listed(i) => {
                format!(
                    "This catalog's disk refuses, so that it cannot go on without {} of CATALOG_ADDRESSES: \
                 make room on it",
                    self.config.peers[i]
                )
            }
            NotServing::WaitsFor(i) if is_new(i) => format!(
                "This catalog waits for {} of CATALOG_ADDRESSES, which has a new or older folder, and may have sold with \
                 the one before: put that one back, or start this one with --go-on-without {0}",
                self.config.peers[i]
            ),
            NotServing::WaitsFor(i) if !inner.left_out.whole && inner.left_out.is_whole(i) => {
                format!(
                    "This catalog's folder is new, and it has no books yet: it waits until {} serves",
                    self.config.peers[i]
                )
            }
            NotServing::WaitsFor(i) => format!(
                "This catalog waits for {} of CATALOG_ADDRESSES, which may have sold since: start that one, or start this \
                 one with --go-on-without {0}",
                self.config.peers[i]
            ),
        }
    }

    /// The peers that are not left out.
    fn peers_to_ask(&self) -> Vec<usize> {
        self.lock().left_out.peers_to_ask().collect()
    }

    /// Puts the copy on the valid list, for tests that begin with a valid copy.
    #[cfg(test)]
    pub(crate) fn assume_valid(&self, id: BookId) {
        self.lock().shelf.set_state(id, CopyState::Valid);
    }

    /// Counts all peers as caught up with, for tests that begin with given copies.
    #[cfg(test)]
    pub(crate) fn assume_in_step(&self) {
        let mut inner = self.lock();
        for i in inner.left_out.peers() {
            let start = inner.left_out.start_of(i).expect("it has answered");
            inner.left_out.set_in_step(i, start);
            let losses = inner.left_out.losses();
            inner.left_out.note_compared(i, losses);
        }
        inner.was_serving = true;
    }

    /// How this catalog stands with its peers, for the message of a test that fails.
    #[cfg(test)]
    pub(crate) fn describe_standing(&self) -> String {
        let inner = self.lock();
        let left_out = &inner.left_out;
        let serving = left_out.serving(&inner.membership, self.now());
        let peer = |i: usize| {
            let marks = [
                ("listed", left_out.is_told(i)),
                ("lists us", left_out.lists_us(i)),
                ("in step", left_out.is_in_step(i)),
                ("yields to", left_out.yields_to(i)),
                ("live", inner.membership.peers[i].live),
            ];
            let marks = marks
                .iter()
                .filter(|(_, holds)| *holds)
                .map(|(mark, _)| *mark);
            let marks: Vec<&str> = marks.collect();
            format!("{}: {}", self.config.peers[i], marks.join(", "))
        };
        let peers: Vec<String> = left_out.peers().map(peer).collect();
        format!(
            "{serving:?}, whole {}; {}",
            left_out.whole,
            peers.join("; ")
        )
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
    /// The peers that this catalog has something to do with, so that they are in step.
    fn waiting_peers(&self) -> impl Iterator<Item = usize> {
        let left_out = &self.left_out;
        self.membership.live_peers().filter(|i| {
            let waits = !left_out.is_in_step(*i) || left_out.may_hold_forgotten(*i);
            waits && (!left_out.is_told(*i) || left_out.lists_us(*i))
        })
    }

    /// The live peers that are not told yet what gave way to their copies.
    fn untold_peers(&self) -> impl Iterator<Item = usize> {
        let untold = |i: &usize| self.untold.contains_key(i);
        self.membership.live_peers().filter(untold)
    }

    /// What changes from now on is not owed to this peer.
    fn end_owing(&mut self, i: usize) {
        self.shelf.end_owing(i);
        self.left_out.forget_unrecorded(i);
    }

    fn disk_refuses(&self) -> bool {
        self.refuses_books || self.refuses_list
    }

    fn needs_repair(&self) -> bool {
        let peers_wait = self.waiting_peers().next().is_some() || !self.left_out.whole;
        let untold = self.untold_peers().next().is_some();
        let copies_wait = self.was_serving && (!self.caught_up || self.shelf.any_needs_repair());
        self.left_out.ready && (self.disk_refuses() || peers_wait || copies_wait || untold)
    }
}

//! `PROTOCOL.md`, "Write 4: replicate": books go to every peer that is not left out, and to this
//! catalog's own disk meanwhile. "Which peers must acknowledge a write" is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::adopt::Offered;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::left_out::Asked;
use crate::catalog::replication::messages::{
    Claim, Message, Outcome, Reply, Sender, Update, Versions,
};
use crate::catalog::replication::rpc_round::RpcRound;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};

/// The pause before a message that failed is sent again, and before the peers' standing is looked
/// at again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What is replicated.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Books(Vec<Arc<Book>>),
    /// Books that the peers are believed to have already.
    Versions(Versions),
}

/// How a replication ended.
#[derive(Debug, Default)]
pub(super) struct Replicated {
    /// Peers' copies that conflict with some of the books. All other books are committed.
    pub(super) conflicts: Vec<Offered>,
    /// The ids of which some peer has another version than the payload names.
    pub(super) differing: Vec<BookId>,
}

/// How far one peer is.
#[derive(Clone, Debug, Default)]
struct Progress {
    is_asked: bool,
    /// As it stood then.
    asked: Asked,
    /// Nothing is sent before this time.
    not_before: Duration,
    /// Acknowledged in this start and period of the peer; the write went without these then.
    acknowledged: Option<((u64, u64), BTreeSet<usize>)>,
    /// What the request under way goes without.
    sent_without: BTreeSet<usize>,
    /// It is left out, and has another copy: it takes this one when it comes back.
    is_skipped: bool,
}

impl Payload {
    fn message(&self, sender: Sender) -> Message {
        match self.clone() {
            Payload::Books(books) => Message::Update(Update { books, sender }),
            Payload::Versions(versions) => Message::Claim(Claim { versions, sender }),
        }
    }

    pub(super) fn versions(&self) -> Versions {
        match self {
            Payload::Books(books) => books.iter().map(|book| (book.id, book.version)).collect(),
            Payload::Versions(versions) => versions.clone(),
        }
    }

    fn is_single_book(&self) -> bool {
        matches!(self, Payload::Books(books) if books.len() == 1)
    }
}

/// A replication in progress.
struct Replication<'a, E: Environment> {
    replica: &'a Arc<Replica<E>>,
    payload: &'a Payload,
    versions: Versions,
    round: RpcRound<'a, E>,
    /// By peer.
    progress: Vec<Progress>,
    result: Replicated,
    /// A peer has this catalog on its list.
    is_left_out: bool,
    until: Duration,
}

impl<E: Environment> Replica<E> {
    /// Brings the payload to every peer, and to this catalog's own disk meanwhile, until each has
    /// acknowledged it or is left out, on disk here and at each that acknowledged. With a single
    /// book it returns as soon as any copy conflicts.
    ///
    /// Fails with [`Error::TimedOut`], or with [`Error::DiskRefuses`]. Nothing is undone then.
    pub(super) fn replicate(self: &Arc<Self>, payload: &Payload) -> Result<Replicated> {
        let versions = payload.versions();
        if !self.enforces(Rule::StrikeOwn) {
            self.lock().own_writes.extend(&versions);
        }
        let mut replication = Replication {
            replica: self,
            payload,
            versions,
            round: self.rpc_round(),
            progress: vec![Progress::default(); self.config.peers.len()],
            result: Replicated::default(),
            is_left_out: false,
            until: self.deadline(self.config.timeout),
        };
        replication.run()
    }

    /// Whether what peer `i` acknowledged in this start and period of it is still there.
    fn is_present(&self, inner: &Inner, i: usize, by: (u64, u64)) -> bool {
        let present = inner.left_out.period_of(i);
        let same_start = present.map(|present| present.0) == Some(by.0);
        let same_period = present.map(|present| present.1) == Some(by.1);
        (same_start || !self.enforces(Rule::PresentStart))
            && (same_period || !same_start || !self.enforces(Rule::PresentPeriod))
    }
}

impl<E: Environment> Drop for Replication<'_, E> {
    fn drop(&mut self) {
        self.end(&mut self.replica.lock());
    }
}

impl<E: Environment> Replication<'_, E> {
    fn run(&mut self) -> Result<Replicated> {
        let replica = self.replica;
        let mut is_saved = false;
        loop {
            let mut inner = replica.lock();
            let doubtful = self.take_outcomes(&mut inner);
            if !doubtful.is_empty() {
                drop(inner);
                // One of the two has missed something: a heartbeat tells.
                for peer in doubtful {
                    replica.on_outcome(peer, &Outcome::Silent);
                }
                continue;
            }
            if self.is_left_out {
                return Err(timed_out());
            }
            if self.payload.is_single_book() && self.is_lost(&inner) {
                return Ok(std::mem::take(&mut self.result));
            }
            replica.note_standing(&mut inner);
            if inner.left_out.needs_saving() && replica.enforces(Rule::ListOnDisk) {
                drop(inner);
                replica.save_list()?;
                continue;
            }
            let without = self.without(&inner);
            let due = self.due(&mut inner, &without);
            if !due.is_empty() || !is_saved {
                let unsaved = if is_saved {
                    Vec::new()
                } else {
                    self.unsaved(&inner)
                };
                is_saved = true;
                drop(inner);
                for (peer, sender) in due {
                    self.round.send(peer, self.payload.message(sender));
                }
                if !unsaved.is_empty() {
                    replica.save(&unsaved)?;
                }
                continue;
            }
            if self.is_acknowledged(&inner, &without) {
                // From this very moment on they are owed like any other.
                self.end(&mut inner);
                return Ok(std::mem::take(&mut self.result));
            }
            if replica.is_over(self.until) {
                return Err(timed_out());
            }
            let next = self.until.min(replica.deadline(RETRY_PAUSE));
            drop(replica.wait(inner, WaitKey::Round(self.round.number), next));
        }
    }

    fn end(&mut self, inner: &mut Inner) {
        for copy in std::mem::take(&mut self.versions) {
            inner.own_writes.remove(&copy);
        }
    }

    /// Returns the peers with which something was missed, there or here.
    fn take_outcomes(&mut self, inner: &mut Inner) -> Vec<usize> {
        let now = self.replica.now().monotonic;
        let mut doubtful = Vec::new();
        for (peer, outcome) in self.round.take(inner) {
            let progress = &mut self.progress[peer];
            progress.is_asked = false;
            progress.not_before = now + RETRY_PAUSE;
            let (by, conflicts, differing) = match outcome {
                Outcome::Reply(Reply::Updated(reply)) => {
                    ((reply.start, reply.period), reply.conflicts, vec![])
                }
                Outcome::Reply(Reply::Claimed(reply)) => {
                    ((reply.start, reply.period), vec![], reply.differing)
                }
                Outcome::Reply(Reply::LeftOut) => {
                    self.is_left_out = true;
                    continue;
                }
                Outcome::Reply(Reply::NotNow) => {
                    doubtful.push(peer);
                    continue;
                }
                _ => continue,
            };
            // A better copy that came to it in an update would win when it is back: it counts now.
            let is_better = |(id, version): &(BookId, Version)| {
                let better = |book: &Book| book.id == *id && *version < book.version;
                conflicts.iter().any(|(book, _)| better(book))
            };
            let differs = !conflicts.is_empty() || !differing.is_empty();
            let gives_way = !self.versions.iter().any(is_better);
            if differs && gives_way && inner.left_out.is_told(peer) {
                progress.is_skipped = true;
                continue;
            }
            if !self.replica.is_present(inner, peer, by) {
                continue;
            }
            progress.acknowledged = Some((by, progress.sent_without.clone()));
            let disputed = |id: &BookId| {
                conflicts.iter().any(|(book, _)| book.id == *id) || differing.contains(id)
            };
            for (id, version) in &self.versions {
                if !disputed(id) {
                    inner.shelf.note_acknowledged(peer, *id, *version);
                }
            }
            let from = progress.asked;
            let offered = |(book, state)| Offered { from, book, state };
            self.result
                .conflicts
                .extend(conflicts.into_iter().map(offered));
            self.result.differing.extend(differing);
        }
        doubtful
    }

    /// The peers that this one has on its list for this round, if it has acknowledged in its
    /// present start and period.
    fn acknowledged(&self, inner: &Inner, peer: usize) -> Option<&BTreeSet<usize>> {
        let (by, without) = self.progress[peer].acknowledged.as_ref()?;
        self.replica.is_present(inner, peer, *by).then_some(without)
    }

    /// The peers that this round goes without: left out, and not live, or with another copy.
    fn without(&self, inner: &Inner) -> BTreeSet<usize> {
        let goes_without = |peer: &usize| {
            let live = inner.membership.peers[*peer].live;
            self.acknowledged(inner, *peer).is_none()
                && inner.left_out.is_listed(*peer)
                && (!live
                    || self.progress[*peer].is_skipped
                    || inner.left_out.is_full(*peer)
                    || inner.left_out.lags(*peer))
        };
        inner.left_out.peers().filter(goes_without).collect()
    }

    /// Whether a peer has acknowledged, and has all those on its list that this round goes without.
    fn is_good(&self, inner: &Inner, peer: usize, without: &BTreeSet<usize>) -> bool {
        let acknowledged = self.acknowledged(inner, peer);
        let any_list = !self.replica.enforces(Rule::Regrow);
        acknowledged.is_some_and(|known| without.is_subset(known) || any_list)
    }

    /// The peers to send to now, with what is said to each, marked as asked.
    fn due(&mut self, inner: &mut Inner, without: &BTreeSet<usize>) -> Vec<(usize, Sender)> {
        let now = self.replica.now().monotonic;
        let mut due = Vec::new();
        for peer in inner.left_out.peers() {
            let wanted = inner.membership.peers[peer].live || !inner.left_out.is_told(peer);
            let progress = &self.progress[peer];
            let waits = progress.is_asked || progress.is_skipped || now < progress.not_before;
            if waits || !wanted || self.is_good(inner, peer, without) {
                continue;
            }
            let others = without.iter().copied().filter(|i| *i != peer);
            let others: BTreeSet<usize> = others.collect();
            let mut sender = self.replica.sender(inner, peer);
            sender.without = if self.replica.enforces(Rule::WithoutOnly) {
                inner.left_out.addresses(others.iter().copied())
            } else {
                sender.standing.left_out.clone()
            };
            let progress = &mut self.progress[peer];
            progress.is_asked = true;
            progress.asked = inner.left_out.asked(peer);
            progress.sent_without = others;
            due.push((peer, sender));
        }
        due
    }

    /// `PROTOCOL.md`, "Which peers must acknowledge a write".
    fn is_acknowledged(&self, inner: &Inner, without: &BTreeSet<usize>) -> bool {
        let is_settled = |peer: usize| {
            self.is_good(inner, peer, without)
                || inner.left_out.is_left_out(peer) && without.contains(&peer)
        };
        inner.left_out.whole
            && !inner.left_out.is_fencing()
            && !inner.left_out.must_yield()
            && !inner.left_out.is_split()
            && inner.left_out.peers().all(is_settled)
            && self.unsaved(inner).is_empty()
    }

    /// Whether another copy took the place of one of these, here or at a peer.
    fn is_lost(&self, inner: &Inner) -> bool {
        let replaced =
            |(id, version): &(BookId, Version)| inner.shelf.version(*id) != Some(*version);
        !self.result.conflicts.is_empty() || self.versions.iter().any(replaced)
    }

    /// The books of the payload that are still here, but not on disk here.
    fn unsaved(&self, inner: &Inner) -> Vec<BookId> {
        if inner.shelf.is_all_on_disk() {
            return Vec::new();
        }
        let unsaved = |(id, version): &&(BookId, Version)| {
            inner.shelf.version(*id) == Some(*version) && !inner.shelf.on_disk(*id, *version)
        };
        let unsaved = self.versions.iter().filter(unsaved);
        unsaved.map(|(id, _)| *id).collect()
    }
}

fn timed_out() -> Error {
    Error::TimedOut(
        "The other catalogs did not answer in time; the change may still be committed".into(),
    )
}

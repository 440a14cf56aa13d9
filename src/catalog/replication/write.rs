//! An update: REPLICATION.md, "Write", steps 1 to 7.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::invalidate::voids;
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::replication::replicate::Load;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Hold, Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId, Change, Version};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::model::order::Order;

/// How long a write may wait for those before it, and look for a settled copy to write on.
const PREPARE_MAX: Duration = Duration::from_secs(2);

/// How often a write looks again at a copy that changes under its eyes.
const LOOKS_MAX: usize = 12;

/// What is asked of [`Replica::update`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    pub change: Change,
    pub if_match: Option<IfMatch>,
    /// The orders that this change serves.
    pub orders: Vec<Order>,
    /// All orders or none: one that is applied already is an error. Otherwise it makes the whole
    /// update a replay.
    pub all_or_none: bool,
}

/// What came of [`Replica::update`].
#[derive(Clone, Debug, PartialEq)]
pub struct Updated {
    pub book: Arc<Book>,
    /// The order was applied before; nothing was changed now.
    pub replayed: bool,
}

/// A write that has begun: the new copy is here, tentatively.
pub(super) struct Begun {
    pub old: Arc<Book>,
    pub new: Arc<Book>,
    pub epoch: u32,
}

/// What step 2 says.
pub(super) enum Prepared {
    Begun(Begun),
    Nothing(Updated),
    /// The copy must be settled before this can be said.
    Settle,
}

impl<E: Environment> Replica<E> {
    /// Changes a book. Once it returns `Ok`, the change is on disk at every live catalog and void
    /// in every cache.
    ///
    /// Fails with [`Error::NotFound`]; [`Error::OutOfDate`] when this copy was not the newest (it
    /// has caught up by then); [`Error::Applied`] or [`Error::Closed`] for orders;
    /// [`Error::Changed`] when `if_match` names another version. After [`Error::TimedOut`] or
    /// [`Error::DiskRefuses`] the change may come true yet. [`Error::Busy`]: too many wait.
    pub fn update(self: &Arc<Self>, id: BookId, update: &Update) -> Result<Updated> {
        let until = self.in_time(PREPARE_MAX);
        let _turn = self.turn(id, until)?;
        match self.begin(id, update, until)? {
            Prepared::Begun(begun) => self.finish(&begun, update),
            Prepared::Nothing(updated) => Ok(updated),
            Prepared::Settle => Err(unsettled()),
        }
    }

    /// Steps 1 to 3: looks until the copy is one to write on, and puts the new one in its place.
    fn begin(self: &Arc<Self>, id: BookId, update: &Update, until: Duration) -> Result<Prepared> {
        for _ in 0..LOOKS_MAX {
            let mut inner = self.greeted(self.lock(), until);
            if until <= self.now().monotonic {
                break;
            }
            let trusted = self.trusts(&inner);
            let state = inner.shelf.state(id);
            let here = inner.shelf.book(id).is_some();
            if trusted && !here && inner.caught_up {
                return Err(Error::NotFound);
            }
            let judged = if trusted && state == CopyState::Valid {
                self.judge(&mut inner, id, update)?
            } else if here && state == CopyState::Unknown && !update.is_empty() {
                let rank = self.rank_here(&inner, id);
                drop(inner);
                self.check(id)?;
                inner = self.lock();
                if self.rank_here(&inner, id) != rank || inner.shelf.state(id) != CopyState::Unknown
                {
                    continue;
                }
                self.judge(&mut inner, id, update)?
            } else {
                Prepared::Settle
            };
            drop(inner);
            match judged {
                Prepared::Settle => {
                    self.settled(id)?.ok_or(Error::NotFound)?;
                }
                judged => return Ok(judged),
            }
        }
        Err(unsettled())
    }

    /// Step 1 for an unknown copy: asks all live peers whether theirs is better.
    fn check(self: &Arc<Self>, id: BookId) -> Result<()> {
        let (live, rank, epoch) = {
            let inner = self.lock();
            let live: Vec<usize> = inner.contact.live_peers().collect();
            (live, self.rank_here(&inner, id), inner.shelf.epoch())
        };
        let mut better = Vec::new();
        let mut silent = false;
        for (_, outcome) in self.ask_all(&live, &Message::Check { id, rank }) {
            match outcome {
                Outcome::Reply(Reply::CheckFailed { book, state }) => better.push((book, state)),
                Outcome::Reply(_) | Outcome::Refused => {}
                Outcome::Silent => silent = true,
            }
        }
        if !better.is_empty() {
            self.adopt_best(better, epoch)?;
            return Err(Error::OutOfDate);
        }
        if silent { Err(unsettled()) } else { Ok(()) }
    }

    /// Steps 2 and 3, in one moment.
    pub(super) fn judge(
        &self,
        inner: &mut Hold<'_>,
        id: BookId,
        update: &Update,
    ) -> Result<Prepared> {
        let old = inner
            .shelf
            .book(id)
            .expect("only a copy that is here is judged")
            .clone();
        let valid = inner.shelf.state(id) == CopyState::Valid && self.trusts(inner);
        let applied = |order: &&Order| old.applied_orders.contains(order);
        let applied: Vec<_> = update
            .orders
            .iter()
            .filter(applied)
            .map(|order| order.id)
            .collect();
        if !applied.is_empty() && self.holds(Rule::Idempotency) {
            return match (valid, update.all_or_none) {
                (false, _) => Ok(Prepared::Settle),
                (true, true) => Err(Error::Applied(applied)),
                (true, false) => Ok(Prepared::Nothing(Updated {
                    book: old,
                    replayed: true,
                })),
            };
        }
        let closed = |order: &&Order| old.applied_orders.is_closed(order);
        let closed: Vec<_> = update
            .orders
            .iter()
            .filter(closed)
            .map(|order| order.id)
            .collect();
        if !closed.is_empty() {
            return Err(Error::Closed(closed));
        }
        let if_match = update
            .if_match
            .as_ref()
            .filter(|_| self.holds(Rule::IfMatch));
        if if_match.is_some_and(|if_match| !if_match.allows(old.version)) {
            return Err(Error::Changed);
        }
        if update.is_empty() {
            return Ok(Prepared::Nothing(Updated {
                book: old,
                replayed: false,
            }));
        }
        let mut new = changed(&old, update, self.env.random());
        new.diverged_at = self.diverged_at(inner, &old, new.version, valid);
        let new = Arc::new(new);
        inner.shelf.put(new.clone(), CopyState::Tentative);
        Ok(Prepared::Begun(Begun {
            old,
            new,
            epoch: inner.shelf.epoch(),
        }))
    }

    /// Since which version the new copy is not at all catalogs; see [`Book::apart`].
    fn diverged_at(&self, inner: &Inner, old: &Book, new: Version, valid: bool) -> Option<Version> {
        let all_live = inner.contact.peers.iter().all(|peer| peer.live);
        let here_since = old
            .diverged_at
            .filter(|_| inner.shelf.came_after_last_loss(old.id));
        match all_live {
            true if valid => None,
            true => old.diverged_at,
            false => here_since.or(Some(new)),
        }
    }

    fn finish(self: &Arc<Self>, begun: &Begun, update: &Update) -> Result<Updated> {
        let Begun { old, new, epoch } = begun;
        let outdone = self.bring_about(std::slice::from_ref(new), *epoch, &voids(old, new))?;
        match outdone.contains(&new.id) {
            true => self.outdone(new, update),
            false => Ok(Updated {
                book: new.clone(),
                replayed: false,
            }),
        }
    }

    /// Steps 4 to 7 for copies that have been here, tentatively, since `epoch`. Gives those that
    /// were outdone: another copy took their place. All others are valid now.
    ///
    /// Fails as [`Replica::spread`] and [`Replica::void`] do.
    pub(super) fn bring_about(
        self: &Arc<Self>,
        books: &[Arc<Book>],
        epoch: u32,
        voids: &[Invalidation],
    ) -> Result<HashSet<BookId>> {
        self.wake_for(books);
        let spread = self.spread(&Load::Books(books.to_vec()))?;
        let mut outdone = self.adopt_all(spread.conflicts, epoch)?;
        let replaced =
            |inner: &Inner, book: &Book| inner.shelf.version(book.id) != Some(book.version);
        {
            let inner = self.lock();
            let replaced = books.iter().filter(|book| replaced(&inner, book));
            outdone.extend(replaced.map(|book| book.id));
        }
        if books.iter().all(|book| outdone.contains(&book.id)) {
            return Ok(outdone);
        }
        self.void(voids)?;
        let mut brought = Vec::with_capacity(books.len());
        let mut inner = self.lock();
        for book in books {
            let (id, version) = (book.id, book.version);
            if replaced(&inner, book) {
                outdone.insert(id);
            }
            if outdone.contains(&id) {
                continue;
            }
            if !spread.everywhere {
                inner.shelf.mark_diverged(id, version);
            }
            if inner.shelf.state(id) == CopyState::Tentative && inner.shelf.epoch() == epoch {
                inner.shelf.set_state(id, CopyState::Valid);
            }
            brought.push((id, version));
        }
        drop(inner);
        self.wake_for(books);
        self.confirm(brought);
        Ok(outdone)
    }

    fn wake_for(&self, books: &[Arc<Book>]) {
        books
            .iter()
            .for_each(|book| self.env.wake(WaitKey::Book(book.id)));
    }

    /// Step 5: another copy took the place of this write's. It may have come true all the same.
    fn outdone(self: &Arc<Self>, new: &Arc<Book>, update: &Update) -> Result<Updated> {
        if !self.holds(Rule::OwnWrite) {
            return Err(Error::OutOfDate);
        }
        let book = self
            .settled(new.id)
            .map_err(|_| unsettled())?
            .ok_or(Error::OutOfDate)?;
        let every = |has: &dyn Fn(&Order) -> bool| update.orders.iter().all(has);
        let by_orders =
            !update.orders.is_empty() && every(&|order| book.applied_orders.contains(order));
        let committed = book.version == new.version;
        // A customer's other order with the same key may have been faster.
        let replayed = !committed && !every(&|order| book.applied_orders.contains_id(order));
        match committed || by_orders && self.holds(Rule::Idempotency) {
            true => Ok(Updated { book, replayed }),
            false => Err(Error::OutOfDate),
        }
    }

    /// Takes over the best of each book that conflicts with ours; gives their ids.
    fn adopt_all(
        self: &Arc<Self>,
        conflicts: Vec<(Arc<Book>, CopyState)>,
        epoch: u32,
    ) -> Result<HashSet<BookId>> {
        let mut by_book: BTreeMap<BookId, Vec<_>> = BTreeMap::new();
        for (book, state) in conflicts {
            by_book.entry(book.id).or_default().push((book, state));
        }
        let ids = by_book.keys().copied().collect();
        for conflicts in by_book.into_values() {
            self.adopt_best(conflicts, epoch)?;
        }
        Ok(ids)
    }

    /// Takes over the best of the books that conflict with ours.
    pub(super) fn adopt_best(
        self: &Arc<Self>,
        conflicts: Vec<(Arc<Book>, CopyState)>,
        epoch: u32,
    ) -> Result<()> {
        let best = conflicts
            .into_iter()
            .max_by_key(|(book, _)| self.rank(book));
        let (book, state) = best.expect("something conflicts with ours");
        let state = match state {
            CopyState::Unknown if !book.committed => CopyState::Tentative,
            state => state,
        };
        self.adopt(book, state, epoch)
    }
}

impl Update {
    fn is_empty(&self) -> bool {
        self.change == Change::default() && self.orders.is_empty()
    }
}

fn changed(old: &Book, update: &Update, stamp: u64) -> Book {
    let change = update.change.clone();
    let mut orders = old.applied_orders.clone();
    orders.apply(&update.orders);
    Book {
        id: old.id,
        title: change.title.unwrap_or_else(|| old.title.clone()),
        topic: change.topic.unwrap_or_else(|| old.topic.clone()),
        quantity: change.quantity.unwrap_or(old.quantity),
        price: change.price.unwrap_or(old.price),
        version: Version {
            number: old.version.number + 1,
            stamp,
        },
        committed: false,
        diverged_at: None,
        applied_orders: orders,
    }
}

fn unsettled() -> Error {
    Error::TimedOut("The book could not be settled with the other catalogs in time".into())
}

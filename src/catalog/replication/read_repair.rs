//! Settling a copy of which too little is known: REPLICATION.md, "Read".

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::replication::replicate::Load;
use crate::catalog::replication::{Hold, Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank, Version};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;

/// A tentative copy is given this long to be confirmed; then its writer's work is finished for it.
pub(super) const CONFIRM_WAIT: Duration = Duration::from_millis(150);

/// Settling one book takes at most this long …
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// … and this many rounds.
const ROUNDS_MAX: usize = 12;

/// What settling a book came to.
#[derive(Debug)]
pub(super) enum Settled {
    /// The newest copy; `None`: there is no such book.
    Newest(Option<Arc<Book>>),
    /// Whoever asked knows of a better copy than any from here on.
    Older,
}

impl<E: Environment> Replica<E> {
    /// The newest copy of a book, settled if need be. `None`: there is no such book.
    pub(super) fn settled(self: &Arc<Self>, id: BookId) -> Result<Option<Arc<Book>>> {
        match self.settle(id, &[], None) {
            Ok(Settled::Newest(book)) => Ok(book),
            Ok(Settled::Older) => unreachable!("nobody asked who knows of a better copy"),
            Err(Error::DiskRefuses(why)) => Err(Error::TimedOut(why)),
            Err(error) => Err(error),
        }
    }

    /// Settles a book for the requesters, who know of a copy as good as `best`, or for this
    /// catalog's own customers.
    pub(super) fn settle(
        self: &Arc<Self>,
        id: BookId,
        requesters: &[Address],
        best: Option<Rank>,
    ) -> Result<Settled> {
        let until = self.in_time(SETTLE_MAX);
        let mut right = None;
        let mut rounds = 0;
        while rounds < ROUNDS_MAX {
            let mut inner = self.greeted(self.lock(), until);
            if until <= self.now().monotonic {
                break;
            }
            if self.known(&inner, id) {
                if self.rank_here(&inner, id) < best {
                    return Ok(Settled::Older);
                }
                if self.trusts(&inner) {
                    return Ok(Settled::Newest(inner.shelf.book(id).cloned()));
                }
                drop(inner);
                self.full_round(until);
            } else if requesters.is_empty() && right.is_none() {
                // One settling of a book at a time: others wait for it. A peer's question never
                // waits for it, since that may wait for the peer.
                right = self.settling(&mut inner, id);
                if right.is_none() {
                    drop(self.wait(inner, WaitKey::Book(id), until));
                }
                continue;
            } else if inner.shelf.state(id) == CopyState::Tentative {
                self.await_confirmation(inner, id)?;
            } else if let Some(settled) = self.hop(inner, id, requesters, best)? {
                return Ok(settled);
            }
            rounds += 1;
        }
        Err(Error::TimedOut(
            "The book could not be settled with the other catalogs in time".into(),
        ))
    }

    fn known(&self, inner: &Inner, id: BookId) -> bool {
        match inner.shelf.book(id) {
            Some(_) => inner.shelf.state(id) == CopyState::Valid,
            None => inner.caught_up,
        }
    }

    /// Waits a moment for a tentative copy to be confirmed, then finishes its writer's work.
    fn await_confirmation<'a>(self: &'a Arc<Self>, mut inner: Hold<'a>, id: BookId) -> Result<()> {
        let version = inner.shelf.version(id).expect("a tentative copy is here");
        let until = self.in_time(CONFIRM_WAIT);
        while inner.shelf.has(id, version, CopyState::Tentative) {
            if until <= self.now().monotonic {
                drop(inner);
                return self.claim(id, version);
            }
            inner = self.wait(inner, WaitKey::Book(id), until);
        }
        Ok(())
    }

    /// The documented hop: asks one live peer that was not asked yet. `None`: look again.
    fn hop(
        self: &Arc<Self>,
        inner: Hold<'_>,
        id: BookId,
        requesters: &[Address],
        best: Option<Rank>,
    ) -> Result<Option<Settled>> {
        let epoch = inner.shelf.epoch();
        let best_so_far = best.max(self.rank_here(&inner, id));
        let peer = self.whom_to_ask(&inner, requesters);
        drop(inner);
        if let Some(peer) = peer {
            let mut requesters = requesters.to_vec();
            requesters.push(self.config.address.clone());
            match self.ask(
                peer,
                Message::Get {
                    id,
                    requesters,
                    best: best_so_far,
                },
            ) {
                Outcome::Reply(Reply::Known { book, state }) => {
                    let tentative = state != CopyState::Valid;
                    self.adopt(book, state, epoch)?;
                    if !tentative {
                        return Ok(None);
                    }
                    // If ours is still unknown, it is the better one.
                    return self.claim_unknown(id, epoch).map(|()| None);
                }
                Outcome::Reply(Reply::NothingNewer) => {}
                _ => return Ok(None),
            }
        }
        let inner = self.lock();
        if self.rank_here(&inner, id) < best {
            return Ok(Some(Settled::Older));
        }
        if inner.shelf.book(id).is_none() {
            let sure = self.trusts(&inner) && inner.shelf.epoch() == epoch;
            drop(inner);
            if !sure {
                self.full_round(self.in_time(self.config.timeout));
            }
            return Ok(sure.then_some(Settled::Newest(None)));
        }
        drop(inner);
        self.claim_unknown(id, epoch).map(|()| None)
    }

    fn whom_to_ask(&self, inner: &Inner, requesters: &[Address]) -> Option<usize> {
        let asked = |i: &usize| requesters.contains(&inner.contact.peers[*i].address);
        let left: Vec<usize> = inner.contact.live_peers().filter(|i| !asked(i)).collect();
        let turn = self.env.random() as usize;
        (!left.is_empty()).then(|| left[turn % left.len()])
    }

    fn claim_unknown(self: &Arc<Self>, id: BookId, epoch: u32) -> Result<()> {
        let inner = self.lock();
        let version = inner.shelf.version(id);
        let unknown = inner.shelf.state(id) == CopyState::Unknown && inner.shelf.epoch() == epoch;
        drop(inner);
        match version.filter(|_| unknown) {
            Some(version) => self.claim(id, version),
            None => Ok(()),
        }
    }

    /// Steps 4 to 7 with the very copy that is here: it is the book.
    pub(super) fn claim(self: &Arc<Self>, id: BookId, version: Version) -> Result<()> {
        let mut inner = self.lock();
        if inner.shelf.version(id) != Some(version) {
            return Ok(());
        }
        if inner.shelf.state(id) == CopyState::Unknown {
            inner.shelf.set_state(id, CopyState::Tentative);
        }
        let epoch = inner.shelf.epoch();
        let book = inner
            .shelf
            .book(id)
            .expect("its version was just seen")
            .clone();
        drop(inner);
        let spread = self.spread(&Load::Books(vec![book.clone()]))?;
        if !spread.conflicts.is_empty() {
            return self.adopt_best(spread.conflicts, epoch);
        }
        let mine = |inner: &Inner| {
            inner.shelf.has(id, version, CopyState::Tentative) && inner.shelf.epoch() == epoch
        };
        if !mine(&self.lock()) {
            return Ok(());
        }
        // Whoever began this write may have died before the searches were voided.
        let voids = [Invalidation::Item(id), Invalidation::AllTopics];
        self.void(if book.committed { &voids[..1] } else { &voids })?;
        let mut inner = self.lock();
        let mine = mine(&inner);
        if mine {
            inner.shelf.set_state(id, CopyState::Valid);
        }
        drop(inner);
        self.env.wake(WaitKey::Book(id));
        if mine {
            self.confirm(vec![(id, version)]);
        }
        Ok(())
    }
}

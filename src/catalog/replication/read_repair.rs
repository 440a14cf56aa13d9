//! Read repair: finding the newest copy of a book whose copy here is not known to be the newest.
//! `PROTOCOL.md`, "Read".

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::adopt::Offered;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Get, Known, Message, Outcome, Reply};
use crate::catalog::replication::{Guard, Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::address::Address;
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;

/// How long a tentative copy waits for its confirmation, before its write is finished for it.
pub(super) const CONFIRM_WAIT: Duration = Duration::from_millis(150);

/// How long one read repair may take.
const REPAIR_MAX: Duration = Duration::from_secs(2);

/// How many rounds one read repair may take.
const ROUNDS_MAX: usize = 12;

/// What a read repair found.
#[derive(Debug)]
pub(super) enum Repaired {
    /// The newest copy; `None`: there is no such book.
    Newest(Option<Arc<Book>>),
    /// The requesters know of a better copy than any from here on.
    Older,
}

impl<E: Environment> Replica<E> {
    /// The newest copy of a book, for a client of this catalog. `None`: there is no such book.
    pub(super) fn newest(self: &Arc<Self>, id: BookId) -> Result<Option<Arc<Book>>> {
        let asked = Get {
            id,
            requesters: Vec::new(),
            best: None,
        };
        match self.read_repair(&asked) {
            Ok(Repaired::Newest(book)) => Ok(book),
            Ok(Repaired::Older) => unreachable!("nobody knows of a better copy"),
            // A read has changed nothing, and works again when the disk does.
            Err(Error::DiskRefuses(why)) => Err(Error::Busy(why)),
            Err(error) => Err(error),
        }
    }

    /// Finds the newest copy of a book, for a hop or, without requesters, for a client of this
    /// catalog. The number of rounds and the time are bounded; then it fails with
    /// [`Error::TimedOut`].
    pub(super) fn read_repair(self: &Arc<Self>, asked: &Get) -> Result<Repaired> {
        let id = asked.id;
        let until = self.deadline(REPAIR_MAX);
        let mut lock = None;
        let mut rounds = 0;
        while rounds < ROUNDS_MAX {
            let mut inner = self.await_serving(self.lock(), until)?;
            if self.is_over(until) {
                break;
            }
            if self.knows(&inner, id) {
                if inner.shelf.version(id) < asked.best {
                    return Ok(Repaired::Older);
                }
                return Ok(Repaired::Newest(inner.shelf.book(id).cloned()));
            } else if asked.requesters.is_empty() && lock.is_none() {
                // One read repair of a book at a time. A peer's request never waits for that lock,
                // since its holder may wait for the peer.
                lock = self.try_lock_for_repair(&mut inner, id);
                if lock.is_none() {
                    drop(self.wait(inner, WaitKey::Book(id), until));
                }
                continue;
            } else if inner.shelf.state(id) == CopyState::Tentative {
                self.await_confirmation(inner, id)?;
            } else if let Some(repaired) = self.hop(inner, asked)? {
                return Ok(repaired);
            }
            rounds += 1;
        }
        Err(not_repaired())
    }

    /// Waits a moment for a tentative copy to be confirmed. If it is not, the writer is gone, and
    /// this catalog finishes the write.
    fn await_confirmation<'a>(self: &'a Arc<Self>, inner: Guard<'a>, id: BookId) -> Result<()> {
        let version = inner.shelf.version(id).expect("a tentative copy is here");
        let until = self.deadline(CONFIRM_WAIT);
        let tentative = |inner: &Inner| inner.shelf.has(id, version, CopyState::Tentative);
        let inner = self.wait_while(inner, WaitKey::Book(id), until, tentative);
        if tentative(&inner) {
            return self.claim(inner, id);
        }
        Ok(())
    }

    /// `PROTOCOL.md`, "Hop": asks one live peer that was not asked yet. `None`: the copy here
    /// changed, look again.
    fn hop(self: &Arc<Self>, inner: Guard<'_>, asked: &Get) -> Result<Option<Repaired>> {
        let (id, epoch) = (asked.id, inner.shelf.epoch());
        let best = asked.best.max(inner.shelf.version(id));
        let Some(peer) = self.next_to_ask(&inner, &asked.requesters) else {
            drop(inner);
            return self.end_of_hops(asked, epoch);
        };
        let from = inner.left_out.asked(peer);
        drop(inner);
        let myself = std::slice::from_ref(&self.config.address);
        let requesters = [&asked.requesters[..], myself].concat();
        let get = Get {
            id,
            requesters,
            best,
        };
        match self.ask(peer, Message::Get(get)) {
            Outcome::Reply(Reply::Known(Known { book, state })) => {
                self.adopt(vec![Offered { from, book, state }], epoch)?;
                // If the copy here is still unknown after it adopted a tentative one, it was the
                // better of the two. After it adopted a valid one, a cache may hold an older copy,
                // which a claim invalidates.
                self.claim_unknown(self.lock(), id, epoch)?;
                Ok(None)
            }
            Outcome::Reply(Reply::NothingNewer) => self.end_of_hops(asked, epoch),
            _ => Ok(None),
        }
    }

    /// Nobody from here on has a better copy: this one is the newest, unless the requesters have a
    /// better one.
    fn end_of_hops(self: &Arc<Self>, asked: &Get, epoch: u32) -> Result<Option<Repaired>> {
        let id = asked.id;
        let inner = self.lock();
        if inner.shelf.version(id) < asked.best {
            return Ok(Some(Repaired::Older));
        }
        if inner.shelf.book(id).is_some() {
            self.claim_unknown(inner, id, epoch)?;
            return Ok(None);
        }
        let certain = self.serves(&inner) && inner.shelf.epoch() == epoch;
        Ok(certain.then_some(Repaired::Newest(None)))
    }

    fn next_to_ask(&self, inner: &Inner, requesters: &[Address]) -> Option<usize> {
        let asked = |i: &usize| requesters.contains(&inner.membership.peers[*i].address);
        let left = inner.left_out.peers_to_ask().filter(|i| !asked(i));
        let left: Vec<usize> = left.collect();
        let turn = self.env.random() as usize;
        (!left.is_empty()).then(|| left[turn % left.len()])
    }

    /// Claims the copy here if it is still unknown and the valid list was not emptied since
    /// `epoch`.
    fn claim_unknown(self: &Arc<Self>, inner: Guard<'_>, id: BookId, epoch: u32) -> Result<()> {
        if inner.shelf.state(id) == CopyState::Unknown && inner.shelf.epoch() == epoch {
            return self.claim(inner, id);
        }
        Ok(())
    }

    /// `PROTOCOL.md`, "Claim": Write 4 to Write 7 with the very copy that is here.
    fn claim(self: &Arc<Self>, mut inner: Guard<'_>, id: BookId) -> Result<()> {
        let book = inner.shelf.book(id).filter(|_| self.serves(&inner));
        let Some(book) = book.cloned() else {
            return Ok(());
        };
        let epoch = inner.shelf.epoch();
        if inner.shelf.state(id) == CopyState::Unknown {
            inner.shelf.set_state(id, CopyState::Tentative);
        }
        drop(inner);
        // The writer may have crashed before the front-ends dropped their searches.
        let stale = [Invalidation::Item(id), Invalidation::AllTopics];
        self.commit(&[book], epoch, &stale).map(drop)
    }
}

pub(super) fn not_repaired() -> Error {
    Error::TimedOut("The catalogs could not agree on this book in time".into())
}

//! What other catalogs say, and the answers.

use std::sync::Arc;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Reply};
use crate::catalog::replication::persist::note_dropped;
use crate::catalog::replication::read_repair::{CONFIRM_WAIT, Settled};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank, Version};
use crate::model::error::{Error, Result};

impl<E: Environment> Replica<E> {
    /// Answers another catalog's message (or a front-end's heartbeat). Only `Get`, `Update` and
    /// `Claim` may wait.
    ///
    /// Fails with [`Error::Busy`] before the first round of heartbeat is done, or for heartbeat
    /// while the disk refuses; [`Error::Invalid`] for books that cannot be; [`Error::DiskRefuses`];
    /// [`Error::TimedOut`] when a `Get` could not be settled.
    pub fn receive(self: &Arc<Self>, message: Message) -> Result<Reply> {
        if let Message::Heartbeat { from } = &message {
            return self.receive_heartbeat(from);
        }
        if !self.lock().greeted {
            return Err(Error::Busy("This catalog has just started".into()));
        }
        match message {
            Message::Heartbeat { from } => self.receive_heartbeat(&from),
            Message::Get {
                id,
                requesters,
                best,
            } => self.give(id, &requesters, best),
            Message::Check { id, rank } => Ok(self.check_against(id, rank)),
            Message::Update { books } => self.take(books),
            Message::Confirm { versions } => Ok(self.confirmed(&versions)),
            Message::Page { after, limit } => Ok(self.page(after, limit)),
            Message::Fetch { ids } => Ok(self.fetch(&ids)),
            Message::Claim { versions } => self.claimed(&versions),
        }
    }

    /// What is known of a copy, as others may rely on it.
    fn shown(&self, inner: &Inner, id: BookId) -> CopyState {
        match inner.shelf.state(id) {
            CopyState::Valid if !self.trusts(inner) => CopyState::Unknown,
            state => state,
        }
    }

    fn give(
        self: &Arc<Self>,
        id: BookId,
        requesters: &[Address],
        best: Option<Rank>,
    ) -> Result<Reply> {
        let until = self.in_time(CONFIRM_WAIT);
        let mut inner = self.lock();
        while inner.shelf.state(id) == CopyState::Tentative {
            if until <= self.now().monotonic {
                let book = inner
                    .shelf
                    .book(id)
                    .expect("a tentative copy is here")
                    .clone();
                return Ok(Reply::Known {
                    book,
                    state: CopyState::Tentative,
                });
            }
            inner = self.wait(inner, WaitKey::Book(id), until);
        }
        drop(inner);
        Ok(match self.settle(id, requesters, best)? {
            Settled::Newest(Some(book)) => Reply::Known {
                book,
                state: CopyState::Valid,
            },
            Settled::Newest(None) | Settled::Older => Reply::NothingNewer,
        })
    }

    fn check_against(&self, id: BookId, rank: Option<Rank>) -> Reply {
        let inner = self.lock();
        let ours = self.rank_here(&inner, id);
        let better = match self.holds(Rule::CheckRank) {
            true => rank < ours,
            false => without_truth(rank) < without_truth(ours),
        };
        match inner.shelf.book(id).filter(|_| better) {
            Some(book) => Reply::CheckFailed {
                book: book.clone(),
                state: self.shown(&inner, id),
            },
            None => Reply::CheckPassed,
        }
    }

    /// Step 4 at a peer: takes what is better, and answers once that is on disk.
    fn take(self: &Arc<Self>, books: Vec<Arc<Book>>) -> Result<Reply> {
        let mut inner = self.lock();
        for book in &books {
            judge(inner.shelf.book(book.id), book)?;
        }
        let mut unsaved = Vec::new();
        for book in &books {
            let (id, version) = (book.id, book.version);
            if inner.shelf.version(id) == Some(version) {
                if book.committed && self.holds(Rule::Committed) {
                    inner.shelf.mark_committed(id, version);
                }
                if !inner.shelf.on_disk(id, version) && self.holds(Rule::AckOnceOnDisk) {
                    unsaved.push(id);
                }
            } else if self.gives_way(inner.shelf.book(id), book) {
                note_dropped(inner.shelf.book(id), book);
                let confirmed = !self.holds(Rule::Confirm);
                let state = if confirmed {
                    CopyState::Valid
                } else {
                    CopyState::Tentative
                };
                inner.shelf.put(book.clone(), state);
                inner.shelf.mark_unconfirmed(id);
                unsaved.push(id);
            }
        }
        drop(inner);
        books
            .iter()
            .for_each(|book| self.env.wake(WaitKey::Book(book.id)));
        if !unsaved.is_empty() {
            self.save(&unsaved)?;
        }
        let inner = self.lock();
        let mut conflicts = Vec::new();
        for book in &books {
            let ours = inner.shelf.book(book.id).expect("ours or this one is here");
            let on_disk = inner.shelf.on_disk(ours.id, ours.version);
            if ours.version != book.version || !on_disk && self.holds(Rule::AckOnceOnDisk) {
                conflicts.push((ours.clone(), self.shown(&inner, book.id)));
            }
        }
        Ok(Reply::Updated { conflicts })
    }

    /// Whether our copy gives way to this one: it has a lower sequence number, or the same and is
    /// the worse.
    fn gives_way(&self, ours: Option<&Arc<Book>>, book: &Book) -> bool {
        let Some(ours) = ours else { return true };
        match self.holds(Rule::Tie) {
            true => self.rank(ours) < self.rank(book),
            false => ours.version.number <= book.version.number,
        }
    }

    fn confirmed(&self, versions: &[(BookId, Version)]) -> Reply {
        let mut inner = self.lock();
        for (id, version) in versions {
            // A valid copy is on disk: whoever answers from it says that what it shows is safe.
            let on_disk = inner.shelf.on_disk(*id, *version);
            if inner.shelf.version(*id) == Some(*version) {
                inner.shelf.mark_confirmed(*id);
            }
            if inner.shelf.has(*id, *version, CopyState::Tentative) && on_disk {
                inner.shelf.set_state(*id, CopyState::Valid);
            }
        }
        drop(inner);
        versions
            .iter()
            .for_each(|(id, _)| self.env.wake(WaitKey::Book(*id)));
        Reply::Confirmed
    }

    fn page(&self, after: Option<BookId>, limit: usize) -> Reply {
        let inner = self.lock();
        let mut entries = inner
            .shelf
            .page(after, limit.min(super::catch_up::PAGE_MAX));
        if !self.trusts(&inner) {
            entries
                .iter_mut()
                .filter(|e| e.2 == CopyState::Valid)
                .for_each(|e| e.2 = CopyState::Unknown);
        }
        Reply::Page { entries }
    }

    fn fetch(&self, ids: &[BookId]) -> Reply {
        let inner = self.lock();
        let book = |id: &BookId| Some((inner.shelf.book(*id)?.clone(), self.shown(&inner, *id)));
        Reply::Books {
            books: ids
                .iter()
                .take(super::catch_up::FETCH_MAX)
                .filter_map(book)
                .collect(),
        }
    }

    fn claimed(self: &Arc<Self>, versions: &[(BookId, Version)]) -> Result<Reply> {
        self.save_missing(versions)?;
        let inner = self.lock();
        let differs = |(id, version): &&(BookId, Version)| !inner.shelf.on_disk(*id, *version);
        let differing = versions.iter().filter(differs).map(|(id, _)| *id).collect();
        Ok(Reply::Claimed { differing })
    }
}

fn without_truth(rank: Option<Rank>) -> Option<(u64, u64)> {
    rank.map(|(number, _, stamp)| (number, stamp))
}

/// Whether such a book can be: nothing of a batch is taken otherwise.
fn judge(ours: Option<&Arc<Book>>, book: &Book) -> Result<()> {
    if let Some(flaw) = book.defect() {
        return Err(Error::Invalid(format!("Book {} has {flaw}", book.id)));
    }
    let same_version = ours.filter(|ours| ours.version == book.version);
    match same_version.is_some_and(|ours| !ours.same_content(book)) {
        true => Err(Error::Invalid(format!(
            "Book {} has another content here at version {}",
            book.id, book.version
        ))),
        false => Ok(()),
    }
}

//! The answers to other catalogs' messages: `PROTOCOL.md`, "Messages".

use std::sync::Arc;

use crate::catalog::replication::adopt::note_dropped;
use crate::catalog::replication::catch_up::{FETCH_MAX, PAGE_MAX};
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Reply};
use crate::catalog::replication::read_repair::{CONFIRM_WAIT, Repaired, Requesters};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId, Rank, Version};
use crate::model::error::{Error, Result};

impl<E: Environment> Replica<E> {
    /// Answers another catalog's message, or a front-end's heartbeat. Only `Get`, `Update` and
    /// `Claim` may wait.
    ///
    /// Fails with [`Error::Busy`] before the first round of heartbeats is complete, or for a
    /// heartbeat while the disk refuses; [`Error::Invalid`] for malformed books;
    /// [`Error::DiskRefuses`]; [`Error::TimedOut`] when read repair for a `Get` did not succeed.
    pub(crate) fn receive(self: &Arc<Self>, message: Message) -> Result<Reply> {
        let heartbeat = matches!(message, Message::Heartbeat { .. });
        if !heartbeat && !self.lock().first_round_done {
            return Err(Error::Busy("This catalog has just started".into()));
        }
        match message {
            Message::Heartbeat { from } => self.answer_heartbeat(&from),
            Message::Get {
                id,
                requesters,
                best,
            } => {
                let addresses = &requesters;
                self.answer_get(id, Requesters { addresses, best })
            }
            Message::Check { id, rank } => Ok(self.answer_check(id, rank)),
            Message::Update { books } => self.answer_update(&books),
            Message::Confirm { versions } => Ok(self.answer_confirm(&versions)),
            Message::Page { after, limit } => Ok(self.answer_page(after, limit)),
            Message::Fetch { ids } => Ok(self.answer_fetch(&ids)),
            Message::Claim { versions } => self.answer_claim(&versions),
        }
    }

    /// The state of a copy as others may rely on it.
    fn state_for_others(&self, inner: &Inner, id: BookId) -> CopyState {
        match inner.shelf.state(id) {
            CopyState::Valid if !self.lease_holds(inner) => CopyState::Unknown,
            state => state,
        }
    }

    fn answer_get(self: &Arc<Self>, id: BookId, requesters: Requesters<'_>) -> Result<Reply> {
        let until = self.deadline(CONFIRM_WAIT);
        let tentative = |inner: &Inner| inner.shelf.state(id) == CopyState::Tentative;
        let inner = self.wait_while(self.lock(), WaitKey::Book(id), until, tentative);
        if tentative(&inner) {
            let book = inner.shelf.book(id).expect("a tentative copy is here");
            return Ok(Reply::Known {
                book: book.clone(),
                state: CopyState::Tentative,
            });
        }
        drop(inner);
        Ok(match self.read_repair(id, requesters)? {
            Repaired::Newest(Some(book)) => Reply::Known {
                book,
                state: CopyState::Valid,
            },
            Repaired::Newest(None) | Repaired::Older => Reply::NothingNewer,
        })
    }

    fn answer_check(&self, id: BookId, rank: Option<Rank>) -> Reply {
        let inner = self.lock();
        let ours = self.rank_here(&inner, id);
        let better = if self.enforces(Rule::CheckRank) {
            rank < ours
        } else {
            without_committed(rank) < without_committed(ours)
        };
        match inner.shelf.book(id).filter(|_| better) {
            Some(book) => Reply::CheckFailed {
                book: book.clone(),
                state: self.state_for_others(&inner, id),
            },
            None => Reply::CheckPassed,
        }
    }

    /// `PROTOCOL.md`, "Write 4: replicate", at a peer: adopts what is better, tentatively, and
    /// answers once that is on disk.
    fn answer_update(self: &Arc<Self>, books: &[Arc<Book>]) -> Result<Reply> {
        let mut inner = self.lock();
        for book in books {
            validate(inner.shelf.book(book.id), book)?;
        }
        let mut unsaved = Vec::new();
        for book in books {
            if self.merge(&mut inner, book) {
                unsaved.push(book.id);
            }
        }
        drop(inner);
        self.wake_for(books.iter().map(|book| book.id));
        if !unsaved.is_empty() {
            self.save(&unsaved)?;
        }
        let inner = self.lock();
        let mut conflicts = Vec::new();
        for book in books {
            let ours = inner.shelf.book(book.id).expect("ours or this one is here");
            let on_disk = inner.shelf.on_disk(ours.id, ours.version);
            if ours.version != book.version || !on_disk && self.enforces(Rule::AckOnceOnDisk) {
                conflicts.push((ours.clone(), self.state_for_others(&inner, book.id)));
            }
        }
        Ok(Reply::Updated { conflicts })
    }

    /// Makes a book the copy here, if it is better. Returns whether the copy here must be saved.
    fn merge(&self, inner: &mut Inner, book: &Arc<Book>) -> bool {
        let (id, version) = (book.id, book.version);
        if inner.shelf.version(id) == Some(version) {
            if book.committed && self.enforces(Rule::Committed) {
                inner.shelf.mark_committed(id, version);
            }
            return !inner.shelf.on_disk(id, version) && self.enforces(Rule::AckOnceOnDisk);
        }
        if !self.gives_way(inner.shelf.book(id), book) {
            return false;
        }
        note_dropped(inner, book);
        let state = if self.enforces(Rule::Confirm) {
            CopyState::Tentative
        } else {
            CopyState::Valid
        };
        inner.shelf.put(book.clone(), state);
        inner.shelf.mark_unconfirmed(id);
        true
    }

    /// Whether the copy here gives way to this one.
    fn gives_way(&self, ours: Option<&Arc<Book>>, book: &Book) -> bool {
        let Some(ours) = ours else { return true };
        if self.enforces(Rule::Tie) {
            self.rank(ours) < self.rank(book)
        } else {
            ours.version.number <= book.version.number
        }
    }

    fn answer_confirm(&self, versions: &[(BookId, Version)]) -> Reply {
        let mut inner = self.lock();
        for (id, version) in versions {
            if inner.shelf.version(*id) == Some(*version) {
                inner.shelf.mark_confirmed(*id);
            }
            // Only a copy that is on disk becomes valid: what a reader has seen must survive.
            let on_disk = inner.shelf.on_disk(*id, *version);
            if on_disk && inner.shelf.has(*id, *version, CopyState::Tentative) {
                inner.shelf.set_state(*id, CopyState::Valid);
            }
        }
        drop(inner);
        self.wake_for(versions.iter().map(|(id, _)| *id));
        Reply::Confirmed
    }

    fn answer_page(&self, after: Option<BookId>, limit: usize) -> Reply {
        let inner = self.lock();
        let mut entries = inner.shelf.page(after, limit.min(PAGE_MAX));
        if !self.lease_holds(&inner) {
            for entry in entries.iter_mut().filter(|e| e.2 == CopyState::Valid) {
                entry.2 = CopyState::Unknown;
            }
        }
        Reply::Page { entries }
    }

    fn answer_fetch(&self, ids: &[BookId]) -> Reply {
        let inner = self.lock();
        let book = |id: &BookId| {
            let book = inner.shelf.book(*id)?.clone();
            Some((book, self.state_for_others(&inner, *id)))
        };
        let books = ids.iter().take(FETCH_MAX).filter_map(book).collect();
        Reply::Books { books }
    }

    fn answer_claim(self: &Arc<Self>, versions: &[(BookId, Version)]) -> Result<Reply> {
        self.save_missing(versions)?;
        let inner = self.lock();
        let differs = |(id, version): &&(BookId, Version)| !inner.shelf.on_disk(*id, *version);
        let differing = versions.iter().filter(differs).map(|(id, _)| *id).collect();
        Ok(Reply::Claimed { differing })
    }
}

fn without_committed(rank: Option<Rank>) -> Option<(u64, u64)> {
    rank.map(|(number, _, stamp)| (number, stamp))
}

/// Refuses a book that is malformed, or that has another content than the copy here at the same
/// version. Then nothing of its batch is adopted.
fn validate(ours: Option<&Arc<Book>>, book: &Book) -> Result<()> {
    if let Some(defect) = book.defect() {
        return Err(Error::Invalid(format!("Book {} has {defect}", book.id)));
    }
    if ours.is_some_and(|ours| ours.version == book.version && !ours.same_content(book)) {
        return Err(Error::Invalid(format!(
            "Book {} has another content here at version {}",
            book.id, book.version
        )));
    }
    Ok(())
}

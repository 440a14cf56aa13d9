//! The answers to other catalogs' messages: `PROTOCOL.md`, "Messages".

use std::sync::Arc;

use crate::catalog::replication::catch_up::{FETCH_MAX, PAGE_MAX};
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{
    AskPage, Books, Check, Claim, Claimed, Get, Known, Message, Page, Reply, Sender, Update,
    UpdatedReply, Versions,
};
use crate::catalog::replication::read_repair::{CONFIRM_WAIT, Repaired};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};

impl<E: Environment> Replica<E> {
    /// Answers another catalog's message, or a front-end's heartbeat. Only `Get`, `Update`, `Claim`
    /// and `Return` may wait.
    ///
    /// Fails with [`Error::Busy`] before the first round of heartbeats is complete, for all but a
    /// heartbeat; [`Error::Invalid`] for malformed books;
    /// [`Error::DiskRefuses`]; [`Error::TimedOut`] when read repair for a `Get` did not succeed.
    pub(crate) fn receive(self: &Arc<Self>, message: Message) -> Result<Reply> {
        let heartbeat = matches!(message, Message::Heartbeat(_));
        if !heartbeat && !self.lock().left_out.ready {
            return Err(Error::Busy("This catalog has just started".into()));
        }
        match message {
            Message::Heartbeat(heartbeat) => self.answer_heartbeat(&heartbeat),
            Message::Get(get) => self.answer_get(&get),
            Message::Check(check) => Ok(self.answer_check(&check)),
            Message::Update(update) => self.answer_update(&update),
            Message::Confirm(confirm) => Ok(self.answer_confirm(&confirm.versions)),
            Message::Page(page) => Ok(self.answer_page(&page)),
            Message::Fetch(fetch) => Ok(self.answer_fetch(&fetch.ids)),
            Message::Claim(claim) => self.answer_claim(&claim),
            Message::Return(asked) => self.answer_return(&asked),
            Message::Dropped(dropped) => Ok(self.answer_dropped(&dropped)),
            Message::Ledger(asked) => Ok(self.answer_ledger(&asked)),
            Message::Keys(asked) => Ok(self.answer_keys(&asked)),
        }
    }

    /// The state of a copy as others may rely on it.
    fn state_for_others(&self, inner: &Inner, id: BookId) -> CopyState {
        match inner.shelf.state(id) {
            CopyState::Valid if !self.serves(inner) => CopyState::Unknown,
            state => state,
        }
    }

    fn answer_get(self: &Arc<Self>, get: &Get) -> Result<Reply> {
        let id = get.id;
        let until = self.deadline(CONFIRM_WAIT);
        let tentative = |inner: &Inner| inner.shelf.state(id) == CopyState::Tentative;
        let inner = self.wait_while(self.lock(), WaitKey::Book(id), until, tentative);
        if tentative(&inner) {
            let book = inner.shelf.book(id).expect("a tentative copy is here");
            let (book, state) = (book.clone(), CopyState::Tentative);
            return Ok(Reply::Known(Known { book, state }));
        }
        if !self.serves(&inner) {
            return Ok(Reply::NothingNewer);
        }
        drop(inner);
        Ok(match self.read_repair(get)? {
            Repaired::Newest(Some(book)) => Reply::Known(Known {
                book,
                state: CopyState::Valid,
            }),
            Repaired::Newest(None) | Repaired::Older => Reply::NothingNewer,
        })
    }

    fn answer_check(&self, check: &Check) -> Reply {
        let inner = self.lock();
        let ours = inner.shelf.book(check.id);
        match ours.filter(|ours| check.version < Some(ours.version)) {
            Some(book) => Reply::CheckFailed(Known {
                book: book.clone(),
                state: self.state_for_others(&inner, check.id),
            }),
            None => Reply::CheckPassed,
        }
    }

    /// Whether an update or claim may be accepted, and the sender's number. `Err`: the answer.
    fn accept(
        &self,
        inner: &mut Inner,
        sender: &Sender,
    ) -> std::result::Result<Accepted, Box<Reply>> {
        let said = &sender.standing;
        let now = self.now();
        let i = self
            .peer_number(&said.from)
            .ok_or(Box::new(Reply::UnknownPeer))?;
        let is_current = inner.left_out.accepts(i, said.start, sender.token, now);
        if !is_current || !self.hear(inner, i, said, false) {
            return Err(Box::new(Reply::NotNow));
        }
        let lists_us = inner.left_out.lists_us(i);
        let is_told = inner.left_out.is_told(i);
        let serves = self.serves(inner);
        if is_told && (serves || !lists_us) && self.enforces(Rule::ListedRefused) {
            return Err(Box::new(Reply::LeftOut));
        }
        let yields = inner.left_out.yields_to(i);
        if lists_us && !is_told && serves
            || !inner.left_out.whole && !lists_us
            || lists_us && yields && !said.serving && self.enforces(Rule::FromServing)
            || yields && !inner.left_out.period_is_known(now)
            || inner.left_out.must_yield_to_other(i)
            || inner.left_out.is_split_from_other(i)
        {
            return Err(Box::new(Reply::NotNow));
        }
        Ok(Accepted {
            peer: i,
            lists_us,
            is_told,
            period: inner.left_out.accept(),
        })
    }

    /// `PROTOCOL.md`, "Write 4: replicate", at a peer: adopts what is better, tentatively, and
    /// answers once that, and the list of those that the write goes without, is on disk.
    fn answer_update(self: &Arc<Self>, update: &Update) -> Result<Reply> {
        let Update { books, sender } = update;
        let mut inner = self.lock();
        for book in books {
            validate(inner.shelf.book(book.id), book)?;
        }
        let accepted = match self.accept(&mut inner, sender) {
            Ok(accepted) => accepted,
            Err(reply) => return Ok(*reply),
        };
        let from = accepted.peer;
        let outright = accepted.lists_us && inner.left_out.yields_to(from);
        let mut unsaved = Vec::new();
        for book in books {
            if self.merge(&mut inner, from, book, outright) {
                unsaved.push(book.id);
            }
        }
        drop(inner);
        self.wake_for(books.iter().map(|book| book.id));
        if !unsaved.is_empty() {
            self.save(&unsaved)?;
        }
        let versions = books.iter().map(|book| (book.id, book.version)).collect();
        self.acknowledge(&accepted, sender, versions, |inner, start, period| {
            let mut conflicts = Vec::new();
            for book in books {
                let ours = inner.shelf.book(book.id).expect("ours or this one is here");
                let on_disk = inner.shelf.on_disk(ours.id, ours.version);
                if ours.version != book.version || !on_disk && self.enforces(Rule::AckOnceOnDisk) {
                    conflicts.push((ours.clone(), self.state_for_others(inner, book.id)));
                }
            }
            Reply::Updated(UpdatedReply {
                conflicts,
                start,
                period,
            })
        })
    }

    /// `reply`, which is about these versions, once those that the sender's write goes without are
    /// on the list on disk.
    fn acknowledge(
        self: &Arc<Self>,
        accepted: &Accepted,
        sender: &Sender,
        versions: Versions,
        reply: impl FnOnce(&Inner, u64, u64) -> Reply,
    ) -> Result<Reply> {
        let knows = sender.without.is_empty() || !self.enforces(Rule::SendList);
        if !accepted.lists_us && !knows {
            let lacking = self.lock().left_out.lacking_of(&sender.without);
            if self.leave_out_for_peer(lacking).is_err() {
                return Ok(Reply::NotNow);
            }
            if !self.lock().left_out.has_on_disk(&sender.without) {
                return Ok(Reply::NotNow);
            }
        }
        let mut inner = self.lock();
        if inner.left_out.is_told(accepted.peer) && !accepted.is_told {
            return Ok(Reply::LeftOut);
        }
        // Whoever has what was forgotten here may have acknowledged these before it came to it.
        if inner.left_out.lags_for(accepted.peer) {
            return Ok(Reply::NotNow);
        }
        // What was taken before this period began may be lost.
        let period = inner.left_out.period();
        if period != accepted.period && self.enforces(Rule::PresentPeriod) {
            return Ok(Reply::NotNow);
        }
        // From now on a client of the sender may be told of these.
        if self.enforces(Rule::StrikeOwn) {
            for copy in &versions {
                inner.own_writes.remove(copy);
            }
        }
        Ok(reply(&inner, inner.left_out.start, period))
    }

    /// Makes a book from peer `from` the copy here, if it is better, or if the copy here loses
    /// outright. Returns whether the copy here must be saved.
    fn merge(&self, inner: &mut Inner, from: usize, book: &Arc<Book>, outright: bool) -> bool {
        let (id, version) = (book.id, book.version);
        let same = inner.shelf.version(id) == Some(version);
        let loses = outright && (inner.shelf.is_own(id) || inner.shelf.book(id).is_none());
        if !same && (loses || self.gives_way(inner.shelf.book(id), book)) {
            let state = if self.enforces(Rule::Confirm) {
                CopyState::Tentative
            } else {
                CopyState::Valid
            };
            self.note_dropped(inner, Some(from), book);
            inner.shelf.put(book.clone(), state);
            inner.shelf.note_acknowledged(from, id, version);
        } else if !same {
            return false;
        }
        if outright && self.enforces(Rule::TakenStays) {
            inner.shelf.mark_taken(id);
        }
        !inner.shelf.on_disk(id, version) && self.enforces(Rule::AckOnceOnDisk) || !same
    }

    /// Whether the copy here gives way to this one.
    fn gives_way(&self, ours: Option<&Arc<Book>>, book: &Book) -> bool {
        let Some(ours) = ours else { return true };
        if self.enforces(Rule::Tie) {
            ours.version < book.version
        } else {
            ours.version.number <= book.version.number
        }
    }

    fn answer_confirm(&self, versions: &[(BookId, Version)]) -> Reply {
        let mut inner = self.lock();
        for (id, version) in versions {
            // Only a copy that is on disk becomes valid: what a reader has seen must survive.
            let on_disk = inner.shelf.on_disk(*id, *version);
            let trusted = !inner.left_out.must_yield();
            if on_disk && trusted && inner.shelf.has(*id, *version, CopyState::Tentative) {
                inner.shelf.set_state(*id, CopyState::Valid);
            }
        }
        drop(inner);
        self.wake_for(versions.iter().map(|(id, _)| *id));
        Reply::Confirmed
    }

    fn answer_page(&self, asked: &AskPage) -> Reply {
        let mut inner = self.lock();
        if let Some(i) = self.peer_number(&asked.standing.from) {
            self.hear(&mut inner, i, &asked.standing, false);
        }
        let versions = inner.shelf.versions_after(asked.after);
        let mut entries: Vec<_> = versions.take(asked.limit.min(PAGE_MAX)).collect();
        if !self.serves(&inner) {
            for entry in entries.iter_mut().filter(|e| e.2 == CopyState::Valid) {
                entry.2 = CopyState::Unknown;
            }
        }
        let standing = self.standing(&mut inner);
        Reply::Page(Page { entries, standing })
    }

    fn answer_fetch(&self, ids: &[BookId]) -> Reply {
        let inner = self.lock();
        let book = |id: &BookId| {
            let book = inner.shelf.book(*id)?.clone();
            Some((book, self.state_for_others(&inner, *id)))
        };
        let books = ids.iter().take(FETCH_MAX).filter_map(book).collect();
        Reply::Books(Books { books })
    }

    fn answer_claim(self: &Arc<Self>, claim: &Claim) -> Result<Reply> {
        let Claim { versions, sender } = claim;
        let accepted = match self.accept(&mut self.lock(), sender) {
            Ok(accepted) => accepted,
            Err(reply) => return Ok(*reply),
        };
        self.save_missing(versions)?;
        self.acknowledge(
            &accepted,
            sender,
            versions.clone(),
            |inner, start, period| {
                let differs =
                    |(id, version): &&(BookId, Version)| !inner.shelf.on_disk(*id, *version);
                let differing = versions.iter().filter(differs).map(|(id, _)| *id).collect();
                Reply::Claimed(Claimed {
                    differing,
                    start,
                    period,
                })
            },
        )
    }
}

/// The sender of an update or claim that is accepted.
struct Accepted {
    peer: usize,
    /// It has this catalog on its list.
    lists_us: bool,
    /// It was on this catalog's list.
    is_told: bool,
    /// The period of this catalog.
    period: u64,
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

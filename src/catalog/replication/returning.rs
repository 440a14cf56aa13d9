//! Coming back: `PROTOCOL.md`, "Coming back". What a catalog does that a peer left out, and what
//! that peer does for it; and how two sides of a cut become one again.

use std::sync::Arc;

use crate::catalog::replication::adopt::Offered;
use crate::catalog::replication::catch_up::{FETCH_MAX, PAGE_MAX, no_answer};
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::left_out::Standing;
use crate::catalog::replication::messages::{
    Message, Outcome, Page, Reply, Return, Returned, Versions,
};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::catalog::shelf::returning::Owed;
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::log;

/// How often a catalog asks to be struck off before it compares everything again.
const STRIKES_MAX: usize = 50;

/// What is done with the page here and the page of a peer.
type ActOnPages<'a> = dyn FnMut(&[PageEntry], &[PageEntry]) -> Result<()> + 'a;

/// How a peer's copies count against those here.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    /// Own copies lose outright.
    Outright,
    /// The better copy wins.
    Better,
}

impl<E: Environment> Replica<E> {
    /// Does what is to be done between this catalog and peer `i`, so that they are in step.
    ///
    /// Fails when the peer does not answer, or when something changed meanwhile. Then it is tried
    /// again later.
    pub(super) fn get_in_step(self: &Arc<Self>, i: usize) -> Result<()> {
        let inner = self.lock();
        let lists_us = inner.left_out.lists_us(i);
        let is_told = inner.left_out.is_told(i);
        let serves = self.serves(&inner);
        let it_serves = inner.left_out.says(i, |said| said.serving);
        let both_whole = inner.left_out.whole && inner.left_out.is_whole(i);
        drop(inner);
        match (lists_us, is_told) {
            // Nobody knows yet whose copies count.
            (true, _) if !it_serves && self.enforces(Rule::FromServing) => Ok(()),
            (true, true) if serves => self.join_sides(i),
            (true, _) => self.come_back(i),
            (false, false) if both_whole => self.catch_up_with(i),
            // It must come back itself, or has yet to be given its books.
            (false, _) => Ok(()),
        }
    }

    /// Neither lists the other: takes the peer's better copies, and its list beside ours.
    fn catch_up_with(self: &Arc<Self>, i: usize) -> Result<()> {
        let start = self.start_of(i)?;
        let said = self.take_all(i, start, Takes::Better)?;
        self.take_ledger(i)?;
        let lacking = self.lock().left_out.lacking_of(&said.left_out);
        self.leave_out_for_peer(lacking)?;
        let mut inner = self.lock();
        if inner.membership.peers[i].live {
            inner.left_out.set_in_step(i, start);
        }
        self.end_owing_in_step(&mut inner);
        self.note_standing(&mut inner);
        Ok(())
    }

    /// This catalog is on the list of peer `i`, which serves.
    fn come_back(self: &Arc<Self>, i: usize) -> Result<()> {
        let start = self.start_of(i)?;
        self.yield_to(i);
        self.give_way(i)?;
        self.ask_to_return(i, true, Vec::new())?;
        let said = self.take_all(i, start, Takes::Outright)?;
        self.adopt_list(&said)?;
        let replaced = {
            let mut inner = self.lock();
            inner.left_out.taken_over();
            inner.shelf.all_that_may_be_cached()
        };
        if self.enforces(Rule::InvalidateBack) {
            self.invalidate(&[Invalidation::AllItems, Invalidation::AllTopics])?;
        }
        self.lock().shelf.note_invalidated(&replaced);
        self.look_for_forgotten()?;
        let mut has = Vec::new();
        for _ in 0..STRIKES_MAX {
            self.take_ledger(i)?;
            // Should it crash now, it is like any catalog that was left out with all that is here.
            self.lock().left_out.become_whole();
            self.save_list()?;
            let Returned { ids, standing } = self.ask_to_return(i, false, has)?;
            let Some(owed) = ids else {
                let mut inner = self.lock();
                // The answer to a heartbeat may have said so before.
                self.hear(&mut inner, i, &standing, false);
                inner.left_out.set_in_step(i, start);
                inner.left_out.renew();
                self.note_standing(&mut inner);
                let peer = &self.config.peers[i];
                log::always("struck off a peer's list", &[("peer", peer)]);
                drop(inner);
                // It serves once they are answered.
                self.send_heartbeats(true);
                return Ok(());
            };
            self.adopt_list(&standing)?;
            has = self.take_owed(i, &owed)?;
        }
        Err(Error::TimedOut(
            "a peer's books change too fast to catch up with".into(),
        ))
    }

    /// Goes on without peer `i` no more: that one acknowledges nothing until it knows.
    fn give_way(self: &Arc<Self>, i: usize) -> Result<()> {
        let mut inner = self.lock();
        if inner.left_out.is_told(i) {
            // What changed here without it is remembered until its copies have taken their place.
            inner.left_out.forgive(i);
        }
        drop(inner);
        self.save_list()
    }

    /// Two sides of a cut that both serve: the better copy of each book wins, and when all are
    /// equal the peer is on the list no longer.
    fn join_sides(self: &Arc<Self>, i: usize) -> Result<()> {
        let start = self.start_of(i)?;
        self.take_all(i, start, Takes::Better)?;
        if self.enforces(Rule::InvalidateBack) {
            self.invalidate(&[Invalidation::AllItems, Invalidation::AllTopics])?;
        }
        let mut equal = true;
        let versions = |entry: &PageEntry| (entry.0, entry.1);
        let mut compare = |ours: &[PageEntry], theirs: &[PageEntry]| {
            equal &= ours.iter().map(versions).eq(theirs.iter().map(versions));
            Ok(())
        };
        self.compare_all_with(i, start, false, &mut compare)?;
        if equal {
            let mut inner = self.lock();
            inner.left_out.forgive(i);
            inner.end_owing(i);
            drop(inner);
            self.save_list()?;
        }
        Ok(())
    }

    /// Takes what each peer has that this catalog may have forgotten. It is not struck off before:
    /// then writes would wait for its acknowledgement.
    fn look_for_forgotten(self: &Arc<Self>) -> Result<()> {
        for i in 0..self.config.peers.len() {
            if self.lock().left_out.may_hold_forgotten(i) {
                self.take_all(i, self.start_of(i)?, Takes::Better)?;
            }
        }
        Ok(())
    }

    fn start_of(&self, i: usize) -> Result<u64> {
        self.lock().left_out.start_of(i).ok_or_else(no_answer)
    }

    /// Takes over a list, without this catalog, and puts it on disk.
    fn adopt_list(self: &Arc<Self>, said: &Standing) -> Result<()> {
        let mut inner = self.lock();
        inner.left_out.adopt_list(&said.left_out);
        self.note_left_out(&mut inner);
        // Nothing here is this catalog's own any more.
        for i in inner.left_out.peers() {
            if !inner.left_out.is_told(i) {
                inner.end_owing(i);
            }
        }
        drop(inner);
        self.save_list()
    }

    /// Nothing is owed to a peer that is in step.
    fn end_owing_in_step(&self, inner: &mut Inner) {
        for i in inner.left_out.peers() {
            if inner.left_out.is_in_step(i) {
                inner.end_owing(i);
            }
        }
    }

    fn ask_to_return(self: &Arc<Self>, i: usize, begins: bool, has: Versions) -> Result<Returned> {
        let asked = {
            let mut inner = self.lock();
            Return {
                sender: self.sender(&mut inner, i),
                begins,
                left_out: inner.left_out.list_on_disk(),
                has,
            }
        };
        match self.ask(i, Message::Return(asked)) {
            Outcome::Reply(Reply::Returned(returned)) => Ok(returned),
            Outcome::Reply(Reply::NotNow) => {
                self.on_outcome(i, &Outcome::Silent);
                Err(no_answer())
            }
            _ => Err(no_answer()),
        }
    }

    /// Takes over the copies of peer `i`, to disk. Returns what it said of itself last.
    fn take_all(self: &Arc<Self>, i: usize, start: u64, takes: Takes) -> Result<Standing> {
        let mut act = |ours: &[PageEntry], theirs: &[PageEntry]| {
            let mut ours = ours.iter().peekable();
            let (mut wanted, mut same) = (Vec::new(), Versions::new());
            for PageEntry(id, version, _) in theirs {
                while ours.next_if(|entry| entry.0 < *id).is_some() {}
                let own = ours.next_if(|entry| entry.0 == *id);
                let own = own.map(|entry| entry.1);
                if own == Some(*version) {
                    same.push((*id, *version));
                } else if takes == Takes::Outright || own < Some(*version) {
                    wanted.push(*id);
                }
            }
            for ids in wanted.chunks(FETCH_MAX) {
                self.fetch(i, ids, takes)?;
            }
            self.save_missing(&same)
        };
        let must_serve = takes == Takes::Outright && self.enforces(Rule::FromServing);
        let losses = self.lock().left_out.losses();
        let said = self.compare_all_with(i, start, must_serve, &mut act)?;
        self.lock().left_out.note_compared(i, losses);
        Ok(said)
    }

    /// Compares all pages with those of peer `i`, and calls `act` with each two. Returns what
    /// the peer said of itself last.
    fn compare_all_with(
        self: &Arc<Self>,
        i: usize,
        start: u64,
        must_serve: bool,
        act: &mut ActOnPages<'_>,
    ) -> Result<Standing> {
        let mut after = None;
        loop {
            let message = self.ask_for_page(after);
            let Outcome::Reply(Reply::Page(page)) = self.ask(i, message) else {
                return Err(no_answer());
            };
            let Page { entries, standing } = page;
            let ours = {
                let mut inner = self.lock();
                let is_fine = standing.start == start && (standing.serving || !must_serve);
                if !self.hear(&mut inner, i, &standing, false) || !is_fine {
                    return Err(no_answer());
                }
                let last = entries.last().filter(|_| entries.len() == PAGE_MAX);
                let is_covered = |ours: &PageEntry| last.is_none_or(|last| ours.0 <= last.0);
                let ours = inner.shelf.versions_after(after).take_while(is_covered);
                ours.collect::<Vec<PageEntry>>()
            };
            act(&ours, &entries)?;
            if entries.len() < PAGE_MAX {
                return Ok(standing);
            }
            after = entries.last().map(|entry| entry.0);
        }
    }

    /// Fetches these books of peer `i`, and takes those that count, to disk.
    fn fetch(self: &Arc<Self>, i: usize, ids: &[BookId], takes: Takes) -> Result<()> {
        let from = self.lock().left_out.asked(i);
        let books = self.fetch_books(from, ids)?;
        let mut inner = self.lock();
        if !inner.left_out.counts(&from) {
            return Err(no_answer());
        }
        // It may serve no longer, or another catalog's copies may count now.
        let outright = takes == Takes::Outright && inner.left_out.yields_to(i);
        let mut taken = Vec::new();
        for Offered { book, .. } in &books {
            let ours = inner.shelf.version(book.id);
            let loses = outright && inner.shelf.is_own(book.id);
            if ours < Some(book.version) || ours != Some(book.version) && loses {
                self.note_dropped(&mut inner, Some(i), book);
                inner.shelf.put(book.clone(), CopyState::Unknown);
                inner.shelf.note_acknowledged(i, book.id, book.version);
            }
            if outright && self.enforces(Rule::TakenStays) {
                inner.shelf.mark_taken(book.id);
            }
            taken.push((book.id, book.version));
        }
        drop(inner);
        self.wake_for(taken.iter().map(|(id, _)| *id));
        self.save_missing(&taken)
    }

    /// Takes the books that are owed, and says which versions of them are on disk here now.
    fn take_owed(self: &Arc<Self>, i: usize, ids: &[BookId]) -> Result<Versions> {
        if !ids.is_empty() {
            self.fetch(i, ids, Takes::Better)?;
        }
        let inner = self.lock();
        let on_disk = |id: &BookId| {
            let version = inner.shelf.version(*id)?;
            inner.shelf.on_disk(*id, version).then_some((*id, version))
        };
        Ok(ids.iter().filter_map(on_disk).collect())
    }

    /// A peer that is on this catalog's list comes back.
    pub(super) fn answer_return(self: &Arc<Self>, asked: &Return) -> Result<Reply> {
        let said = &asked.sender.standing;
        let Some(i) = self.peer_number(&said.from) else {
            return Ok(Reply::UnknownPeer);
        };
        let mut inner = self.lock();
        let now = self.now();
        let is_current = inner
            .left_out
            .accepts(i, said.start, asked.sender.token, now);
        if !self.hear(&mut inner, i, said, false) || !is_current {
            return Ok(Reply::NotNow);
        }
        if !inner.left_out.is_told(i) {
            if !inner.left_out.is_in_step(i) {
                return Ok(Reply::NotNow);
            }
            return Ok(self.returned(&mut inner, None));
        }
        let serves = self.serves(&inner) || asked.begins && !self.enforces(Rule::FromServing);
        let sold_alone = !inner.left_out.is_whole(i) && inner.left_out.is_split_from(i);
        if !serves || sold_alone || !inner.left_out.is_listed(i) {
            return Ok(Reply::NotNow);
        }
        let session = (said.start, said.period, inner.left_out.gap(i));
        if asked.begins {
            inner.shelf.begin_owing(i);
            // It may serve again before it is struck off: then it is the other side of a cut.
            inner.left_out.note_unrecorded(i);
            inner.returning.insert(i, session);
        } else if inner.returning.get(&i) != Some(&session) {
            return Ok(Reply::NotNow);
        }
        for (id, version) in &asked.has {
            inner.shelf.note_acknowledged(i, *id, *version);
        }
        // A write of this catalog's own that is under way waits for this peer's acknowledgement,
        // once it is struck off. Another's, or one that another has claimed, may be acknowledged
        // there without this peer; and so may be one before it.
        let owed = inner.shelf.owed(i).into_iter().flatten();
        let is_owed = self.enforces(Rule::StrikeOwed);
        let is_own_write = |id: &BookId| {
            let version = inner.shelf.version(*id);
            version.is_some_and(|version| inner.own_writes.contains(&(*id, version)))
        };
        let lacks = |lacks: Owed| lacks == Owed::Earlier && self.enforces(Rule::StrikeEarlier);
        let waits = owed.filter(|(id, owed)| is_owed && (lacks(**owed) || !is_own_write(id)));
        let ids: Vec<BookId> = waits.map(|(id, _)| *id).take(FETCH_MAX).collect();
        let lacks = asked.begins || !ids.is_empty();
        if lacks || !inner.left_out.strike(i, &asked.left_out) {
            return Ok(self.returned(&mut inner, Some(ids)));
        }
        inner.end_owing(i);
        inner.returning.remove(&i);
        drop(inner);
        // Until that is on disk it counts as left out, and would compare all books once more.
        self.save_list()?;
        inner = self.lock();
        if inner.left_out.is_told(i) {
            return Ok(Reply::NotNow);
        }
        Ok(self.returned(&mut inner, None))
    }

    fn returned(&self, inner: &mut Inner, ids: Option<Vec<BookId>>) -> Reply {
        let standing = self.standing(inner);
        Reply::Returned(Returned { ids, standing })
    }
}

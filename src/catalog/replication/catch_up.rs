//! Catch-up and background repair: all copies that are not known to be the newest are brought up to
//! date in bulk. `PROTOCOL.md`, "Catch-up".

use std::sync::Arc;

use crate::catalog::replication::Replica;
use crate::catalog::replication::adopt::Offered;
use crate::catalog::replication::diff::{Diff, diff};
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::left_out::Asked;
use crate::catalog::replication::messages::{AskPage, Fetch, Message, Outcome, Reply};
use crate::catalog::replication::replicate::Payload;
use crate::catalog::replication::rules::Rule;
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::log;

/// Entries in a page.
pub(super) const PAGE_MAX: usize = 10_000;

/// Books in one message, and copies that one pass of background repair looks at.
pub(super) const FETCH_MAX: usize = 500;

/// A catch-up in progress.
struct CatchUp {
    /// The valid list's epoch when it began.
    epoch: u32,
    /// The front-ends have emptied their caches, which stands for the invalidation of each claim.
    invalidated: bool,
    /// Whether copies that peers lack are pushed to them now. At first all pages are compared
    /// without pushing: a peer that was away fetches those copies itself meanwhile, and each of its
    /// files would be replaced twice.
    pushes: bool,
    /// Some peer lacked a copy.
    lacking: bool,
}

impl<E: Environment> Replica<E> {
    /// One pass of background repair. It tries the disk again if that refused; catches up if
    /// something may have been missed; else repairs copies that have needed repair since the last
    /// pass. It may wait. The owner calls it a few times a second while [`Replica::needs_repair`].
    pub(crate) fn repair(self: &Arc<Self>) {
        if self.lock().disk_refuses() && self.try_disk().is_err() {
            return;
        }
        self.tell_dropped();
        let waiting: Vec<usize> = self.lock().waiting_peers().collect();
        for i in waiting {
            if let Err(error) = self.get_in_step(i) {
                let peer = &self.config.peers[i];
                log::debug(
                    "not in step with a peer yet",
                    &[("peer", peer), ("reason", &error)],
                );
            }
        }
        if let Err(error) = self.open_shop() {
            log::debug("the folder is not whole yet", &[("reason", &error)]);
        }
        let caught_up = {
            let mut inner = self.lock();
            if !self.serves(&inner) {
                return;
            }
            // It may have begun to serve just now. Noted later, that would undo what is caught up.
            if !std::mem::replace(&mut inner.was_serving, true) {
                inner.caught_up = false;
            }
            inner.caught_up
        };
        if caught_up {
            self.repair_stuck();
        } else if let Err(error) = self.catch_up() {
            log::debug("catch-up begins again", &[("reason", &error)]);
        }
    }

    /// Repairs copies that have needed repair since the last pass: their writer is gone.
    fn repair_stuck(self: &Arc<Self>) {
        let needing = self.lock().shelf.needing_repair();
        let before = std::mem::replace(&mut self.lock().needed_repair_before, needing.clone());
        let stuck = needing.into_iter().filter(|copy| before.contains(copy));
        let stuck = stuck.filter(|_| self.enforces(Rule::Repair));
        for (id, _) in stuck.take(FETCH_MAX) {
            if let Err(error) = self.newest(id) {
                let fields: [log::Field; 2] = [("book", &id), ("reason", &error)];
                log::debug("a copy still needs repair", &fields);
            }
        }
    }

    fn catch_up(self: &Arc<Self>) -> Result<()> {
        let started = self.now();
        let mut run = CatchUp {
            epoch: self.lock().shelf.epoch(),
            invalidated: false,
            pushes: false,
            lacking: false,
        };
        let mut fetched = self.compare_all(&mut run)?;
        if run.lacking {
            run.pushes = true;
            fetched += self.compare_all(&mut run)?;
        }
        let mut inner = self.lock();
        // If something was missed meanwhile, the next pass catches up again.
        inner.caught_up = inner.shelf.epoch() == run.epoch && self.serves(&inner);
        inner.was_caught_up |= inner.caught_up;
        let (caught_up, books) = (inner.caught_up, inner.shelf.len());
        drop(inner);
        if caught_up {
            let seconds = self.now().since_max(started).as_secs_f64();
            let fields: [log::Field; 3] = [
                ("books", &books),
                ("fetched", &fetched),
                ("seconds", &seconds),
            ];
            log::info("caught up", &fields);
            self.env.wake_all();
        }
        Ok(())
    }

    /// Compares all pages and acts on the differences. Returns how many books were fetched.
    fn compare_all(self: &Arc<Self>, run: &mut CatchUp) -> Result<usize> {
        let mut after = None;
        let mut fetched = 0;
        loop {
            let (diff, bound) = self.compare_page(after)?;
            fetched += diff.fetch.values().map(Vec::len).sum::<usize>();
            self.apply(diff, run)?;
            if bound.is_none() {
                return Ok(fetched);
            }
            after = bound;
        }
    }

    /// Compares the next page here and at every live peer. Also returns the last id that it covers;
    /// `None`: it covers all.
    fn compare_page(self: &Arc<Self>, after: Option<BookId>) -> Result<(Diff, Option<BookId>)> {
        let live = self.peers_to_ask();
        let message = self.ask_for_page(after);
        let mut pages = Vec::new();
        for (peer, outcome) in self.ask_all(&live, &message) {
            let Outcome::Reply(Reply::Page(page)) = outcome else {
                return Err(no_answer());
            };
            pages.push((peer, page.entries));
        }
        if pages.len() < live.len() {
            return Err(no_answer());
        }
        let ours = {
            let inner = self.lock();
            let versions = inner.shelf.versions_after(after);
            versions.take(PAGE_MAX).collect::<Vec<PageEntry>>()
        };
        let all = pages.iter().map(|(_, entries)| entries).chain([&ours]);
        let full = all.filter(|entries| entries.len() == PAGE_MAX);
        let last_ids = full.filter_map(|entries| entries.last().map(|entry| entry.0));
        let bound = last_ids.min();
        Ok((diff(&ours, &pages, bound), bound))
    }

    /// The question for the page behind this id.
    pub(super) fn ask_for_page(&self, after: Option<BookId>) -> Message {
        Message::Page(AskPage {
            after,
            limit: PAGE_MAX,
            standing: self.standing(&mut self.lock()),
        })
    }

    /// A peer's copies of these books, at most [`FETCH_MAX`].
    pub(super) fn fetch_books(
        self: &Arc<Self>,
        from: Asked,
        ids: &[BookId],
    ) -> Result<Vec<Offered>> {
        let fetch = Message::Fetch(Fetch { ids: ids.to_vec() });
        let Outcome::Reply(Reply::Books(reply)) = self.ask(from.peer, fetch) else {
            return Err(no_answer());
        };
        let offered = |(book, state)| Offered { from, book, state };
        Ok(reply.books.into_iter().map(offered).collect())
    }

    fn apply(self: &Arc<Self>, mut diff: Diff, run: &mut CatchUp) -> Result<()> {
        if !run.pushes {
            run.lacking |= !std::mem::take(&mut diff.push).is_empty();
        }
        self.save_missing(&diff.valid)?;
        self.make_valid(diff.valid, run.epoch);
        for (peer, ids) in diff.fetch {
            for ids in ids.chunks(FETCH_MAX) {
                let from = self.lock().left_out.asked(peer);
                // It may have been left out since it was asked for its page.
                if from.was_told && self.enforces(Rule::PresentAnswers) {
                    return Err(no_answer());
                }
                self.adopt(self.fetch_books(from, ids)?, run.epoch)?;
            }
        }
        if diff.claim.is_empty() && diff.push.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut run.invalidated, true) {
            self.invalidate(&[Invalidation::AllItems, Invalidation::AllTopics])?;
        }
        if !diff.claim.is_empty() {
            self.claim_many(&Payload::Versions(diff.claim), run.epoch)?;
        }
        for ids in diff.push.chunks(FETCH_MAX) {
            let books = {
                let inner = self.lock();
                let book = |id: &BookId| inner.shelf.book(*id).cloned();
                ids.iter().filter_map(book).collect()
            };
            self.claim_many(&Payload::Books(books), run.epoch)?;
        }
        Ok(())
    }

    /// `PROTOCOL.md`, "Claim", for many copies at once. Where a peer has another version, read
    /// repair decides.
    fn claim_many(self: &Arc<Self>, payload: &Payload, epoch: u32) -> Result<()> {
        let versions = payload.versions();
        let replicated = self.replicate(payload)?;
        let conflicts = replicated.conflicts.iter().map(|copy| copy.book.id);
        let mut disputed: Vec<BookId> = conflicts.chain(replicated.differing).collect();
        disputed.sort_unstable();
        self.adopt(replicated.conflicts, epoch)?;
        let agreed = versions
            .into_iter()
            .filter(|(id, _)| disputed.binary_search(id).is_err());
        let agreed = self.make_valid(agreed, epoch);
        self.confirm(agreed);
        for id in disputed {
            self.newest(id)?;
        }
        Ok(())
    }

    /// The first stock, once all catalogs of the settings are in contact, have new folders, and
    /// have the same one, if it is this catalog that opens: `PROTOCOL.md`, "Folders".
    fn open_shop(self: &Arc<Self>) -> Result<()> {
        let mut inner = self.lock();
        if inner.left_out.whole {
            inner.first_stock = None;
        }
        let is_ready = inner.left_out.ready && inner.left_out.all_are_new(&inner.membership);
        let opens = inner.left_out.opens_first() || !self.enforces(Rule::OneOpens);
        let is_new = is_ready && opens;
        // It stays until the folder is whole: the disk may refuse it now, and take it later.
        let Some(books) = inner.first_stock.clone().filter(|_| is_new) else {
            return Ok(());
        };
        let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
        for book in books {
            if inner.shelf.book(book.id).is_none() {
                inner.shelf.put(book, CopyState::Unknown);
            }
        }
        drop(inner);
        self.save(&ids)?;
        inner = self.lock();
        if self.enforces(Rule::OneOpens) {
            inner.left_out.leave_out_all();
            self.note_left_out(&mut inner);
        }
        inner.left_out.become_whole();
        drop(inner);
        self.save_list()
    }
}

pub(super) fn no_answer() -> Error {
    Error::TimedOut("a peer did not answer".into())
}

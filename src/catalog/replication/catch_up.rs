//! Catching up: after a start and after regained contact all unknown copies are settled in bulk, so
//! that the time in which this catalog depends on others is short. REPLICATION.md, "Read", last
//! part.
//!
//! A page of (id, version, state) is asked of every live peer. What is better elsewhere is fetched,
//! many at once; what is valid elsewhere in the same version is valid here; what is the same
//! everywhere is claimed as a page; what others lack is brought to them. Later, copies that stay
//! unsettled one by one (their writer died) are settled one by one.

use std::sync::Arc;
use std::time::Duration;

use super::Replica;
use crate::catalog::replication::diff::{Plan, plan};
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::replication::replicate::Load;
use crate::catalog::replication::rules::Rule;
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};
use crate::model::invalidation::Invalidation;
use crate::runtime::log;

/// Lines in a page.
pub(super) const PAGE_MAX: usize = 10_000;

/// Books in one message.
pub(super) const FETCH_MAX: usize = 500;

/// One catch-up.
struct Pass {
    epoch: u32,
    /// The front-ends have forgotten everything, which stands for the invalidation of each claim.
    voided: bool,
    /// Whether what others lack is brought to them now. First all pages are compared without:
    /// whoever was away fetches it meanwhile, and each file there would be replaced twice.
    brings: bool,
    /// Somebody lacked something.
    lacking: bool,
}

impl<E: Environment> Replica<E> {
    /// One pass in the background: tries the disk again if it refused, catches up if something may
    /// have been missed, else settles copies that have been unsettled since the last pass. May
    /// wait. Call it a few times a second while [`Replica::needs_repair`].
    pub fn repair(self: &Arc<Self>) {
        if self.lock().disk_refuses && self.try_disk().is_err() {
            return;
        }
        if self.lock().caught_up {
            self.sweep();
        } else if let Err(error) = self.catch_up() {
            log::debug("catch-up begins again", &[("reason", &error)]);
        }
    }

    /// A trial write of what is not on disk, or of any one book.
    fn try_disk(self: &Arc<Self>) -> Result<()> {
        let ids = self.lock().shelf.unsaved(FETCH_MAX);
        self.save(&ids)
    }

    /// Settles copies that nobody has settled since the last pass: their writer is gone.
    fn sweep(self: &Arc<Self>) {
        let unsettled: Vec<(BookId, Version)> = self.lock().shelf.needing_repair();
        let before = std::mem::replace(&mut self.lock().swept, unsettled.clone());
        let stuck = unsettled.into_iter().filter(|copy| before.contains(copy));
        for (id, _) in stuck.filter(|_| self.holds(Rule::Repair)).take(FETCH_MAX) {
            if let Err(error) = self.settled(id) {
                log::debug(
                    "a copy stays unsettled",
                    &[("book", &id), ("reason", &error)],
                );
            }
        }
    }

    fn catch_up(self: &Arc<Self>) -> Result<()> {
        let started = self.now();
        let mut pass = Pass {
            epoch: self.lock().shelf.epoch(),
            voided: false,
            brings: false,
            lacking: false,
        };
        let mut fetched = self.go_through(&mut pass)?;
        if pass.lacking {
            pass.brings = true;
            fetched += self.go_through(&mut pass)?;
        }
        let mut inner = self.lock();
        // What was missed meanwhile is for the next pass.
        inner.caught_up = inner.shelf.epoch() == pass.epoch && self.trusts(&inner);
        let (caught_up, books) = (inner.caught_up, inner.shelf.len());
        drop(inner);
        if caught_up {
            let seconds = self.now().since(started).as_secs_f64();
            log::info(
                "caught up",
                &[
                    ("books", &books),
                    ("fetched", &fetched),
                    ("seconds", &seconds),
                ],
            );
            self.env.wake_all();
        }
        Ok(())
    }

    /// Compares all pages. Returns how many books were fetched.
    fn go_through(self: &Arc<Self>, pass: &mut Pass) -> Result<usize> {
        let mut after = None;
        let mut fetched = 0;
        loop {
            let (plan, bound) = self.compare(after)?;
            fetched += plan.fetch.values().map(Vec::len).sum::<usize>();
            self.carry_out(plan, pass)?;
            after = bound;
            if after.is_none() {
                return Ok(fetched);
            }
        }
    }

    /// Compares the next page here and at every live peer. Also the last id that it covers; `None`:
    /// all.
    fn compare(self: &Arc<Self>, after: Option<BookId>) -> Result<(Plan, Option<BookId>)> {
        let live: Vec<usize> = {
            let inner = self.lock();
            inner.contact.live_peers().collect()
        };
        let message = Message::Page {
            after,
            limit: PAGE_MAX,
        };
        let mut pages = Vec::new();
        for (peer, outcome) in self.ask_all(&live, &message) {
            match outcome {
                Outcome::Reply(Reply::Page { entries }) => pages.push((peer, entries)),
                _ => return Err(no_answer()),
            }
        }
        if pages.len() < live.len() {
            return Err(no_answer());
        }
        let ours = self.lock().shelf.page(after, PAGE_MAX);
        let all = pages.iter().map(|(_, entries)| entries).chain([&ours]);
        let full = all.filter(|entries| entries.len() == PAGE_MAX);
        let bound = full
            .filter_map(|entries| entries.last().map(|entry| entry.0))
            .min();
        Ok((plan(&ours, &pages, bound), bound))
    }

    fn carry_out(self: &Arc<Self>, mut plan: Plan, pass: &mut Pass) -> Result<()> {
        if !pass.brings {
            pass.lacking |= !std::mem::take(&mut plan.bring).is_empty();
        }
        self.save_missing(&plan.valid)?;
        self.make_valid(&plan.valid, pass.epoch);
        for (peer, ids) in plan.fetch {
            for ids in ids.chunks(FETCH_MAX) {
                let Outcome::Reply(Reply::Books { books }) =
                    self.ask(peer, Message::Fetch { ids: ids.to_vec() })
                else {
                    return Err(no_answer());
                };
                self.adopt_many(books, pass.epoch)?;
            }
        }
        if plan.claim.is_empty() && plan.bring.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut pass.voided, true) {
            self.void(&[Invalidation::AllItems, Invalidation::AllTopics])?;
        }
        if !plan.claim.is_empty() {
            self.claim_many(&Load::Versions(plan.claim), pass.epoch)?;
        }
        for ids in plan.bring.chunks(FETCH_MAX) {
            let books = {
                let inner = self.lock();
                ids.iter()
                    .filter_map(|id| inner.shelf.book(*id).cloned())
                    .collect()
            };
            self.claim_many(&Load::Books(books), pass.epoch)?;
        }
        Ok(())
    }

    /// Steps 4 to 7 for many copies at once. What some peer has another copy of is left for
    /// settling.
    fn claim_many(self: &Arc<Self>, load: &Load, epoch: u32) -> Result<()> {
        let versions: Vec<(BookId, Version)> = match load {
            Load::Versions(versions) => versions.clone(),
            Load::Books(books) => books.iter().map(|book| (book.id, book.version)).collect(),
        };
        let spread = self.spread(load)?;
        let mut conflicts: Vec<BookId> = spread.conflicts.iter().map(|(book, _)| book.id).collect();
        conflicts.extend(&spread.differing);
        conflicts.sort_unstable();
        self.adopt_many(spread.conflicts, epoch)?;
        let agreed: Vec<_> = versions
            .into_iter()
            .filter(|(id, _)| conflicts.binary_search(id).is_err())
            .collect();
        let agreed = self.make_valid(&agreed, epoch);
        self.confirm(agreed);
        for id in conflicts {
            self.settled(id)?;
        }
        Ok(())
    }

    /// These copies are the newest, if they are still the ones and contact was not lost. Returns
    /// those that are.
    fn make_valid(&self, versions: &[(BookId, Version)], epoch: u32) -> Vec<(BookId, Version)> {
        let mut inner = self.lock();
        let mut made = Vec::with_capacity(versions.len());
        for (id, version) in versions {
            if inner.shelf.epoch() == epoch && inner.shelf.has(*id, *version, CopyState::Unknown) {
                inner.shelf.set_state(*id, CopyState::Valid);
                made.push((*id, *version));
            }
        }
        made
    }

    /// As `adopt`, for many.
    fn adopt_many(self: &Arc<Self>, books: Vec<(Arc<Book>, CopyState)>, epoch: u32) -> Result<()> {
        let mut inner = self.lock();
        let mut unsaved = Vec::new();
        for (book, state) in &books {
            if book.defect().is_some() {
                return Err(Error::Invalid(format!("book {} cannot be", book.id)));
            }
            super::persist::note_other_content(inner.shelf.book(book.id), book);
            if self.rank_here(&inner, book.id) < Some(self.rank(book)) {
                super::persist::note_dropped(inner.shelf.book(book.id), book);
                let state = if *state == CopyState::Tentative {
                    *state
                } else {
                    CopyState::Unknown
                };
                inner.shelf.put(book.clone(), state);
            } else if inner.shelf.state(book.id) == CopyState::Unknown {
                // Its page had the higher stamp, but ours came true: the sweep settles that.
                inner.shelf.set_state(book.id, CopyState::Unknown);
            }
            if !inner.shelf.on_disk(book.id, book.version) {
                unsaved.push(book.id);
            }
        }
        drop(inner);
        if !unsaved.is_empty() {
            self.save(&unsaved)?;
        }
        let valid = books.iter().filter(|(_, state)| *state == CopyState::Valid);
        let valid: Vec<_> = valid.map(|(book, _)| (book.id, book.version)).collect();
        self.make_valid(&valid, epoch);
        books
            .iter()
            .for_each(|(book, _)| self.env.wake(WaitKey::Book(book.id)));
        Ok(())
    }

    /// Waits until this catalog has caught up, so that a book that is not here is nowhere.
    pub(super) fn caught_up(self: &Arc<Self>, until: Duration) -> Result<()> {
        let mut inner = self.lock();
        while !(inner.caught_up && self.trusts(&inner)) {
            if until <= self.now().monotonic {
                return Err(Error::Busy("This catalog has not caught up yet".into()));
            }
            inner = self.wait(inner, WaitKey::Membership, until);
        }
        Ok(())
    }
}

fn no_answer() -> Error {
    Error::TimedOut("a peer did not answer".into())
}

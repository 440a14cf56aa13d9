//! What a catalog that was left out must take over, and what is owed to one that was.
//!
//! A copy is this catalog's *own* unless it was taken from a catalog that serves. Own copies lose
//! outright to those of a catalog that has this one on its left-out list: `PROTOCOL.md`, "Coming
//! back". The books that change here while a peer comes back are *owed* to it, until it has
//! acknowledged just that version.

use std::collections::BTreeMap;

use super::Shelf;
use crate::model::book::{BookId, Version};

/// What a returning peer may lack of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// The version that is here.
    Newest,
    /// That, and one before, which may have been acknowledged without it.
    Earlier,
}

#[derive(Default)]
pub(super) struct Returning {
    /// Copies taken in this period are not this catalog's own. The first period is 1, since 0
    /// stands for copies that were never taken.
    period: u32,
    /// By returning peer.
    owed: BTreeMap<usize, BTreeMap<BookId, Owed>>,
}

impl Returning {
    pub(super) fn note_change(&mut self, id: BookId) {
        for owed in self.owed.values_mut() {
            let lacks = owed.entry(id);
            lacks
                .and_modify(|lacks| *lacks = Owed::Earlier)
                .or_insert(Owed::Newest);
        }
    }
}

impl Shelf {
    /// Whether a copy here is this catalog's own. A book that is not here has none.
    pub(crate) fn is_own(&self, id: BookId) -> bool {
        let returning = &self.returning;
        let taken = |copy: &super::Copy| copy.taken == returning.period + 1;
        self.copies.get(&id).is_some_and(|copy| !taken(copy))
    }

    /// This copy was taken from a catalog that serves.
    pub(crate) fn mark_taken(&mut self, id: BookId) {
        let period = self.returning.period + 1;
        if let Some(copy) = self.copies.get_mut(&id) {
            copy.taken = period;
        }
    }

    /// All copies that are here by now are this catalog's own.
    pub(crate) fn mark_all_own(&mut self) {
        self.returning.period += 1;
    }

    /// From now on the books that change here are owed to this peer, and those that are changing.
    pub(crate) fn begin_owing(&mut self, peer: usize) {
        let changing = self.needing_repair.iter();
        let changing = changing.map(|id| (*id, Owed::Newest)).collect();
        self.returning.owed.insert(peer, changing);
    }

    /// The books that are owed to a peer; `None`: it has not begun to come back.
    pub(crate) fn owed(&self, peer: usize) -> Option<&BTreeMap<BookId, Owed>> {
        self.returning.owed.get(&peer)
    }

    pub(crate) fn end_owing(&mut self, peer: usize) {
        self.returning.owed.remove(&peer);
    }

    /// The peer has this version on its disk.
    pub(crate) fn note_acknowledged(&mut self, peer: usize, id: BookId, version: Version) {
        let is_current = self.version(id) == Some(version);
        if let Some(owed) = self.returning.owed.get_mut(&peer).filter(|_| is_current) {
            owed.remove(&id);
        }
    }
}

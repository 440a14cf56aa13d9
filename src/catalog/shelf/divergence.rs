//! Which copies were written since some peer was lost, and on which side of a cut: see
//! [`Book::apart`].

use std::sync::Arc;

use super::Shelf;
use crate::model::book::{BookId, Version};

#[cfg(doc)]
use crate::model::book::Book;

/// More peers are never lost.
pub const UNCONFIRMED: u32 = u32::MAX;

impl Shelf {
    /// A peer was lost: what is written from now on may not reach all catalogs.
    pub fn separated(&mut self) {
        self.separation += 1;
    }

    /// Not all catalogs got this version, though that was expected when it was written.
    pub fn missed_some(&mut self, id: BookId, version: Version) {
        let copy = self.copies.get_mut(&id);
        if let Some(copy) =
            copy.filter(|c| c.book.version == version && c.book.diverged_at.is_none())
        {
            Arc::make_mut(&mut copy.book).diverged_at = Some(version);
            copy.separation = self.separation;
        }
    }

    /// This copy came from another catalog, perhaps from the far side of a cut: only its
    /// confirmation, which goes to live peers, will tell.
    pub fn unconfirmed(&mut self, id: BookId) {
        if let Some(copy) = self.copies.get_mut(&id) {
            copy.separation = UNCONFIRMED;
        }
    }

    /// The other catalog counts this one among its peers.
    pub fn confirmed(&mut self, id: BookId) {
        let separation = self.separation;
        let copy = self.copies.get_mut(&id);
        if let Some(copy) = copy.filter(|copy| copy.separation == UNCONFIRMED) {
            copy.separation = separation;
        }
    }

    /// Whether this version came here, from this side of a cut, since a peer was last lost.
    pub fn of_this_separation(&self, id: BookId) -> bool {
        self.copies
            .get(&id)
            .is_some_and(|copy| copy.separation == self.separation)
    }
}

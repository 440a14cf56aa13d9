//! Which copies were written after a peer was lost, and on which side of a network partition: the
//! basis of [`Book::diverged_at`].

use std::sync::Arc;

use super::Shelf;
use crate::model::book::{BookId, Version};

#[cfg(doc)]
use crate::model::book::Book;

/// Stands in the place of the number of lost peers while a copy may come from the other side of a
/// partition. So many peers are never lost.
pub(super) const UNCONFIRMED: u32 = u32::MAX;

impl Shelf {
    /// Records that a peer was lost: what is written from now on may not reach all catalogs.
    pub(crate) fn note_peer_lost(&mut self) {
        self.peer_losses += 1;
    }

    /// Records that some catalogs did not get this version, though its writer expected them to.
    pub(crate) fn mark_diverged(&mut self, id: BookId, version: Version) {
        let copy = self.copies.get_mut(&id);
        let copy = copy.filter(|copy| copy.book.version == version);
        if let Some(copy) = copy.filter(|copy| copy.book.diverged_at.is_none()) {
            Arc::make_mut(&mut copy.book).diverged_at = Some(version);
            copy.peer_losses = self.peer_losses;
        }
    }

    /// Records that this copy came from another catalog, perhaps from the other side of a
    /// partition. Only its confirmation, which goes to live peers, decides that.
    pub(crate) fn mark_unconfirmed(&mut self, id: BookId) {
        if let Some(copy) = self.copies.get_mut(&id) {
            copy.peer_losses = UNCONFIRMED;
        }
    }

    /// Records that the catalog that sent this copy counts this one among its live peers.
    pub(crate) fn mark_confirmed(&mut self, id: BookId) {
        let copy = self.copies.get_mut(&id);
        if let Some(copy) = copy.filter(|copy| copy.peer_losses == UNCONFIRMED) {
            copy.peer_losses = self.peer_losses;
        }
    }

    /// Whether this version came here, from this side of a partition, after a peer was last lost.
    pub(crate) fn came_after_last_loss(&self, id: BookId) -> bool {
        self.copies
            .get(&id)
            .is_some_and(|copy| copy.peer_losses == self.peer_losses)
    }
}

//! Folders that are new, or older than a peer remembers.

use std::collections::BTreeMap;

use super::{LeftOut, Standing};
use crate::catalog::replication::rules::Rule;
use crate::membership::Membership;

/// How far a new or old folder counts its starts on from what a peer has seen, so that the count is
/// above what any other peer may have seen.
const STARTS_STEP: u64 = 1000;

impl LeftOut {
    /// The folder holds a whole shop once that is on disk.
    pub(crate) fn become_whole(&mut self) {
        self.is_dirty |= !self.whole;
        self.becomes_whole |= !self.whole;
    }

    /// Everything was taken over from a catalog that serves. Whatever this folder was before, it is
    /// no older one now.
    pub(crate) fn renew(&mut self) {
        self.is_renewed = true;
    }

    /// A peer has seen more starts of this catalog: an older folder was put back, which is as good
    /// as a new one; or it is new. Returns whether it was whole until now.
    pub(crate) fn set_outdated(&mut self, seen_starts: u64) -> bool {
        self.starts = self.starts.max(seen_starts + STARTS_STEP);
        // What it counted before is no past of what it will hold.
        self.past_starts = BTreeMap::from([(self.starts, self.start)]);
        self.is_dirty = true;
        // The peer has not heard yet that this folder was renewed since.
        if self.is_renewed {
            return false;
        }
        self.becomes_whole = false;
        std::mem::replace(&mut self.whole, false)
    }

    /// The folder of peer `i` is not whole: it lacks everything, and is left out for that if this
    /// catalog had all that was in the one before. Returns whether it may lack something of that,
    /// and so waits for it.
    pub(super) fn misses_folder(&mut self, i: usize) -> bool {
        let waits = self.rules.enforce(Rule::NewFolderWaits);
        if !self.whole || !self.rules.enforce(Rule::NewFolderLeftOut) {
            return false;
        }
        if self.listed.contains(&i) {
            return self.is_split_from(i) && waits;
        }
        if self.peers[i].had_all || !waits {
            self.leave_out(i);
        }
        !self.listed.contains(&i)
    }

    /// Whether the folder of peer `i` is whole, and no older one that was put back.
    pub(crate) fn is_whole(&self, i: usize) -> bool {
        !self.peers[i].old_folder && self.says(i, |said| said.whole)
    }

    /// Whether peer `i` has been heard, and its folder is not whole.
    pub(crate) fn has_new_folder(&self, i: usize) -> bool {
        self.peers[i].said.is_some() && !self.is_whole(i)
    }

    /// Whether the disk of peer `i` refuses writes.
    pub(crate) fn is_full(&self, i: usize) -> bool {
        self.says(i, |said| said.disk_refuses)
    }

    /// Whether a peer has seen a start that this folder counted another one for: it is an older one.
    pub(crate) fn is_older_than(&self, (count, start): (u64, u64)) -> bool {
        let own = self.past_starts.get(&count);
        own.is_some_and(|own| *own != start) && self.rules.enforce(Rule::CountStarts)
    }

    /// Which start of peer `i` was seen before this one.
    pub(crate) fn seen_before(&self, i: usize, start: u64) -> Option<(u64, u64)> {
        let peer = &self.peers[i];
        if peer.start() == Some(start) {
            return peer.seen_before;
        }
        Some(peer.seen).filter(|seen| seen.0 != 0)
    }

    /// How often peer `i` had been started when an older folder was put back there.
    pub(crate) fn old_folder_of(&self, i: usize) -> Option<u64> {
        let peer = &self.peers[i];
        peer.old_folder.then_some(peer.seen.0)
    }

    /// Of catalogs with new folders, one opens with the first stock, and the others come back to
    /// it: the one with the lowest address.
    pub(crate) fn opens_first(&self) -> bool {
        let waits_for = |i: &usize| !self.is_left_out(*i);
        let mut others = self.peers().filter(waits_for);
        others.all(|i| self.address < self.addresses[i])
    }

    /// All peers have new folders: they have all to take over.
    pub(crate) fn leave_out_all(&mut self) {
        for i in self.peers() {
            if !self.listed.contains(&i) {
                self.leave_out(i);
            }
        }
    }

    /// Whether every peer is live with a new folder and the same first stock, or is not waited for:
    /// but for one that is live with the shop's books.
    pub(crate) fn all_are_new(&self, membership: &Membership) -> bool {
        let is_new = |i: usize| {
            let same = |said: &Standing| !said.whole && said.first_stock == self.first_stock;
            membership.peers[i].live && self.says(i, same)
        };
        let has_books = |i: usize| membership.peers[i].live && self.is_whole(i);
        let waits = self.rules.enforce(Rule::FirstStock);
        self.peers()
            .all(|i| is_new(i) || self.is_left_out(i) && !has_books(i) || !waits)
    }
}

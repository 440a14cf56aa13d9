//! Lists that form a circle, in which each catalog waits for another.

use super::{LeftOut, Standing};
use crate::catalog::replication::rules::Rule;
use crate::membership::Membership;
use crate::membership::time::Time;

/// For how many leases all catalogs are in contact, and none serves, before they forgive each
/// other; or those that wait for each other are left out by one that serves.
const STUCK_LEASES: u32 = 3;

impl LeftOut {
    /// After a cut the lists may form a circle, in which each waits for another. When all catalogs
    /// have been in contact for a while, each is on a list, and none of them serves, each forgives
    /// all: then the better copy of each book wins. Returns whether this one does so now.
    ///
    /// Catalogs that were stopped do not serve for a moment either. That is no circle: what one of
    /// them wrote without another must not be lost to a better copy that was never acknowledged.
    pub(crate) fn forgive_circle(&mut self, membership: &Membership, now: Time) -> bool {
        let is_idle = |i: usize| {
            membership.peers[i].live && self.is_whole(i) && self.says(i, |said| !said.serving)
        };
        let is_stuck = self.rules.enforce(Rule::Circle)
            && self.ready
            && self.whole
            && !membership.stalled(now)
            && self.peers().all(is_idle)
            && self.all_are_listed()
            && self.serving(membership, now).is_err();
        if !is_stuck {
            self.stuck_since = None;
            return false;
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.since_min(since) < self.timing.lease * STUCK_LEASES {
            return false;
        }
        self.stuck_since = None;
        for i in std::mem::take(&mut self.listed) {
            self.note_gap(i);
        }
        for peer in &mut self.peers {
            peer.unrecorded = true;
        }
        self.fencing.clear();
        self.taken_over();
        self.is_dirty = true;
        true
    }

    /// This catalog serves, and others wait for each other: each is on the list of one that does not
    /// serve, either. It has all that was acknowledged, or it would be on a list, too; so they may
    /// come back to it. Returns those that it is to leave out for that, when they have waited for a
    /// while.
    pub(crate) fn waiting_in_circle(&mut self, membership: &Membership, now: Time) -> Vec<usize> {
        let is_idle = |i: &usize| {
            membership.peers[*i].live && self.is_whole(*i) && self.says(*i, |said| !said.serving)
        };
        let idle: Vec<usize> = self.peers().filter(is_idle).collect();
        let lists =
            |by: usize, i: usize| self.says(by, |said| said.left_out.contains(&self.addresses[i]));
        let waits = |i: &usize| !self.is_told(*i) && idle.iter().any(|by| lists(*by, *i));
        let waiting: Vec<usize> = idle.iter().copied().filter(waits).collect();
        if waiting.is_empty()
            || !self.rules.enforce(Rule::LeaveCircle)
            || self.serving(membership, now).is_err()
        {
            self.others_stuck_since = None;
            return Vec::new();
        }
        let since = *self.others_stuck_since.get_or_insert(now);
        if now.since_min(since) < self.timing.lease * STUCK_LEASES {
            return Vec::new();
        }
        self.others_stuck_since = None;
        waiting
    }

    /// Each catalog is on the list of another one, as far as this one knows.
    fn all_are_listed(&self) -> bool {
        let is_listed = |i: usize| {
            let lists_it = |said: &Standing| said.left_out.contains(&self.addresses[i]);
            self.is_told(i) || self.peers().any(|other| self.says(other, lists_it))
        };
        self.peers().any(|i| self.lists_us(i)) && self.peers().all(is_listed)
    }
}

//! Lists that form a circle, in which each catalog waits for another.

use std::time::Duration;

use super::LeftOut;
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
        let is_stuck = self.rules.enforce(Rule::Circle)
            && self.ready
            && self.whole
            && !membership.stalled(now)
            && self.peers().all(|i| self.is_idle(i, membership))
            && self.all_are_listed()
            && self.serving(membership, now).is_err();
        let long = self.timing.lease * STUCK_LEASES;
        if !is_so_for(long, is_stuck, &mut self.stuck_since, now) {
            return false;
        }
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
        let idle = self.peers().filter(|i| self.is_idle(*i, membership));
        let idle: Vec<usize> = idle.collect();
        let waits = |i: &usize| !self.is_told(*i) && idle.iter().any(|by| self.lists(*by, *i));
        let waiting: Vec<usize> = idle.iter().copied().filter(waits).collect();
        let is_stuck = !waiting.is_empty()
            && self.rules.enforce(Rule::LeaveCircle)
            && self.serving(membership, now).is_ok();
        let long = self.timing.lease * STUCK_LEASES;
        if is_so_for(long, is_stuck, &mut self.others_stuck_since, now) {
            waiting
        } else {
            Vec::new()
        }
    }

    /// Whether peer `i` is up with its books, and does not serve.
    fn is_idle(&self, i: usize, membership: &Membership) -> bool {
        membership.peers[i].live && self.is_whole(i) && self.says(i, |said| !said.serving)
    }

    /// Whether peer `i` is on the list of peer `by`.
    pub(super) fn lists(&self, by: usize, i: usize) -> bool {
        self.says(by, |said| said.left_out.contains(&self.addresses[i]))
    }

    /// Each catalog is on the list of another one, as far as this one knows.
    fn all_are_listed(&self) -> bool {
        let is_listed =
            |i: usize| self.is_told(i) || self.peers().any(|other| self.lists(other, i));
        self.peers().any(|i| self.lists_us(i)) && self.peers().all(is_listed)
    }
}

/// Whether something `is_so`, and has been so for that long each time that it was asked. Then the
/// time begins anew.
fn is_so_for(long: Duration, is_so: bool, since: &mut Option<Time>, now: Time) -> bool {
    if !is_so {
        *since = None;
        return false;
    }
    let is_over = long <= now.since_min(*since.get_or_insert(now));
    since.take_if(|_| is_over);
    is_over
}

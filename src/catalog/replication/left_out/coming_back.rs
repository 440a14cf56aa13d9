//! Whom this catalog is in step with, whose copies count more than its own, and who is struck off.

use std::collections::BTreeSet;

use super::{LeftOut, former_peers};
use crate::catalog::replication::rules::Rule;
use crate::membership::Membership;
use crate::membership::time::Time;
use crate::model::address::Address;

impl LeftOut {
    pub(crate) fn lists_us(&self, i: usize) -> bool {
        self.is_whole(i) && self.says(i, |said| said.left_out.contains(&self.address))
    }

    /// The peers that listed this catalog when they were last heard of, for the record on disk.
    pub(super) fn listed_by(&self) -> BTreeSet<Address> {
        let is_remembered =
            |i: &usize| self.peers[*i].lists_us && self.rules.enforce(Rule::SplitOnDisk);
        self.addresses(self.peers().filter(is_remembered))
    }

    pub(crate) fn is_in_step(&self, i: usize) -> bool {
        self.peers[i].in_step
    }

    /// Caught up with peer `i`, in this start of it, unless one of the two lists the other now, or
    /// its folder is no whole one.
    pub(crate) fn set_in_step(&mut self, i: usize, start: u64) {
        let counts = self.is_whole(i) && !self.lists_us(i) && !self.is_told(i);
        let peer = &mut self.peers[i];
        peer.in_step = peer.start() == Some(start) && counts;
    }

    /// A better copy here has lost outright to a worse one.
    pub(crate) fn note_loss(&mut self) {
        self.losses += 1;
    }

    /// How often that was, in this start.
    pub(crate) fn losses(&self) -> u64 {
        self.losses
    }

    /// All that peer `i` has was compared, beginning when there were so many losses.
    pub(crate) fn note_compared(&mut self, i: usize, losses: u64) {
        self.peers[i].compared = Some(losses);
    }

    /// Whether peer `i` may have a write that this catalog made or passed on, and has forgotten since:
    /// it started, or the copy lost outright, after the two were compared last.
    pub(crate) fn may_hold_forgotten(&self, i: usize) -> bool {
        !self.is_told(i)
            && self.peers[i].compared != Some(self.losses)
            && self.rules.enforce(Rule::ForgottenFirst)
    }

    /// Whether a peer may have what this catalog has forgotten, apart from peer `i`.
    pub(crate) fn lags_for(&self, i: usize) -> bool {
        let mut others = self.peers().filter(|other| *other != i);
        others.any(|other| self.may_hold_forgotten(other))
    }

    /// Whether peer `i` may have forgotten what a third catalog has, so that it acknowledges no write
    /// of this one.
    pub(crate) fn lags(&self, i: usize) -> bool {
        self.says(i, |said| {
            said.not_compared.iter().any(|peer| *peer != self.address)
        })
    }

    /// Whether copies may have changed here while peer `i` was left out of which nobody remembers
    /// it.
    pub(crate) fn is_unrecorded(&self, i: usize) -> bool {
        self.peers[i].unrecorded
    }

    /// From now on nobody remembers what changed here before while peer `i` was left out.
    pub(crate) fn note_unrecorded(&mut self, i: usize) {
        self.peers[i].unrecorded = true;
    }

    /// Nothing is left here that peer `i` may lack.
    pub(crate) fn forget_unrecorded(&mut self, i: usize) {
        self.peers[i].unrecorded = false;
    }

    /// Some peer's copies count more than this catalog's own.
    pub(crate) fn must_yield(&self) -> bool {
        self.peers.iter().any(|peer| peer.yields)
    }

    /// Another peer than `i` does.
    pub(crate) fn must_yield_to_other(&self, i: usize) -> bool {
        self.peers().any(|other| {
            other != i && self.peers[other].yields && self.rules.enforce(Rule::YieldFirst)
        })
    }

    pub(crate) fn yields_to(&self, i: usize) -> bool {
        self.peers[i].yields
    }

    /// From now on this catalog's own copies lose outright to those of peer `i`.
    pub(crate) fn yield_to(&mut self, i: usize) {
        self.peers[i].yields = self.rules.enforce(Rule::LoseOutright);
    }

    /// What was accepted until now may be lost. A period in which nothing was is as good as a new
    /// one.
    pub(crate) fn begin_period(&mut self, now: Time) {
        if std::mem::take(&mut self.has_accepted) {
            self.period += 1;
            self.period_since = now;
        }
    }

    pub(crate) fn period(&self) -> u64 {
        self.period
    }

    /// An update or claim is accepted in this period.
    pub(crate) fn accept(&mut self) -> u64 {
        self.has_accepted = true;
        self.period
    }

    /// Peer `i` has answered or refused a heartbeat that named this period.
    pub(crate) fn told_period(&mut self, i: usize, period: u64) {
        let told = &mut self.peers[i].told_period;
        *told = period.max(*told);
    }

    pub(crate) fn knows_period(&self, i: usize) -> bool {
        self.peers[i].told_period == self.period
    }

    /// Whether no peer counts any more what was acknowledged in earlier periods: each knows of this
    /// one, or is left out by one whose copies count more, or was silent for a lease.
    pub(crate) fn period_is_known(&self, now: Time) -> bool {
        let is_out = |i: usize| {
            self.peers()
                .any(|by| self.yields_to(by) && self.lists(by, i))
        };
        let is_over = self.timing.lease <= now.since_min(self.period_since);
        is_over
            || self.peers().all(|i| self.knows_period(i) || is_out(i))
            || !self.rules.enforce(Rule::PeriodKnown)
    }

    /// Everything was taken over from a catalog that serves: no copy is this catalog's own.
    pub(crate) fn taken_over(&mut self) {
        for peer in &mut self.peers {
            peer.yields = false;
        }
    }

    /// Takes over the list of a catalog that lists this one, without this one. Who has a new folder
    /// stays on it: that catalog may not have it in its settings yet.
    pub(crate) fn adopt_list(&mut self, list: &BTreeSet<Address>) {
        if !self.rules.enforce(Rule::AdoptList) {
            return;
        }
        let stays = |i: &usize| self.listed.contains(i) && self.has_new_folder(*i);
        let stay: BTreeSet<usize> = self.peers().filter(stays).collect();
        let new = &stay | &self.peers_on(list).collect();
        let before = std::mem::replace(&mut self.listed, new.clone());
        for i in new.difference(&before) {
            self.note_gap(*i);
        }
        let former = former_peers(list, &self.address, &self.addresses);
        self.is_dirty |= former != self.former;
        self.former = former;
    }

    /// The peers on this list that are not on this catalog's.
    pub(crate) fn lacking_of(&self, list: &BTreeSet<Address>) -> Vec<usize> {
        let lacking = |i: &usize| !self.listed.contains(i);
        self.peers_on(list).filter(lacking).collect()
    }

    /// Whether peer `by` serves without peer `i`: then that one can have sold nothing alone.
    pub(super) fn serves_without(&self, by: usize, i: usize) -> bool {
        self.lists(by, i) && self.says(by, |said| said.serving)
    }

    /// The peers that are down and that this catalog waits for, although one that it is in step with
    /// serves without them.
    pub(crate) fn waits_in_vain(&self, membership: &Membership) -> Vec<usize> {
        let waits = |i: usize| !self.is_told(i) && !self.is_in_step(i);
        let in_step = || membership.live_peers().filter(|by| self.is_in_step(*by));
        let is_in_vain = |i: &usize| {
            let is_down = !membership.peers[*i].live;
            is_down && waits(*i) && in_step().any(|by| self.serves_without(by, *i))
        };
        self.peers().filter(is_in_vain).collect()
    }

    /// Whether all these peers are on the list on disk.
    pub(crate) fn has_on_disk(&self, list: &BTreeSet<Address>) -> bool {
        self.peers_on(list).all(|i| self.is_on_disk(i))
    }

    /// Peer `i` has all that is here, and this list: it is struck off, unless the list here is just
    /// changing. Returns whether it was.
    pub(crate) fn strike(&mut self, i: usize, list: &BTreeSet<Address>) -> bool {
        let others = || self.peers().filter(|other| *other != i);
        let ours: BTreeSet<usize> = others().filter(|other| self.is_told(*other)).collect();
        // Each of the two may name catalogs that the other does not know.
        let theirs: BTreeSet<usize> = self.peers_on(list).collect();
        // Another one that is being struck off now will have a list with this one on it.
        let is_settled = others().all(|other| self.is_told(other) == self.listed.contains(&other))
            || !self.rules.enforce(Rule::StrikeOneByOne);
        let same = theirs == ours || !self.rules.enforce(Rule::StrikeEqualList);
        let is_counted = !self.peers[i].old_folder;
        let is_listed = self.listed.contains(&i) && !self.fencing.contains_key(&i);
        let equal = is_listed && same && is_counted && is_settled;
        if equal {
            self.listed.remove(&i);
            let peer = &mut self.peers[i];
            peer.in_step = true;
            // It has taken over whatever is here.
            peer.compared = Some(self.losses);
        }
        equal
    }

    /// Two sides of a cut are equal again, or this one gives way.
    pub(crate) fn forgive(&mut self, i: usize) {
        self.listed.remove(&i);
        self.fencing.remove(&i);
        self.note_gap(i);
    }
}

//! Who is put on the list, when, and when that counts.

use super::{LeftOut, Record};
use crate::catalog::replication::rules::Rule;
use crate::membership::Membership;
use crate::membership::time::Time;

impl LeftOut {
    /// Puts peer `i` on the list, as the operator wants: whatever that one has counts no more.
    pub(crate) fn go_on_without(&mut self, i: usize) {
        self.leave_out(i);
        self.is_dirty |= std::mem::take(&mut self.peers[i].lists_us);
    }

    /// Puts peer `i` on the list.
    pub(crate) fn leave_out(&mut self, i: usize) {
        self.listed.insert(i);
        self.note_gap(i);
    }

    /// Leaves out the peers that this catalog may leave out: it serves apart from them, is in step
    /// with them, and they cannot be leaving it out themselves. Returns whether the list changed.
    pub(crate) fn consider(&mut self, membership: &Membership, now: Time) -> bool {
        let out: Vec<usize> = self
            .peers()
            .filter(|i| !self.listed.contains(i) && self.may_leave_out(*i, membership, now))
            .collect();
        let serves_apart = self.serving_without(&out, membership, now).is_ok()
            || !self.rules.enforce(Rule::ServingLeaves) && !membership.stalled(now);
        if out.is_empty() || !serves_apart {
            return false;
        }
        for i in out {
            self.leave_out(i);
        }
        true
    }

    /// Whether a peer is silent and not left out, while its lease here, or the one that it gave,
    /// still runs. Once both are over, time alone changes nothing.
    pub(crate) fn awaits_a_lease(&self, membership: &Membership, now: Time) -> bool {
        let runs = |i: usize| {
            let answered = self.peers[i].answered;
            let is_given = answered.is_some_and(|sent| now.since_min(sent) < self.timing.lease);
            is_given || !membership.lease_left(&membership.peers[i], now).is_zero()
        };
        let mut silent = self
            .peers()
            .filter(|i| !membership.peers[*i].live && !self.is_told(*i));
        silent.any(runs)
    }

    fn may_leave_out(&self, i: usize, membership: &Membership, now: Time) -> bool {
        let (peer, standing) = (&membership.peers[i], &self.peers[i]);
        let enforces = |rule| self.rules.enforce(rule);
        let in_step = standing.in_step || !enforces(Rule::InStepLeaves);
        let Some(answered) = standing.answered.filter(|_| !peer.live && in_step) else {
            return false;
        };
        let lease = self.timing.lease;
        let is_fresh = now.since_max(answered) < lease || !enforces(Rule::FreshRefusal);
        let refused = peer.refused_last() && is_fresh;
        let was_awake =
            self.awake_since.monotonic <= answered.monotonic || !enforces(Rule::OwnStall);
        let leases_over = membership.lease_left(peer, now).is_zero()
            && lease <= now.since_min(answered)
            || !enforces(Rule::LeaveAfterLease);
        refused || was_awake && leases_over
    }

    /// Any peer is being left out for another's sake.
    pub(crate) fn is_fencing(&self) -> bool {
        !self.fencing.is_empty()
    }

    /// Begins to leave these out. They count once [`Self::fenced`].
    pub(crate) fn begin_fence(&mut self, peers: impl IntoIterator<Item = usize>, now: Time) {
        for i in peers {
            if !self.is_listed(i) && !self.fencing.contains_key(&i) {
                self.fencing.insert(i, now);
                self.note_gap(i);
            }
        }
    }

    /// Puts those on the list that know of it, have refused, or have no lease left. If this process
    /// was stopped meanwhile, they may have left it out instead, and be down or silent since: then
    /// only another catalog can tell, which goes on without them.
    pub(crate) fn fenced(&mut self, membership: &Membership, now: Time) {
        let was_awake = |since: &Time| {
            let is_awake = !membership.stalled(now);
            is_awake && self.awake_since.monotonic <= since.monotonic
                || !self.rules.enforce(Rule::OwnStall)
        };
        let is_gone = |i: usize| {
            let peer = &membership.peers[i];
            !peer.live && peer.refused_last() || membership.lease_left(peer, now).is_zero()
        };
        let is_fenced = |(i, since): &(&usize, &Time)| {
            let mut others = membership.live_peers();
            let is_certain = was_awake(since) || others.any(|by| self.serves_without(by, **i));
            self.peers[**i].knows || is_gone(**i) && is_certain || !self.rules.enforce(Rule::Fence)
        };
        let fenced = self.fencing.iter().filter(is_fenced).map(|(i, _)| *i);
        for i in fenced.collect::<Vec<usize>>() {
            self.fencing.remove(&i);
            self.listed.insert(i);
        }
    }

    /// What is to be put on disk now; `None`: it is there.
    pub(crate) fn begin_saving(&mut self) -> Option<Record> {
        if !self.needs_saving() {
            return None;
        }
        self.is_dirty = false;
        self.saving = Some(self.listed.clone());
        let peers = self.addresses.iter().cloned();
        let record = Record {
            starts: self.starts,
            past_starts: self.past_starts.clone(),
            whole: self.whole || self.becomes_whole,
            left_out: self.list(self.listed.iter().copied()),
            listed_by: self.listed_by(),
            peers: peers
                .zip(self.peers.iter().map(|peer| peer.seen))
                .filter(|(_, seen)| seen.0 != 0)
                .collect(),
            ..Record::default()
        };
        Some(record)
    }

    pub(crate) fn needs_saving(&self) -> bool {
        self.listed != self.on_disk || self.is_dirty
    }

    /// A list is on its way to the disk.
    pub(crate) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// This record, with the list that was on its way, is on disk.
    pub(crate) fn saved(&mut self, record: &Record) {
        let list = self.saving.take().expect("a list is on its way");
        self.may_be_on_disk = list.clone();
        self.on_disk = list;
        if record.whole && std::mem::take(&mut self.becomes_whole) {
            self.whole = true;
            self.is_renewed = true;
        }
    }

    /// The list that was on its way could not be written. Nothing was decided, unless it may be there
    /// all the same: then who is on either list stays on it until one is written. Who is down stays
    /// to be left out once the disk takes it, since a refusal counts only for a moment. So does
    /// everybody with whom a new folder becomes whole.
    pub(crate) fn not_saved(&mut self, may_be_there: bool, membership: &Membership) {
        let list = self.saving.take().expect("a list is on its way");
        if may_be_there {
            self.on_disk.retain(|i| list.contains(i));
            self.may_be_on_disk.extend(list);
        }
        let stays =
            |i: &usize| self.may_be_on_disk.contains(i) && self.rules.enforce(Rule::ToldUntilSaved);
        let is_becoming_whole = self.becomes_whole;
        self.listed
            .retain(|i| !membership.peers[*i].live || is_becoming_whole || stays(i));
        let is_back = |i: &usize| stays(i) && !self.listed.contains(i);
        let back: Vec<usize> = self.peers().filter(is_back).collect();
        for i in back {
            self.leave_out(i);
        }
        self.is_dirty = true;
    }
}

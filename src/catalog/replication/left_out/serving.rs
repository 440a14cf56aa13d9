//! Whether a catalog may answer.

use super::LeftOut;
use crate::catalog::replication::rules::Rule;
use crate::membership::Membership;
use crate::membership::time::Time;

/// Why a catalog does not serve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NotServing {
    /// It has just started, and asks the others first.
    Starting,
    /// Its folder is empty, and the others have not given it their books yet.
    Empty,
    /// It was itself stopped for a moment.
    Stalled,
    /// This peer may hold what is lacking here, and must be asked first.
    WaitsFor(usize),
}

impl LeftOut {
    /// Each of the two lists the other: perhaps both went on alone.
    pub(crate) fn is_split_from(&self, i: usize) -> bool {
        self.peers[i].lists_us && self.is_told(i) && self.rules.enforce(Rule::SplitWaits)
    }

    /// It is split from any peer.
    pub(crate) fn is_split(&self) -> bool {
        self.peers().any(|i| self.is_split_from(i))
    }

    /// It is split from another peer than `i`.
    pub(crate) fn is_split_from_other(&self, i: usize) -> bool {
        self.peers()
            .any(|other| other != i && self.is_split_from(other))
    }

    /// It is split from this peer, and the two cannot become one again before that one is up with
    /// its own folder, and its disk works.
    pub(crate) fn split_from_lost(&self, membership: &Membership) -> Option<usize> {
        let can_join = |i: usize| membership.peers[i].live && self.is_whole(i) && !self.is_full(i);
        let mut peers = self.peers();
        peers.find(|i| self.is_split_from(*i) && !can_join(*i))
    }

    /// Caught up with it, and it answered lately that it does not list this catalog.
    fn is_in_contact(&self, i: usize, now: Time) -> bool {
        let fresh = |sent: Time| now.since_max(sent) < self.timing.lease;
        let peer = &self.peers[i];
        !self.listed.contains(&i) && peer.in_step && peer.answered.is_some_and(fresh)
    }

    /// Whether reads, writes and claims may be answered.
    ///
    /// Fails with the reason.
    pub(crate) fn serving(&self, membership: &Membership, now: Time) -> Result<(), NotServing> {
        self.serving_without(&[], membership, now)
    }

    /// Whether it serves, or will in the moment in which its list is on disk, with those that it is
    /// about to leave out.
    pub(crate) fn serves_once_saved(&self, membership: &Membership, now: Time) -> bool {
        let out: Vec<usize> = self
            .listed
            .iter()
            .chain(self.fencing.keys())
            .copied()
            .collect();
        self.serving_without(&out, membership, now).is_ok()
    }

    /// As [`Self::serving`], if these peers were on the list.
    pub(super) fn serving_without(
        &self,
        out: &[usize],
        membership: &Membership,
        now: Time,
    ) -> Result<(), NotServing> {
        if membership.stalled(now) {
            return Err(NotServing::Stalled);
        }
        if !self.ready {
            return Err(NotServing::Starting);
        }
        let is_apart = |i: usize| out.contains(&i) || self.is_left_out(i);
        let is_fine =
            |i: usize| !self.peers[i].yields && (is_apart(i) || self.is_in_contact(i, now));
        if let Some(i) = self.peers().find(|i| !is_fine(*i)) {
            return Err(NotServing::WaitsFor(i));
        }
        self.whole.then_some(()).ok_or(NotServing::Empty)
    }
}

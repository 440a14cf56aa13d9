//! Whether a catalog may answer.

use super::LeftOut;
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

    /// Whether it serves, or will in the moment in which its list is on disk.
    pub(crate) fn serves_once_saved(&self, membership: &Membership, now: Time) -> bool {
        let listed: Vec<usize> = self.listed.iter().copied().collect();
        self.serving_without(&listed, membership, now).is_ok()
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

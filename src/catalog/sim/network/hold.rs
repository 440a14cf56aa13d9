//! Messages that a schedule holds back, to let them arrive late.

use super::Network;
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Work};

/// Messages of one kind from one server to another: requests, or replies to requests of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) kind: &'static str,
    pub(crate) is_reply: bool,
}

/// A message that is held back, and whose it is.
pub(super) struct Kept {
    which: Held,
    incarnation: Option<Incarnation>,
    work: Work,
}

impl Network {
    /// From now on these messages do not arrive.
    pub(crate) fn hold(&self, which: Held) {
        self.state().holds.push(which);
    }

    /// These messages arrive from now on; those that were held back do not yet.
    pub(crate) fn stop_holding(&self, which: Held) {
        self.state().holds.retain(|hold| *hold != which);
    }

    /// These messages arrive from now on, and those that were held back arrive now.
    pub(crate) fn release(&self, which: Held) {
        let mut state = self.state();
        state.holds.retain(|hold| *hold != which);
        let kept = std::mem::take(&mut state.kept);
        let (released, kept): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|kept| kept.which == which);
        state.kept = kept;
        drop(state);
        for kept in released {
            self.scheduler.run_in(0, kept.incarnation, kept.work);
        }
    }

    /// Keeps the work of a message that is held back. Returns the work of any other.
    pub(super) fn keep_if_held(
        &self,
        which: Option<Held>,
        incarnation: Option<Incarnation>,
        work: Work,
    ) -> Option<Work> {
        let mut state = self.state();
        match which.filter(|which| state.holds.contains(which)) {
            Some(which) => {
                state.kept.push(Kept {
                    which,
                    incarnation,
                    work,
                });
                None
            }
            None => Some(work),
        }
    }
}

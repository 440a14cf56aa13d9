//! The left-out list on disk, and leaving a peer out because another catalog does: `PROTOCOL.md`,
//! "The left-out list".

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::Book;
use crate::model::error::{Error, Result};

/// How long a peer is given to know that it is left out for another catalog's sake. Without its
/// lease, which is shorter, it is left out anyhow.
const FENCE_MAX: Duration = Duration::from_secs(1);

/// How often the fences are looked at again.
const FENCE_PAUSE: Duration = Duration::from_millis(10);

/// How often a list is tried again that the disk refused.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

impl<E: Environment> Replica<E> {
    /// One step of the list's loop: waits until something about the list is to be done, at most
    /// for `timeout`, and does it. The owner calls it again and again.
    pub(crate) fn keep_list(self: &Arc<Self>, timeout: Duration) {
        let until = self.deadline(timeout);
        let mut inner = self.lock();
        let idle = |inner: &Inner| !inner.left_out.needs_saving() && !inner.left_out.is_fencing();
        inner = self.wait_while(inner, WaitKey::Membership, until, idle);
        self.end_fences(&mut inner);
        self.leave_out_full_disks(&mut inner);
        self.leave_out_circle(&mut inner);
        self.leave_out_as_peers_do(&mut inner);
        self.note_left_out(&mut inner);
        drop(inner);
        let saved = self.save_list();
        let pause = if saved.is_ok() {
            FENCE_PAUSE
        } else {
            REFUSED_PAUSE
        };
        let until = self.deadline(pause);
        let waits = |inner: &Inner| saved.is_err() || inner.left_out.is_fencing();
        drop(self.wait_while(self.lock(), WaitKey::Membership, until, waits));
    }

    fn end_fences(&self, inner: &mut Inner) {
        inner.left_out.fenced(&inner.membership, self.now());
    }

    /// A peer whose disk refuses acknowledges no update: it is left out once it knows, if this
    /// catalog's own disk works.
    fn leave_out_full_disks(&self, inner: &mut Inner) {
        if inner.disk_refuses() || !self.serves(inner) {
            return;
        }
        let refuses = |i: &usize| {
            let live = inner.membership.peers[*i].live;
            live && !inner.left_out.is_told(*i) && inner.left_out.is_full(*i)
        };
        let full: Vec<usize> = inner.left_out.peers().filter(refuses).collect();
        inner.left_out.begin_fence(full, self.now());
    }

    /// Those that wait for each other are left out once they know, so that they come back to this
    /// catalog.
    fn leave_out_circle(&self, inner: &mut Inner) {
        let waiting = inner
            .left_out
            .waiting_in_circle(&inner.membership, self.now());
        inner.left_out.begin_fence(waiting, self.now());
    }

    /// A peer that serves goes on without one that is down: so may this catalog, which is in step
    /// with the former. Otherwise it would wait for the latter until somebody writes.
    fn leave_out_as_peers_do(&self, inner: &mut Inner) {
        let in_vain = inner.left_out.waits_in_vain(&inner.membership);
        inner.left_out.begin_fence(in_vain, self.now());
    }

    /// Puts the list on disk, if it is not. One thread writes at a time.
    ///
    /// Fails with [`Error::DiskRefuses`]; then nobody was left out yet.
    pub(super) fn save_list(self: &Arc<Self>) -> Result<()> {
        loop {
            let mut inner = self.lock();
            while inner.left_out.is_saving() {
                inner = self.wait(inner, WaitKey::Membership, self.deadline(FENCE_MAX));
            }
            let Some(record) = inner.left_out.begin_saving() else {
                return Ok(());
            };
            drop(inner);
            let outcome = self.env.save_record(&record);
            let mut inner = self.lock();
            let Inner {
                left_out,
                membership,
                ..
            } = &mut *inner;
            match &outcome {
                Ok(()) => left_out.saved(&record),
                Err(error) => left_out.not_saved(error.may_be_there, membership),
            }
            let outcome = outcome.map_err(|error| error.why);
            inner.note_disk(|inner| &mut inner.refuses_list, outcome.as_ref().copied());
            drop(inner);
            self.env.wake(WaitKey::Membership);
            outcome.map_err(|why| Error::disk_refuses(&why))?;
        }
    }

    /// Leaves these peers out because another catalog does, and returns once that is on disk.
    ///
    /// Fails with [`Error::TimedOut`] or [`Error::DiskRefuses`].
    pub(super) fn leave_out_for_peer(self: &Arc<Self>, peers: Vec<usize>) -> Result<()> {
        let until = self.deadline(FENCE_MAX);
        let mut inner = self.lock();
        let now = self.now();
        inner.left_out.begin_fence(peers.iter().copied(), now);
        loop {
            self.end_fences(&mut inner);
            if peers.iter().all(|i| inner.left_out.is_listed(*i)) {
                break;
            }
            if self.is_over(until) {
                return Err(Error::TimedOut(
                    "A peer does not know that it is left out".into(),
                ));
            }
            inner = self.wait(inner, WaitKey::Membership, self.deadline(FENCE_PAUSE));
        }
        self.note_left_out(&mut inner);
        drop(inner);
        self.save_list()
    }
}

/// Tells first stocks apart: FNV-1a of their JSON.
pub(super) fn digest(books: &[Book]) -> u64 {
    let json = serde_json::to_vec(books).expect("books are JSON");
    json.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

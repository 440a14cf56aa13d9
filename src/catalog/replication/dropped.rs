//! Copies that are dropped after a cut: `PROTOCOL.md`, "What is promised", 2. Each is in the log of
//! both sides, with both versions, title and stock, so that nothing vanishes silently.

use std::sync::Arc;

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::messages::{Dropped, DroppedCopy, Message, Outcome, Reply};
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::Book;
use crate::runtime::log;

/// How many dropped copies wait for each peer to be told of them. Of those beyond, only the log
/// here knows.
const UNTOLD_MAX: usize = 1000;

impl<E: Environment> Replica<E> {
    /// `theirs` takes the place of the copy here; `from`: the peer that has sent it, if that is
    /// known. If the copy here is the better one, it is forgotten from now on. If it is from another
    /// side of a cut, that is logged and counted, and that side will be told.
    pub(super) fn note_dropped(&self, inner: &mut Inner, from: Option<usize>, theirs: &Book) {
        let Some(ours) = inner.shelf.book(theirs.id).cloned() else {
            return;
        };
        if theirs.version < ours.version {
            inner.left_out.note_loss();
        }
        let Some(i) = other_side(inner, from, &ours, theirs) else {
            return;
        };
        inner.copies_dropped += 1;
        let dropped = DroppedCopy {
            id: ours.id,
            title: ours.title.clone(),
            version: ours.version,
            quantity: ours.quantity,
            kept_title: theirs.title.clone(),
            kept: theirs.version,
            kept_quantity: theirs.quantity,
        };
        let event = "a copy from the other side of a cut takes the place of ours";
        self.log_dropped(event, i, &dropped);
        let untold = inner.untold.entry(i).or_default();
        if untold.len() < UNTOLD_MAX {
            untold.push(dropped);
        }
    }

    /// Tells live peers which copies gave way to theirs. Who does not answer is told again in the
    /// next pass of background repair.
    pub(super) fn tell_dropped(self: &Arc<Self>) {
        let untold: Vec<_> = {
            let inner = self.lock();
            let untold = inner.untold_peers().map(|i| (i, inner.untold[&i].clone()));
            untold.collect()
        };
        for (i, copies) in untold {
            let count = copies.len();
            let from = self.config.address.clone();
            let message = Message::Dropped(Dropped { from, copies });
            if let Outcome::Reply(Reply::Confirmed) = self.ask(i, message) {
                let mut inner = self.lock();
                inner
                    .untold
                    .get_mut(&i)
                    .expect("it is there")
                    .drain(..count);
                inner.untold.retain(|_, copies| !copies.is_empty());
            }
        }
    }

    pub(super) fn answer_dropped(&self, dropped: &Dropped) -> Reply {
        let Some(i) = self.peer_number(&dropped.from) else {
            return Reply::UnknownPeer;
        };
        for copy in dropped.copies.iter().take(UNTOLD_MAX) {
            let event = "a copy of ours takes the place of one from the other side of a cut";
            self.log_dropped(event, i, copy);
        }
        Reply::Confirmed
    }

    fn log_dropped(&self, event: &str, peer: usize, copy: &DroppedCopy) {
        let fields: [log::Field; 8] = [
            ("peer", &self.config.peers[peer]),
            ("book", &copy.id),
            ("title", &copy.title),
            ("dropped", &copy.version),
            ("dropped_quantity", &copy.quantity),
            ("kept_title", &copy.kept_title),
            ("kept", &copy.kept),
            ("kept_quantity", &copy.kept_quantity),
        ];
        log::warn(event, &fields);
    }
}

/// The peer on the other side of a cut to which `ours` is lost. `None`: nothing is lost.
fn other_side(inner: &Inner, from: Option<usize>, ours: &Book, theirs: &Book) -> Option<usize> {
    let left_out = &inner.left_out;
    let follows = theirs.may_follow(ours);
    let changed = |i: &usize| {
        let owed = inner.shelf.owed(*i);
        owed.is_some_and(|owed| owed.contains_key(&ours.id))
            || left_out.is_unrecorded(*i) && !follows
    };
    // A peer of this side may have met the other side first. What it sends is either that side's
    // copy, or a later one of this side.
    let is_cut_off = |i: &usize| match left_out.is_told(*i) {
        true => left_out.lists_us(*i),
        false => left_out.is_unrecorded(*i),
    };
    let mut cut_off = left_out.peers().filter(|i| is_cut_off(i) && !follows);
    from.filter(&changed).or_else(|| cut_off.find(&changed))
}

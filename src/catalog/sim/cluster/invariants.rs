//! What must hold at every step of a run, else it has failed.

use std::sync::Arc;

use super::Cluster;
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::sim::parameters::BOOK;
use crate::catalog::sim::scheduler::event_queue::Incarnation;
use crate::catalog::sim::trace;
use crate::model::book::{Book, BookId, Version};

/// A catalog's copy of [`BOOK`] when it was last looked at.
pub(super) struct SeenCopy {
    start: u64,
    book: Arc<Book>,
    state: CopyState,
}

impl Cluster {
    /// The sequence number of a valid copy never falls, and two valid copies of one number are
    /// equal.
    pub(crate) fn check_copy(&self, node: usize) {
        if self.parameters.catalogs <= node || !self.scheduler.is_up(node) {
            return;
        }
        let Some((book, state, _)) = self.replica(node).peek(BOOK) else {
            return;
        };
        let start = self.scheduler.incarnation(node).number;
        let mut cluster = self.state();
        let seen = SeenCopy {
            start,
            book: book.clone(),
            state,
        };
        if let Some(before) = cluster.catalogs[node].seen.replace(seen) {
            let (number, version) = (book.version.number, before.book.version);
            // A copy that is not valid may lose outright, whatever its number; after a cut, any.
            let was_valid = before.state == CopyState::Valid && self.parameters.linearizable;
            if before.start == start && was_valid && number < version.number {
                let why = format!("{node} fell from {version} to {}", book.version);
                self.scheduler.fail(why);
            }
            if (version, before.state) == (book.version, state) {
                return;
            }
        }
        self.trace
            .note(|| format!("  {node} has {}", trace::copy(&book, state)));
        if state != CopyState::Valid || !self.parameters.linearizable {
            return;
        }
        let seen = cluster.catalogs.iter().flat_map(|other| &other.seen);
        let mut valid = seen.filter(|seen| seen.state == CopyState::Valid);
        let clash = valid.find(|seen| {
            seen.book.version.number == book.version.number
                && (seen.book.version != book.version || seen.book.quantity != book.quantity)
        });
        if let Some(clash) = clash {
            let other = clash.book.version;
            let why = format!("{} and {other} are both valid", book.version);
            self.scheduler.fail(why);
        }
    }

    /// The protocol's invariant, when a client is told of a write: each catalog that has not got it
    /// on disk is on the list on disk of each that has, or the second is itself on a list.
    pub(crate) fn check_left_out(&self, by: Incarnation, id: BookId, version: Version) {
        if !self.parameters.linearizable || !self.scheduler.is_alive(by) {
            return;
        }
        let cluster = self.state();
        let version_at = |node: usize| {
            let mut books = cluster.catalogs[node].disk.books.iter();
            let book = books.find(|book| book.id == id);
            book.map(|book| book.version)
        };
        let lists = |node: usize, other: usize| {
            let list = &cluster.catalogs[node].disk.record.left_out;
            list.contains(&Cluster::address(other))
        };
        let nodes = 0..cluster.catalogs.len();
        let has = |node: &usize| version_at(*node) == Some(version);
        // What was on disk in a folder that is gone is lost, and nobody lied.
        let same_folder = |node: usize| !cluster.catalogs[node].disk.is_other;
        let lacks = |node: &usize| {
            same_folder(*node) && version_at(*node).is_none_or(|v| v.number < version.number)
        };
        let pairs = nodes
            .clone()
            .filter(has)
            .flat_map(|a| nodes.clone().filter(lacks).map(move |b| (a, b)));
        let broken = |(has, lacks): &(usize, usize)| {
            let is_listed = nodes.clone().any(|other| lists(other, *has));
            !lists(*has, *lacks) && (*has == by.node || !is_listed)
        };
        if let Some((has, lacks)) = pairs.into_iter().find(broken) {
            self.scheduler.fail(format!(
                "{} acknowledged {version} of {id}, which {lacks} lacks, and {has} does not list it",
                by.node
            ));
        }
    }

    /// What a catalog has acknowledged is in its file.
    pub(crate) fn check_acknowledged(&self, by: Incarnation, id: BookId, version: Version) {
        let cluster = self.state();
        let has = |book: &Book| book.id == id && version.number <= book.version.number;
        let on_disk = cluster.catalogs[by.node].disk.books.iter().any(has);
        if self.scheduler.is_alive(by) && !on_disk {
            let node = by.node;
            self.scheduler.fail(format!(
                "{node} acknowledged {version} of {id}, which is not on disk"
            ));
        }
    }
}

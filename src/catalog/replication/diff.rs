//! What a page of versions, here and at every live peer, asks a catch-up to do.

use std::collections::BTreeMap;

use crate::catalog::replication::messages::Versions;
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::model::book::{BookId, Version};

/// A page, and the peer that sent it.
pub(super) type PeerPage = (usize, Vec<PageEntry>);

/// What there is to do. Each id stands in one list at most.
#[derive(Debug, Default)]
pub(super) struct Diff {
    /// Better elsewhere, by the peer to fetch them from.
    pub(super) fetch: BTreeMap<usize, Vec<BookId>>,
    /// Valid elsewhere in the version that is here.
    pub(super) valid: Versions,
    /// The same everywhere, valid nowhere.
    pub(super) claim: Versions,
    /// Some peer lacks the version that is here.
    pub(super) push: Vec<BookId>,
}

/// Compares the page here with the peers', up to `bound`, the last id that all of them cover.
pub(super) fn diff(ours: &[PageEntry], pages: &[PeerPage], bound: Option<BookId>) -> Diff {
    let mut theirs: Vec<_> = pages
        .iter()
        .map(|(peer, page)| (*peer, page.iter().peekable()))
        .collect();
    let mut ours = ours.iter().peekable();
    let mut diff = Diff::default();
    loop {
        let theirs_next = theirs.iter_mut().filter_map(|(_, page)| page.peek());
        let next = theirs_next.chain(ours.peek());
        let id = next.map(|entry| entry.0).min();
        let Some(id) = id.filter(|id| bound.is_none_or(|bound| *id <= bound)) else {
            return diff;
        };
        let our_entry = ours.next_if(|entry| entry.0 == id);
        let our_version = our_entry.map(|entry| entry.1);
        let mut lacking = false;
        let mut valid = false;
        let mut best: Option<(Version, usize)> = None;
        for (peer, page) in &mut theirs {
            let entry = page.next_if(|entry| entry.0 == id);
            let version = entry.map(|entry| entry.1);
            lacking |= version != our_version;
            valid |= entry.is_some_and(|entry| entry.2 == CopyState::Valid && !lacking);
            best = best.max(version.map(|version| (version, *peer)));
        }
        if let Some((_, peer)) = best.filter(|(version, _)| our_version < Some(*version)) {
            diff.fetch.entry(peer).or_default().push(id);
        } else if let Some(PageEntry(_, version, CopyState::Unknown)) = our_entry {
            if valid {
                diff.valid.push((id, *version));
            } else if lacking {
                diff.push.push(id);
            } else {
                diff.claim.push((id, *version));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, number: u64, state: CopyState) -> PageEntry {
        PageEntry(BookId(id), version(number), state)
    }

    fn version(number: u64) -> Version {
        Version { number, stamp: 7 }
    }

    use CopyState::{Tentative, Unknown, Valid};

    #[test]
    fn each_book_is_fetched_made_valid_claimed_or_pushed() {
        let ours = [
            entry(1, 1, Unknown),
            entry(2, 1, Unknown),
            entry(3, 1, Unknown),
            entry(4, 2, Unknown),
            entry(5, 1, Valid),
            entry(7, 1, Tentative),
        ];
        let theirs = vec![
            entry(1, 2, Unknown),
            entry(2, 1, Valid),
            entry(3, 1, Unknown),
            entry(4, 1, Unknown),
            entry(6, 1, Valid),
            entry(7, 1, Unknown),
        ];
        let diff = diff(&ours, &[(0, theirs)], None);
        assert_eq!(
            diff.fetch,
            BTreeMap::from([(0, vec![BookId(1), BookId(6)])])
        );
        assert_eq!(diff.valid, [(BookId(2), version(1))]);
        assert_eq!(diff.claim, [(BookId(3), version(1))]);
        assert_eq!(diff.push, [BookId(4)]);
    }

    #[test]
    fn the_best_of_several_peers_is_fetched() {
        let pages = [
            (0, vec![entry(1, 2, Valid)]),
            (1, vec![entry(1, 3, Unknown)]),
        ];
        assert_eq!(
            diff(&[], &pages, None).fetch,
            BTreeMap::from([(1, vec![BookId(1)])])
        );
    }

    #[test]
    fn a_diff_ends_where_the_shortest_full_page_ends() {
        let theirs = vec![entry(1, 1, Valid), entry(2, 1, Valid)];
        let diff = diff(&[], &[(0, theirs)], Some(BookId(1)));
        assert_eq!(diff.fetch, BTreeMap::from([(0, vec![BookId(1)])]));
    }
}

//! What a page of versions, here and at every live peer, tells one to do.

use std::collections::BTreeMap;

use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::model::book::{BookId, Version};

/// What a page tells one to do. Each id stands in one list at most.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Better elsewhere, by the peer to fetch them from.
    pub fetch: BTreeMap<usize, Vec<BookId>>,
    /// Valid elsewhere in our version.
    pub valid: Vec<(BookId, Version)>,
    /// The same everywhere, valid nowhere.
    pub claim: Vec<(BookId, Version)>,
    /// Some peer lacks our version.
    pub bring: Vec<BookId>,
}

/// Compares our page with the peers', up to the last id that all of them cover.
pub(super) fn plan(
    ours: &[PageEntry],
    pages: &[(usize, Vec<PageEntry>)],
    bound: Option<BookId>,
) -> Plan {
    let covered = |id: BookId| bound.is_none_or(|bound| id <= bound);
    let mut theirs: Vec<_> = pages
        .iter()
        .map(|(peer, page)| (*peer, page.iter().peekable()))
        .collect();
    let mut ours = ours.iter().peekable();
    let mut plan = Plan::default();
    loop {
        let heads = theirs
            .iter_mut()
            .filter_map(|(_, page)| page.peek().map(|entry| entry.0));
        let id = heads.chain(ours.peek().map(|entry| entry.0)).min();
        let Some(id) = id.filter(|id| covered(*id)) else {
            return plan;
        };
        let our_entry = ours.next_if(|entry| entry.0 == id);
        let mut lacking = false;
        let mut valid = false;
        let mut best: Option<(Version, usize)> = None;
        for (peer, page) in &mut theirs {
            let entry = page.next_if(|entry| entry.0 == id);
            let version = entry.map(|entry| entry.1);
            lacking |= version != our_entry.map(|entry| entry.1);
            valid |= entry.is_some_and(|entry| entry.2 == CopyState::Valid && !lacking);
            best = best.max(version.map(|version| (version, *peer)));
        }
        match (our_entry, best) {
            (ours, Some((version, peer))) if ours.map(|entry| entry.1) < Some(version) => {
                plan.fetch.entry(peer).or_default().push(id);
            }
            (Some(PageEntry(_, version, CopyState::Unknown)), _) if valid => {
                plan.valid.push((id, *version))
            }
            (Some(PageEntry(_, _, CopyState::Unknown)), _) if lacking => plan.bring.push(id),
            (Some(PageEntry(_, version, CopyState::Unknown)), _) => plan.claim.push((id, *version)),
            _ => {}
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
    fn each_book_is_fetched_believed_claimed_or_brought() {
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
        let plan = plan(&ours, &[(0, theirs)], None);
        assert_eq!(
            plan.fetch,
            BTreeMap::from([(0, vec![BookId(1), BookId(6)])])
        );
        assert_eq!(plan.valid, [(BookId(2), version(1))]);
        assert_eq!(plan.claim, [(BookId(3), version(1))]);
        assert_eq!(plan.bring, [BookId(4)]);
    }

    #[test]
    fn the_best_of_several_peers_is_fetched() {
        let pages = [
            (0, vec![entry(1, 2, Valid)]),
            (1, vec![entry(1, 3, Unknown)]),
        ];
        assert_eq!(
            plan(&[], &pages, None).fetch,
            BTreeMap::from([(1, vec![BookId(1)])])
        );
    }

    #[test]
    fn a_page_says_nothing_beyond_what_all_cover() {
        let theirs = vec![entry(1, 1, Valid), entry(2, 1, Valid)];
        let plan = plan(&[], &[(0, theirs)], Some(BookId(1)));
        assert_eq!(plan.fetch, BTreeMap::from([(0, vec![BookId(1)])]));
    }
}

//! What must not be kept for a while: a catalog that has its books in etcd says so before each
//! change, and says when the change has ended.
//!
//! Between the two somebody may have read the new book while the old one can still be fetched. So
//! requests neither store nor share what they fetch, until each of the holds is released.

use std::collections::HashMap;

use crate::model::book::BookId;
use crate::model::hold::Hold;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    Item(BookId),
    Searches,
}

/// The number of the last hold, by the start number of the catalog.
#[derive(Debug, Default)]
pub(super) struct Holds(HashMap<Held, Vec<(u64, u64)>>);

impl Holds {
    pub(super) fn hold(&mut self, hold: &Hold) {
        for held in all(hold) {
            let numbers = self.0.entry(held).or_default();
            match numbers.iter_mut().find(|(start, _)| *start == hold.start) {
                Some((_, number)) => *number = hold.number.max(*number),
                None => numbers.push((hold.start, hold.number)),
            }
        }
    }

    pub(super) fn release(&mut self, release: &Hold) {
        for held in all(release) {
            self.retain(held, |(start, number)| {
                start != release.start || release.number < number
            });
        }
    }

    /// The changes of that catalog with lower numbers than this have ended.
    pub(super) fn release_before(&mut self, start: u64, ended: u64) {
        let held: Vec<Held> = self.0.keys().copied().collect();
        for held in held {
            self.retain(held, |(other, number)| other != start || ended <= number);
        }
    }

    /// That catalog was started again, and none of its former changes can happen any more.
    pub(super) fn forget(&mut self, start: u64) {
        self.release_before(start, u64::MAX);
    }

    pub(super) fn has(&self, held: Held) -> bool {
        !self.0.is_empty() && self.0.contains_key(&held)
    }

    fn retain(&mut self, held: Held, stays: impl Fn((u64, u64)) -> bool) {
        if let Some(numbers) = self.0.get_mut(&held) {
            numbers.retain(|number| stays(*number));
            if numbers.is_empty() {
                self.0.remove(&held);
            }
        }
    }
}

fn all(hold: &Hold) -> impl Iterator<Item = Held> {
    let items = hold.items.iter().copied().map(Held::Item);
    items.chain(hold.has_searches().then_some(Held::Searches))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(start: u64, number: u64) -> Hold {
        Hold {
            start,
            number,
            items: vec![BookId(7)],
            ..Hold::default()
        }
    }

    const BOOK: Held = Held::Item(BookId(7));

    #[test]
    fn a_book_is_held_until_the_last_of_its_changes_has_ended() {
        let mut holds = Holds::default();
        holds.hold(&hold(1, 5));
        holds.hold(&hold(1, 6));
        holds.hold(&hold(2, 1));
        assert!(holds.has(BOOK) && !holds.has(Held::Searches));
        holds.release(&hold(1, 5));
        holds.release(&hold(2, 9));
        assert!(holds.has(BOOK));
        holds.release(&hold(1, 6));
        assert!(!holds.has(BOOK));
    }

    #[test]
    fn a_late_release_ends_no_later_hold() {
        let mut holds = Holds::default();
        holds.hold(&hold(1, 6));
        holds.release(&hold(1, 5));
        assert!(holds.has(BOOK));
    }

    #[test]
    fn a_release_that_was_lost_is_made_up_for() {
        let mut holds = Holds::default();
        holds.hold(&hold(1, 6));
        holds.release_before(1, 6);
        holds.release_before(2, 9);
        assert!(holds.has(BOOK));
        holds.release_before(1, 7);
        assert!(!holds.has(BOOK));
    }

    #[test]
    fn a_catalog_that_was_started_again_holds_nothing_of_before() {
        let mut holds = Holds::default();
        holds.hold(&hold(1, 6));
        holds.hold(&hold(3, 1));
        holds.forget(1);
        assert!(holds.has(BOOK));
        holds.forget(3);
        assert!(!holds.has(BOOK));
    }
}

//! Whether stock + sold = start, on every replica, while customers of this page buy.
//!
//! A sale happens at some moment between its request and its answer. So what a catalog shows is
//! compared with two counts, one from before it was asked and one from after: its stock is at
//! least the start without all that may have been sold by then, and at most the start without what
//! had certainly been sold. While nobody buys, both are the same number.
//!
//! Somebody else may buy or restock, too, at a front-end or at a catalog. Their metrics tell how
//! often, but not which book; so a difference is an error if that cannot explain it. What a
//! front-end sold to others between the last look at its metrics and its death explains nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use crate::runtime::sync::lock;

/// What is known of one book. Of each count, what is certain and what may yet happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    pub(super) start: u64,
    pub(super) added: u64,
    pub(super) sold: u64,
    /// Bought by somebody else; below 0 if somebody else added copies.
    pub(super) others: i64,
    /// Copies that may have been sold: nobody has said so, or that they were not.
    pub(super) unknown: u64,
    /// Copies that are being added, or bought, at this moment.
    #[serde(skip)]
    pub(super) adding: u64,
    #[serde(skip)]
    pub(super) buying: u64,
}

/// The counts of all books that were seen, by id.
pub(super) type Counts = BTreeMap<u64, Count>;

#[derive(Debug, Default)]
pub(super) struct Account(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    /// Sales of front-ends and changes at catalogs, by their metrics, that are not this page's own
    /// and explain no difference yet. Below 0 until the metrics show the page's own.
    sales: i64,
    changes: i64,
}

/// How a buy or a restocking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Nothing,
    Unknown,
}

/// What one replica shows of one book, beside the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    /// This many copies fewer than there can be: somebody else may have bought them.
    Fewer(u64),
    /// More copies than there can be: a sale is lost, or somebody has restocked.
    More(u64),
}

impl Account {
    pub(super) fn counts(&self) -> Counts {
        lock(&self.0).counts.clone()
    }

    /// Begins to count a book that was not seen before, with this stock.
    pub(super) fn see(&self, book: u64, stock: u64) {
        let start = Count {
            start: stock,
            ..Count::default()
        };
        lock(&self.0).counts.entry(book).or_insert(start);
    }

    /// Forgets all: counting begins anew with the next look.
    pub(super) fn forget(&self) {
        *lock(&self.0) = Inner::default();
    }

    /// A buy is sent. [`Account::bought`] follows.
    pub(super) fn buys(&self, book: u64) {
        if let Some(count) = lock(&self.0).counts.get_mut(&book) {
            count.buying += 1;
        }
    }

    pub(super) fn bought(&self, book: u64, outcome: Outcome) {
        let mut inner = lock(&self.0);
        if outcome == Outcome::Done {
            inner.sales -= 1;
        }
        let Some(count) = inner.counts.get_mut(&book) else {
            return;
        };
        count.buying = count.buying.saturating_sub(1);
        match outcome {
            Outcome::Done => count.sold += 1,
            Outcome::Unknown => count.unknown += 1,
            Outcome::Nothing => (),
        }
    }

    /// So many copies are being added. [`Account::added`] follows.
    pub(super) fn adds(&self, book: u64, copies: u64) {
        if let Some(count) = lock(&self.0).counts.get_mut(&book) {
            count.adding += copies;
        }
    }

    /// Those copies were added, or not. After an unknown outcome nothing is known of the book.
    pub(super) fn added(&self, book: u64, copies: u64, outcome: Outcome) {
        let mut inner = lock(&self.0);
        if outcome == Outcome::Done {
            inner.changes -= 1;
        }
        let Some(count) = inner.counts.get_mut(&book) else {
            return;
        };
        count.adding = count.adding.saturating_sub(copies);
        match outcome {
            Outcome::Done => count.added += copies,
            Outcome::Unknown => drop(inner.counts.remove(&book)),
            Outcome::Nothing => (),
        }
    }

    /// A front-end's metrics show so many more sales, this page's own included.
    pub(super) fn sales_seen(&self, sales: u64) {
        lock(&self.0).sales += sales as i64;
    }

    /// A catalog's metrics show so many more changes, this page's own included.
    pub(super) fn changes_seen(&self, changes: u64) {
        lock(&self.0).changes += changes as i64;
    }

    /// One of the changes at catalogs is this page's own, and left the stock as it was.
    pub(super) fn changed_no_stock(&self) {
        lock(&self.0).changes -= 1;
    }

    /// Whether others' sales or changes explain the difference. They explain it once: from then on
    /// it is counted.
    pub(super) fn explain(&self, book: u64, verdict: Verdict) -> bool {
        let mut inner = lock(&self.0);
        let difference = match verdict {
            Verdict::Right => return true,
            Verdict::Fewer(copies) => copies as i64,
            Verdict::More(copies) => -(copies as i64),
        };
        if 0 < difference && difference <= inner.sales {
            inner.sales -= difference;
        } else if 0 < inner.changes {
            inner.changes -= 1;
        } else {
            return false;
        }
        if let Some(count) = inner.counts.get_mut(&book) {
            count.others += difference;
        }
        true
    }
}

/// Compares the stock that a replica showed with the counts from before and after.
pub(super) fn compare(before: &Count, after: &Count, stock: u64) -> Verdict {
    let stock = stock as i64;
    let had = |count: &Count| (count.start + count.added) as i64 - count.others;
    let least = had(before) - (after.sold + after.buying + after.unknown) as i64;
    let most = had(after) + after.adding as i64 - before.sold as i64;
    if stock < least {
        Verdict::Fewer((least - stock) as u64)
    } else if most < stock {
        Verdict::More((stock - most) as u64)
    } else {
        Verdict::Right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let account = Account::default();
        account.see(2, 5);
        account
    }

    #[track_caller]
    fn check(account: &Account, before: &Counts, stock: u64, expected: Verdict) {
        let after = account.counts();
        assert_eq!(
            compare(&before[&2], &after[&2], stock),
            expected,
            "{after:?}"
        );
    }

    #[test]
    fn a_sold_copy_must_be_gone_and_no_other_may_be() {
        let account = account();
        account.buys(2);
        account.bought(2, Outcome::Done);
        let quiet = account.counts();
        check(&account, &quiet, 4, Verdict::Right);
        check(&account, &quiet, 5, Verdict::More(1));
        check(&account, &quiet, 3, Verdict::Fewer(1));
    }

    #[test]
    fn a_copy_that_is_being_bought_may_be_gone_or_not() {
        let account = account();
        let before = account.counts();
        account.buys(2);
        check(&account, &before, 5, Verdict::Right);
        check(&account, &before, 4, Verdict::Right);
        account.bought(2, Outcome::Done);
        check(&account, &before, 5, Verdict::Right);
        check(&account, &account.counts(), 5, Verdict::More(1));
    }

    #[test]
    fn an_unknown_outcome_leaves_both_possible() {
        let account = account();
        account.buys(2);
        account.bought(2, Outcome::Unknown);
        let quiet = account.counts();
        check(&account, &quiet, 5, Verdict::Right);
        check(&account, &quiet, 4, Verdict::Right);
        check(&account, &quiet, 3, Verdict::Fewer(1));
    }

    #[test]
    fn copies_that_were_added_count_too() {
        let account = account();
        account.adds(2, 10);
        account.added(2, 10, Outcome::Done);
        let quiet = account.counts();
        check(&account, &quiet, 15, Verdict::Right);
        check(&account, &quiet, 14, Verdict::Fewer(1));
    }

    #[test]
    fn a_sale_to_somebody_else_explains_one_copy_less_and_no_other() {
        let account = account();
        account.sales_seen(1);
        assert!(account.explain(2, Verdict::Fewer(1)));
        check(&account, &account.counts(), 4, Verdict::Right);
        assert!(!account.explain(2, Verdict::Fewer(1)));
        account.changes_seen(1);
        assert!(account.explain(2, Verdict::More(96)));
        check(&account, &account.counts(), 100, Verdict::Right);
    }

    #[test]
    fn the_pages_own_sales_explain_nothing() {
        let account = account();
        account.buys(2);
        account.bought(2, Outcome::Done);
        account.sales_seen(1);
        assert!(!account.explain(2, Verdict::Fewer(1)));
        assert!(!account.explain(2, Verdict::More(1)));
    }
}

//! The proof that nothing was lost: each book's quantity follows from its entries in the ledger,
//! one from the other, back to its first stock.
//!
//! From the version that a book is at, its *history* is walked: the entry that made this version,
//! the entry that made the version below, and so on. Other entries of the book are of a history
//! that another one took the place of: the other side's, after a cut. What those sold was sold
//! twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::model::book::entry::{Entry, Sale};
use crate::model::book::{BookId, Version};
use crate::model::order::OrderId;

/// A book as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BookState {
    pub(crate) id: BookId,
    pub(crate) version: Version,
    pub(crate) quantity: u32,
}

/// What the ledger says of a book.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BookAudit {
    pub(crate) id: BookId,
    /// The first quantity that is known.
    pub(crate) first: i64,
    /// Copies of orders in its history.
    pub(crate) sold: i64,
    pub(crate) cancelled: i64,
    /// What operators added, less what they took away.
    pub(crate) changed: i64,
    pub(crate) quantity: i64,
    pub(crate) wrong: Vec<Wrong>,
    /// Sales of the other side of a cut, which the quantity does not know of: copies that were sold
    /// twice. Those that were taken back are not among them.
    pub(crate) sold_twice: Vec<(Arc<Entry>, Sale)>,
    /// Sales that only the other side of a cut took back: their copies are not in stock again.
    pub(crate) not_returned: Vec<(Arc<Entry>, Sale)>,
}

/// What is wrong with a book's history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wrong {
    /// No entry made this version.
    Missing(Version),
    /// The entry that made this version begins with another quantity than the one before ends with.
    Gap(Version),
    /// The quantity of this version, the book's own, is not what its entry says.
    Quantity(Version),
    /// The entry that made this version took another number of copies than its orders wanted.
    Copies(Version),
    /// This order is in two entries of the history.
    Twice(OrderId),
    /// The entry that made this version took back an order of the history, and returned another
    /// number of copies than it took.
    NotReturned(Version),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Missing(version) => write!(f, "no entry made version {version}"),
            Wrong::Gap(version) => write!(f, "copies appear or vanish before version {version}"),
            Wrong::Quantity(version) => {
                write!(f, "version {version} has another quantity than its entry")
            }
            Wrong::Copies(version) => write!(
                f,
                "version {version} took another number of copies than its orders"
            ),
            Wrong::Twice(order) => write!(f, "order {order} was sold twice"),
            Wrong::NotReturned(version) => write!(
                f,
                "version {version} took an order back, and returned another number of copies"
            ),
        }
    }
}

/// Audits these books, by id. A book that never changed has no entries, and nothing wrong. What was
/// made before `settled`, in ms since 1970, was made before the books were read, for sure.
pub(crate) fn audit(books: &[BookState], entries: &[Arc<Entry>], settled: u64) -> Vec<BookAudit> {
    let mut by_book: HashMap<BookId, BTreeMap<Version, &Arc<Entry>>> = HashMap::new();
    for entry in entries {
        by_book
            .entry(entry.book)
            .or_default()
            .insert(entry.version, entry);
    }
    let none = BTreeMap::new();
    let entries_of = |book: &BookState| by_book.get(&book.id).unwrap_or(&none);
    books
        .iter()
        .map(|book| audit_book(book, entries_of(book), settled))
        .collect()
}

/// The versions of a book's history that have entries, the newest first, as far as it is known; and
/// the version whose entry is missing.
pub(crate) fn history<'a>(
    version: Version,
    entry_of: impl Fn(Version) -> Option<&'a Arc<Entry>>,
) -> (Vec<&'a Arc<Entry>>, Option<Version>) {
    let mut entries = Vec::new();
    let mut next = version;
    loop {
        let Some(entry) = entry_of(next) else {
            return (entries, Some(next));
        };
        entries.push(entry);
        if entry.opens.is_some() || next.number == 0 {
            return (entries, None);
        }
        next = entry.base_version();
    }
}

fn audit_book(
    book: &BookState,
    entries: &BTreeMap<Version, &Arc<Entry>>,
    settled: u64,
) -> BookAudit {
    let mut audit = BookAudit {
        id: book.id,
        first: i64::from(book.quantity),
        quantity: i64::from(book.quantity),
        ..BookAudit::default()
    };
    if entries.is_empty() {
        return audit;
    }
    let (history, missing) = history(book.version, |version| entries.get(&version).copied());
    // A book that was added and never changed on this side, or not before it was read.
    let opens = |entry: &&&Arc<Entry>| entry.opens.is_some();
    let mut opening = entries.values().filter(opens);
    let is_first = opening.any(|entry| entry.base_version() == book.version);
    let is_first = history.is_empty() && (is_first || book.version.number <= 1);
    let missing = missing.filter(|_| !is_first);
    audit.wrong.extend(missing.map(Wrong::Missing));
    if let (Some(last), Some(first)) = (history.first(), history.last()) {
        audit.first = i64::from(first.from);
        if last.to != book.quantity {
            audit.wrong.push(Wrong::Quantity(book.version));
        }
    }
    let gaps = history.windows(2).filter(|pair| pair[0].from != pair[1].to);
    audit
        .wrong
        .extend(gaps.map(|pair| Wrong::Gap(pair[0].version)));
    history.iter().for_each(|entry| audit.count(entry));
    let mut orders = HashSet::new();
    for sale in history.iter().flat_map(|entry| &entry.orders) {
        if !orders.insert(sale.order) {
            audit.wrong.push(Wrong::Twice(sale.order));
        }
    }
    let sold: HashMap<OrderId, u32> = history
        .iter()
        .flat_map(|entry| entry.orders.iter().map(|sale| (sale.order, sale.copies)))
        .collect();
    let differs = |entry: &&&Arc<Entry>| {
        let copies = entry.cancels.and_then(|order| sold.get(&order));
        let returned = i64::from(entry.to) - i64::from(entry.from);
        copies.is_some_and(|copies| i64::from(*copies) != returned)
    };
    let not_returned = history.iter().filter(differs);
    audit
        .wrong
        .extend(not_returned.map(|entry| Wrong::NotReturned(entry.version)));
    let in_history: HashSet<Version> = history.iter().map(|entry| entry.version).collect();
    // Nothing is known of what came before a version of Bazar without a ledger.
    let first = history.last().map_or(0, |entry| entry.version.number);
    // A higher version may have come after the book was read; or it lost outright.
    let is_later = |entry: &Entry| book.version < entry.version && settled <= entry.at;
    let others = entries.iter().filter(|(version, entry)| {
        let is_known = missing.is_none() && first <= version.number;
        is_known && !is_later(entry) && !in_history.contains(version)
    });
    let cancelled: HashSet<OrderId> = entries.values().filter_map(|e| e.cancels).collect();
    let mut lost_cancellations = HashSet::new();
    for (_, entry) in others {
        let sales = entry.orders.iter();
        let lost = sales.filter(|s| !orders.contains(&s.order) && !cancelled.contains(&s.order));
        let lost = lost.map(|sale| (Arc::clone(entry), sale.clone()));
        audit.sold_twice.extend(lost);
        lost_cancellations.extend(entry.cancels);
    }
    let returned: HashSet<OrderId> = history.iter().filter_map(|entry| entry.cancels).collect();
    for entry in history {
        let sales = entry.orders.iter().filter(|sale| {
            lost_cancellations.contains(&sale.order) && !returned.contains(&sale.order)
        });
        let sales = sales.map(|sale| (Arc::clone(entry), sale.clone()));
        audit.not_returned.extend(sales);
    }
    audit
}

impl BookAudit {
    fn count(&mut self, entry: &Entry) {
        let taken = i64::from(entry.from) - i64::from(entry.to);
        if entry.cancels.is_some() {
            self.cancelled -= taken;
        } else if entry.orders.is_empty() {
            self.changed -= taken;
        } else {
            self.sold += taken;
            let copies: i64 = entry.orders.iter().map(|sale| i64::from(sale.copies)).sum();
            if copies != taken {
                self.wrong.push(Wrong::Copies(entry.version));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::book::entry::Opening;

    /// The entries of these tests are made at a time that is their number.
    const SETTLED: u64 = 5;

    fn version(number: u64, stamp: u64) -> Version {
        Version { number, stamp }
    }

    /// A sale of one copy, on top of the version with stamp `base`.
    fn sale(number: u64, stamp: u64, base: u64, from: u32) -> Arc<Entry> {
        let order = OrderId {
            start: stamp,
            count: number,
        };
        Arc::new(Entry {
            at: number,
            book: BookId(2),
            version: version(number, stamp),
            base,
            base_number: None,
            title: "T".into(),
            price: 1.5,
            from,
            to: from - 1,
            opens: (number == 1).then_some(Opening::Stock),
            orders: Box::new([Sale {
                order,
                copies: 1,
                key: None,
            }]),
            cancels: None,
            key: None,
        })
    }

    fn audit_at(number: u64, stamp: u64, quantity: u32, entries: &[Arc<Entry>]) -> BookAudit {
        let book = BookState {
            id: BookId(2),
            version: version(number, stamp),
            quantity,
        };
        audit(&[book], entries, SETTLED).remove(0)
    }

    #[test]
    fn a_quantity_follows_from_the_first_stock_and_the_sales() {
        let mut later = Entry::clone(&sale(3, 7, 6, 7));
        later.at = SETTLED;
        let entries = [sale(1, 5, 0, 9), sale(2, 6, 5, 8), Arc::new(later)];
        let audit = audit_at(2, 6, 7, &entries);
        assert_eq!((audit.first, audit.sold, audit.quantity), (9, 2, 7));
        assert_eq!((audit.wrong, audit.sold_twice), (vec![], vec![]));
    }

    #[test]
    fn a_lost_entry_a_gap_and_a_wrong_quantity_are_found() {
        let entries = [sale(1, 5, 0, 9), sale(2, 6, 5, 8)];
        let wrong = |number, quantity, entries: &[Arc<Entry>]| {
            audit_at(number, number + 4, quantity, entries).wrong
        };
        assert_eq!(wrong(2, 7, &entries[1..]), [Wrong::Missing(version(1, 5))]);
        assert_eq!(wrong(3, 6, &entries), [Wrong::Missing(version(3, 7))]);
        assert_eq!(wrong(2, 8, &entries), [Wrong::Quantity(version(2, 6))]);
        let gap = [entries[0].clone(), sale(2, 6, 5, 7)];
        assert_eq!(wrong(2, 6, &gap), [Wrong::Gap(version(2, 6))]);
    }

    #[test]
    fn what_the_other_side_of_a_cut_sold_is_named() {
        let ours = [sale(1, 5, 0, 9), sale(2, 8, 5, 8)];
        let theirs = sale(2, 6, 5, 8);
        let all = [ours[0].clone(), ours[1].clone(), theirs.clone()];
        let audit = audit_at(2, 8, 7, &all);
        assert_eq!(audit.wrong, []);
        assert_eq!(
            audit.sold_twice,
            [(theirs.clone(), theirs.orders[0].clone())]
        );
        let mut back = Entry::clone(&sale(3, 9, 8, 7));
        back.cancels = Some(theirs.orders[0].order);
        back.orders = Box::default();
        back.to = back.from;
        let all = [all.to_vec(), vec![Arc::new(back)]].concat();
        let audit = audit_at(3, 9, 7, &all);
        assert_eq!((audit.wrong, audit.sold_twice), (vec![], vec![]));
    }

    #[test]
    fn what_only_the_other_side_of_a_cut_took_back_is_named() {
        let sold = sale(1, 5, 0, 9);
        let back = |stamp, base| {
            let mut back = Entry::clone(&sale(2, stamp, base, 8));
            back.cancels = Some(sold.orders[0].order);
            back.orders = Box::default();
            back.to = 9;
            Arc::new(back)
        };
        let theirs = [sold.clone(), sale(2, 8, 5, 8), back(6, 5)];
        let audit = audit_at(2, 8, 7, &theirs);
        assert_eq!((audit.wrong, audit.sold_twice), (vec![], vec![]));
        assert_eq!(audit.not_returned, [(sold.clone(), sold.orders[0].clone())]);
        let mut again = Entry::clone(&back(9, 8));
        again.version.number = 3;
        (again.from, again.to) = (7, 8);
        let again = [&theirs[..], &[Arc::new(again)]].concat();
        for both in [
            audit_at(3, 9, 8, &again),
            audit_at(2, 6, 9, &[sold.clone(), back(6, 5)]),
        ] {
            assert_eq!((both.wrong, both.not_returned), (vec![], vec![]));
        }
    }

    #[test]
    fn an_order_that_was_taken_back_without_its_copies_is_found() {
        let sold = sale(1, 5, 0, 9);
        let mut back = Entry::clone(&sale(2, 6, 5, 8));
        back.cancels = Some(sold.orders[0].order);
        back.orders = Box::default();
        for (to, wrong) in [(8, vec![Wrong::NotReturned(version(2, 6))]), (9, vec![])] {
            back.to = to;
            let entries = [sold.clone(), Arc::new(back.clone())];
            assert_eq!(audit_at(2, 6, to, &entries).wrong, wrong);
        }
    }

    #[test]
    fn sales_that_gave_way_to_a_lower_version_are_named() {
        let entries: Vec<_> = (1..=6).map(|n| sale(n, n, n - 1, 9)).collect();
        for number in [0, 2] {
            let audit = audit_at(number, number, 8, &entries);
            let named: Vec<u64> = audit.sold_twice.iter().map(|(e, _)| e.at).collect();
            // What is not settled may have come later.
            assert_eq!(named, (number + 1..SETTLED).collect::<Vec<_>>());
        }
    }

    #[test]
    fn versions_that_are_revisions_of_etcd_follow_each_other_all_the_same() {
        let [mut first, mut next] = [sale(8, 5, 3, 9), sale(21, 6, 5, 8)].map(Arc::unwrap_or_clone);
        (first.opens, first.base_number) = (Some(Opening::Stock), Some(4));
        next.base_number = Some(8);
        let entries = [first, next].map(Arc::new);
        for (number, stamp, quantity, sold) in [(21, 6, 7, 2), (4, 3, 9, 0)] {
            let audit = audit_at(number, stamp, quantity, &entries);
            assert_eq!((audit.wrong, audit.sold), (vec![], sold));
        }
        assert_eq!(
            audit_at(21, 6, 7, &entries[1..]).wrong,
            [Wrong::Missing(version(8, 5))]
        );
    }

    #[test]
    fn a_book_that_never_changed_is_right() {
        let added = audit_at(1, 77, 4, &[]);
        assert_eq!((added.first, added.wrong), (4, vec![]));
    }
}

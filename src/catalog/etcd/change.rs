//! What an update makes of a book: `PROTOCOL.md`, "Write 2: preconditions", of a copy that is known
//! to be one to write on.

use std::sync::Arc;

use crate::catalog::etcd::ledger_keys::{self, KeyUses};
use crate::catalog::etcd::record;
use crate::catalog::etcd::wire::KeyValue;
use crate::catalog::replication::write::{Update, ids_where};
use crate::model::book::entry::Account;
use crate::model::book::{Book, STAMP_MAX};
use crate::model::error::{Error, Result};
use crate::model::order::Order;

/// A book as etcd had it at one moment, `None` if there was none, and those of the keys that were
/// asked for which were used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) book: Option<Arc<Book>>,
    pub(super) uses: KeyUses,
}

impl Seen {
    /// Of what was found at a book's key, and at those of these `Idempotency-Key`s.
    ///
    /// Fails with [`Error::Internal`] when no catalog wrote it.
    pub(super) fn of(
        found: &[Option<KeyValue>],
        keys: impl Iterator<Item = Arc<str>>,
    ) -> Result<Seen> {
        let book = found.first().and_then(Option::as_ref);
        let book = book.map(record::decode).transpose();
        let uses = found.iter().skip(1).zip(keys).filter_map(|(kv, key)| {
            let used = ledger_keys::decode_use(kv.as_ref()?);
            Some(used.map(|used| (key, used)))
        });
        let uses: std::result::Result<KeyUses, String> = uses.collect();
        let nonsense = |_| Error::Internal;
        Ok(Seen {
            book: book.map_err(nonsense)?,
            uses: uses.map_err(nonsense)?,
        })
    }
}

/// What came of looking at the preconditions.
#[derive(Debug, PartialEq)]
pub(super) enum Checked {
    /// They are met: the book is to become this.
    Write(Box<Book>),
    /// There is nothing to write. `replayed`: the update's orders are applied already.
    Unchanged { replayed: bool },
}

/// Whether an order of this book, or another one with its key, was made before; and whether that
/// was this very purchase, of this book and so many copies.
pub(super) fn made_before(book: &Book, order: &Order, uses: &KeyUses) -> Option<bool> {
    let known = &book.applied_orders;
    if known.contains_id(order) {
        return Some(!known.differs_by_id(order));
    }
    // Records had the keys before there was a ledger.
    if known.contains(order) {
        return Some(!known.differs(order));
    }
    let used = uses.get(order.key.as_ref()?)?;
    Some(used.book == book.id && used.copies == order.copies)
}

/// Checks an update's preconditions on this copy, when these of its keys were used before.
///
/// Fails as [`crate::catalog::store::Store::update`] does. If the copy is not the newest, the
/// outcome means nothing.
pub(super) fn check(old: &Book, uses: &KeyUses, update: &Update) -> Result<Checked> {
    let known = &old.applied_orders;
    let before = |order: &Order| made_before(old, order, uses);
    let differing = ids_where(&update.orders, |order| before(order) == Some(false));
    if !differing.is_empty() {
        return Err(Error::OtherPurchase(differing));
    }
    let applied = ids_where(&update.orders, |order| before(order).is_some());
    if !applied.is_empty() {
        if update.all_or_none {
            return Err(Error::Applied(applied));
        }
        return Ok(Checked::Unchanged { replayed: true });
    }
    let orders = ids_where(&update.orders, |order| known.is_closed(order));
    if !orders.is_empty() {
        let forgotten = known.catch_up_to();
        return Err(Error::Closed { orders, forgotten });
    }
    if old.removed != (update.change.removed == Some(false)) {
        return Err(if old.removed {
            Error::NotFound
        } else {
            Error::IdInUse
        });
    }
    let if_match = update.if_match.as_ref();
    if !if_match.is_none_or(|if_match| if_match.allows(old.version)) {
        return Err(Error::Changed);
    }
    if !update.copies_are_there(old) {
        return Err(Error::Changed);
    }
    if update.is_empty() {
        return Ok(Checked::Unchanged { replayed: false });
    }
    Ok(Checked::Write(Box::new(changed(old, update)?)))
}

/// The book after this update. Its version has the revision that it was made from, until the new
/// one is known.
fn changed(old: &Book, update: &Update) -> Result<Book> {
    let change = update.change.clone();
    let mut new = old.clone();
    new.quantity = change.quantity_after(old.quantity)?;
    new.title = change.title.unwrap_or(new.title);
    new.topic = change.topic.unwrap_or(new.topic);
    new.price = change.price.unwrap_or(new.price);
    new.removed = change.removed.unwrap_or(new.removed);
    // The keys are in etcd by themselves: see `ledger_keys`.
    let bare = |order: &Order| Order {
        key: None,
        ..order.clone()
    };
    let ids: Vec<Order> = update.ids().map(bare).collect();
    new.applied_orders.apply(&ids);
    new.note_restock(old);
    new.account = Account::kept_elsewhere();
    new.version.stamp = fastrand::u64(1..=STAMP_MAX);
    Ok(new)
}

/// Whether this update was made on the way to this newer copy, though its writer was not told.
/// `None`: the copy cannot tell.
pub(super) fn was_made(newest: &Book, update: &Update) -> Option<bool> {
    let known = &newest.applied_orders;
    if update.ids().next().is_some() && update.ids().all(|order| known.contains_id(order)) {
        return Some(true);
    }
    let is_closed = update.ids().any(|order| known.is_closed(order));
    (!is_closed).then_some(false)
}

/// The copy with the revision that it got.
pub(super) fn at_revision(book: &Book, revision: u64) -> Arc<Book> {
    let mut book = book.clone();
    book.version.number = revision;
    Arc::new(book)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::etcd::ledger_keys::KeyUse;
    use crate::catalog::if_match::IfMatch;
    use crate::model::book::{BookId, Change};

    fn book() -> Book {
        let json = r#"{"id":1,"title":"t","topic":"T","quantity":3,"price":1.5,"version":"4-77"}"#;
        serde_json::from_str(json).unwrap()
    }

    fn sale(order: &str, quantity: u32) -> Update {
        Update {
            change: Change {
                quantity: Some(quantity),
                ..Change::default()
            },
            if_match: Some(IfMatch::Any),
            orders: vec![Order::parse_with_key(order).unwrap()],
            all_or_none: true,
            ..Update::default()
        }
    }

    fn written(old: &Book, update: &Update) -> Book {
        match check(old, &KeyUses::new(), update) {
            Ok(Checked::Write(new)) => *new,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sale_leaves_its_order_in_the_book() {
        let sale = sale("7.1; open=1; at=9", 2);
        let sold = written(&book(), &sale);
        assert_eq!(sold.quantity, 2);
        assert_eq!(
            check(&sold, &KeyUses::new(), &sale),
            Err(Error::Applied(vec![sale.orders[0].id]))
        );
        assert_eq!(was_made(&sold, &sale), Some(true));
        let next = written(&sold, &self::sale("8.1; open=1; at=9", 1));
        assert_eq!(was_made(&next, &sale), Some(true));
    }

    #[test]
    fn a_key_is_good_for_one_purchase_of_one_book() {
        let sale = sale("7.1; open=1; at=9; key=k", 2);
        let checked = |book, copies| {
            let order = sale.orders[0].id;
            let used = KeyUse {
                book: BookId(book),
                copies,
                order: Some(order),
                entry: String::new(),
            };
            let uses = KeyUses::from([("k".into(), used)]);
            (
                check(&super::tests::book(), &uses, &sale).unwrap_err(),
                order,
            )
        };
        let (same, order) = checked(1, 1);
        assert_eq!(same, Error::Applied(vec![order]));
        for (book, copies) in [(2, 1), (1, 3)] {
            let (other, order) = checked(book, copies);
            assert_eq!(other, Error::OtherPurchase(vec![order]));
        }
    }

    #[test]
    fn a_sale_that_another_one_outran_was_not_made() {
        let (ours, theirs) = (sale("7.1; open=1; at=9", 2), sale("8.1; open=1; at=9", 2));
        let newest = written(&book(), &theirs);
        assert_eq!(was_made(&newest, &ours), Some(false));
    }

    #[test]
    fn a_removed_book_is_sold_to_nobody_and_may_be_added_again() {
        let removed = Book {
            removed: true,
            ..book()
        };
        assert_eq!(
            check(&removed, &KeyUses::new(), &sale("7.1; open=1; at=9", 2)),
            Err(Error::NotFound)
        );
        let again = Update {
            change: Change {
                removed: Some(false),
                ..Change::default()
            },
            ..Update::default()
        };
        assert!(!written(&removed, &again).removed);
        assert_eq!(check(&book(), &KeyUses::new(), &again), Err(Error::IdInUse));
    }

    #[test]
    fn a_change_of_another_version_is_refused() {
        let other = crate::model::book::Version {
            number: 4,
            stamp: 78,
        };
        let update = Update {
            if_match: Some(IfMatch::OneOf(vec![other])),
            ..sale("7.1; open=1; at=9", 2)
        };
        assert_eq!(
            check(&book(), &KeyUses::new(), &update),
            Err(Error::Changed)
        );
    }
}

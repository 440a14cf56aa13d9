//! What an update makes of a book: `PROTOCOL.md`, "Write 2: preconditions", of a copy that is known
//! to be one to write on.

use std::sync::Arc;

use crate::catalog::replication::write::{Update, ids_where};
use crate::model::book::{Book, STAMP_MAX};
use crate::model::error::{Error, Result};

/// What came of looking at the preconditions.
#[derive(Debug, PartialEq)]
pub(super) enum Checked {
    /// They are met: the book is to become this.
    Write(Box<Book>),
    /// There is nothing to write. `replayed`: the update's orders are applied already.
    Unchanged { replayed: bool },
}

/// Checks an update's preconditions on this copy.
///
/// Fails as [`crate::catalog::store::Store::update`] does. If the copy is not the newest, the
/// outcome means nothing.
pub(super) fn check(old: &Book, update: &Update) -> Result<Checked> {
    let known = &old.applied_orders;
    let applied = ids_where(&update.orders, |order| known.contains(order));
    if !applied.is_empty() {
        let differing = ids_where(&update.orders, |order| known.differs(order));
        if !differing.is_empty() {
            return Err(Error::OtherPurchase(differing));
        }
        if update.all_or_none {
            return Err(Error::Applied(applied));
        }
        return Ok(Checked::Unchanged { replayed: true });
    }
    let orders = ids_where(&update.orders, |order| known.is_closed(order));
    if !orders.is_empty() {
        let forgotten = known.forgotten();
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
    new.applied_orders.apply(update.ids());
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
    use crate::catalog::if_match::IfMatch;
    use crate::model::book::Change;
    use crate::model::order::Order;

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
            orders: vec![Order::parse(order).unwrap()],
            all_or_none: true,
            ..Update::default()
        }
    }

    fn written(old: &Book, update: &Update) -> Book {
        match check(old, update) {
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
            check(&sold, &sale),
            Err(Error::Applied(vec![sale.orders[0].id]))
        );
        assert_eq!(was_made(&sold, &sale), Some(true));
        let next = written(&sold, &self::sale("8.1; open=1; at=9", 1));
        assert_eq!(was_made(&next, &sale), Some(true));
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
            check(&removed, &sale("7.1; open=1; at=9", 2)),
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
        assert_eq!(check(&book(), &again), Err(Error::IdInUse));
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
        assert_eq!(check(&book(), &update), Err(Error::Changed));
    }
}

//! Whether an order, or another one with its client's `Idempotency-Key`, was made before:
//! `PROTOCOL.md`, "Orders".

use crate::catalog::replication::env::Environment;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::{Book, BookId};
use crate::model::order::{Order, OrderId};

/// Books that are just being written are looked through for a key that another book's sale has. A
/// catalog that has just started has more of them; what it sold in its last moments is not looked
/// for there.
const TENTATIVE_MAX: usize = 256;

/// What was made before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Prior {
    /// This very purchase.
    Same,
    /// Something else, with the order's id or key: it took another number of copies, or another
    /// book.
    Other,
    /// Another book is being sold with its key. That sale may yet lose.
    InUse,
}

/// The orders of which something was made before, or is being made.
#[derive(Default)]
pub(super) struct MadeBefore {
    pub(super) same: Vec<OrderId>,
    pub(super) other: Vec<OrderId>,
    pub(super) in_use: Vec<OrderId>,
}

impl<E: Environment> Replica<E> {
    /// What was made before of an order of this book, which is the copy here or the newest one.
    pub(super) fn prior(&self, inner: &Inner, book: &Book, order: &Order) -> Option<Prior> {
        if !self.enforces(Rule::Idempotency) {
            return None;
        }
        let known = &book.applied_orders;
        if known.contains_id(order) {
            return Some(prior(!known.differs_by_id(order)));
        }
        if self.enforces(Rule::RecordKeys) && known.contains(order) {
            return Some(prior(!known.differs(order)));
        }
        let key = order.key.as_deref()?;
        if !self.enforces(Rule::LedgerKeys) {
            return None;
        }
        let here = book
            .account
            .entries()
            .find_map(|entry| entry.copies_for(key));
        if let Some(copies) = here {
            return Some(prior(copies == order.copies));
        }
        if let Some(entry) = inner.shelf.ledger.with_key(key) {
            let copies = entry.copies_for(key);
            return Some(prior(entry.book == book.id && copies == Some(order.copies)));
        }
        self.is_being_sold(inner, book.id, key)
            .then_some(Prior::InUse)
    }

    /// The order that was sold for this one's key, if the ledger or the book's record has it.
    pub(super) fn sold_for(&self, inner: &Inner, book: &Book, order: &Order) -> Option<OrderId> {
        let key = order.key.as_deref()?;
        let here = book
            .account
            .entries()
            .find_map(|entry| entry.order_for(key));
        here.or_else(|| inner.shelf.ledger.with_key(key)?.order_for(key))
    }

    /// Whether a sale of another book with this key is not in the ledger yet: it may come true.
    pub(super) fn is_being_sold(&self, inner: &Inner, book: BookId, key: &str) -> bool {
        let others = inner.shelf.tentative().take(TENTATIVE_MAX);
        let mut others = others.filter(|other| other.id != book);
        others.any(|other| {
            other
                .account
                .entries()
                .any(|entry| entry.copies_for(key).is_some())
        })
    }

    /// Which of these orders were made before, which were something else, and which may become it.
    pub(super) fn made_before(&self, inner: &Inner, book: &Book, orders: &[Order]) -> MadeBefore {
        MadeBefore::of(orders, |order| self.prior(inner, book, order))
    }
}

impl MadeBefore {
    /// As `prior` finds.
    pub(super) fn of(orders: &[Order], prior: impl Fn(&Order) -> Option<Prior>) -> MadeBefore {
        let mut before = MadeBefore::default();
        for order in orders {
            match prior(order) {
                Some(Prior::Same) => before.same.push(order.id),
                Some(Prior::Other) => before.other.push(order.id),
                Some(Prior::InUse) => before.in_use.push(order.id),
                None => {}
            }
        }
        before
    }
}

fn prior(is_same: bool) -> Prior {
    if is_same { Prior::Same } else { Prior::Other }
}

//! A write of one book: `PROTOCOL.md`, "Write". Here are Write 1 to Write 3, and Write 5. The
//! others are in `commit.rs`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::adopt::Offered;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::invalidate::invalidations;
use crate::catalog::replication::left_out::Asked;
use crate::catalog::replication::messages::{Check, Known, Message, Outcome, Reply};
use crate::catalog::replication::prior::{MadeBefore, Prior};
use crate::catalog::replication::read_repair::not_repaired;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::entry::{Entry, Opening, Sale};
use crate::model::book::{Book, BookId, Change, Version};
use crate::model::error::{Error, Result};
use crate::model::number;
use crate::model::order::{Order, OrderId};
use crate::model::order_ids::OpenOrder;

/// How long a write may wait for the writes before it, and for a copy to write on.
const PREPARE_MAX: Duration = Duration::from_secs(2);

/// How often a write begins again because the copy changed meanwhile.
const ATTEMPTS_MAX: usize = 12;

/// How many ids a change without an order is given, one after another.
const IDS_MAX: usize = 3;

/// What is asked of [`Replica::update`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Update {
    pub(crate) change: Change,
    pub(crate) if_match: Option<IfMatch>,
    /// The copies of its orders must be there, and no copies may have come in since the version of
    /// this number.
    pub(crate) not_restocked_since: Option<u64>,
    /// The orders that this change serves.
    pub(crate) orders: Vec<Order>,
    /// All orders or none: an order that is applied already is an error. Otherwise it makes the
    /// whole update a replay.
    pub(crate) all_or_none: bool,
    /// The client's `Idempotency-Key` of a change that serves no order: it is made once.
    pub(crate) key: Option<Arc<str>>,
    /// The order that this change takes back.
    pub(crate) cancels: Option<OrderId>,
    /// The versions that took it back before, on the other side of a cut.
    pub(crate) cancelled_by: Vec<Version>,
    /// The id of a change that serves no order. [`Replica::update`] gives it one.
    pub(crate) write_id: Option<Order>,
}

/// What came of [`Replica::update`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Updated {
    pub(crate) book: Arc<Book>,
    /// The order was applied before. Nothing was changed now.
    pub(crate) replayed: bool,
}

/// A write whose new copy is here, tentatively.
pub(super) struct PendingWrite {
    pub(super) old: Arc<Book>,
    pub(super) new: Arc<Book>,
    /// The valid list's epoch when the write began.
    pub(super) epoch: u32,
}

/// What came of "Write 2: preconditions" and "Write 3: make a tentative copy".
pub(super) enum Prepared {
    Pending(PendingWrite),
    /// There is nothing to write.
    Unchanged(Updated),
    /// The preconditions can be checked only after read repair.
    NeedsRepair,
}

impl<E: Environment> Replica<E> {
    /// Changes a book. Once it returns `Ok`, the change is on disk at every live catalog, and no
    /// cache offers the old copy.
    ///
    /// Fails with [`Error::NotFound`], or [`Error::IdInUse`] when a book that is there is to be
    /// added again; [`Error::OutOfDate`] when the copy here was not the newest (a newer one was
    /// adopted); [`Error::Applied`], [`Error::OtherPurchase`], [`Error::KeyInUse`] or
    /// [`Error::Closed`] for a client's orders;
    /// [`Error::Changed`] when `if_match` names another version; [`Error::Invalid`] when the
    /// quantity would leave its range; [`Error::Busy`] when too many writes wait. After
    /// [`Error::TimedOut`] or [`Error::DiskRefuses`] the change may still be committed.
    pub(crate) fn update(self: &Arc<Self>, id: BookId, update: &Update) -> Result<Updated> {
        for _ in 0..IDS_MAX {
            // The id stays open until the change has ended.
            let (with_id, open) = self.with_id(update);
            let outcome = self.update_with_id(id, &with_id);
            match outcome {
                // A new id was never used: only a clock that was ahead has closed it.
                Err(Error::Closed { forgotten, .. }) if open.is_some() => {
                    self.write_ids.catch_up_with(forgotten);
                }
                outcome => return outcome,
            }
        }
        let why = "The clocks of the servers are minutes apart; nothing happened";
        Err(Error::Busy(why.into()))
    }

    /// A change with an id by which it can be told from others: that of its orders or, if it serves
    /// none, one of its own, which is open until it is dropped.
    pub(super) fn with_id<'u>(&self, update: &'u Update) -> (Cow<'u, Update>, Option<OpenOrder>) {
        if !update.orders.is_empty() || !self.enforces(Rule::WriteId) {
            return (Cow::Borrowed(update), None);
        }
        let open = self
            .write_ids
            .open_at(self.env.unix_ms(), update.key.clone());
        let mut with_id = update.clone();
        // With a key it is looked for among the orders, as a customer's is.
        if update.key.is_some() {
            with_id.orders.push(Order {
                copies: 0,
                ..open.order.clone()
            });
        } else {
            with_id.write_id = Some(open.order.clone());
        }
        (Cow::Owned(with_id), Some(open))
    }

    /// As [`Replica::update`], of a change that has the id of an order or of its own.
    fn update_with_id(self: &Arc<Self>, id: BookId, update: &Update) -> Result<Updated> {
        let (keys, mut refused) = self.reserve_keys(&[(id, update)]);
        let outcome = match refused.remove(&0) {
            Some(error) => Err(error),
            None => self.update_with_keys(id, update),
        };
        keys.end(std::slice::from_ref(&outcome));
        outcome
    }

    /// As [`Replica::update`], of a change whose keys are reserved.
    fn update_with_keys(self: &Arc<Self>, id: BookId, update: &Update) -> Result<Updated> {
        let until = self.deadline(PREPARE_MAX);
        let _lock = self.lock_for_write(id, until)?;
        match self.begin(id, update, until)? {
            Prepared::Pending(pending) => self.finish(&pending, update),
            Prepared::Unchanged(updated) => self.save_ledger_alone().map(|()| updated),
            Prepared::NeedsRepair => Err(not_repaired()),
        }
    }

    /// `PROTOCOL.md`, Write 1 to Write 3, repeated until the copy here is one to write on.
    fn begin(self: &Arc<Self>, id: BookId, update: &Update, until: Duration) -> Result<Prepared> {
        for _ in 0..ATTEMPTS_MAX {
            let mut inner = self.await_serving(self.lock(), until)?;
            if self.is_over(until) {
                break;
            }
            let state = inner.shelf.state(id);
            let here = inner.shelf.book(id).is_some();
            if !here {
                return Err(Error::NotFound);
            }
            let prepared = if state == CopyState::Valid {
                self.prepare(&mut inner, id, update)?
            } else if state == CopyState::Unknown && !update.is_empty() {
                let version = inner.shelf.version(id);
                drop(inner);
                self.check(id)?;
                inner = self.lock();
                let state = inner.shelf.state(id);
                let changed = inner.shelf.version(id) != version || state != CopyState::Unknown;
                if changed || !self.serves(&inner) {
                    continue;
                }
                self.prepare(&mut inner, id, update)?
            } else {
                Prepared::NeedsRepair
            };
            drop(inner);
            if !matches!(prepared, Prepared::NeedsRepair) {
                return Ok(prepared);
            }
            self.newest(id)?.ok_or(Error::NotFound)?;
        }
        Err(not_repaired())
    }

    /// `PROTOCOL.md`, "Write 1: check", for an unknown copy: asks all peers that are not left out
    /// whether theirs is better.
    fn check(self: &Arc<Self>, id: BookId) -> Result<()> {
        let inner = self.lock();
        let peers: Vec<usize> = inner.left_out.peers_to_ask().collect();
        let asked: Vec<Asked> = inner
            .left_out
            .peers()
            .map(|i| inner.left_out.asked(i))
            .collect();
        let (version, epoch) = (inner.shelf.version(id), inner.shelf.epoch());
        drop(inner);
        let mut better = Vec::new();
        let mut silent = false;
        for (i, outcome) in self.ask_all(&peers, &Message::Check(Check { id, version })) {
            match outcome {
                Outcome::Reply(Reply::CheckFailed(Known { book, state })) => {
                    let from = asked[i];
                    better.push(Offered { from, book, state })
                }
                Outcome::Reply(_) => {}
                Outcome::Refused | Outcome::Silent => silent = true,
            }
        }
        if !better.is_empty() {
            self.adopt_best(better, epoch)?;
            return Err(Error::OutOfDate);
        }
        if silent { Err(not_repaired()) } else { Ok(()) }
    }

    /// `PROTOCOL.md`, "Write 2: preconditions" and "Write 3: make a tentative copy", in one moment.
    /// The book must be here.
    pub(super) fn prepare(
        &self,
        inner: &mut Inner,
        id: BookId,
        update: &Update,
    ) -> Result<Prepared> {
        let old = inner.shelf.book(id).expect("the book is here").clone();
        let valid = inner.shelf.state(id) == CopyState::Valid && self.serves(inner);
        if let Some(prepared) = self.check_preconditions(inner, &old, valid, update)? {
            return Ok(prepared);
        }
        let mut new = self.changed(&old, update)?;
        self.enter(inner, &old, &mut new, update)?;
        let new = Arc::new(new);
        inner.propose(new.clone());
        let epoch = inner.shelf.epoch();
        Ok(Prepared::Pending(PendingWrite { old, new, epoch }))
    }

    /// `PROTOCOL.md`, "Write 2: preconditions". `None`: they are met, and there is something to
    /// write.
    fn check_preconditions(
        &self,
        inner: &Inner,
        old: &Arc<Book>,
        valid: bool,
        update: &Update,
    ) -> Result<Option<Prepared>> {
        let unchanged = |replayed| {
            let book = old.clone();
            Ok(Some(Prepared::Unchanged(Updated { book, replayed })))
        };
        let before = self.made_before_by(inner, old, update);
        let (applied, differing) = (before.same, before.other);
        if !(applied.is_empty() && differing.is_empty()) {
            if !valid {
                return Ok(Some(Prepared::NeedsRepair));
            }
            if !differing.is_empty() {
                return Err(Error::OtherPurchase(differing));
            }
            if update.all_or_none {
                return Err(Error::Applied(applied));
            }
            return unchanged(true);
        }
        if !before.in_use.is_empty() {
            return Err(Error::KeyInUse(before.in_use));
        }
        // In the moment in which the copy is made: the writer may have been stopped meanwhile.
        if self.is_cancelled_since(inner, old, update) {
            return Err(Error::OutOfDate);
        }
        let closed = update.ids().filter(|order| self.is_closed(old, order));
        let closed: Vec<OrderId> = closed.map(|order| order.id).collect();
        if !closed.is_empty() {
            let forgotten = old.applied_orders.catch_up_to();
            return Err(Error::Closed {
                orders: closed,
                forgotten,
            });
        }
        if old.removed != (update.change.removed == Some(false)) {
            let refusal = if old.removed {
                Error::NotFound
            } else {
                Error::IdInUse
            };
            return if valid {
                Err(refusal)
            } else {
                Ok(Some(Prepared::NeedsRepair))
            };
        }
        let if_match = update.if_match.as_ref();
        let allowed = if_match.is_none_or(|if_match| if_match.allows(old.version));
        if !allowed && self.enforces(Rule::IfMatch) {
            return Err(Error::Changed);
        }
        if !update.copies_are_there(old) && self.enforces(Rule::NotRestocked) {
            return Err(Error::Changed);
        }
        if update.is_empty() {
            return unchanged(false);
        }
        Ok(None)
    }

    /// The book after this update. Fails with [`Error::Invalid`] when its quantity would leave its
    /// range.
    fn changed(&self, old: &Book, update: &Update) -> Result<Book> {
        let change = update.change.clone();
        let mut new = old.clone();
        new.title = change.title.unwrap_or(new.title);
        new.topic = change.topic.unwrap_or(new.topic);
        new.quantity = update.change.quantity_after(old.quantity)?;
        new.price = change.price.unwrap_or(new.price);
        new.removed = change.removed.unwrap_or(new.removed);
        let is_added = old.version.number == 1 && old.version.stamp != 0;
        if is_added && self.enforces(Rule::Created) {
            new.applied_orders.set_created(old.version.stamp);
        }
        new.applied_orders.apply(update.ids());
        new.note_restock(old);
        new.version = Version {
            number: old.version.number + 1,
            stamp: self.env.random(),
        };
        Ok(new)
    }

    /// Whether it may be that the book has applied this order and forgotten it.
    pub(super) fn is_closed(&self, book: &Book, order: &Order) -> bool {
        let orders = &book.applied_orders;
        let counts = self.enforces(Rule::ForgottenOrders) || !orders.is_forgotten(order);
        counts && orders.is_closed(order)
    }

    fn finish(self: &Arc<Self>, pending: &PendingWrite, update: &Update) -> Result<Updated> {
        let PendingWrite { old, new, epoch } = pending;
        let books = std::slice::from_ref(new);
        let superseded = self.commit(books, *epoch, &invalidations(old, new))?;
        if superseded.contains(&new.id) {
            return self.superseded(new, update);
        }
        Ok(Updated {
            book: new.clone(),
            replayed: false,
        })
    }

    /// As [`Replica::prior`], of an order of this update. A change with a client's order that was no
    /// sale took no copies, whatever number the order names.
    fn prior_of(
        &self,
        inner: &Inner,
        book: &Book,
        update: &Update,
        order: &Order,
    ) -> Option<Prior> {
        let prior = self.prior(inner, book, order);
        if prior != Some(Prior::Other) || update.all_or_none {
            return prior;
        }
        let of_change = Order {
            copies: 0,
            ..order.clone()
        };
        self.prior(inner, book, &of_change)
    }

    /// As [`Replica::made_before`], of the orders of this update.
    fn made_before_by(&self, inner: &Inner, book: &Book, update: &Update) -> MadeBefore {
        MadeBefore::of(&update.orders, |order| {
            self.prior_of(inner, book, update, order)
        })
    }

    /// `PROTOCOL.md`, "Write 5: superseded": this write's own copy may have been committed all the
    /// same.
    pub(super) fn superseded(self: &Arc<Self>, new: &Book, update: &Update) -> Result<Updated> {
        if !self.enforces(Rule::OwnWrite) {
            return Err(Error::OutOfDate);
        }
        let newest = self.newest(new.id).map_err(|_| not_repaired())?;
        let book = newest.ok_or(Error::OutOfDate)?;
        let applied_orders = &book.applied_orders;
        let ids = || update.ids();
        let committed = book.version == new.version;
        let (differing, applied) = {
            let inner = self.lock();
            let prior = |order| self.prior_of(&inner, &book, update, order);
            let is_applied = |order| prior(order) == Some(Prior::Same);
            let differing = self.made_before_by(&inner, &book, update).other;
            (differing, ids().next().is_some() && ids().all(is_applied))
        };
        if !committed && !differing.is_empty() {
            return Err(Error::OtherPurchase(differing));
        }
        if committed || applied {
            // Another order of the customer, with the same key, may have been faster.
            let replayed = !committed && !ids().all(|order| applied_orders.contains_id(order));
            return Ok(Updated { book, replayed });
        }
        if ids().any(|order| self.is_closed(&book, order)) {
            return Err(not_repaired());
        }
        Err(Error::OutOfDate)
    }
}

impl Update {
    /// An update that serves these orders, all or none: that makes the quantity this one, if the
    /// book is still at a version that was read; or that takes their copies off whatever quantity
    /// there is, if none came in since the version of a number.
    ///
    /// Fails with [`Error::Invalid`] when it has not just one of these conditions.
    pub(crate) fn sale(
        mut change: Change,
        if_match: Option<IfMatch>,
        not_restocked_since: Option<u64>,
        orders: Vec<Order>,
    ) -> Result<Update> {
        match (&if_match, change.quantity, not_restocked_since) {
            (Some(_), Some(_), None) => {}
            (None, None, Some(_)) => {
                let copies = orders.iter().map(|order| i64::from(order.copies));
                change.added = Some(-copies.sum::<i64>());
            }
            _ => {
                let message = "orders go with quantity and with the header If-Match";
                return Err(Error::Invalid(message.into()));
            }
        }
        Ok(Update {
            change,
            if_match,
            not_restocked_since,
            orders,
            all_or_none: true,
            ..Update::default()
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.change == Change::default() && self.orders.is_empty()
    }

    /// Whether that is so, of an update that names no version: [`Update::not_restocked_since`].
    pub(crate) fn copies_are_there(&self, book: &Book) -> bool {
        let copies = self.orders.iter().map(|order| u64::from(order.copies));
        self.not_restocked_since
            .is_none_or(|number| book.has_since(number, copies.sum()))
    }

    /// The entry of this change of the old copy to the new one, made at `now`. `opens`: it is the
    /// book's first.
    pub(crate) fn entry(&self, old: &Book, new: &Book, now: u64, opens: Option<Opening>) -> Entry {
        let taken = i64::from(old.quantity) - i64::from(new.quantity);
        let sales = self.sales(taken);
        // A client may give a change an order with a key.
        let key = self.orders.iter().find_map(|order| order.key.clone());
        let key = self.key.clone().or(key);
        Entry {
            at: now.min(number::EXACT_MAX),
            book: new.id,
            version: new.version,
            base: old.version.stamp,
            base_number: None,
            title: new.title.clone(),
            price: new.price,
            from: old.quantity,
            to: new.quantity,
            opens,
            orders: sales.iter().map(Sale::of).collect(),
            cancels: self.cancels,
            key: key.filter(|_| sales.is_empty()),
        }
    }

    /// The customers' orders, of a change that takes so many copies.
    fn sales(&self, taken: i64) -> &[Order] {
        let copies: i64 = self
            .orders
            .iter()
            .map(|order| i64::from(order.copies))
            .sum();
        // An operator may give a change an order id, to send it again, or a key.
        let is_sale = self.all_or_none || taken == copies;
        match self.key {
            None if is_sale => &self.orders,
            _ => &[],
        }
    }

    /// The ids that the changed book keeps.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().chain(&self.write_id)
    }
}

/// The ids of those orders of which this is true.
pub(crate) fn ids_where(orders: &[Order], is_true: impl Fn(&Order) -> bool) -> Vec<OrderId> {
    let chosen = orders.iter().filter(|order| is_true(order));
    chosen.map(|order| order.id).collect()
}

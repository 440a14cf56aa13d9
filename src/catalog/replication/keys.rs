//! Which `Idempotency-Key`s are in use: one key buys one book, also when two books are asked for
//! with it at the same moment, at two catalogs. `PROTOCOL.md`, "Orders".
//!
//! A write first reserves the keys of its orders here, and then asks all peers that are not left
//! out. One that has a key reserved for another book, or knows that another book was sold for it,
//! says so, and the write does not happen. Each has reserved its key before it asks. So of two
//! catalogs at least one hears of the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{AskKeys, KeysReply, Message, Outcome, Reply};
use crate::catalog::replication::replicate::RETRY_PAUSE;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::write::{Update, Updated, ids_where};
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};
use crate::model::order::Order;

/// Keys that are reserved at a time. With more under way a buy with a key is told 503.
const RESERVED_MAX: usize = 100_000;

/// How long the keys of a write stay reserved whose outcome is not known. By then its copy is valid
/// or replaced, or nobody can reach the catalogs that have it.
const UNKNOWN_KEPT: Duration = Duration::from_secs(10);

/// The keys of writes under way.
#[derive(Default)]
pub(super) struct Keys {
    reserved: HashMap<Arc<str>, Reserved>,
}

struct Reserved {
    book: BookId,
    /// How many writes of the book have it.
    writes: u32,
    /// Without a write: until then, by the monotonic clock.
    until: Duration,
}

/// A key, and the book that is to be sold for it.
type KeyOf = (Arc<str>, BookId);

/// Keys of one batch of writes, until [`Reservation::end`].
pub(super) struct Reservation<'a, E: Environment> {
    replica: &'a Replica<E>,
    /// By the number of the write.
    keys: Vec<(usize, KeyOf)>,
}

impl Keys {
    fn is_reserved_for_another(&self, (key, book): &KeyOf, now: Duration) -> bool {
        let reserved = self.reserved.get(key);
        reserved.is_some_and(|it| it.book != *book && (0 < it.writes || now < it.until))
    }

    fn reserve(&mut self, (key, book): &KeyOf) {
        let none = Reserved {
            book: *book,
            writes: 0,
            until: Duration::ZERO,
        };
        let reserved = self.reserved.entry(key.clone()).or_insert(none);
        reserved.book = *book;
        reserved.writes += 1;
    }

    /// A write of the book has ended; the key stays reserved until then.
    fn release(&mut self, key: &Arc<str>, until: Duration) {
        let Some(reserved) = self.reserved.get_mut(key) else {
            return;
        };
        reserved.writes -= 1;
        reserved.until = reserved.until.max(until);
        if reserved.writes == 0 && reserved.until == Duration::ZERO {
            self.reserved.remove(key);
        }
    }

    fn forget_old(&mut self, now: Duration) {
        self.reserved
            .retain(|_, it| 0 < it.writes || now < it.until);
    }
}

impl<E: Environment> Replica<E> {
    /// Reserves the keys of these updates' orders, here and at the peers. The second value is why
    /// some of them must not be made, by their number.
    pub(super) fn reserve_keys<'a>(
        self: &'a Arc<Self>,
        updates: &[(BookId, &Update)],
    ) -> (Reservation<'a, E>, BTreeMap<usize, Error>) {
        let mut reservation = Reservation {
            replica: self,
            keys: Vec::new(),
        };
        let mut refused = BTreeMap::new();
        if !self.enforces(Rule::KeysInUse) || updates.iter().all(|(_, it)| has_no_key(it)) {
            return (reservation, refused);
        }
        let mut inner = self.lock();
        for (number, (book, update)) in updates.iter().enumerate() {
            let keys = self.new_keys(&inner, *book, update);
            let used = self.used(&inner, &keys);
            if let Some(error) = used.refusal(update) {
                refused.insert(number, error);
            } else if RESERVED_MAX < inner.keys.reserved.len() + keys.len() {
                inner.keys.forget_old(self.now().monotonic);
                refused.insert(
                    number,
                    Error::Busy("Too many buys with keys at once".into()),
                );
            } else {
                keys.iter().for_each(|key| inner.keys.reserve(key));
                reservation
                    .keys
                    .extend(keys.into_iter().map(|key| (number, key)));
            }
        }
        drop(inner);
        match self.ask_for_keys(&reservation.keys) {
            Ok(used) => {
                for (number, _) in &reservation.keys {
                    let refusal = used.refusal(updates[*number].1);
                    refused.extend(refusal.map(|error| (*number, error)));
                }
            }
            Err(error) => {
                for (number, _) in &reservation.keys {
                    refused.insert(*number, error.clone());
                }
            }
        }
        (reservation, refused)
    }

    /// The keys of an update of which nothing is known to be sold.
    fn new_keys(&self, inner: &Inner, book: BookId, update: &Update) -> Vec<KeyOf> {
        let keys = update.orders.iter().filter_map(|order| order.key.clone());
        let is_new = |key: &Arc<str>| inner.shelf.ledger.with_key(key).is_none();
        let keys = keys.filter(|key| is_new(key) && update.cancels.is_none());
        keys.map(|key| (key, book)).collect()
    }

    /// Those of these keys that are used for another book than the one beside them, or may be.
    fn used(&self, inner: &Inner, keys: &[KeyOf]) -> KeysReply {
        let now = self.now().monotonic;
        let mut used = KeysReply::default();
        for of in keys {
            let (key, book) = of;
            let sold = inner.shelf.ledger.with_key(key);
            if let Some(entry) = sold {
                used.sold.extend((entry.book != *book).then(|| key.clone()));
            } else if inner.keys.is_reserved_for_another(of, now) {
                used.in_use.insert(key.clone());
            }
        }
        used
    }

    /// Asks each peer that is not left out, until all have answered. Returns the keys that are used
    /// there.
    ///
    /// Fails with [`Error::Busy`] when one does not answer in time.
    fn ask_for_keys(self: &Arc<Self>, keys: &[(usize, KeyOf)]) -> Result<KeysReply> {
        let mut used = KeysReply::default();
        if keys.is_empty() {
            return Ok(used);
        }
        let keys = keys.iter().map(|(_, key)| key.clone()).collect();
        let message = Message::Keys(AskKeys { keys });
        let until = self.deadline(self.config.timeout);
        let round = self.rpc_round();
        // By peer, when it may be asked again; `None`: it is being asked, or has answered.
        let mut asked: BTreeMap<usize, Option<Duration>> = BTreeMap::new();
        let mut answered = BTreeSet::new();
        loop {
            let mut inner = self.lock();
            let now = self.now().monotonic;
            for (peer, outcome) in round.take(&mut inner) {
                if let Outcome::Reply(Reply::Keys(reply)) = outcome {
                    answered.insert(peer);
                    used.in_use.extend(reply.in_use);
                    used.sold.extend(reply.sold);
                } else {
                    asked.insert(peer, Some(now + RETRY_PAUSE));
                }
            }
            let missing = inner.left_out.peers_to_ask();
            let missing: Vec<usize> = missing.filter(|peer| !answered.contains(peer)).collect();
            if missing.is_empty() {
                return Ok(used);
            }
            if until <= now {
                return Err(Error::Busy(
                    "A catalog does not say which keys are in use".into(),
                ));
            }
            let is_due = |peer: &usize| match asked.get(peer) {
                None => true,
                Some(pause) => pause.is_some_and(|until| until <= now),
            };
            let due: Vec<usize> = missing.into_iter().filter(is_due).collect();
            if due.is_empty() {
                let next = until.min(now + RETRY_PAUSE);
                drop(self.wait(inner, WaitKey::Round(round.number), next));
                continue;
            }
            drop(inner);
            for peer in due {
                asked.insert(peer, None);
                round.send(peer, message.clone());
            }
        }
    }

    pub(super) fn answer_keys(&self, asked: &AskKeys) -> Reply {
        let inner = self.lock();
        let mut used = self.used(&inner, &asked.keys);
        // Of its own book's writer such a copy tells more, and later.
        let is_sold_now = |(key, book): &&KeyOf| {
            !used.sold.contains(key) && self.is_being_sold(&inner, *book, key)
        };
        let sold_now = asked.keys.iter().filter(is_sold_now);
        let sold_now: Vec<Arc<str>> = sold_now.map(|(key, _)| key.clone()).collect();
        used.in_use.extend(sold_now);
        Reply::Keys(used)
    }
}

impl<E: Environment> Reservation<'_, E> {
    /// The writes have ended, with these outcomes by their numbers.
    pub(super) fn end(mut self, outcomes: &[Result<Updated>]) {
        let is_unknown = |number: usize| match &outcomes[number] {
            Ok(_) => false,
            Err(error) => error.indefinite(),
        };
        self.release(is_unknown);
    }

    fn release(&mut self, is_unknown: impl Fn(usize) -> bool) {
        if self.keys.is_empty() {
            return;
        }
        let kept = self.replica.deadline(UNKNOWN_KEPT);
        let mut inner = self.replica.lock();
        for (number, (key, _)) in std::mem::take(&mut self.keys) {
            let until = if is_unknown(number) {
                kept
            } else {
                Duration::ZERO
            };
            inner.keys.release(&key, until);
        }
    }
}

impl<E: Environment> Drop for Reservation<'_, E> {
    /// Nobody says what came of the writes.
    fn drop(&mut self) {
        self.release(|_| true);
    }
}

fn has_no_key(update: &Update) -> bool {
    update.orders.iter().all(|order| order.key.is_none())
}

impl KeysReply {
    /// Why this update must not be made, if it has one of these keys.
    fn refusal(&self, update: &Update) -> Option<Error> {
        let among = |keys: &BTreeSet<Arc<str>>| {
            let is_among = |order: &Order| order.key.as_ref().is_some_and(|key| keys.contains(key));
            Some(ids_where(&update.orders, is_among)).filter(|orders| !orders.is_empty())
        };
        let sold = among(&self.sold).map(Error::OtherPurchase);
        sold.or_else(|| among(&self.in_use).map(Error::KeyInUse))
    }
}

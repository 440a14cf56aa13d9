//! A catalog in memory that fails as the test says.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::model::book::BookId;
use crate::model::error::Error;
use crate::model::order::{Order, OrderId};
use crate::order::catalog_client::{
    Catalog, Condition, KnownOrders, ReadOutcome, ReadRequest, Snapshot, WriteOutcome, WriteRequest,
};

/// The one book that there is.
pub(super) const BOOK: BookId = BookId(2);

/// A catalog with one book.
#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) book: Mutex<Record>,
    /// What happens to the next writes, in turn. Later ones succeed.
    pub(super) faults: Mutex<VecDeque<Fault>>,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) quantity: u32,
    pub(super) version: u64,
    /// The last version with more copies than the one before.
    pub(super) restocked_at: u64,
    pub(super) applied: Vec<Order>,
    /// How many orders each read showed, and each write carried.
    pub(super) reads: Vec<usize>,
    pub(super) writes: Vec<usize>,
}

#[derive(Debug)]
pub(super) enum Fault {
    /// The answer is lost.
    Lost {
        happened: bool,
    },
    Answer(WriteOutcome),
    /// Another buyer is faster.
    Conflict,
    Panic,
}

fn same(a: &Order, b: &Order) -> bool {
    a.id == b.id || a.key.is_some() && a.key == b.key
}

fn ids_where(orders: &[Order], is_true: impl Fn(&Order) -> bool) -> Vec<OrderId> {
    let chosen = orders.iter().filter(|order| is_true(order));
    chosen.map(|order| order.id).collect()
}

impl Record {
    fn has(&self, order: &Order) -> bool {
        self.applied.iter().any(|applied| same(applied, order))
    }

    fn differs(&self, order: &Order) -> bool {
        let mut applied = self.applied.iter();
        applied.any(|applied| same(applied, order) && applied.copies != order.copies)
    }

    fn write(&mut self, condition: &Condition, orders: &[Order]) -> WriteOutcome {
        let differing = ids_where(orders, |o| self.differs(o));
        if !differing.is_empty() {
            return WriteOutcome::Differing(differing);
        }
        let applied = ids_where(orders, |o| self.has(o));
        if applied.len() == orders.len() {
            return self.done(true);
        }
        if !applied.is_empty() {
            return WriteOutcome::Applied(applied);
        }
        let copies: u32 = orders.iter().map(|order| order.copies).sum();
        let holds = match condition {
            Condition::Version { version, .. } => *version == self.version.to_string(),
            Condition::NotRestocked { since } => {
                copies <= self.quantity && self.restocked_at <= *since
            }
        };
        if !holds {
            return WriteOutcome::Conflict;
        }
        let Some(left) = self.quantity.checked_sub(copies) else {
            return WriteOutcome::Refused(Error::Internal);
        };
        if let Condition::Version { left: said, .. } = condition {
            assert_eq!(*said, left, "sold by count");
        }
        self.quantity = left;
        self.version += 1;
        self.applied.extend_from_slice(orders);
        self.done(false)
    }

    fn done(&self, replayed: bool) -> WriteOutcome {
        let left_at = (0 < self.quantity).then_some(self.version);
        WriteOutcome::Done { replayed, left_at }
    }
}

impl Catalog for Fake {
    fn read(&self, read: &ReadRequest) -> ReadOutcome {
        let orders = &read.orders;
        if read.id != BOOK {
            return ReadOutcome::Refused(Error::NoSuchBook);
        }
        let mut book = self.book.lock().unwrap();
        book.reads.push(orders.len());
        ReadOutcome::Book(Snapshot {
            version: book.version.to_string(),
            quantity: book.quantity,
            orders: KnownOrders {
                applied: ids_where(orders, |o| book.has(o) && !book.differs(o)),
                differing: ids_where(orders, |o| book.differs(o)),
                ..KnownOrders::default()
            },
        })
    }

    fn write(&self, write: &WriteRequest) -> WriteOutcome {
        let fault = self.faults.lock().unwrap().pop_front();
        let mut book = self.book.lock().unwrap();
        book.writes.push(write.orders.len());
        match fault {
            None | Some(Fault::Lost { happened: true }) => {}
            Some(Fault::Lost { happened: false }) => return lost(),
            Some(Fault::Answer(answer)) => return answer,
            Some(Fault::Conflict) => {
                book.quantity -= 1;
                book.version += 1;
            }
            Some(Fault::Panic) => {
                drop(book);
                panic!("as the test says");
            }
        }
        let outcome = book.write(&write.condition, &write.orders);
        if fault.is_some_and(|fault| matches!(fault, Fault::Lost { .. })) {
            return lost();
        }
        outcome
    }

    fn read_batch(&self, reads: &[ReadRequest]) -> Vec<Option<ReadOutcome>> {
        reads.iter().map(|read| Some(self.read(read))).collect()
    }

    fn write_batch(&self, writes: &[WriteRequest]) -> Vec<Option<WriteOutcome>> {
        writes.iter().map(|write| Some(self.write(write))).collect()
    }
}

pub(super) fn lost() -> WriteOutcome {
    WriteOutcome::Unknown(Error::TimedOut("lost".into()))
}

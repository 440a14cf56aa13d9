//! A catalog in memory that fails as the test says.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::model::book::BookId;
use crate::model::error::Error;
use crate::model::order::Order;
use crate::order::catalog_client::{
    Catalog, KnownOrders, ReadOutcome, ReadRequest, Snapshot, WriteOutcome, WriteRequest,
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
    pub(super) version: u32,
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

impl Record {
    fn has(&self, order: &Order) -> bool {
        self.applied.iter().any(|applied| same(applied, order))
    }

    fn write(&mut self, version: &str, quantity: u32, orders: &[Order]) -> WriteOutcome {
        let applied: Vec<_> = orders
            .iter()
            .filter(|o| self.has(o))
            .map(|o| o.id)
            .collect();
        if applied.len() == orders.len() {
            return WriteOutcome::Done { replayed: true };
        }
        if !applied.is_empty() {
            return WriteOutcome::Applied(applied);
        }
        if version != self.version.to_string() {
            return WriteOutcome::Conflict;
        }
        assert_eq!(
            self.quantity,
            quantity + orders.len() as u32,
            "sold by count"
        );
        self.quantity = quantity;
        self.version += 1;
        self.applied.extend_from_slice(orders);
        WriteOutcome::Done { replayed: false }
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
                applied: orders
                    .iter()
                    .filter(|o| book.has(o))
                    .map(|o| o.id)
                    .collect(),
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
        let outcome = book.write(&write.version, write.quantity, &write.orders);
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

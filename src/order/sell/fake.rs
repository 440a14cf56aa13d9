//! A catalog in memory that fails as the test says.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::model::book::BookId;
use crate::model::error::Error;
use crate::model::order::Order;
use crate::order::catalog_client::{Catalog, Read, ReadRequest, Snapshot, Write, WriteRequest};

/// The one book that there is.
pub const BOOK: BookId = BookId(2);

/// A catalog with books that all have the same stock record.
#[derive(Debug, Default)]
pub struct Fake {
    pub book: Mutex<Record>,
    /// What happens to the next writes; then all is well.
    pub troubles: Mutex<VecDeque<Trouble>>,
}

#[derive(Debug, Default)]
pub struct Record {
    pub quantity: u32,
    pub version: u32,
    pub applied: Vec<Order>,
    /// How many orders each read showed, and each write carried.
    pub reads: Vec<usize>,
    pub writes: Vec<usize>,
}

#[derive(Debug)]
pub enum Trouble {
    /// It does not say what came of the write.
    Lost {
        happened: bool,
    },
    Answer(Write),
    /// Somebody else buys in between.
    Outrun,
    Panic,
}

fn same(a: &Order, b: &Order) -> bool {
    a.id == b.id || a.key.is_some() && a.key == b.key
}

impl Record {
    fn has(&self, order: &Order) -> bool {
        self.applied.iter().any(|applied| same(applied, order))
    }

    fn write(&mut self, version: &str, quantity: u32, orders: &[Order]) -> Write {
        let applied: Vec<_> = orders
            .iter()
            .filter(|o| self.has(o))
            .map(|o| o.id)
            .collect();
        if applied.len() == orders.len() {
            return Write::Done { replayed: true };
        }
        if !applied.is_empty() {
            return Write::Applied(applied);
        }
        if version != self.version.to_string() {
            return Write::Conflict;
        }
        assert_eq!(
            self.quantity,
            quantity + orders.len() as u32,
            "sold by count"
        );
        self.quantity = quantity;
        self.version += 1;
        self.applied.extend_from_slice(orders);
        Write::Done { replayed: false }
    }
}

impl Catalog for Fake {
    fn read(&self, look: &ReadRequest) -> Read {
        let orders = &look.orders;
        if look.id != BOOK {
            return Read::Refused(Error::NoSuchBook);
        }
        let mut book = self.book.lock().unwrap();
        book.reads.push(orders.len());
        Read::Book(Snapshot {
            version: book.version.to_string(),
            quantity: book.quantity,
            applied: orders
                .iter()
                .filter(|o| book.has(o))
                .map(|o| o.id)
                .collect(),
        })
    }

    fn write(&self, take: &WriteRequest) -> Write {
        let trouble = self.troubles.lock().unwrap().pop_front();
        let mut book = self.book.lock().unwrap();
        book.writes.push(take.orders.len());
        match trouble {
            None | Some(Trouble::Lost { happened: true }) => {}
            Some(Trouble::Lost { happened: false }) => return lost(),
            Some(Trouble::Answer(answer)) => return answer,
            Some(Trouble::Outrun) => {
                book.quantity -= 1;
                book.version += 1;
            }
            Some(Trouble::Panic) => {
                drop(book);
                panic!("as the test says");
            }
        }
        let outcome = book.write(&take.version, take.quantity, &take.orders);
        if trouble.is_some_and(|trouble| matches!(trouble, Trouble::Lost { .. })) {
            return lost();
        }
        outcome
    }

    fn read_together(&self, looks: &[ReadRequest]) -> Vec<Option<Read>> {
        looks.iter().map(|look| Some(self.read(look))).collect()
    }

    fn write_together(&self, takes: &[WriteRequest]) -> Vec<Option<Write>> {
        takes.iter().map(|take| Some(self.write(take))).collect()
    }
}

pub fn lost() -> Write {
    Write::Unknown(Error::TimedOut("lost".into()))
}

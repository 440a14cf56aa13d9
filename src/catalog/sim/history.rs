//! What the clients of a run did and were told, for the check that one book explains it.

use std::sync::Mutex;
use std::time::Duration;

use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::model::book::BookId;
use crate::model::order::OrderId;
use crate::runtime::sync;
use crate::testing::linearizability::{Kind, Operation};

#[derive(Default)]
pub(super) struct History {
    operations: Mutex<Vec<Operation>>,
    added: Mutex<Vec<Added>>,
    sold: Mutex<Vec<Sold>>,
}

/// An order whose buyer was told that it was sold.
#[derive(Clone, Copy)]
struct Sold {
    order: OrderId,
    copies: u32,
    /// Somebody takes it back.
    is_taken_back: bool,
}

/// What an operator was told of a book to add.
#[derive(Clone)]
pub(super) struct Added {
    pub(super) title: String,
    pub(super) told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    /// It has this id.
    Id(BookId),
    Refused,
    Unknown,
}

impl History {
    /// `None` for the end: nobody knows what came of it.
    pub(super) fn record(&self, kind: Kind, start: Micros, end: Option<Micros>) {
        let operation = Operation {
            kind,
            start: Duration::from_micros(start),
            end: end.map(Duration::from_micros),
        };
        sync::lock(&self.operations).push(operation);
    }

    pub(super) fn record_added(&self, title: &str, told: Told) {
        let title = title.into();
        sync::lock(&self.added).push(Added { title, told });
    }

    /// The buyer of this order was told that it was sold.
    pub(super) fn record_sold(&self, order: OrderId, copies: u32) {
        let mut sold = sync::lock(&self.sold);
        // The same order may be sent to two servers.
        if sold.iter().all(|known| known.order != order) {
            sold.push(Sold {
                order,
                copies,
                is_taken_back: false,
            });
        }
    }

    pub(super) fn sold(&self) -> Vec<OrderId> {
        sync::lock(&self.sold)
            .iter()
            .map(|sold| sold.order)
            .collect()
    }

    /// An order to take back, with its copies, each once.
    pub(super) fn choose_sold(&self, choose: impl Fn(usize) -> usize) -> Option<(OrderId, u32)> {
        let mut sold = sync::lock(&self.sold);
        let mut left: Vec<&mut Sold> = sold.iter_mut().filter(|sold| !sold.is_taken_back).collect();
        let left_count = left.len();
        if left_count == 0 {
            return None;
        }
        let chosen = &mut left[choose(left_count)];
        chosen.is_taken_back = true;
        let (order, copies) = (chosen.order, chosen.copies);
        Some((order, copies))
    }

    pub(super) fn added(&self) -> Vec<Added> {
        sync::lock(&self.added).clone()
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        sync::lock(&self.operations).clone()
    }
}

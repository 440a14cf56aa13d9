//! What the clients of a run did and were told, for the check that one book explains it.

use std::sync::Mutex;
use std::time::Duration;

use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::model::book::BookId;
use crate::runtime::sync;
use crate::testing::linearizability::{Kind, Operation};

#[derive(Default)]
pub(super) struct History {
    operations: Mutex<Vec<Operation>>,
    added: Mutex<Vec<Added>>,
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

    pub(super) fn added(&self) -> Vec<Added> {
        sync::lock(&self.added).clone()
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        sync::lock(&self.operations).clone()
    }
}

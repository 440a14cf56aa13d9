//! What the clients of a run did and were told, for the check that one book explains it.

use std::sync::Mutex;
use std::time::Duration;

use crate::catalog::sim::scheduler::event_queue::Micros;
use crate::runtime::sync;
use crate::testing::linearizability::{Kind, Operation};

#[derive(Default)]
pub(super) struct History {
    operations: Mutex<Vec<Operation>>,
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

    pub(super) fn operations(&self) -> Vec<Operation> {
        sync::lock(&self.operations).clone()
    }
}

//! What was measured in one shop.

use std::time::Duration;

use crate::tools::harness::measurement::Measurement;

#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    /// From the start of a catalog until it is ready, while the other one runs.
    pub(super) start_one: Duration,
    /// Until both catalogs are ready, after both were down.
    pub(super) start_both: Duration,
    /// Of the catalog that uses more after a start, in bytes.
    pub(super) memory: u64,
    /// What each order of a random book added to a catalog, in bytes.
    pub(super) memory_of_an_order: f64,
    pub(super) lookup: Measurement,
    pub(super) buy: Measurement,
    /// Sales a second to many customers.
    pub(super) sales_rate: f64,
    /// Books a second into two replicas.
    pub(super) import_rate: f64,
    /// How long a replica takes to get the changes that it missed, once it listens.
    pub(super) catch_up: Duration,
    /// The same from the start of its process.
    pub(super) start_and_catch_up: Duration,
    /// A search for the one topic that both shops have.
    pub(super) search: Measurement,
    /// A search that finds ten topics.
    pub(super) search_ten: Measurement,
    /// Requests without the expected answer, in all loads.
    pub(super) errors: u64,
}

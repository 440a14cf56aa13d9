//! What was measured in one shop.

use std::time::Duration;

use crate::tools::bench::take::Take;

/// The figures of one shop.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// From the start of the process until it says that it is ready; the other catalog runs.
    pub start_one: Duration,
    /// Both catalogs were down: until both are ready.
    pub start_both: Duration,
    /// Of the larger catalog after a start, in bytes.
    pub memory: u64,
    /// What each order of a different book added to a catalog, in bytes.
    pub memory_of_an_order: f64,
    pub lookup: Times,
    pub buy: Times,
    /// Sales a second to 64 customers.
    pub crowd_rate: f64,
    /// Books a second into two replicas.
    pub import_rate: Option<f64>,
    /// From when a replica that missed changes listens again until it has all.
    pub missed: Duration,
    /// The same from the start of its process.
    pub missed_and_start: Duration,
    /// A search for the one topic that both shops have.
    pub search: Times,
    /// A search that finds ten topics.
    pub search_ten: Times,
    /// Requests without the expected answer, in all loads.
    pub errors: u64,
}

/// How long each of many requests took.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn add_all(&mut self, take: &Take) {
        let times = take.latencies.iter().copied();
        self.0.extend(times.map(Duration::from_nanos));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Half of them took at most this long.
    pub fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// How many times the median of others.
    pub fn ratio(&self, others: &Times) -> f64 {
        self.median().as_secs_f64() / others.median().as_secs_f64()
    }
}

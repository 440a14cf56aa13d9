//! What was measured in one shop.

use std::time::Duration;

use crate::bench::take::Take;

/// The figures of one shop.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// From the start of the process until it says that it is ready; the other catalog runs.
    pub start_one: Duration,
    /// Both catalogs were down: until both are ready.
    pub start_both: Duration,
    /// Of the larger catalog after a start, in bytes.
    pub memory: u64,
    /// What each of [`super::visit::MISSED`] orders added to a catalog, in bytes.
    pub memory_of_an_order: f64,
    pub lookup: Median,
    pub buy: Median,
    /// Sales a second to 64 customers.
    pub crowd_rate: f64,
    /// Books a second into two replicas.
    pub import_rate: Option<f64>,
    /// From the start of a replica that missed changes until it has all.
    pub missed: Duration,
    /// A search for the one topic that both shops have.
    pub search: Median,
    /// A search that finds ten topics.
    pub search_ten: Median,
    /// Requests without the expected answer, in all loads.
    pub errors: u64,
}

/// Half of the requests took at most this long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Median(pub Duration);

impl Median {
    pub fn of(take: &Take) -> Median {
        let mut all = take.latencies.clone();
        all.sort_unstable();
        Median(Duration::from_nanos(
            all.get(all.len() / 2).copied().unwrap_or(0),
        ))
    }

    pub fn of_times(mut times: Vec<Duration>) -> Median {
        times.sort_unstable();
        Median(times.get(times.len() / 2).copied().unwrap_or_default())
    }

    /// How many times another.
    pub fn times(self, other: Median) -> f64 {
        self.0.as_secs_f64() / other.0.as_secs_f64()
    }
}

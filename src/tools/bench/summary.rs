//! A row of the report: the statistics of one measurement.

use serde::Serialize;

use crate::config::bench::Section;
use crate::tools::harness::measurement::{Measurement, quantile};

/// Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) section: Section,
    pub(super) name: String,
    pub(super) count: usize,
    pub(super) mean_ms: f64,
    pub(super) p1_ms: f64,
    pub(super) p25_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p75_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) errors: u64,
    /// The mean that the original published.
    pub(super) published_ms: Option<f64>,
    /// The mean of what was measured in turn with these: the same requests to a shop without an
    /// outage, or replacements of a file.
    pub(super) control_ms: Option<f64>,
    /// How many requests the servers sent each other for these.
    pub(super) between_servers: Option<u64>,
    pub(super) note: String,
}

impl Summary {
    pub(super) fn new(
        section: Section,
        name: impl Into<String>,
        measurement: &Measurement,
        note: impl Into<String>,
    ) -> Summary {
        let mut sorted = measurement.latencies.clone();
        sorted.sort_unstable();
        let ms = |part| quantile(&sorted, part) as f64 / 1e6;
        let seconds = measurement.elapsed.as_secs_f64();
        Summary {
            section,
            name: name.into(),
            count: sorted.len(),
            mean_ms: mean_ms(measurement),
            p1_ms: ms(0.01),
            p25_ms: ms(0.25),
            p50_ms: ms(0.5),
            p75_ms: ms(0.75),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
            rate: sorted.len() as f64 / seconds.max(f64::MIN_POSITIVE),
            errors: measurement.errors,
            published_ms: None,
            control_ms: None,
            between_servers: None,
            note: note.into(),
        }
    }
}

/// 0 when nothing was measured.
pub(super) fn mean_ms(measurement: &Measurement) -> f64 {
    let sum: u64 = measurement.latencies.iter().sum();
    sum as f64 / 1e6 / measurement.latencies.len().max(1) as f64
}

/// A note: how many look-ups the front-end answered from its cache.
pub(super) fn hits(measurement: &Measurement) -> String {
    format!("{} from the cache", measurement.hits)
}

/// A note: how much of the machine is not the servers'.
pub(super) fn generator(measurement: &Measurement) -> String {
    let percent = measurement.generator_cpu * 100.0;
    format!("generator {percent:.0} % of the machine")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Summary;
    use crate::config::bench::Section;
    use crate::tools::harness::measurement::Measurement;

    #[test]
    fn a_summary_has_mean_quantiles_and_rate() {
        let measurement = Measurement {
            latencies: (1..=100).rev().map(|n| n * 1_000_000).collect(),
            elapsed: Duration::from_secs(4),
            ..Measurement::default()
        };
        let row = Summary::new(Section::Buys, "n", &measurement, "");
        assert_eq!((row.p50_ms, row.p90_ms, row.p99_ms), (50.0, 90.0, 99.0));
        assert_eq!((row.max_ms, row.mean_ms, row.rate), (100.0, 50.5, 25.0));
    }

    #[test]
    fn an_empty_measurement_is_a_summary_of_zeros() {
        let row = Summary::new(Section::Buys, "n", &Measurement::default(), "");
        assert_eq!((row.count, row.max_ms, row.rate), (0, 0.0, 0.0));
    }
}

//! A line of the table: a load's figures.

use serde::Serialize;

use crate::tools::bench::take::Take;

/// The spread that is kept for the picture: which part of the requests was at most so slow.
pub const SPREAD: [f64; 9] = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0];

/// Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub section: &'static str,
    pub name: String,
    pub count: usize,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Requests a second.
    pub rate: f64,
    pub errors: u64,
    /// What the original published: the mean.
    pub published_ms: Option<f64>,
    /// The mean of the same requests to a shop without an outage, in turn with these.
    pub beside_ms: Option<f64>,
    pub note: String,
    /// At each part of [`SPREAD`].
    pub spread_ms: Vec<f64>,
}

impl Row {
    pub fn new(section: &'static str, name: impl Into<String>, take: &Take) -> Row {
        let mut sorted = take.latencies.clone();
        sorted.sort_unstable();
        let ms = |part| quantile(&sorted, part) as f64 / 1e6;
        let count = sorted.len();
        let sum: u64 = sorted.iter().sum();
        let seconds = take.elapsed.as_secs_f64();
        Row {
            section,
            name: name.into(),
            count,
            mean_ms: sum as f64 / 1e6 / count.max(1) as f64,
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
            rate: if 0.0 < seconds {
                count as f64 / seconds
            } else {
                0.0
            },
            errors: take.errors,
            published_ms: None,
            beside_ms: None,
            note: String::new(),
            spread_ms: SPREAD.iter().map(|part| ms(*part)).collect(),
        }
    }

    /// With what the original published.
    pub fn published(self, ms: f64) -> Row {
        Row {
            published_ms: Some(ms),
            ..self
        }
    }

    /// With what the same requests to another shop, in turn with these, came to.
    pub fn beside(self, other: &Take) -> Row {
        let beside = Row::new(self.section, "", other).mean_ms;
        let comma = if self.note.is_empty() { "" } else { ", " };
        Row {
            beside_ms: Some(beside),
            note: format!("{}{comma}in turn without an outage: {beside:.3}", self.note),
            ..self
        }
    }

    pub fn with_note(self, note: impl Into<String>) -> Row {
        Row {
            note: note.into(),
            ..self
        }
    }
}

/// The smallest latency that this part of all did not exceed: one that was really measured, never
/// one between two.
fn quantile(sorted: &[u64], part: f64) -> u64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_row_tells_the_whole_spread() {
        let take = Take {
            latencies: (1..=100).rev().map(|n| n * 1_000_000).collect(),
            elapsed: Duration::from_secs(4),
            ..Take::default()
        };
        let row = Row::new("s", "n", &take);
        assert_eq!((row.p50_ms, row.p90_ms, row.p99_ms), (50.0, 90.0, 99.0));
        assert_eq!((row.max_ms, row.mean_ms, row.rate), (100.0, 50.5, 25.0));
    }

    #[test]
    fn nothing_measured_is_a_row_of_zeros() {
        let row = Row::new("s", "n", &Take::default());
        assert_eq!((row.count, row.max_ms, row.rate), (0, 0.0, 0.0));
    }
}

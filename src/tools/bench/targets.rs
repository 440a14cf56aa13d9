//! What the shop must reach: ratios of rows of one run, so that the machine matters little.

use serde::Serialize;

use crate::config::bench::Section;
use crate::tools::bench::summary::Summary;

use Bound::{AtLeast, AtMost};
use Section::{Buys, Etcd, Lookups, Outages, Throughput};

/// A target and what was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) name: &'static str,
    pub(super) target: String,
    /// `None`: the run should have measured it, and did not. That is a bug of the benchmark, such
    /// as a row that was renamed.
    pub(super) reached: Option<f64>,
    pub(super) is_reached: bool,
}

/// Its name, the section whose run measures it, its row and the statistic of it, the row by whose
/// statistic that is divided if there is one, and what must be reached.
struct Target(
    &'static str,
    Section,
    &'static str,
    Statistic,
    Option<&'static str>,
    Bound,
);

/// `None`: the row is without what it needs.
type Statistic = fn(&Summary) -> Option<f64>;

const MEDIAN: Statistic = |row| Some(row.p50_ms);
const P99: Statistic = |row| Some(row.p99_ms);
const SLOWEST: Statistic = |row| Some(row.max_ms);
const FAILED: Statistic = |row| Some(row.errors as f64);
const RATE: Statistic = |row| Some(row.rate);
/// How many times the mean of the control, which was measured in turn with the row.
const OF_CONTROL: Statistic = |row| Some(row.mean_ms / row.control_ms?);
/// How many requests the servers sent each other.
const BETWEEN_SERVERS: Statistic = |row| Some(row.between_servers? as f64);
/// How many times faster than the mean that the original published.
const SPEED_UP: Statistic = |row| Some(row.published_ms? / row.mean_ms);

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[rustfmt::skip]
const TARGETS: &[Target] = &[
    Target("cached look-ups over 16 connections, of the bare server's", Throughput,
        "cached look-ups, 16 connections", RATE, Some("bare server, 16 connections"), AtLeast(0.9)),
    Target("cached look-ups over 64 connections, of the bare server's", Throughput,
        "cached look-ups, 64 connections", RATE, Some("bare server, 64 connections"), AtLeast(0.9)),
    Target("a cached look-up, one connection, median, of the bare server's", Throughput,
        "cached look-ups, 1 connection", MEDIAN, Some("bare server, 1 connection"), AtMost(1.15)),
    Target("200 look-ups of valid ids, mean, times faster than the original", Lookups,
        "look-ups of valid ids, with the cache", SPEED_UP, None, AtLeast(20.0)),
    Target("200 buys, 2 catalogs, mean, times faster than the original", Buys,
        "buys by one customer, 2 catalogs", SPEED_UP, None, AtLeast(15.0)),
    Target("200 buys, 2 catalogs, mean, of one file replaced in turn", Buys,
        "buys by one customer, 2 catalogs", OF_CONTROL, None, AtMost(2.0)),
    Target("a healthy shop: requests between servers, of those not hedged", Buys,
        "buys and look-ups, hedged", BETWEEN_SERVERS, Some("buys and look-ups, not hedged"),
        AtMost(1.02)),
    Target("reads, catalog killed, slowest, ms", Outages,
        "reads, catalog killed: being found out", SLOWEST, None, AtMost(50.0)),
    Target("reads, catalog stopped, slowest, ms", Outages,
        "reads, catalog stopped: being found out", SLOWEST, None, AtMost(60.0)),
    Target("buys, order server killed, slowest, ms", Outages,
        "buys, order server killed: being found out", SLOWEST, None, AtMost(50.0)),
    Target("buys, order server stopped, slowest, ms", Outages,
        "buys, order server stopped: being found out", SLOWEST, None, AtMost(150.0)),
    Target("buys, catalog killed, slowest, ms", Outages,
        "buys, catalog killed: being found out", SLOWEST, None, AtMost(50.0)),
    Target("buys, catalog stopped, slowest, ms: its lease must run out", Outages,
        "buys, catalog stopped: being found out", SLOWEST, None, AtMost(1000.0)),
    Target("buys, front-end killed, through the other, slowest, ms", Outages,
        "buys, front-end killed: being found out", SLOWEST, None, AtMost(50.0)),
    Target("buys, front-end stopped, through the other, slowest, ms", Outages,
        "buys, front-end stopped: being found out", SLOWEST, None, AtMost(1000.0)),
    Target("rolling restart, 16 customers, failed requests", Outages,
        "rolling restart, 16 customers", FAILED, None, AtMost(0.0)),
    Target("rolling restart, 16 customers, slowest, ms", Outages,
        "rolling restart, 16 customers", SLOWEST, None, AtMost(100.0)),
    Target("reads, catalog killed, mean, of those without an outage", Outages,
        "reads, catalog killed", OF_CONTROL, None, AtMost(1.2)),
    Target("buys, order server stopped, mean, of those without an outage", Outages,
        "buys, order server stopped", OF_CONTROL, None, AtMost(1.5)),
    Target("buys, catalog stopped, mean, of those without an outage", Outages,
        "buys, catalog stopped", OF_CONTROL, None, AtMost(1.5)),
    Target("flash sale, 64 customers, sales a second", Throughput,
        "flash sale, 64 customers", RATE, None, AtLeast(3000.0)),
    Target("flash sale, 64 customers, sales for a file replaced", Throughput,
        "flash sale, 64 customers", RATE, Some("disk beside flash sale"), AtLeast(2.0)),
    Target("flash sale, 256 customers, of the rate of 64", Throughput,
        "flash sale, 256 customers", RATE, Some("flash sale, 64 customers"), AtLeast(1.0)),
    Target("64 customers all over 1,000 books, sales a second", Throughput,
        "buys all over 1000 books, 64 customers", RATE, None, AtLeast(2000.0)),
    Target("64 customers all over 1,000 books, sales for a file replaced", Throughput,
        "buys all over 1000 books, 64 customers", RATE, Some("disk beside buys all over 1000 books"),
        AtLeast(1.5)),
    Target("a cached look-up beside 16 buyers, p99, of the bare server's", Throughput,
        "cached look-ups, beside 16 buyers", P99, Some("bare server, beside 16 buyers"),
        AtMost(3.0)),
    Target("sales to many customers, on etcd, of its own txns", Etcd,
        "buys all over 1000 books, 64 customers, etcd", RATE,
        Some("txns of etcd beside buys all over 1000 books, 64 at once"), AtLeast(0.8)),
    Target("a flash sale, on etcd, of its own txns", Etcd,
        "flash sale, 64 customers, etcd", RATE,
        Some("txns of etcd beside flash sale, 64 at once"), AtLeast(0.8)),
];

/// Compares the rows with the targets. A target without its row is left out, unless it belongs to a
/// section that was run completely.
pub(super) fn evaluate(rows: &[Summary], complete: &[Section]) -> Vec<Outcome> {
    let evaluate = |target: &Target| {
        let Target(_, section, ..) = target;
        let reached = target.ratio(rows);
        (reached.is_some() || complete.contains(section)).then(|| target.outcome(reached))
    };
    TARGETS.iter().filter_map(evaluate).collect()
}

impl Target {
    /// `None`: a row, or what it is compared with, was not measured.
    fn ratio(&self, rows: &[Summary]) -> Option<f64> {
        let Target(_, _, row, statistic, other, _) = self;
        let value = |name: &str| statistic(rows.iter().find(|row| row.name == name)?);
        let ours = value(row)?;
        other.map_or(Some(ours), |other| Some(ours / value(other)?))
    }

    fn outcome(&self, reached: Option<f64>) -> Outcome {
        let Target(name, .., bound) = self;
        let (target, is_reached) = match bound {
            AtLeast(bound) => (format!("at least {bound}"), Some(*bound) <= reached),
            AtMost(bound) => (
                format!("at most {bound}"),
                reached.is_some_and(|it| it <= *bound),
            ),
        };
        Outcome {
            name,
            target,
            reached,
            is_reached,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{TARGETS, evaluate};
    use crate::config::bench::Section;
    use crate::tools::bench::summary::Summary;
    use crate::tools::harness::measurement::Measurement;

    fn row(name: &str, ms: u64) -> Summary {
        let measurement = Measurement {
            latencies: vec![ms * 1_000_000; 10],
            elapsed: Duration::from_millis(10 * ms),
            ..Measurement::default()
        };
        Summary::new(Section::Buys, name, &measurement, "")
    }

    #[track_caller]
    fn check(rows: &[Summary], expected: &[bool]) {
        let outcomes = evaluate(rows, &[]);
        let reached: Vec<bool> = outcomes.iter().map(|outcome| outcome.is_reached).collect();
        assert_eq!(reached, expected);
    }

    #[test]
    fn a_ratio_is_compared_with_its_bound() {
        let baseline = row("bare server, 1 connection", 100);
        let ours = |ms| row("cached look-ups, 1 connection", ms);
        check(&[ours(115), baseline.clone()], &[true]);
        check(&[ours(116), baseline], &[false]);
    }

    #[test]
    fn an_outage_is_compared_with_its_control() {
        let reads = |ms| Summary {
            control_ms: Some(10.0),
            ..row("reads, catalog killed", ms)
        };
        check(&[reads(12)], &[true]);
        check(&[reads(13)], &[false]);
    }

    #[test]
    fn the_original_must_be_slower() {
        let ours = |published_ms| Summary {
            published_ms: Some(published_ms),
            ..row("buys by one customer, 2 catalogs", 2)
        };
        check(&[ours(30.0)], &[true]);
        check(&[ours(29.9)], &[false]);
    }

    #[test]
    fn a_target_of_a_section_that_was_not_run_is_left_out() {
        check(&[row("reads, catalog killed", 12)], &[]);
    }

    #[test]
    fn a_renamed_row_is_not_a_reached_target() {
        let renamed = row("purchases by one customer, 2 catalogs", 2);
        let outcomes = evaluate(&[renamed], &[Section::Buys]);
        assert!(!outcomes.is_empty());
        for outcome in &outcomes {
            assert_eq!((outcome.reached, outcome.is_reached), (None, false));
        }
        let all = evaluate(&[], &Section::ALL);
        assert_eq!(all.len(), TARGETS.len());
        assert!(all.iter().all(|outcome| !outcome.is_reached));
    }
}

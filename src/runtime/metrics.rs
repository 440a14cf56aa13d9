//! Metrics in the Prometheus text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! `Counter` and `Histogram` are fields of the struct that they count for, without a registry.
//! The handler of `GET /metrics` writes all of them to an `Exposition`. That is no snapshot: the
//! metrics are read one after the other, while requests go on.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The `Content-Type` of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The upper bounds of a histogram's buckets, in seconds; the last bucket, `+Inf`, has none. They
/// reach from a cached lookup (some 50 µs) beyond every time limit.
const BUCKETS: [f64; 17] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// A number that only grows. Relaxed, because nothing else is read because of its value.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Durations, counted in buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One for each of [`BUCKETS`], and the last for longer durations. Not cumulative.
    counts: [Counter; BUCKETS.len() + 1],
    nanoseconds: Counter,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.counts[BUCKETS.partition_point(|bound| *bound < seconds)].inc();
        self.nanoseconds.add(took.as_nanos() as u64);
    }
}

/// Names and values that tell the series of one family apart, such as `[("route", "/buy"),
/// ("status", "200")]`.
pub(crate) type Labels<'a> = [(&'a str, &'a str)];

/// The answer to `GET /metrics`. Families stand in the order in which they were first added.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    families: Vec<Family>,
}

/// All series of one name. They must stand together, below one `HELP` and one `TYPE`.
#[derive(Debug)]
struct Family {
    name: String,
    text: String,
}

impl Exposition {
    /// One counter. Its name ends in `_total`.
    pub(crate) fn counter(&mut self, name: &str, help: &str, labels: &Labels, value: u64) {
        let text = self.family(name, help, "counter");
        sample(text, name, labels, value as f64);
    }

    /// A counter that is no whole number, such as seconds. Its name ends in `_total`.
    pub(crate) fn seconds(&mut self, name: &str, help: &str, value: Duration) {
        let text = self.family(name, help, "counter");
        sample(text, name, &[], value.as_secs_f64());
    }

    /// A family of counters that one label tells apart, each given with its value of the label.
    pub(crate) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        series: impl IntoIterator<Item = (&'a str, &'a Counter)>,
    ) {
        for (value, counter) in series {
            self.counter(name, help, &[(label, value)], counter.get());
        }
    }

    /// A value that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: &Labels, value: f64) {
        let text = self.family(name, help, "gauge");
        sample(text, name, labels, value);
    }

    /// Durations. The name ends in `_seconds`.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels,
        histogram: &Histogram,
    ) {
        let text = self.family(name, help, "histogram");
        let bounds = BUCKETS.iter().map(f64::to_string);
        let bounds = bounds.chain(["+Inf".to_string()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(&histogram.counts) {
            total += count.get();
            let labels = [labels, &[("le", &bound)]].concat();
            sample(text, &format!("{name}_bucket"), &labels, total as f64);
        }
        let seconds = histogram.nanoseconds.get() as f64 / 1e9;
        sample(text, &format!("{name}_sum"), labels, seconds);
        sample(text, &format!("{name}_count"), labels, total as f64);
    }

    pub(crate) fn finish(self) -> String {
        self.families.into_iter().map(|f| f.text).collect()
    }

    /// The text of a family so far. Linear search: there are tens of families.
    fn family(&mut self, name: &str, help: &str, kind: &str) -> &mut String {
        let at = self.families.iter().position(|f| f.name == name);
        let at = at.unwrap_or_else(|| {
            let help = help.replace('\\', r"\\").replace('\n', r"\n");
            let text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            let name = name.to_string();
            self.families.push(Family { name, text });
            self.families.len() - 1
        });
        &mut self.families[at].text
    }
}

fn sample(text: &mut String, name: &str, labels: &Labels, value: f64) {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
        .collect();
    let braced = if pairs.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", pairs.join(","))
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{name}{braced} {value}");
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', "\\\"");
    value.replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::prometheus_check::check;

    #[test]
    fn a_family_stands_together_however_it_was_added() {
        let mut exposition = Exposition::default();
        exposition.counter("a_total", "Counts.", &[("route", "/buy")], 2);
        exposition.gauge("b", "Up \\ and\ndown.", &[], -1.5);
        exposition.counter("a_total", "Counts.", &[("route", "a\\\"b\"\n")], 3);
        let expected = r#"# HELP a_total Counts.
# TYPE a_total counter
a_total{route="/buy"} 2
a_total{route="a\\\"b\"\n"} 3
# HELP b Up \\ and\ndown.
# TYPE b gauge
b -1.5
"#;
        let text = exposition.finish();
        assert_eq!(text, expected);
        assert_eq!(check(&text), Ok(()));
    }

    #[test]
    fn a_bucket_counts_its_upper_bound_and_all_below() {
        let histogram = Histogram::default();
        for micros in [1, 50, 51, 2_000_000, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut exposition = Exposition::default();
        exposition.histogram("t_seconds", "Took.", &[("route", "x")], &histogram);
        let text = exposition.finish();
        for line in [
            r#"t_seconds_bucket{route="x",le="0.00005"} 2"#,
            r#"t_seconds_bucket{route="x",le="0.0001"} 3"#,
            r#"t_seconds_bucket{route="x",le="2.5"} 4"#,
            r#"t_seconds_bucket{route="x",le="10"} 4"#,
            r#"t_seconds_bucket{route="x",le="+Inf"} 5"#,
            r#"t_seconds_sum{route="x"} 62.000102"#,
            r#"t_seconds_count{route="x"} 5"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert_eq!(check(&text), Ok(()));
    }
}

//! Figures about a server for whoever watches it, in the Prometheus text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! [`Counter`] and [`Histogram`] are fields of the struct they count for; nothing is registered
//! anywhere. Whoever answers `GET /metrics` writes them all on a [`Exposition`]. Reading them one
//! after the other is no snapshot: figures of one page may differ by what happened meanwhile.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What the answer's `Content-Type` must be.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The upper ends of a histogram's buckets, in seconds; above them is `+Inf`. From a cached look-up
/// (some 50 µs) to past every time limit.
const BUCKETS: [f64; 17] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// Counts up. Relaxed: no other memory is read because of what it shows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How long something took, counted in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each of [`BUCKETS`], and the last for what is longer. Not yet cumulative.
    counts: [Counter; BUCKETS.len() + 1],
    nanoseconds: Counter,
}

impl Histogram {
    pub const fn new() -> Histogram {
        Histogram {
            counts: [const { Counter::new() }; BUCKETS.len() + 1],
            nanoseconds: Counter::new(),
        }
    }

    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.counts[BUCKETS.partition_point(|end| *end < seconds)].inc();
        self.nanoseconds.add(took.as_nanos() as u64);
    }

    /// How often [`Histogram::observe`] was called.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(Counter::get).sum()
    }
}

/// The names and values that tell the series of one family apart, such as `[("route", "/buy"),
/// ("status", "200")]`.
pub type Labels<'a> = [(&'a str, &'a str)];

/// One answer to `GET /metrics`. Families stand in the order in which they were first added.
#[derive(Debug, Default)]
pub struct Exposition {
    families: Vec<Family>,
}

/// All series of one name: they must stand together, below one `HELP` and one `TYPE`.
#[derive(Debug)]
struct Family {
    name: String,
    text: String,
}

impl Exposition {
    pub fn new() -> Exposition {
        Exposition::default()
    }

    /// What only ever grows. Its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &Labels, value: u64) {
        let text = self.family(name, help, "counter");
        sample(text, name, labels, value as f64);
    }

    /// A family of counters, whose series one label tells apart: its name, and each value of it with
    /// its counter.
    pub fn counters<'a>(
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

    /// What goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &Labels, value: f64) {
        let text = self.family(name, help, "gauge");
        sample(text, name, labels, value);
    }

    /// How long something took. Its name ends in `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, labels: &Labels, histogram: &Histogram) {
        let text = self.family(name, help, "histogram");
        let ends = BUCKETS.iter().map(f64::to_string);
        let ends = ends.chain(["+Inf".to_string()]);
        let mut total = 0;
        for (end, count) in ends.zip(&histogram.counts) {
            total += count.get();
            let labels = [labels, &[("le", &end)]].concat();
            sample(text, &format!("{name}_bucket"), &labels, total as f64);
        }
        let seconds = histogram.nanoseconds.get() as f64 / 1e9;
        sample(text, &format!("{name}_sum"), labels, seconds);
        sample(text, &format!("{name}_count"), labels, total as f64);
    }

    pub fn finish(self) -> String {
        self.families.into_iter().map(|f| f.text).collect()
    }

    /// The text of a family so far. Linear search: a page has tens of families.
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
    let _ = writeln!(text, "{name}{braced} {}", number(value));
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', "\\\"");
    value.replace('\n', r"\n")
}

/// Rust writes infinity as `inf`, the format as `+Inf`.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::prometheus_check::check;

    #[test]
    fn a_family_stands_together_however_it_was_added() {
        let mut page = Exposition::new();
        page.counter("a_total", "Counts.", &[("route", "/buy")], 2);
        page.gauge("b", "Up \\ and\ndown.", &[], -1.5);
        page.counter("a_total", "Counts.", &[("route", "a\\\"b\"\n")], 3);
        let expected = r#"# HELP a_total Counts.
# TYPE a_total counter
a_total{route="/buy"} 2
a_total{route="a\\\"b\"\n"} 3
# HELP b Up \\ and\ndown.
# TYPE b gauge
b -1.5
"#;
        let text = page.finish();
        assert_eq!(text, expected);
        assert_eq!(check(&text), Ok(()));
    }

    #[test]
    fn a_bucket_holds_its_own_end_and_all_below() {
        let histogram = Histogram::new();
        for micros in [1, 50, 51, 2_000_000, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut page = Exposition::new();
        page.histogram("t_seconds", "Took.", &[("route", "x")], &histogram);
        let text = page.finish();
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

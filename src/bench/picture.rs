//! The picture: how long things take, and how much goes through, as SVG made by hand.
//!
//! Legible on light and dark pages: text and lines have the colour of the page's scheme, the rest is readable on both.

use std::fmt::Write;

use super::report::Report;
use super::row::{Row, SPREAD};
use crate::config::bench::Section;

const WIDTH: f64 = 960.0;

/// Where names end and axes begin, and where axes end.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 910.0;

const CURVES_LEFT: f64 = 100.0;
const LINE_HEIGHT: f64 = 22.0;
const CURVES_HEIGHT: f64 = 230.0;

const STYLE: &str = "<style>\
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}.faint{fill:#6e7781}\
.grid{stroke:#8c959f;stroke-opacity:.35}.axis{stroke:#8c959f}\
.ours{fill:#2f81f7;stroke:#2f81f7}.bare{fill:#8c959f;stroke:#8c959f}.original{fill:#d29922;stroke:#d29922}\
.sale{fill:#3fb950;stroke:#3fb950}.curve{fill:none;stroke-width:2}.whisker{stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}}</style>";

/// Draws what was measured of latencies and of throughput.
pub fn draw(report: &Report) -> String {
    let mut picture = Picture {
        text: String::new(),
        y: 24.0,
    };
    let head = report.head.line();
    for line in head.lines() {
        picture.label(20.0, "faint", line);
        picture.y += 18.0;
    }
    picture.distributions(&shown(&report.rows));
    let readers = [
        curve(&report.rows, "ours", "front-end, cached", |row| {
            connections(row, "cached look-ups, ")
        }),
        curve(&report.rows, "bare", "bare tiny_http server", |row| {
            connections(row, "bare server, ")
        }),
    ];
    picture.curves("look-ups a second, by connections", &readers);
    let buyers = [
        curve(&report.rows, "ours", "all over the shop", |row| {
            customers(row, "buys all over")
        }),
        curve(&report.rows, "sale", "flash sale of one book", |row| {
            customers(row, "flash sale")
        }),
    ];
    picture.curves(
        "sales a second, durable on every catalog, by customers",
        &buyers,
    );
    let height = picture.y + 10.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
role=\"img\" aria-label=\"What bazar bench measured\">{STYLE}\n{}</svg>\n",
        picture.text
    )
}

/// Rows whose distribution is worth a line. Loads that find the highest rate show in the curves.
fn shown(rows: &[Row]) -> Vec<&Row> {
    let throughput = Section::Throughput.word();
    let yardsticks = Section::Yardsticks.word();
    let is_shown = |row: &&Row| {
        let crowd = row.section == throughput || row.section == yardsticks;
        let steady = ["by the clock", "beside", "files"];
        let passing = row.name.contains("being found out");
        1 < row.count && !passing && (!crowd || steady.iter().any(|part| row.name.contains(part)))
    };
    rows.iter().filter(is_shown).collect()
}

/// The number of connections of a row whose name is `prefix` and just that number.
fn connections(row: &Row, prefix: &str) -> Option<usize> {
    let (count, what) = row.name.strip_prefix(prefix)?.split_once(' ')?;
    what.starts_with("connection").then(|| count.parse().ok())?
}

fn customers(row: &Row, prefix: &str) -> Option<usize> {
    let (what, count) = row.name.rsplit_once(", ")?;
    let (count, _) = count.split_once(" customer")?;
    what.starts_with(prefix).then(|| count.parse().ok())?
}

struct Curve {
    class: &'static str,
    name: &'static str,
    /// How many, and the rate.
    points: Vec<(usize, f64)>,
}

fn curve(
    rows: &[Row],
    class: &'static str,
    name: &'static str,
    count: impl Fn(&Row) -> Option<usize>,
) -> Curve {
    let point = |row: &Row| Some((count(row)?, row.rate));
    Curve {
        class,
        name,
        points: rows.iter().filter_map(point).collect(),
    }
}

struct Picture {
    text: String,
    /// Down to where it is drawn.
    y: f64,
}

impl Picture {
    fn put(&mut self, element: std::fmt::Arguments) {
        self.text
            .write_fmt(element)
            .expect("a String takes any text");
        self.text.push('\n');
    }

    fn label(&mut self, x: f64, class: &str, text: &str) {
        let (y, text) = (self.y, escape(text));
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>"
        ));
    }

    fn title(&mut self, text: &str) {
        self.y += 26.0;
        self.label(20.0, "title", text);
    }

    /// A line a row, on one logarithmic axis of time.
    fn distributions(&mut self, rows: &[&Row]) {
        if rows.is_empty() {
            return;
        }
        self.title("latency");
        self.y += 18.0;
        let legend = "thin: all but the slowest and fastest hundredth, thick: the middle half, bar: median, dot: the original's mean";
        self.label(20.0, "faint", legend);
        let all = rows.iter().flat_map(|row| {
            let published = row.published_ms;
            [row.spread_ms[1], row.p99_ms].into_iter().chain(published)
        });
        let axis = Axis::over(all);
        let top = self.y + 10.0;
        let bottom = top + LINE_HEIGHT * rows.len() as f64;
        for decade in axis.low..=axis.high {
            let value = 10f64.powi(decade);
            let x = axis.place(value);
            self.put(format_args!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\" class=\"grid\"/>\
<text x=\"{x:.1}\" y=\"{:.1}\" class=\"faint\" text-anchor=\"middle\">{value} ms</text>",
                bottom + 14.0
            ));
        }
        self.y = top;
        for row in rows {
            self.distribution(row, &axis);
        }
        self.y = bottom + 20.0;
    }

    fn distribution(&mut self, row: &Row, axis: &Axis) {
        let class = if row.section == Section::Yardsticks.word() {
            "bare"
        } else {
            "ours"
        };
        let at = |part: f64| {
            let n = SPREAD.iter().position(|one| *one == part);
            axis.place(row.spread_ms[n.expect("the part is one of the spread")])
        };
        let y = self.y + LINE_HEIGHT / 2.0;
        let (low, q1, median, q3, high) = (at(0.01), at(0.25), at(0.5), at(0.75), at(0.99));
        self.put(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 12.0,
            y + 4.0,
            escape(&row.name)
        ));
        self.put(format_args!(
            "<line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"{class} whisker\"/>\
<rect x=\"{q1:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"8\" class=\"{class}\" fill-opacity=\".5\"/>\
<rect x=\"{:.1}\" y=\"{:.1}\" width=\"2\" height=\"14\" class=\"{class}\"/>",
            y - 4.0,
            (q3 - q1).max(1.0),
            median - 1.0,
            y - 7.0
        ));
        if let Some(published) = row.published_ms {
            let x = axis.place(published);
            self.put(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"original\"/>"
            ));
        }
        self.y += LINE_HEIGHT;
    }

    /// Rates over how many there are, these on a logarithmic axis.
    fn curves(&mut self, title: &str, curves: &[Curve]) {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let Some(most) = points().map(|point| point.0).max() else {
            return;
        };
        let highest = round_up(points().map(|point| point.1).fold(1.0, f64::max));
        self.title(title);
        self.legend(curves);
        let top = self.y + 16.0;
        let bottom = top + CURVES_HEIGHT;
        let x = |count: usize| {
            let part = (count as f64).log2() / (most as f64).log2().max(1.0);
            CURVES_LEFT + part * (RIGHT - CURVES_LEFT)
        };
        let y = |rate: f64| bottom - rate / highest * CURVES_HEIGHT;
        self.grid(highest, top, bottom);
        let mut counts: Vec<usize> = points().map(|point| point.0).collect();
        counts.sort_unstable();
        counts.dedup();
        for count in counts {
            self.put(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"faint\" text-anchor=\"middle\">{count}</text>",
                x(count),
                bottom + 16.0
            ));
        }
        for curve in curves {
            let Curve {
                class,
                name,
                points,
            } = curve;
            let line: Vec<String> = points
                .iter()
                .map(|(count, rate)| format!("{:.1},{:.1}", x(*count), y(*rate)))
                .collect();
            self.put(format_args!(
                "<polyline points=\"{}\" class=\"{class} curve\" style=\"fill:none\"/>",
                line.join(" ")
            ));
            for (count, rate) in points {
                self.put(format_args!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" class=\"{class}\"><title>{name}: {rate:.0}/s</title></circle>",
                    x(*count),
                    y(*rate)
                ));
            }
        }
        self.y = bottom + 30.0;
    }

    /// The curves' names, in a line.
    fn legend(&mut self, curves: &[Curve]) {
        self.y += 20.0;
        let mut x = 20.0;
        for curve in curves.iter().filter(|curve| !curve.points.is_empty()) {
            let (y, class) = (self.y - 4.0, curve.class);
            self.put(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"{class}\"/>"
            ));
            self.label(x + 10.0, "faint", curve.name);
            x += 200.0;
        }
    }

    fn grid(&mut self, highest: f64, top: f64, bottom: f64) {
        for quarter in 0..=4 {
            let part = f64::from(quarter) / 4.0;
            let y = bottom - part * (bottom - top);
            self.put(format_args!(
                "<line x1=\"{CURVES_LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\
<text x=\"{:.1}\" y=\"{:.1}\" class=\"faint\" text-anchor=\"end\">{:.0}</text>",
                RIGHT,
                CURVES_LEFT - 10.0,
                y + 4.0,
                highest * part
            ));
        }
    }
}

/// Whole decades of milliseconds.
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Axis {
        let logs = values.filter(|value| 0.0 < *value).map(f64::log10);
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), log| {
            (low.min(log), high.max(log))
        });
        match low <= high {
            true => Axis {
                low: low.floor() as i32,
                high: (high.ceil() as i32).max(low.floor() as i32 + 1),
            },
            false => Axis { low: -1, high: 1 },
        }
    }

    fn place(&self, value: f64) -> f64 {
        let part =
            (value.max(1e-6).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

/// To a number whose quarters are easily read: one, two, four, six or eight and zeros.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0].map(|step| step * decade);
    let fits = steps.into_iter().find(|step| value <= *step);
    fits.unwrap_or(10.0 * decade)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

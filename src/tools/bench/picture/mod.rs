//! The picture: how long things take, and how much goes through, as SVG made by hand.
//!
//! Legible on light and dark pages: text and lines have the colour of the page's scheme, the rest
//! is readable on both.

pub mod curves;

use std::fmt::Write;

use crate::config::bench::Section;
use crate::tools::bench::report::Report;
use crate::tools::bench::row::{Row, SPREAD};

const WIDTH: f64 = 960.0;

/// Where names end and axes begin, and where axes end.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 910.0;

const LINE_HEIGHT: f64 = 22.0;

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
    picture.throughput(&report.rows);
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

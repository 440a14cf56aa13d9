//! The picture of latencies and rates, as SVG.
//!
//! [`distributions`] draws a line for each row, [`curves`] rates over numbers of clients. Text and
//! lines follow the page's colour scheme, and the other colours are legible on light and dark.

mod curves;
mod distributions;

use std::fmt::{Arguments, Write};

use crate::tools::bench::report::Report;

const WIDTH: f64 = 960.0;

/// Where axes end.
const RIGHT: f64 = 910.0;

const STYLE: &str = "<style>\
text{font:12px system-ui,sans-serif;fill:#24292f}\
.title{font-weight:600;font-size:14px}.faint{fill:#6e7781}\
.grid{stroke:#8c959f;stroke-opacity:.35}.axis{stroke:#8c959f}\
.ours{fill:#2f81f7;stroke:#2f81f7}.bare{fill:#8c959f;stroke:#8c959f}\
.original{fill:#d29922;stroke:#d29922}.sale{fill:#3fb950;stroke:#3fb950}\
.curve{fill:none;stroke-width:2}.whisker{stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}}</style>";

/// Draws a report.
pub(super) fn draw(report: &Report) -> String {
    let mut picture = Picture {
        text: String::new(),
        y: 24.0,
    };
    for line in report.run.lines() {
        picture.text(20.0, picture.y, "start", "faint", line);
        picture.y += 18.0;
    }
    distributions::draw(&mut picture, &report.rows);
    curves::draw(&mut picture, &report.rows);
    let height = picture.y + 10.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
        width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
        aria-label=\"What bazar bench measured\">{STYLE}\n{}</svg>\n",
        picture.text
    )
}

struct Picture {
    text: String,
    /// What is above this is drawn.
    y: f64,
}

impl Picture {
    fn put(&mut self, element: Arguments) {
        writeln!(self.text, "{element}").expect("a String takes any text");
    }

    /// `anchor`: whether `x` is the `start`, `middle` or `end` of the text.
    fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let text = escape(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">\
            {text}</text>"
        ));
    }

    fn title(&mut self, text: &str) {
        self.y += 26.0;
        self.text(20.0, self.y, "start", "title", text);
    }

    fn dot(&mut self, [x, y]: [f64; 2], class: &str) {
        self.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"{class}\"/>"
        ));
    }

    fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], class: &str) {
        self.put(format_args!(
            "<line x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y1:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

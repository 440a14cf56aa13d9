//! Latencies: a line for each row, on one logarithmic axis of time.

use std::ops::RangeInclusive;

use crate::config::bench::Section;
use crate::tools::bench::picture::{Picture, RIGHT};
use crate::tools::bench::summary::Summary;

/// Where names end and the axis begins.
const LEFT: f64 = 300.0;

/// The axis goes from 0.01 ms to 10 s.
const DECADES: RangeInclusive<i32> = -2..=4;

const LINE_HEIGHT: f64 = 22.0;

const LEGEND: &str = "thin: all but the slowest and fastest hundredth, thick: the middle half, \
bar: median, dot: the original's mean";

pub(super) fn draw(picture: &mut Picture, rows: &[Summary]) {
    let rows: Vec<&Summary> = rows.iter().filter(|row| is_shown(row)).collect();
    if rows.is_empty() {
        return;
    }
    picture.title("latency");
    picture.y += 18.0;
    picture.text(20.0, picture.y, "start", "faint", LEGEND);
    let top = picture.y + 10.0;
    let bottom = top + LINE_HEIGHT * rows.len() as f64;
    for decade in DECADES {
        let ms = 10f64.powi(decade);
        picture.line([x(ms), top], [x(ms), bottom], "grid");
        picture.text(x(ms), bottom + 14.0, "middle", "faint", &format!("{ms} ms"));
    }
    for (n, row) in rows.into_iter().enumerate() {
        draw_row(picture, row, top + LINE_HEIGHT * (n as f64 + 0.5));
    }
    picture.y = bottom + 20.0;
}

/// Whether a row's distribution is worth a line. Loads that find the highest rate are in the
/// curves, and while a fault is detected latencies are not of one kind.
fn is_shown(row: &Summary) -> bool {
    let has_rate = matches!(row.section, Section::Throughput | Section::Yardsticks);
    let steady = ["by the clock", "beside", "files"];
    let is_steady = steady.iter().any(|part| row.name.contains(part));
    1 < row.count && !row.name.contains("being found out") && (!has_rate || is_steady)
}

fn draw_row(picture: &mut Picture, row: &Summary, y: f64) {
    let class = match row.section {
        Section::Yardsticks => "bare",
        _ => "ours",
    };
    let quantiles = [row.p1_ms, row.p25_ms, row.p50_ms, row.p75_ms, row.p99_ms];
    let [low, q1, median, q3, high] = quantiles.map(x);
    picture.text(LEFT - 12.0, y + 4.0, "end", "", &row.name);
    picture.line([low, y], [high, y], &format!("{class} whisker"));
    picture.put(format_args!(
        "<rect x=\"{q1:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"8\" \
        class=\"{class}\" fill-opacity=\".5\"/>\
        <rect x=\"{:.1}\" y=\"{:.1}\" width=\"2\" height=\"14\" class=\"{class}\"/>",
        y - 4.0,
        (q3 - q1).max(1.0),
        median - 1.0,
        y - 7.0
    ));
    if let Some(published) = row.published_ms {
        picture.dot([x(published), y], "original");
    }
}

/// Where a time is on the axis; at its end when it is beyond.
fn x(ms: f64) -> f64 {
    let (low, high) = (*DECADES.start(), *DECADES.end());
    let part = (ms.max(1e-6).log10() - f64::from(low)) / f64::from(high - low);
    LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
}

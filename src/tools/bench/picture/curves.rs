//! The throughput: rates as curves over the number of connections or customers.

use crate::tools::bench::picture::{Picture, RIGHT};
use crate::tools::bench::row::Row;

const LEFT: f64 = 100.0;
const HEIGHT: f64 = 230.0;

/// Between two names of a legend.
const NAME_WIDTH: f64 = 200.0;

struct Curve {
    class: &'static str,
    name: &'static str,
    /// How many, and the rate.
    points: Vec<(usize, f64)>,
}

impl Picture {
    /// The crowds' rows, as two pictures.
    pub fn throughput(&mut self, rows: &[Row]) {
        let readers = [
            curve(rows, "ours", "front-end, cached", |row| {
                connections(row, "cached look-ups, ")
            }),
            curve(rows, "bare", "bare tiny_http server", |row| {
                connections(row, "bare server, ")
            }),
        ];
        self.curves("look-ups a second, by connections", &readers);
        let buyers = [
            curve(rows, "ours", "all over the shop", |row| {
                customers(row, "buys all over")
            }),
            curve(rows, "sale", "flash sale of one book", |row| {
                customers(row, "flash sale")
            }),
        ];
        self.curves(
            "sales a second, durable on every catalog, by customers",
            &buyers,
        );
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
        let bottom = top + HEIGHT;
        let x = |count: usize| {
            let part = (count as f64).log2() / (most as f64).log2().max(1.0);
            LEFT + part * (RIGHT - LEFT)
        };
        let y = |rate: f64| bottom - rate / highest * HEIGHT;
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
            x += NAME_WIDTH;
        }
    }

    fn grid(&mut self, highest: f64, top: f64, bottom: f64) {
        for quarter in 0..=4 {
            let part = f64::from(quarter) / 4.0;
            let y = bottom - part * (bottom - top);
            self.put(format_args!(
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\
<text x=\"{:.1}\" y=\"{:.1}\" class=\"faint\" text-anchor=\"end\">{:.0}</text>",
                RIGHT,
                LEFT - 10.0,
                y + 4.0,
                highest * part
            ));
        }
    }
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

/// To a number whose quarters are easily read: one, two, four, six or eight and zeros.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0].map(|step| step * decade);
    let fits = steps.into_iter().find(|step| value <= *step);
    fits.unwrap_or(10.0 * decade)
}

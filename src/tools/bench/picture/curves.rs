//! Rates as curves over the number of connections or customers.

use crate::tools::bench::picture::{Picture, RIGHT};
use crate::tools::bench::summary::Summary;

/// Where the labels of the vertical axis end and the curves begin.
const LEFT: f64 = 100.0;

const HEIGHT: f64 = 230.0;

/// Between two names of a legend.
const NAME_WIDTH: f64 = 200.0;

struct Curve {
    class: &'static str,
    name: &'static str,
    /// Clients and rate.
    points: Vec<(usize, f64)>,
}

/// Draws the closed loops of look-ups, and those of buys.
pub(super) fn draw(picture: &mut Picture, rows: &[Summary]) {
    let curve = |class, name, prefix: &str, unit: &str| Curve {
        class,
        name,
        points: rows
            .iter()
            .filter_map(|row| Some((clients(&row.name, prefix, unit)?, row.rate)))
            .collect(),
    };
    let lookups = [
        curve("ours", "front-end, cached", "cached look-ups", "connection"),
        curve("bare", "bare tiny_http server", "bare server", "connection"),
    ];
    draw_curves(picture, "look-ups a second, by connections", &lookups);
    let buys = [
        curve("ours", "all over the shop", "buys all over", "customer"),
        curve("sale", "flash sale of one book", "flash sale", "customer"),
    ];
    let title = "sales a second, durable on every catalog, by customers";
    draw_curves(picture, title, &buys);
}

/// The number of clients of a row such as `flash sale, 64 customers`. The row of the load
/// generator's own threads is no such row.
fn clients(name: &str, prefix: &str, unit: &str) -> Option<usize> {
    let (what, clients) = name.rsplit_once(", ")?;
    let (count, of) = clients.split_once(' ')?;
    let matches = what.starts_with(prefix) && !what.contains(',') && of.starts_with(unit);
    matches.then(|| count.parse().ok())?
}

/// Rates over numbers of clients, these on a logarithmic axis.
fn draw_curves(picture: &mut Picture, title: &str, curves: &[Curve]) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let Some(most) = points().map(|(clients, _)| *clients).max() else {
        return;
    };
    let highest = round_up(points().map(|(_, rate)| *rate).fold(1.0, f64::max));
    picture.title(title);
    picture.y += 20.0;
    let legend = curves.iter().filter(|curve| !curve.points.is_empty());
    for (n, Curve { class, name, .. }) in legend.enumerate() {
        let (x, y) = (20.0 + NAME_WIDTH * n as f64, picture.y);
        picture.dot([x, y - 4.0], class);
        picture.text(x + 10.0, y, "start", "faint", name);
    }
    let top = picture.y + 16.0;
    let bottom = top + HEIGHT;
    let x = |clients: usize| {
        let part = (clients as f64).log2() / (most as f64).log2().max(1.0);
        LEFT + part * (RIGHT - LEFT)
    };
    let y = |rate: f64| bottom - rate / highest * HEIGHT;
    for rate in [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| part * highest) {
        picture.line([LEFT, y(rate)], [RIGHT, y(rate)], "grid");
        let label = format!("{rate:.0}");
        picture.text(LEFT - 10.0, y(rate) + 4.0, "end", "faint", &label);
    }
    let mut counts: Vec<usize> = points().map(|(clients, _)| *clients).collect();
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        let label = count.to_string();
        picture.text(x(count), bottom + 16.0, "middle", "faint", &label);
    }
    for curve in curves {
        let points = curve.points.iter();
        let points: Vec<_> = points.map(|(n, rate)| (x(*n), y(*rate), *rate)).collect();
        draw_curve(picture, curve, &points);
    }
    picture.y = bottom + 30.0;
}

/// Points are places and rates.
fn draw_curve(picture: &mut Picture, curve: &Curve, points: &[(f64, f64, f64)]) {
    let Curve { class, name, .. } = curve;
    let line = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1} "));
    picture.put(format_args!(
        "<polyline points=\"{}\" class=\"{class} curve\" style=\"fill:none\"/>",
        line.collect::<String>()
    ));
    for (x, y, rate) in points {
        picture.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" class=\"{class}\">\
            <title>{name}: {rate:.0}/s</title></circle>"
        ));
    }
}

/// To a number whose quarters are easily read: one, two, four, six or eight and zeros.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0].map(|step| step * decade);
    let fits = steps.into_iter().find(|step| value <= *step);
    fits.unwrap_or(10.0 * decade)
}

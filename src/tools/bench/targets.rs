//! What the shop must reach: ratios of rows of one run, so that the machine matters little.

use serde::Serialize;

use crate::tools::bench::row::Row;

/// One target and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    pub what: &'static str,
    pub target: String,
    pub reached: f64,
    pub is_reached: bool,
}

/// Which figure of a row is meant.
type Figure = fn(&Row) -> f64;

const MEAN: Figure = |row| row.mean_ms;
const MEDIAN: Figure = |row| row.p50_ms;
const P99: Figure = |row| row.p99_ms;
const RATE: Figure = |row| row.rate;

/// The wanted figure, and what it is divided by.
enum Against {
    Row(&'static str),
    /// The mean of those that were asked in turn with these.
    Beside,
    /// What the original published, divided by ours.
    Published,
    /// Nothing: the figure itself.
    Alone,
}

struct Wanted {
    what: &'static str,
    row: &'static str,
    figure: Figure,
    against: Against,
    /// What the ratio must be at least; at most when negative.
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Against::{Alone, Beside, Published};
use Bound::{AtLeast, AtMost};

#[rustfmt::skip]
const WANTED: &[Wanted] = &[
    wanted("cached look-ups over 16 connections, of the bare server's", "cached look-ups, 16 connections", RATE, Against::Row("bare server, 16 connections"), AtLeast(0.9)),
    wanted("cached look-ups over 64 connections, of the bare server's", "cached look-ups, 64 connections", RATE, Against::Row("bare server, 64 connections"), AtLeast(0.9)),
    wanted("a cached look-up, one connection, median, of the bare server's", "cached look-ups, 1 connection", MEDIAN, Against::Row("bare server, 1 connection"), AtMost(1.15)),
    wanted("200 look-ups of valid ids, mean, times faster than the original", "look-ups of valid ids, with the cache", MEAN, Published, AtLeast(20.0)),
    wanted("200 buys, 2 catalogs, mean, times faster than the original", "buys by one customer, 2 catalogs", MEAN, Published, AtLeast(15.0)),
    wanted("reads, catalog killed, mean, of those without an outage", "reads, catalog killed", MEAN, Beside, AtMost(1.2)),
    wanted("reads, catalog stopped, mean, of uncached ones without an outage", "reads, catalog stopped", MEAN, Beside, AtMost(1.2)),
    wanted("buys, order server killed, mean, of those without an outage", "buys, order server killed", MEAN, Beside, AtMost(1.5)),
    wanted("buys, order server stopped, mean, of those without an outage", "buys, order server stopped", MEAN, Beside, AtMost(1.5)),
    wanted("buys, catalog killed, mean, of those without an outage", "buys, catalog killed", MEAN, Beside, AtMost(1.5)),
    wanted("buys, catalog stopped, mean, of those without an outage", "buys, catalog stopped", MEAN, Beside, AtMost(1.5)),
    wanted("flash sale, 64 customers, sales a second", "flash sale, 64 customers", RATE, Alone, AtLeast(3000.0)),
    wanted("flash sale, 256 customers, of the rate of 64", "flash sale, 256 customers", RATE, Against::Row("flash sale, 64 customers"), AtLeast(1.0)),
    wanted("64 customers all over 1,000 books, sales a second", "buys all over 1000 books, 64 customers", RATE, Alone, AtLeast(2000.0)),
    wanted("a cached look-up beside 16 buyers, p99, of the bare server's", "cached look-ups, beside 16 buyers", P99, Against::Row("bare server, beside 16 buyers"), AtMost(3.0)),
];

const fn wanted(
    what: &'static str,
    row: &'static str,
    figure: Figure,
    against: Against,
    bound: Bound,
) -> Wanted {
    Wanted {
        what,
        row,
        figure,
        against,
        bound,
    }
}

/// Those targets whose rows were measured.
pub fn judge(rows: &[Row]) -> Vec<Target> {
    WANTED
        .iter()
        .filter_map(|wanted| wanted.judge(rows))
        .collect()
}

impl Wanted {
    fn judge(&self, rows: &[Row]) -> Option<Target> {
        let find = |name: &str| rows.iter().find(|row| row.name == name);
        let row = find(self.row)?;
        let ours = (self.figure)(row);
        let reached = match self.against {
            Against::Row(other) => ours / (self.figure)(find(other)?),
            Beside => ours / row.beside_ms?,
            Published => row.published_ms? / ours,
            Alone => ours,
        };
        let (target, is_reached) = match self.bound {
            AtLeast(bound) => (format!("at least {bound}"), bound <= reached),
            AtMost(bound) => (format!("at most {bound}"), reached <= bound),
        };
        Some(Target {
            what: self.what,
            target,
            reached,
            is_reached,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::take::Take;
    use std::time::Duration;

    fn take(ms: u64) -> Take {
        Take {
            latencies: vec![ms * 1_000_000; 10],
            elapsed: Duration::from_millis(10 * ms),
            ..Take::default()
        }
    }

    fn row(name: &str, ms: u64) -> Row {
        Row::new("s", name, &take(ms))
    }

    #[track_caller]
    fn check(rows: &[Row], expected: &[bool]) {
        let judged: Vec<bool> = judge(rows).iter().map(|target| target.is_reached).collect();
        assert_eq!(judged, expected);
    }

    #[test]
    fn a_ratio_is_held_against_its_bound() {
        let bare = row("bare server, 1 connection", 100);
        let ours = |ms| row("cached look-ups, 1 connection", ms);
        check(&[ours(115), bare.clone()], &[true]);
        check(&[ours(116), bare], &[false]);
    }

    #[test]
    fn an_outage_is_held_against_what_was_asked_in_turn_with_it() {
        let sound = take(10);
        check(&[row("reads, catalog killed", 12).beside(&sound)], &[true]);
        check(&[row("reads, catalog killed", 13).beside(&sound)], &[false]);
    }

    #[test]
    fn the_original_must_be_slower() {
        let ours = row("buys by one customer, 2 catalogs", 2);
        check(&[ours.clone().published(30.0)], &[true]);
        check(&[ours.published(29.9)], &[false]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        check(&[row("reads, catalog killed", 12)], &[]);
    }
}

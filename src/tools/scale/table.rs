//! The table: each figure of both shops, beside its target.

use std::time::Duration;

use crate::tools::scale::figures::{Figures, Times};

const MIB: f64 = (1 << 20) as f64;

const HALF_MORE: &str = "at most 1.5 times the small shop's";

/// Of a shop that is more than 1,000 times as large: what its books take longer is the way to
/// memory.
const THREE_TIMES: &str = "at most 3 times the small shop's";

/// One line.
struct Row {
    what: String,
    small: Cell,
    large: Cell,
    naive: String,
    target: &'static str,
}

/// A figure in words, and whether it reaches its target, where there is one.
struct Cell {
    text: String,
    reached: Option<bool>,
}

/// The table of a small shop, a large one of so many books, and a naive one of as many.
pub fn draw(books: u64, missed: usize, figures: [&Figures; 3]) -> String {
    let large_name = format!("{books} books");
    let mut text = line([
        "",
        "7 books",
        &large_name,
        "in one file",
        "target",
        "reached",
    ]);
    for row in rows(missed, figures) {
        let reached = row.verdict();
        text += &line([
            &row.what,
            &row.small.text,
            &row.large.text,
            &row.naive,
            row.target,
            reached,
        ]);
    }
    text + &notes(figures)
}

fn line([what, small, large, naive, target, reached]: [&str; 6]) -> String {
    format!("{what:<44}{small:>12}{large:>20}{naive:>14}  {target:<36}{reached}\n")
}

fn rows(missed: usize, [small, large, naive]: [&Figures; 3]) -> Vec<Row> {
    let start = |what: &str, of: fn(&Figures) -> Duration| Row {
        what: what.into(),
        small: below(of(small), 0.4),
        large: below(of(large), 5.0),
        naive: seconds(of(naive)),
        target: "under 0.4 s, under 5 s",
    };
    let ratio = |what: &str, of: fn(&Figures) -> &Times, bound, target| Row {
        what: what.into(),
        small: plain(ms(of(small))),
        large: at_most(of(large), of(small), bound),
        naive: match of(naive).is_empty() {
            true => "-".into(),
            false => ms(of(naive)),
        },
        target,
    };
    vec![
        start("start until ready, the other at work", |f| f.start_one),
        start("start until ready, both at once", |f| f.start_both),
        Row {
            what: "memory of a catalog".into(),
            small: memory(small, 20.0),
            large: memory(large, 500.0),
            naive: "-".into(),
            target: "under 20 MB, under 500 MB",
        },
        ratio(
            "lookup at the catalog, median",
            |f| &f.lookup,
            1.5,
            HALF_MORE,
        ),
        ratio("buy, one customer, median", |f| &f.buy, 1.5, HALF_MORE),
        Row {
            what: "64 customers buying all over the shop".into(),
            small: plain(per_second(small.crowd_rate)),
            large: at_least(large.crowd_rate, 1000.0),
            naive: format!("~{:.1}/s", naive.crowd_rate),
            target: "at least 1000/s",
        },
        Row {
            what: "import into two replicas".into(),
            small: plain("-".into()),
            large: at_least(large.import_rate.unwrap_or(0.0), 20_000.0),
            naive: format!("~{}", per_second(naive.import_rate.unwrap_or(0.0))),
            target: "at least 20000/s",
        },
        Row {
            what: format!("{missed} missed changes, until it has all"),
            small: plain(seconds(small.missed)),
            large: below(large.missed, 5.0),
            naive: format!("~{}", seconds(naive.missed)),
            target: "under 5 s",
        },
        Row {
            what: "the same, with the start before it".into(),
            small: plain(seconds(small.missed_and_start)),
            large: plain(seconds(large.missed_and_start)),
            naive: format!("~{}", seconds(naive.missed_and_start)),
            target: "-",
        },
        ratio(
            "search, the same answer, one topic of 1000",
            |f| &f.search,
            3.0,
            THREE_TIMES,
        ),
        Row {
            what: "search, ten times that answer".into(),
            small: plain("-".into()),
            large: Cell {
                text: ms(&large.search_ten),
                reached: Some(large.search_ten.ratio(&large.search) <= 15.0),
            },
            naive: ms(&naive.search_ten),
            target: "at most 15 times the short one",
        },
    ]
}

fn notes([small, large, _]: [&Figures; 3]) -> String {
    format!(
        "An order adds {:.0} bytes to a catalog until it is forgotten. Requests that failed: {}.\n\
        The small shop is searched when it has the books of that one topic too, so that both give the same answer.\n\
        In one file: what a first version without ranges of ids, group commit and index would need for these books: the\n\
        file is read and parsed, replaced whole for a change, and every book looked at in a search. ~: reckoned from that,\n\
        with 1000 books in a request of the import, and missed changes fetched and saved one by one.\n",
        large.memory_of_an_order,
        small.errors + large.errors
    )
}

impl Row {
    fn verdict(&self) -> &'static str {
        let judged = [self.small.reached, self.large.reached];
        if judged.contains(&Some(false)) {
            "NO"
        } else if judged.contains(&Some(true)) {
            "yes"
        } else {
            "-"
        }
    }
}

fn plain(text: String) -> Cell {
    Cell {
        text,
        reached: None,
    }
}

fn below(time: Duration, bound: f64) -> Cell {
    Cell {
        text: seconds(time),
        reached: Some(time.as_secs_f64() < bound),
    }
}

fn at_least(rate: f64, bound: f64) -> Cell {
    Cell {
        text: per_second(rate),
        reached: Some(bound <= rate),
    }
}

fn at_most(large: &Times, small: &Times, bound: f64) -> Cell {
    let times = large.ratio(small);
    Cell {
        text: format!("{} ({times:.2}x)", ms(large)),
        reached: Some(times <= bound),
    }
}

fn memory(figures: &Figures, bound: f64) -> Cell {
    let mib = figures.memory as f64 / MIB;
    Cell {
        text: format!("{mib:.1} MB"),
        reached: Some(mib < bound),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn per_second(rate: f64) -> String {
    format!("{rate:.0}/s")
}

fn ms(times: &Times) -> String {
    format!("{:.3} ms", times.median().as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ms: u64) -> Figures {
        let mut times = Times::default();
        times.add(Duration::from_millis(ms));
        Figures {
            start_one: Duration::from_millis(ms),
            lookup: times.clone(),
            buy: times.clone(),
            search: times.clone(),
            search_ten: times,
            ..Figures::default()
        }
    }

    #[track_caller]
    fn check(small: u64, large: u64, what: &str, verdict: &str) {
        let rows = rows(10, [&figures(small), &figures(large), &Figures::default()]);
        let row = rows.iter().find(|row| row.what.starts_with(what));
        assert_eq!(row.unwrap().verdict(), verdict, "{small} {large}");
    }

    #[test]
    fn a_figure_is_held_against_its_target() {
        check(100, 150, "buy, one", "yes");
        check(100, 151, "buy, one", "NO");
        check(399, 4999, "start until ready, the other", "yes");
        check(400, 1, "start until ready, the other", "NO");
        check(1, 5000, "start until ready, the other", "NO");
        check(1, 1, "64 customers", "NO");
        check(1, 1, "the same, with the start", "-");
    }
}

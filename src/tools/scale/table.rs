//! The table: what was measured in both shops, and the targets.

use std::time::Duration;

use crate::tools::harness::measurement::Measurement;
use crate::tools::scale::ledger::{LedgerResults, LedgerSizes};
use crate::tools::scale::results::Results;

const MIB: f64 = (1 << 20) as f64;

/// A catalog that missed a tenth of the ledger has it after its start.
const LEDGER_CATCH_UP: Duration = Duration::from_secs(5);

const BUY_TARGET: &str = "at most 1.5 times the small shop's";

/// The large shop has more than 1,000 times as many books, so the processor's caches hold few.
const SEARCH_TARGET: &str = "at most 3 times the small shop's";

struct Row {
    what: String,
    small: Cell,
    large: Cell,
    /// What a version with all books in one file needs.
    baseline: String,
    target: &'static str,
}

/// A result, and whether it reaches its target if it has one.
struct Cell(String, Option<bool>);

/// The table of a small shop, of a large one with this many books, and of the baseline with as
/// many.
pub(super) fn draw(books: u64, missed: usize, results: [&Results; 3]) -> String {
    let books = format!("{books} books");
    let mut text = line(["", "7 books", &books, "in one file", "target", "reached"]);
    for row in rows(missed, results) {
        let (small, large) = (&row.small.0, &row.large.0);
        text += &line([
            &row.what,
            small,
            large,
            &row.baseline,
            row.target,
            row.verdict(),
        ]);
    }
    text + &notes(results)
}

/// What a ledger of so many orders costs.
pub(super) fn ledger(sizes: LedgerSizes, results: &LedgerResults) -> String {
    let LedgerSizes { orders, missed } = sizes;
    let reached = if results.catch_up < LEDGER_CATCH_UP {
        "yes"
    } else {
        "NO"
    };
    format!(
        "A ledger of {orders} orders: {:.0} bytes of memory each, {} to start; with {missed} more \
        that were missed, {} (target: under 5 s): {reached}. With {} orders more that came alone, \
        of one copy and with a key: {:.0} bytes each.\n",
        results.memory_of_an_order,
        seconds(results.start),
        seconds(results.catch_up),
        results.alone,
        results.memory_of_one_alone,
    )
}

fn line([what, small, large, baseline, target, reached]: [&str; 6]) -> String {
    format!("{what:<44}{small:>12}{large:>20}{baseline:>14}  {target:<36}{reached}\n")
}

fn rows(missed: usize, [small, large, baseline]: [&Results; 3]) -> Vec<Row> {
    let row = |what: &str, small, large, baseline, target| Row {
        what: what.into(),
        small,
        large,
        baseline,
        target,
    };
    let start = |what, of: fn(&Results) -> Duration| {
        let (small, large) = (below(of(small), 0.4), below(of(large), 5.0));
        row(
            what,
            small,
            large,
            seconds(of(baseline)),
            "under 0.4 s, under 5 s",
        )
    };
    let ratio = |what, of: fn(&Results) -> &Measurement, bound, target| {
        let (small, large) = (of(small), of(large));
        row(
            what,
            plain(ms(small)),
            at_most(large, small, bound),
            ms(of(baseline)),
            target,
        )
    };
    let missed = format!("{missed} missed changes, until it has all");
    let ten_times = Some(times(&large.search_ten, &large.search) <= 15.0);
    #[rustfmt::skip]
    let rows = vec![
        start("start until ready, the other at work", |it| it.start_one),
        start("start until ready, both at once", |it| it.start_both),
        row("memory of a catalog", memory(small, 20.0), memory(large, 500.0),
            "-".into(), "under 20 MB, under 500 MB"),
        ratio("lookup at the catalog, median", |it| &it.lookup, 1.5, BUY_TARGET),
        ratio("buy, one customer, median", |it| &it.buy, 1.5, BUY_TARGET),
        row("64 customers buying all over the shop",
            plain(per_second(small.sales_rate)), at_least(large.sales_rate, 1000.0),
            format!("~{:.1}/s", baseline.sales_rate), "at least 1000/s"),
        row("import into two replicas", plain("-".into()), at_least(large.import_rate, 20_000.0),
            format!("~{}", per_second(baseline.import_rate)), "at least 20000/s"),
        row(&missed, plain(seconds(small.catch_up)), below(large.catch_up, 5.0),
            format!("~{}", seconds(baseline.catch_up)), "under 5 s"),
        row("the same, with the start before it",
            plain(seconds(small.start_and_catch_up)), plain(seconds(large.start_and_catch_up)),
            format!("~{}", seconds(baseline.start_and_catch_up)), "-"),
        ratio("search, the same answer, one topic of 1000", |it| &it.search, 3.0, SEARCH_TARGET),
        row("search, ten times that answer",
            plain("-".into()), Cell(ms(&large.search_ten), ten_times),
            ms(&baseline.search_ten), "at most 15 times the short one"),
    ];
    rows
}

fn notes([small, large, _]: [&Results; 3]) -> String {
    format!(
        "An order adds {:.0} bytes to a catalog until it is forgotten. Requests that failed: {}.\n\
        For the searches the small shop has the books of that one topic too, so both give the \
        same answer.\n\
        In one file: what a first version without ranges of ids, group commit and index would \
        need for these books:\n\
        it reads and parses the whole file, replaces it for each change, and looks at every book \
        in a search.\n\
        ~: computed from that, for imports of 1000 books a request, and for missed changes \
        fetched and saved one by one.\n",
        large.memory_of_an_order,
        small.errors + large.errors
    )
}

impl Row {
    fn verdict(&self) -> &'static str {
        let reached = [self.small.1, self.large.1];
        if reached.contains(&Some(false)) {
            "NO"
        } else if reached.contains(&Some(true)) {
            "yes"
        } else {
            "-"
        }
    }
}

fn plain(text: String) -> Cell {
    Cell(text, None)
}

fn below(time: Duration, bound: f64) -> Cell {
    Cell(seconds(time), Some(time.as_secs_f64() < bound))
}

fn at_least(rate: f64, bound: f64) -> Cell {
    Cell(per_second(rate), Some(bound <= rate))
}

fn at_most(large: &Measurement, small: &Measurement, bound: f64) -> Cell {
    let times = times(large, small);
    Cell(format!("{} ({times:.2}x)", ms(large)), Some(times <= bound))
}

fn memory(results: &Results, bound: f64) -> Cell {
    let mib = results.memory as f64 / MIB;
    Cell(format!("{mib:.1} MB"), Some(mib < bound))
}

/// How many times the median of `one` that of `other` is.
fn times(one: &Measurement, other: &Measurement) -> f64 {
    one.median().as_secs_f64() / other.median().as_secs_f64()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn per_second(rate: f64) -> String {
    format!("{rate:.0}/s")
}

/// The median, or `-` when there is none.
fn ms(measurement: &Measurement) -> String {
    if measurement.latencies.is_empty() {
        return "-".into();
    }
    format!("{:.3} ms", measurement.median().as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::rows;
    use crate::tools::harness::measurement::Measurement;
    use crate::tools::scale::results::Results;

    fn results(ms: u64) -> Results {
        let measurement = Measurement {
            latencies: vec![ms * 1_000_000],
            ..Measurement::default()
        };
        Results {
            start_one: Duration::from_millis(ms),
            lookup: measurement.clone(),
            buy: measurement.clone(),
            search: measurement.clone(),
            search_ten: measurement,
            ..Results::default()
        }
    }

    #[track_caller]
    fn check(small: u64, large: u64, what: &str, verdict: &str) {
        let rows = rows(10, [&results(small), &results(large), &Results::default()]);
        let row = rows.iter().find(|row| row.what.starts_with(what));
        assert_eq!(row.unwrap().verdict(), verdict, "{small} {large}");
    }

    #[test]
    fn each_result_is_compared_with_its_target() {
        check(100, 150, "buy, one", "yes");
        check(100, 151, "buy, one", "NO");
        check(399, 4999, "start until ready, the other", "yes");
        check(400, 1, "start until ready, the other", "NO");
        check(1, 5000, "start until ready, the other", "NO");
        check(1, 1, "64 customers", "NO");
        check(1, 1, "the same, with the start", "-");
    }
}

//! The outcome of a run, as a table for people and as JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::config::bench::Section;
use crate::tools::bench::check::Check;
use crate::tools::bench::machine::Head;
use crate::tools::bench::row::Row;
use crate::tools::bench::targets::{self, Target};

/// All that a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub head: Head,
    pub rows: Vec<Row>,
    /// Empty in a quick run, which shows nothing about how fast.
    pub targets: Vec<Target>,
    pub checks: Vec<Check>,
}

impl Report {
    pub fn new(head: Head, rows: Vec<Row>, checks: Vec<Check>) -> Report {
        let targets = match head.quick {
            true => Vec::new(),
            false => targets::judge(&rows),
        };
        Report {
            head,
            rows,
            targets,
            checks,
        }
    }

    /// How much is wrong with the stock.
    pub fn problems(&self) -> usize {
        self.checks.iter().map(|check| check.problems.len()).sum()
    }

    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("our own values are JSON") + "\n"
    }

    pub fn table(&self) -> String {
        let mut text = self.head.line();
        text.push_str("times in milliseconds; original: the mean that the original published\n");
        for section in Section::ALL {
            write_rows(&mut text, section.word(), &self.rows);
        }
        write_targets(&mut text, &self.targets);
        write_checks(&mut text, &self.checks);
        text
    }
}

impl Head {
    /// Machine, build, seed and date.
    pub fn line(&self) -> String {
        let warning = if self.quick {
            "A quick run: it shows that everything works, and nothing about how fast.\n"
        } else {
            ""
        };
        format!(
            "bazar {} ({}), {}, seed {}\n{} cores ({}), {} GiB, Linux {}, load average {} at the start\n{warning}",
            self.version,
            self.profile,
            self.date,
            self.seed,
            self.cores,
            self.processor,
            self.memory_gib,
            self.kernel,
            self.load_average,
        )
    }
}

fn write_rows(text: &mut String, section: &str, rows: &[Row]) {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.section == section).collect();
    if rows.is_empty() {
        return;
    }
    put(
        text,
        format_args!(
            "\n{section:<48}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{:>7}{:>10}\n",
            "count", "mean", "p50", "p90", "p99", "max", "per s", "errors", "original"
        ),
    );
    for row in rows {
        let published = row.published_ms;
        let published = published.map_or_else(|| "-".into(), |ms| format!("{ms:.2}"));
        put(
            text,
            format_args!(
                "  {:<46}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10.0}{:>7}{published:>10}  {}\n",
                row.name,
                row.count,
                ms(row.mean_ms),
                ms(row.p50_ms),
                ms(row.p90_ms),
                ms(row.p99_ms),
                ms(row.max_ms),
                row.rate,
                row.errors,
                row.note,
            ),
        );
    }
}

/// Three figures or more, whatever the size.
fn ms(value: f64) -> String {
    match value {
        large if 100.0 <= large => format!("{large:.0}"),
        middle if 1.0 <= middle => format!("{middle:.2}"),
        small => format!("{small:.3}"),
    }
}

fn write_targets(text: &mut String, targets: &[Target]) {
    if targets.is_empty() {
        return;
    }
    put(
        text,
        format_args!("\n{:<66}{:>16}{:>10}\n", "targets", "", "reached"),
    );
    for target in targets {
        let mark = if target.is_reached { "yes" } else { "NO" };
        let reached = match target.reached {
            large if 100.0 <= large => format!("{large:.0}"),
            small => format!("{small:.2}"),
        };
        put(
            text,
            format_args!(
                "  {:<64}{:>16}{reached:>10}  {mark}\n",
                target.what, target.target
            ),
        );
    }
}

fn write_checks(text: &mut String, checks: &[Check]) {
    if !checks.is_empty() {
        text.push_str("\nafterwards: stock + sold = start, and all replicas equal\n");
    }
    for check in checks {
        let verdict = if check.problems.is_empty() {
            "yes"
        } else {
            "NO"
        };
        put(
            text,
            format_args!(
                "  {:<32}{verdict:>4}: {} replicas, {} books, {} sold, {} of unknown outcome of which {} took a copy\n",
                check.shop,
                check.replicas,
                check.books,
                check.sold,
                check.unknown,
                check.unknown_sold,
            ),
        );
        for problem in &check.problems {
            put(text, format_args!("    {problem}\n"));
        }
    }
}

fn put(text: &mut String, more: std::fmt::Arguments) {
    text.write_fmt(more).expect("a String takes any text");
}

//! The outcome of a run, as a table for people and as JSON.

use serde::Serialize;

use crate::config::bench::Section;
use crate::tools::bench::audit::Audit;
use crate::tools::bench::summary::Summary;
use crate::tools::bench::targets::Outcome;

/// Where the columns of a section end.
const COLUMNS: &str =
    "  count     mean      p50      p90      p99      max     per s errors  original";

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    /// Build, date, seed and machine.
    pub(super) run: String,
    pub(super) seed: u64,
    pub(super) rows: Vec<Summary>,
    /// Empty in a quick run, which shows nothing about how fast.
    pub(super) targets: Vec<Outcome>,
    pub(super) audits: Vec<Audit>,
}

impl Report {
    /// How many things are wrong: with the stock, or with the benchmark itself. A target that is
    /// measured and missed is none of them.
    pub(super) fn problems(&self) -> usize {
        let wrong: usize = self.audits.iter().map(|audit| audit.problems.len()).sum();
        let targets = self.targets.iter();
        wrong + targets.filter(|target| target.reached.is_none()).count()
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("our own values are JSON") + "\n"
    }

    pub(super) fn table(&self) -> String {
        let mut text = self.run.clone();
        text += "times in milliseconds; original: the mean that the original published\n";
        for section in Section::ALL {
            let rows = self.rows.iter().filter(|row| row.section == section);
            write_rows(&mut text, section, &rows.collect::<Vec<_>>());
        }
        write_targets(&mut text, &self.targets);
        write_audits(&mut text, &self.audits);
        text
    }
}

fn write_rows(text: &mut String, section: Section, rows: &[&Summary]) {
    if rows.is_empty() {
        return;
    }
    *text += &format!("\n{:<48}{COLUMNS}\n", section.name());
    for row in rows {
        let times = [row.mean_ms, row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms];
        let times = times.map(|ms| format!("{:>9}", three_digits(ms))).concat();
        let published = row.published_ms;
        let published = published.map_or_else(|| "-".into(), |ms| format!("{ms:.2}"));
        *text += &format!(
            "  {:<46}{:>7}{times}{:>10.0}{:>7}{published:>10}  {}\n",
            row.name, row.count, row.rate, row.errors, row.note,
        );
    }
}

/// At least three digits, whatever the size.
fn three_digits(value: f64) -> String {
    let decimals = match value {
        large if 100.0 <= large => 0,
        middle if 1.0 <= middle => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn write_targets(text: &mut String, targets: &[Outcome]) {
    if targets.is_empty() {
        return;
    }
    *text += &format!("\n{:<66}{:>16}{:>10}\n", "targets", "", "reached");
    for target in targets {
        let reached = match target.reached {
            None => "missing".into(),
            Some(large) if 100.0 <= large => format!("{large:.0}"),
            Some(small) => format!("{small:.2}"),
        };
        *text += &format!(
            "  {:<64}{:>16}{reached:>10}  {}\n",
            target.name,
            target.target,
            yes_or_no(target.is_reached)
        );
    }
}

fn write_audits(text: &mut String, audits: &[Audit]) {
    if !audits.is_empty() {
        *text += "\nafterwards: the audit finds nothing wrong, and stock + sold = start\n";
    }
    for audit in audits {
        let verdict = yes_or_no(audit.problems.is_empty());
        *text += &format!(
            "  {:<32}{verdict:>4}: {} replicas, {} books, {} sold, \
            {} of unknown outcome of which {} took a copy\n",
            audit.shop, audit.replicas, audit.books, audit.sold, audit.unknown, audit.unknown_sold,
        );
        for problem in &audit.problems {
            *text += &format!("    {problem}\n");
        }
    }
}

fn yes_or_no(holds: bool) -> &'static str {
    if holds { "yes" } else { "NO" }
}

//! What an import has done so far, and what it says at its end.

use std::time::Duration;

/// Counts of books, and where the import stands.
#[derive(Default)]
pub struct Tally {
    pub added: u64,
    pub there: u64,
    pub bad: u64,
    /// No book without an id that begins on a later line was sent.
    through: u64,
    without_ids: bool,
    /// Nothing more is sent, and why.
    pub failed: Option<String>,
}

impl Tally {
    /// The books up to that line were sent. They have no ids.
    pub fn pass(&mut self, line: u64) {
        self.without_ids = true;
        self.through = self.through.max(line);
    }

    /// The summary; or what ended the import, the summary, and how to go on.
    pub fn outcome(
        &self,
        read: Result<(), String>,
        skip_bad: bool,
        elapsed: Duration,
    ) -> Result<String, String> {
        let summary = self.summary(elapsed);
        let bad = (0 < self.bad && !skip_bad).then(|| "stopped at a bad book".to_string());
        let why = self.failed.clone().or(read.err()).or(bad);
        why.map_or(Ok(summary.clone()), |why| {
            Err(format!("{why}\n{summary}\n{}", self.advice()))
        })
    }

    fn summary(&self, elapsed: Duration) -> String {
        let (added, there, bad) = (self.added, self.there, self.bad);
        let seconds = elapsed.as_secs_f64();
        format!("added {added}, there already {there}, bad {bad}; {seconds:.1} s")
    }

    /// How to go on after what went wrong was put right.
    fn advice(&self) -> String {
        match self.without_ids {
            true => format!(
                "These books have no ids, and what was added stays. Go on with --from-line {}; mended books go into a file of their own.",
                self.through + 1
            ),
            false => "To go on, run the same import again: what was added is not added twice. --skip-bad leaves bad books out.".into(),
        }
    }
}

//! What an import has done so far, and the summary at its end.

use std::time::Duration;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) added: u64,
    pub(super) already_there: u64,
    pub(super) bad: u64,
    /// Of books without ids: none that begins after this line was sent.
    sent_through_line: u64,
    without_ids: bool,
    /// Why nothing more is sent.
    pub(super) failed: Option<String>,
}

impl Counts {
    /// The books up to this line were sent. They have no ids.
    pub(super) fn mark_sent(&mut self, through_line: u64) {
        self.without_ids = true;
        self.sent_through_line = self.sent_through_line.max(through_line);
    }

    /// The summary; or what ended the import, the summary, and how to continue.
    pub(super) fn outcome(
        &self,
        read: Result<(), String>,
        skip_bad: bool,
        elapsed: Duration,
    ) -> Result<String, String> {
        let (added, there, bad) = (self.added, self.already_there, self.bad);
        let seconds = elapsed.as_secs_f64();
        let summary = format!("added {added}, there already {there}, bad {bad}; {seconds:.1} s");
        let bad = (0 < bad && !skip_bad).then(|| "stopped at a bad book".to_string());
        match self.failed.clone().or(read.err()).or(bad) {
            None => Ok(summary),
            Some(why) => Err(format!("{why}\n{summary}\n{}", self.advice())),
        }
    }

    /// How to continue once the cause of the failure is gone.
    fn advice(&self) -> String {
        if self.without_ids {
            format!(
                "These books have no ids, and what was added stays. Go on with --from-line {}; \
                mended books go into a file of their own.",
                self.sent_through_line + 1
            )
        } else {
            "To go on, run the same import again: what was added is not added twice. \
            --skip-bad leaves bad books out."
                .into()
        }
    }
}

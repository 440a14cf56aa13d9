//! How far an import is. Bad books, and on a terminal a progress line, go to stderr; at the end
//! there is a summary.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::runtime::sync::lock;

/// The progress line is drawn at most this often, not at every batch.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Used by several threads at a time.
pub(super) struct Progress {
    began: Instant,
    /// Of the file, in bytes, if it is known.
    size: Option<u64>,
    /// Bad books do not end the import.
    skip_bad: bool,
    is_terminal: bool,
    /// Locked while something is written.
    stderr: Mutex<Box<dyn Write + Send>>,
    /// Locked for a look or a count.
    pub(super) counts: Mutex<Counts>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) added: u64,
    pub(super) already_there: u64,
    pub(super) bad: u64,
    /// Of books without ids: none that begins after this line was sent. `None`: the books have
    /// ids.
    pub(super) sent_through_line: Option<u64>,
    /// Why nothing more is sent.
    pub(super) failed: Option<String>,
    drawn: Option<Instant>,
}

impl Progress {
    pub(super) fn new(
        size: Option<u64>,
        skip_bad: bool,
        stderr: Box<dyn Write + Send>,
        is_terminal: bool,
    ) -> Progress {
        Progress {
            began: Instant::now(),
            size,
            skip_bad,
            is_terminal,
            stderr: Mutex::new(stderr),
            counts: Mutex::default(),
        }
    }

    /// Reports and counts a bad book.
    pub(super) fn report_bad(&self, line: u64, why: &str) {
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        self.write(&format!("{clear}line {line}: {why}\n"));
        lock(&self.counts).bad += 1;
    }

    /// Draws the progress line when it is due. This many bytes of the file are done.
    pub(super) fn draw(&self, bytes: u64) {
        let mut counts = lock(&self.counts);
        let due = counts.drawn.is_none_or(|at| DRAW_INTERVAL <= at.elapsed());
        if self.is_terminal && due {
            counts.drawn = Some(Instant::now());
            let books = counts.added + counts.already_there + counts.bad;
            let line = line(books, bytes, self.size, self.began.elapsed());
            self.write(&format!("\r{line}\x1b[K"));
        }
    }

    /// Whether reading on makes no sense.
    pub(super) fn is_stopped(&self) -> bool {
        let counts = lock(&self.counts);
        counts.failed.is_some() || (0 < counts.bad && !self.skip_bad)
    }

    /// The summary; or what ended the import, the summary, and how to continue. `read`: whether
    /// the file was read to its end.
    pub(super) fn outcome(&self, read: Result<(), String>) -> Result<String, String> {
        if self.is_terminal {
            self.write("\r\x1b[K");
        }
        let counts = lock(&self.counts);
        let (added, there, bad) = (counts.added, counts.already_there, counts.bad);
        let seconds = self.began.elapsed().as_secs_f64();
        let summary = format!("added {added}, there already {there}, bad {bad}; {seconds:.1} s");
        let bad = (0 < bad && !self.skip_bad).then(|| "stopped at a bad book".to_string());
        match counts.failed.clone().or(read.err()).or(bad) {
            None => Ok(summary),
            Some(why) => Err(format!("{why}\n{summary}\n{}", counts.advice())),
        }
    }

    /// Ignores failures: they are no reason to stop importing.
    fn write(&self, text: &str) {
        let mut stderr = lock(&self.stderr);
        let _ = stderr.write_all(text.as_bytes());
        let _ = stderr.flush();
    }
}

impl Counts {
    /// How to continue once the cause of the failure is gone.
    fn advice(&self) -> String {
        match self.sent_through_line {
            Some(line) => format!(
                "These books have no ids, and what was added stays. Go on with --from-line {}; \
                mended books go into a file of their own.",
                line + 1
            ),
            None => "To go on, run the same import again: what was added is not added twice. \
                --skip-bad leaves bad books out."
                .into(),
        }
    }
}

/// `120000 books, 24000 a second, 0:36 left`.
fn line(books: u64, bytes: u64, size: Option<u64>, elapsed: Duration) -> String {
    let rate = books as f64 / elapsed.as_secs_f64().max(0.001);
    let left = size.filter(|_| 0 < bytes).map(|size| {
        let seconds = elapsed.as_secs_f64() * size.saturating_sub(bytes) as f64 / bytes as f64;
        let seconds = seconds.ceil() as u64;
        format!(", {}:{:02} left", seconds / 60, seconds % 60)
    });
    let left = left.unwrap_or_default();
    format!("{books} books, {rate:.0} a second{left}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::line;

    #[test]
    fn the_time_left_comes_from_the_size_of_the_file() {
        let ten = Duration::from_secs(10);
        let half = line(5000, 1000, Some(9000), ten);
        assert_eq!(half, "5000 books, 500 a second, 1:20 left");
        assert_eq!(line(5000, 1000, None, ten), "5000 books, 500 a second");
    }
}

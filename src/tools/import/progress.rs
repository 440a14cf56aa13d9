//! How far an import is. Bad books, and on a terminal a progress line, go to stderr; at the end
//! there is a summary.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::runtime::sync::lock;
use crate::tools::import::book_reader::RawBook;

/// The progress line is drawn at most this often, not at every batch.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Used by several threads at a time.
pub(super) struct Progress {
    began: Instant,
    /// Of the file, in bytes, if it is known.
    size: Option<u64>,
    /// Where bad books are kept; then they do not end the import.
    skipped: Option<Mutex<Skipped>>,
    /// Nothing is sent, and every bad book is reported.
    only_checks: bool,
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
    /// Of those: with another price or quantity.
    pub(super) differing: u64,
    /// Those that were there with another price or quantity, until now.
    pub(super) updated: u64,
    /// Checked only, and fine.
    fine: u64,
    pub(super) bad: u64,
    /// Of books without ids: none that begins after this line was sent. `None`: the books have
    /// ids.
    pub(super) sent_through_line: Option<u64>,
    /// Why nothing more is sent.
    pub(super) failed: Option<String>,
    drawn: Option<Instant>,
}

/// The file of bad books: the header of their table, and each as it stood in the file.
pub(super) struct Skipped {
    file: File,
    path: PathBuf,
    header: Vec<u8>,
}

impl Skipped {
    /// Fails when the file exists, so that none is lost.
    pub(super) fn create(path: &Path) -> Result<Skipped, String> {
        let created = OpenOptions::new().write(true).create_new(true).open(path);
        let file = created.map_err(|e| format!("cannot create {}: {e}", path.display()))?;
        Ok(Skipped {
            file,
            path: path.into(),
            header: Vec::new(),
        })
    }

    fn keep(&mut self, raw: &RawBook) -> Result<(), String> {
        let header = std::mem::take(&mut self.header);
        let lines = [header, with_line_break(&raw.text)].concat();
        let written = self.file.write_all(&lines);
        written.map_err(|e| format!("cannot write to {}: {e}", self.path.display()))
    }
}

/// Records of a table and lines of JSON may have lost theirs.
fn with_line_break(text: &[u8]) -> Vec<u8> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    [text, b"\n"].concat()
}

impl Progress {
    pub(super) fn new(
        size: Option<u64>,
        skipped: Option<Skipped>,
        only_checks: bool,
        stderr: Box<dyn Write + Send>,
        is_terminal: bool,
    ) -> Progress {
        Progress {
            began: Instant::now(),
            size,
            skipped: skipped.map(Mutex::new),
            only_checks,
            is_terminal,
            stderr: Mutex::new(stderr),
            counts: Mutex::default(),
        }
    }

    /// The file is a table with this header.
    pub(super) fn note_header(&self, header: &RawBook) {
        if let Some(skipped) = &self.skipped {
            lock(skipped).header = with_line_break(&header.text);
        }
    }

    /// Reports, keeps and counts a bad book.
    pub(super) fn report_bad(&self, raw: &RawBook, why: &str) {
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        self.write(&format!("{clear}line {}: {why}\n", raw.line));
        let kept = self.skipped.as_ref().map(|skipped| lock(skipped).keep(raw));
        let mut counts = lock(&self.counts);
        counts.bad += 1;
        if let Some(Err(why)) = kept {
            counts.failed.get_or_insert(why);
        }
    }

    /// Counts a book that was checked only.
    pub(super) fn count_fine(&self) {
        lock(&self.counts).fine += 1;
    }

    /// Draws the progress line when it is due. This many bytes of the file are done.
    pub(super) fn draw(&self, bytes: u64) {
        let mut counts = lock(&self.counts);
        let due = counts.drawn.is_none_or(|at| DRAW_INTERVAL <= at.elapsed());
        if self.is_terminal && due {
            counts.drawn = Some(Instant::now());
            let books = counts.all();
            let line = line(books, bytes, self.size, self.began.elapsed());
            self.write(&format!("\r{line}\x1b[K"));
        }
    }

    /// Whether reading on makes no sense.
    pub(super) fn is_stopped(&self) -> bool {
        let counts = lock(&self.counts);
        counts.failed.is_some() || (0 < counts.bad && self.skipped.is_none() && !self.only_checks)
    }

    /// The summary; or what ended the import, the summary, and how to continue. `read`: whether
    /// the file was read to its end.
    pub(super) fn outcome(&self, read: Result<(), String>) -> Result<String, String> {
        self.clear();
        let counts = lock(&self.counts);
        let seconds = self.began.elapsed().as_secs_f64();
        let summary = format!("{}; {seconds:.1} s", counts.summary());
        let bad =
            (0 < counts.bad && self.skipped.is_none()).then(|| "stopped at a bad book".to_string());
        match counts.failed.clone().or(read.err()).or(bad) {
            None => Ok(summary),
            Some(why) => Err(format!("{why}\n{summary}\n{}", counts.advice())),
        }
    }

    /// As [`Self::outcome`], of a check. Fails when there is a bad book.
    pub(super) fn checked(&self, read: Result<(), String>) -> Result<String, String> {
        self.clear();
        let counts = lock(&self.counts);
        let summary = format!(
            "checked: fine {}, bad {}; nothing was sent",
            counts.fine, counts.bad
        );
        match counts.failed.clone().or(read.err()) {
            Some(why) => Err(format!("{why}\n{summary}")),
            None if 0 < counts.bad => Err(summary),
            None => Ok(summary),
        }
    }

    fn clear(&self) {
        if self.is_terminal {
            self.write("\r\x1b[K");
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
    fn all(&self) -> u64 {
        self.added + self.already_there + self.updated + self.fine + self.bad
    }

    fn summary(&self) -> String {
        let Counts {
            added,
            already_there,
            differing,
            updated,
            bad,
            ..
        } = self;
        let mut summary = format!("added {added}, ");
        if 0 < *updated {
            summary += &format!("updated {updated}, ");
        }
        summary += &format!("there already {already_there}");
        if 0 < *differing {
            summary += &format!(
                " ({differing} of them with another price or quantity, which --update would set)"
            );
        }
        summary + &format!(", bad {bad}")
    }

    /// How to continue once the cause of the failure is gone.
    fn advice(&self) -> String {
        match self.sent_through_line {
            Some(line) => format!(
                "These books have no ids, and what was added stays. Go on with --from-line {}; \
                mended books go into a file of their own.",
                line + 1
            ),
            None => "To go on, run the same import again: what was added is not added twice. \
                --skip-bad FILE goes on after bad books and keeps them."
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

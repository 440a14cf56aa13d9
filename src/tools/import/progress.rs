//! What an import writes to stderr: bad books, and on a terminal a progress line.

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
    is_terminal: bool,
    /// Locked while something is written.
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    books: u64,
    /// How much of the file is done.
    bytes: u64,
    drawn: Option<Instant>,
}

impl Progress {
    pub(super) fn new(
        size: Option<u64>,
        out: Box<dyn Write + Send>,
        is_terminal: bool,
    ) -> Progress {
        let state = State {
            out,
            books: 0,
            bytes: 0,
            drawn: None,
        };
        Progress {
            began: Instant::now(),
            size,
            is_terminal,
            state: Mutex::new(state),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// `books` more books are done, and the file up to the byte `bytes`.
    pub(super) fn advance(&self, books: u64, bytes: u64) {
        let mut state = lock(&self.state);
        state.books += books;
        state.bytes = state.bytes.max(bytes);
        let due = state.drawn.is_none_or(|at| DRAW_INTERVAL <= at.elapsed());
        if self.is_terminal && due {
            let line = line(state.books, state.bytes, self.size, self.elapsed());
            state.write(&format!("\r{line}\x1b[K"));
            state.drawn = Some(Instant::now());
        }
    }

    /// Writes a line that stays.
    pub(super) fn print(&self, line: &str) {
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        lock(&self.state).write(&format!("{clear}{line}\n"));
    }

    /// Removes the progress line.
    pub(super) fn end(&self) {
        if self.is_terminal {
            lock(&self.state).write("\r\x1b[K");
        }
    }
}

impl State {
    /// Ignores failures: they are no reason to stop importing.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
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

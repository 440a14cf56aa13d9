//! A structured log: one line of JSON on stderr for each event.
//!
//! A line has `time` (RFC 3339, UTC, milliseconds), `level`, `server`, `message`, and then the
//! event's own fields. It is one write, so that lines of several threads, or of several servers on
//! one terminal, never mix. A line that cannot be written is lost: a full disk behind stderr is no
//! reason to stop selling. Files and their rotation are left to the process that starts the server.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// How important an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Reads `debug`, `info`, `warn` or `error`, in any case.
    pub(crate) fn parse(text: &str) -> Option<Level> {
        let all = [Level::Debug, Level::Info, Level::Warn, Level::Error];
        all.into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text.trim()))
    }

    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// A name and a value beside an event's message.
pub type Field<'a> = (&'a str, &'a dyn Display);

/// The lowest level that is written. It and the server's name are statics, because stderr is one
/// for the whole process too, and a log that is handed on would be in the signature of every
/// function.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

static SERVER: RwLock<Option<Arc<str>>> = RwLock::new(None);

/// Sets the server's name and the lowest level that is written. Before the first call they are
/// `bazar` and [`Level::Info`].
pub fn init(server: &str, level: Level) {
    set_server(server);
    LEVEL.store(level as u8, Relaxed);
}

/// Sets the server's name: it has the port in it, which the system may have chosen.
pub(crate) fn set_server(name: &str) {
    *SERVER.write().unwrap_or_else(PoisonError::into_inner) = Some(name.into());
}

/// Whether events of this level are written.
pub(crate) fn enabled(level: Level) -> bool {
    LEVEL.load(Relaxed) <= level as u8
}

pub(crate) fn debug(message: &str, fields: &[Field]) {
    event(Level::Debug, message, fields);
}

pub(crate) fn info(message: &str, fields: &[Field]) {
    event(Level::Info, message, fields);
}

/// An event of level `info` that is written with `LOG=warn` too, such as a start.
pub(crate) fn always(message: &str, fields: &[Field]) {
    if enabled(Level::Warn) {
        write(Level::Info, message, fields);
    }
}

pub(crate) fn warn(message: &str, fields: &[Field]) {
    event(Level::Warn, message, fields);
}

pub fn error(message: &str, fields: &[Field]) {
    event(Level::Error, message, fields);
}

fn event(level: Level, message: &str, fields: &[Field]) {
    if enabled(level) {
        write(level, message, fields);
    }
}

fn write(level: Level, message: &str, fields: &[Field]) {
    let server = SERVER
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let server = server.as_deref().unwrap_or("bazar");
    let line = line(SystemTime::now(), level, server, message, fields);
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// How long a repeated event is only counted, in seconds.
const REPEATED_S: u64 = 60;

/// An event that may happen again and again, because of a client or of a busy machine: it is
/// written at once, and then at most once a minute, with how often it was not written.
#[derive(Debug, Default)]
pub(crate) struct RateLimited {
    /// The second since 1970 in which it was last written.
    last: AtomicU64,
    not_written: AtomicU64,
}

impl RateLimited {
    pub(crate) const fn new() -> RateLimited {
        RateLimited {
            last: AtomicU64::new(0),
            not_written: AtomicU64::new(0),
        }
    }

    pub(crate) fn warn(&self, message: &str, fields: &[Field]) {
        let second = since_1970(SystemTime::now()).as_secs();
        let Some(not_written) = self.due(second) else {
            return;
        };
        let mut fields = fields.to_vec();
        if 0 < not_written {
            fields.push(("repeated", &not_written));
        }
        warn(message, &fields);
    }

    /// How often it was not written before, if it is to be written now.
    fn due(&self, second: u64) -> Option<u64> {
        let is_over = |last: u64| second.abs_diff(last) >= REPEATED_S;
        let claim = |last| is_over(last).then_some(second);
        if self.last.fetch_update(Relaxed, Relaxed, claim).is_err() {
            self.not_written.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.not_written.swap(0, Relaxed))
    }
}

fn line(time: SystemTime, level: Level, server: &str, message: &str, fields: &[Field]) -> String {
    let mut line = format!(
        r#"{{"time":"{}","level":"{}","server":{},"message":{}"#,
        rfc3339(time),
        level.name(),
        quoted(server),
        quoted(message)
    );
    for (name, value) in fields {
        let value = value.to_string();
        let value = if is_number(&value) {
            value
        } else {
            quoted(&value)
        };
        line += &format!(",{}:{value}", quoted(name));
    }
    line += "}\n";
    line
}

/// Whether a field's text is written as a JSON number, so that readers can compare and sum it: a
/// plain decimal that every JSON reader keeps exactly.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = 1 < whole.len() && whole.starts_with('0');
    text.len() <= 15 && all_digits(whole) && all_digits(fraction) && !leading_zero
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(crate) fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// For example `2025-01-31T23:59:59.999Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = since_1970(time);
    let (year, month, day) = civil((since.as_secs() / 86_400) as i64);
    let second = since.as_secs() % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// Year, month and day of a number of days since 1970-01-01: Howard Hinnant's `civil_from_days`,
/// whose years begin in March so that the leap day is the last.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_its_fields_contain() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_210_096_789);
        let fields: [Field; 4] = [
            ("status", &200),
            ("ms", &0.25),
            ("id", &"007"),
            ("text", &"a \"b\"\n\u{1b}"),
        ];
        let line = line(time, Level::Warn, "catalog 1", "two\nlines", &fields);
        assert_eq!(
            line,
            concat!(
                r#"{"time":"2024-02-29T12:34:56.789Z","level":"warn","server":"catalog 1","#,
                r#""message":"two\nlines","#,
                r#""status":200,"ms":0.25,"id":"007","text":"a \"b\"\n\u001b"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn every_unquoted_number_is_json() {
        for text in ["0", "-1", "12.50", "-0.0", "123456789012345"] {
            assert!(is_number(text), "{text}");
            assert!(serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "01",
            "1e5",
            "NaN",
            "+1",
            "1234567890123456",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[track_caller]
    fn check_day(days: i64, expected: (i64, i64, i64)) {
        assert_eq!(civil(days), expected);
    }

    #[test]
    fn days_become_dates_of_the_calendar() {
        check_day(0, (1970, 1, 1));
        check_day(58, (1970, 2, 28));
        check_day(59, (1970, 3, 1));
        check_day(11_016, (2000, 2, 29));
        check_day(20_088, (2024, 12, 31));
        check_day(47_541, (2100, 3, 1));
    }

    #[test]
    fn a_level_is_read_in_any_case_and_nothing_else_is() {
        assert_eq!(Level::parse("WARN"), Some(Level::Warn));
        assert_eq!(Level::parse("verbose"), None);
    }

    #[test]
    fn a_repeated_event_is_written_once_a_minute_with_a_count() {
        let event = RateLimited::new();
        let written = (1000..1125).map(|second| event.due(second));
        let written: Vec<(usize, u64)> = written
            .enumerate()
            .filter_map(|(at, count)| Some((at, count?)))
            .collect();
        assert_eq!(written, [(0, 0), (60, 59), (120, 59)]);
    }
}

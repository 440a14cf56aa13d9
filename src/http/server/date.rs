//! The `Date` of responses (RFC 9110, 6.6.1).

use std::cell::Cell;
use std::time::SystemTime;

use crate::runtime::log;

/// `Thu, 01 Jan 1970 00:00:00 GMT`
pub(super) const LENGTH: usize = 29;

thread_local! {
    /// The second and its text: each thread writes it once a second, without a lock.
    static LATEST: Cell<(u64, [u8; LENGTH])> = const { Cell::new((u64::MAX, [0; LENGTH])) };
}

/// The date now.
pub(super) fn now() -> [u8; LENGTH] {
    let second = log::since_1970(SystemTime::now()).as_secs();
    let (of, text) = LATEST.get();
    if of == second {
        return text;
    }
    let text = written(second);
    LATEST.set((second, text));
    text
}

fn written(second: u64) -> [u8; LENGTH] {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = second / 86_400;
    let (year, month, day) = log::civil(days as i64);
    let text = format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize - 1],
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
    );
    let bytes = text.as_bytes().first_chunk();
    *bytes.expect("a date of this millennium has a fixed length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(second: u64, expected: &str) {
        assert_eq!(written(second), *expected.as_bytes(), "{second}");
    }

    #[test]
    fn a_second_is_written_as_rfc_9110_says() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_825_599, "Tue, 29 Feb 2000 11:59:59 GMT");
        check(4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT");
    }

    #[test]
    fn a_date_is_made_once_a_second() {
        let now = || log::since_1970(SystemTime::now()).as_secs();
        let (before, date, after) = (now(), super::now(), now());
        assert!((before..=after).any(|second| written(second) == date));
    }
}

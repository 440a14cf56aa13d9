//! Dates as people write them.

use crate::runtime::log::civil;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The number of a date such as `2026-11-26`, in days since 1970.
pub(crate) fn day_of(date: &str) -> Option<u64> {
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1970..10_000).contains(&year) {
        return None;
    }
    let about = (year - 1970) * 365 + (year - 1969) / 4 + (month.clamp(1, 12) - 1) * 30;
    // Leap days of centuries, and months of other lengths.
    let mut near = (about - 80).max(0)..about + 45;
    let found = near.find(|number| civil(*number) == (year, month, day));
    found.map(|number| number as u64)
}

/// A time in ms since 1970: of `2026-11-26`, which is its first moment, or
/// `2026-11-26T12:30:59.250Z`, in UTC.
pub(crate) fn parse_time(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let time = time.strip_suffix('Z')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    if parts.next().is_some() || 23 < hour || 59 < minute || 60 < second {
        return None;
    }
    Some(day_of(date)? * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_found_by_its_date() {
        for day in (0..60_000).step_by(7).chain(20_000..20_800) {
            let (year, month, date) = civil(day);
            let text = format!("{year:04}-{month:02}-{date:02}");
            assert_eq!(day_of(&text), Some(day as u64), "{text}");
        }
        for text in [
            "",
            "2026-02-30",
            "2026-13-01",
            "2026-11",
            "x-1-1",
            "2026-1-1-1",
        ] {
            assert_eq!(day_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_read_to_the_millisecond() {
        assert_eq!(parse_time("1970-01-02"), Some(DAY_MS));
        assert_eq!(
            parse_time("2024-02-29T12:34:56.789Z"),
            Some(1_709_210_096_789)
        );
        assert_eq!(parse_time("1970-01-01T00:00:01Z"), Some(1000));
        for text in [
            "",
            "12:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T24:00:00Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}

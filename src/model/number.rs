//! Whole numbers in texts and in JSON.

/// The largest whole number that every JSON reader keeps exactly: 2^53 - 1.
pub(crate) const EXACT_MAX: u64 = (1 << 53) - 1;

/// Reads ASCII decimal digits, so `007` is 7. A number that does not fit is `u64::MAX`. `None`: not
/// a number (`-1`, `1.5`, `²`, ` 1`, an empty text).
pub(crate) fn parse_digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// As [`parse_digits`], but `None` for a number above [`EXACT_MAX`].
pub(crate) fn parse_exact(text: &str) -> Option<u64> {
    parse_digits(text).filter(|number| *number <= EXACT_MAX)
}

/// For fields that are left out when they are 0.
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

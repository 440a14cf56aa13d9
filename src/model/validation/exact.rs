//! Numbers that are kept exactly as they were written. A float holds 15 digits for certain: without
//! this check `1e-400` would become 0, and `0.1000000000000000001` would become 0.1.

use crate::model::error::{Error, Result};

/// The longest excerpt of a number in a message.
const EXCERPT_CHARS_MAX: usize = 60;

/// Looks at every number with a point or an exponent in a JSON text. Fails with `Invalid` at one
/// that a float would change.
pub(super) fn check(json: &[u8]) -> Result<()> {
    let mut rest = json;
    while let Some(byte) = rest.first() {
        let length = match byte {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => 1,
        };
        let (token, after) = rest.split_at(length.min(rest.len()));
        let is_number = matches!(byte, b'-' | b'0'..=b'9');
        if is_number && token.iter().any(|b| b".eE".contains(b)) {
            check_number(&String::from_utf8_lossy(token))?;
        }
        rest = after;
    }
    Ok(())
}

fn check_number(literal: &str) -> Result<()> {
    let kept = literal.parse::<f64>().map(|number| format!("{number:e}"));
    if kept.is_ok_and(|kept| decimal(&kept) == decimal(literal)) {
        return Ok(());
    }
    let excerpt: String = literal.chars().take(EXCERPT_CHARS_MAX).collect();
    Err(Error::Invalid(format!(
        "a number was {excerpt}; it may be one of at most 15 digits, such as 12.5"
    )))
}

/// The length of the string that begins here, with both quotes.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn number_length(text: &[u8]) -> usize {
    let is_of_number = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
    text.iter().take_while(|b| is_of_number(b)).count()
}

/// The digits without zeros at either end, and the power of ten of the last one: two ways to write
/// a number give the same.
fn decimal(literal: &str) -> (String, i64) {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return (String::new(), 0);
    }
    // An exponent that is no such number is one that no float has.
    let exponent = exponent.parse::<i64>().unwrap_or(i64::from(i32::MAX));
    let dropped = digits.len() - kept.len();
    let power = exponent
        .saturating_sub(fraction.len() as i64)
        .saturating_add(dropped as i64);
    (kept.to_string(), power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_a_float_would_change_is_refused() {
        for number in [
            "1e-400",
            "0.1000000000000000001",
            "9007199254740993.0",
            "1.00000000000000000001",
            "-1e-400",
            "123456789012345678e0",
            "0.30000000000000000001",
            "1e-99999999999999999999",
        ] {
            for text in [number.to_string(), format!("{{\"a\\\"\": [1, {number}]}}")] {
                let error = check(text.as_bytes()).unwrap_err();
                assert!(error.message().contains(number), "{text}: {error}");
            }
        }
    }

    #[test]
    fn a_number_that_a_float_keeps_is_not() {
        for text in [
            "0.0",
            "-0.0",
            "0e5",
            "0.000",
            "12.50",
            "1e2",
            "1E+2",
            "100.0e-2",
            "0.1",
            "0.30",
            "12345.678",
            "1e308",
            "18446744073709551616",
            "999999999.999",
            "000",
            "true",
            "null",
            "{\"1e-400\": \"1e-400\\\\\", \"b\": \"\\\"1e-400\"}",
            "\"",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }
}

//! Records of a table of text: comma separated values (RFC 4180), or with semicolons or tabs.
//!
//! A field that holds a separator, a quote or a line break stands in quotes, and a quote inside it
//! is doubled. Nothing is guessed: a quote anywhere else makes a bad record, which spoils no other.

use std::borrow::Cow;

/// What may separate fields, the likeliest first.
pub(crate) const SEPARATORS: &[u8] = b",;\t";

/// Finds the ends of records while bytes go by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Scan {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted field: it ended, or this is the first of two.
    QuoteInQuoted,
}

impl Scan {
    /// Goes past a byte. Returns whether it ends the record: a line break outside quotes.
    pub(crate) fn ends_at(&mut self, byte: u8, separators: &[u8]) -> bool {
        *self = match (*self, byte) {
            (Scan::Quoted, b'"') => Scan::QuoteInQuoted,
            (Scan::Quoted, _) | (Scan::FieldStart | Scan::QuoteInQuoted, b'"') => Scan::Quoted,
            (_, b'\n') => return true,
            (_, byte) if separators.contains(&byte) => Scan::FieldStart,
            _ => Scan::Plain,
        };
        false
    }
}

/// The separator of a table with this header: the one that stands there most often outside quotes,
/// a comma if there is none.
pub(crate) fn separator(header: &[u8]) -> u8 {
    let (mut scan, mut counts) = (Scan::default(), [0; SEPARATORS.len()]);
    for &byte in header {
        scan.ends_at(byte, SEPARATORS);
        if let (Scan::FieldStart, Some(at)) = (scan, SEPARATORS.iter().position(|s| *s == byte)) {
            counts[at] += 1;
        }
    }
    let most = (0..SEPARATORS.len()).rev().max_by_key(|at| counts[*at]);
    SEPARATORS[most.unwrap_or(0)]
}

/// The fields of a record, without its quotes and the line break at its end.
///
/// Fails, in words, when a quote stands where none may, and when the text is not UTF-8.
pub(crate) fn fields(record: &[u8], separator: u8) -> Result<Vec<String>, String> {
    let text = str::from_utf8(record).map_err(|_| "not UTF-8: save the file as UTF-8 again")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut rest = Some(text.strip_suffix('\r').unwrap_or(text));
    let mut found = Vec::new();
    while let Some(text) = rest {
        let (field, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, separator)?,
            None => plain_field(text, separator)?,
        };
        found.push(field);
        rest = after;
    }
    Ok(found)
}

type FieldAndRest<'a> = (String, Option<&'a str>);

fn plain_field(text: &str, separator: u8) -> Result<FieldAndRest<'_>, String> {
    let (field, rest) = match text.split_once(char::from(separator)) {
        Some((field, rest)) => (field, Some(rest)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err(format!(
            "{field:?} has a quote: double it, and put quotes around the field"
        ));
    }
    Ok((field.to_string(), rest))
}

/// `text` begins after the first quote.
fn quoted_field(text: &str, separator: u8) -> Result<FieldAndRest<'_>, String> {
    let mut quotes = text.match_indices('"').map(|(at, _)| at);
    let end = loop {
        let at = quotes.next().ok_or("a quote is not closed")?;
        if !text[at + 1..].starts_with('"') {
            break at;
        }
        quotes.next();
    };
    let field = text[..end].replace("\"\"", "\"");
    let rest = &text[end + 1..];
    match rest.strip_prefix(char::from(separator)) {
        Some(rest) => Ok((field, Some(rest))),
        None if rest.is_empty() => Ok((field, None)),
        None => Err(format!("{rest:?} stands behind a closing quote")),
    }
}

/// A field as it is written to a table with commas.
pub(crate) fn quoted_if_needed(field: &str) -> Cow<'_, str> {
    if field.contains(['"', ',', '\r', '\n', ';', '\t']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\"")).into()
    } else {
        field.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: &str, expected: &[&str]) {
        let fields = fields(record.as_bytes(), separator(record.as_bytes()));
        assert_eq!(fields.unwrap(), expected, "{record}");
    }

    #[track_caller]
    fn check_bad(record: &[u8], expected: &str) {
        let why = fields(record, b',').unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    /// Those of its section 2, each of which is one record.
    #[test]
    fn the_examples_of_rfc_4180() {
        check("aaa,bbb,ccc\r\n", &["aaa", "bbb", "ccc"]);
        check("zzz,yyy,xxx", &["zzz", "yyy", "xxx"]);
        check("field_name,field_name,field_name\r\n", &["field_name"; 3]);
        check("\"aaa\",\"bbb\",\"ccc\"\r\n", &["aaa", "bbb", "ccc"]);
        check(
            "\"aaa\",\"b\r\nbb\",\"ccc\"\r\n",
            &["aaa", "b\r\nbb", "ccc"],
        );
        check("\"aaa\",\"b\"\"bb\",\"ccc\"", &["aaa", "b\"bb", "ccc"]);
    }

    #[test]
    fn spaces_and_empty_fields_are_kept() {
        check(" a , ,", &[" a ", " ", ""]);
        check("", &[""]);
        check("\"\",\"\"\"\"", &["", "\""]);
    }

    #[test]
    fn the_separator_is_the_one_that_the_header_has_most_often() {
        check("a;b,c;d", &["a", "b,c", "d"]);
        check("a\tb\tc, d", &["a", "b", "c, d"]);
        check("\"a,b,c\";d", &["a,b,c", "d"]);
        check("title", &["title"]);
    }

    #[test]
    fn a_quote_where_none_may_be_makes_a_bad_record() {
        check_bad(b"5\" disk,a", "double it");
        check_bad(b"\"a\" b,c", "behind a closing quote");
        check_bad(b"\"a,b", "not closed");
        check_bad(b"\xfcber,a", "not UTF-8");
    }

    #[test]
    fn a_record_ends_at_a_line_break_outside_quotes() {
        let ends = |text: &str| {
            let mut scan = Scan::default();
            text.bytes().position(|byte| scan.ends_at(byte, b","))
        };
        assert_eq!(ends("a,\"b\n\"\"c\n\",d\ne"), Some(12));
        assert_eq!(ends("5\" disk\n5\" disk\n"), Some(7));
        assert_eq!(ends("\"a\nb\n"), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for field in ["a", "a,b", "\"", " a", "a\r\nb", "a;b", "ü", ""] {
            let line = format!("{},x", quoted_if_needed(field));
            assert_eq!(fields(line.as_bytes(), b',').unwrap(), [field, "x"]);
        }
    }
}

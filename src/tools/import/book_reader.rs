//! Splits a file of books while it reads: a JSON array, JSON lines (one book a line), or a table
//! (a record a book).
//!
//! It only looks for the ends of books; whether the text is a book is for the caller to say. So a
//! bad book does not spoil the rest of its file. At most one book is in memory, and of that at most
//! [`BOOK_BYTES_MAX`].

use std::io::{self, BufReader, Bytes, Read};
use std::iter::Peekable;

use crate::tools::csv::{self, Scan};

/// A longer book is a bad one. The longest possible book, with every letter escaped, has half of
/// that; a thousand of them still fit into the 16 MB that a catalog accepts.
pub(super) const BOOK_BYTES_MAX: usize = 12 * 1024;

/// One book as it stands in the file, or the header of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawBook {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// The offset in the file of the byte after it.
    pub(super) end: u64,
    /// Cut off after one byte more than [`BOOK_BYTES_MAX`].
    pub(super) text: Vec<u8>,
}

/// Reads the books of a file one after the other.
pub(super) struct BookReader<R: Read> {
    bytes: Peekable<Bytes<BufReader<R>>>,
    line: u64,
    offset: u64,
    format: Format,
    /// What may separate the fields of a table: its header is read with all.
    separators: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    /// Nothing was read yet.
    Unknown,
    Lines,
    Table,
    Array,
    /// An array whose `]` was read.
    ArrayEnded,
}

/// Where in the text of an array's element the next byte is.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl<R: Read> BookReader<R> {
    pub(super) fn new(file: R) -> BookReader<R> {
        BookReader {
            bytes: BufReader::with_capacity(1 << 16, file).bytes().peekable(),
            line: 1,
            offset: 0,
            format: Format::Unknown,
            separators: csv::SEPARATORS.to_vec(),
        }
    }

    /// The header, if the file is a table: it begins with neither `[` nor `{`.
    pub(super) fn header(&mut self) -> Result<Option<RawBook>, String> {
        if self.format == Format::Unknown {
            self.detect_format()?;
        }
        if self.format == Format::Table {
            self.next_book()
        } else {
            Ok(None)
        }
    }

    /// From now on only this separates the fields of a table.
    pub(super) fn set_separator(&mut self, separator: u8) {
        self.separators = vec![separator];
    }

    /// The next book. Empty lines and empty elements are skipped. Fails with the line when the file
    /// cannot be read, or its array does not end, or more comes after it.
    pub(super) fn next_book(&mut self) -> Result<Option<RawBook>, String> {
        let found = self.find_book();
        found.map_err(|problem| format!("line {}: {problem}", self.line))
    }

    fn find_book(&mut self) -> Result<Option<RawBook>, String> {
        if self.format == Format::Unknown {
            self.detect_format()?;
        }
        while self.skip_whitespace()? {
            let book = self.read_book()?;
            if !book.text.is_empty() {
                return Ok(Some(book));
            }
        }
        Ok(None)
    }

    /// Skips the byte order mark that some editors put before UTF-8.
    fn detect_format(&mut self) -> Result<(), String> {
        for byte in [0xEF, 0xBB, 0xBF] {
            if self.peek()? == Some(byte) {
                self.next_byte()?;
            }
        }
        self.format = Format::Lines;
        self.skip_whitespace()?;
        match self.peek()? {
            Some(b'[') => {
                self.next_byte()?;
                self.format = Format::Array;
            }
            None | Some(b'{') => (),
            Some(_) => self.format = Format::Table,
        }
        Ok(())
    }

    /// Returns whether anything is left. In a table a blank may be a field, or separate two.
    fn skip_whitespace(&mut self) -> Result<bool, String> {
        let is_table = self.format == Format::Table;
        let is_skipped = |byte: u8| match byte {
            b'\r' | b'\n' => true,
            byte => !is_table && byte.is_ascii_whitespace(),
        };
        while self.peek()?.is_some_and(is_skipped) {
            self.next_byte()?;
        }
        match (self.peek()?, self.format) {
            (Some(_), Format::ArrayEnded) => {
                Err("more stands here after the end of the list".into())
            }
            (None, Format::Array) => Err("the file ends in the middle of its list".into()),
            (left, _) => Ok(left.is_some()),
        }
    }

    /// Reads to the end of the line or of the array's element. White space was skipped.
    fn read_book(&mut self) -> Result<RawBook, String> {
        let (line, mut text) = (self.line, Vec::new());
        let (mut nesting, mut scan) = (Nesting::default(), Scan::default());
        loop {
            match self.next_byte()? {
                None if self.format == Format::Array => {
                    return Err(format!("the file ends in the book of line {line}"));
                }
                None => break,
                Some(b'\n') if self.format == Format::Lines => break,
                Some(byte) if self.format == Format::Table && self.ends_record(&mut scan, byte) => {
                    break;
                }
                Some(byte) if self.format == Format::Array && nesting.ends_at(byte) => {
                    if byte == b']' {
                        self.format = Format::ArrayEnded;
                    }
                    break;
                }
                Some(byte) if text.len() <= BOOK_BYTES_MAX => text.push(byte),
                Some(_) => {}
            }
        }
        let end = self.offset;
        Ok(RawBook { line, end, text })
    }

    fn ends_record(&self, scan: &mut Scan, byte: u8) -> bool {
        scan.ends_at(byte, &self.separators)
    }

    fn peek(&mut self) -> Result<Option<u8>, String> {
        let byte = self.bytes.peek().map(|byte| byte.as_ref().copied());
        byte.transpose().map_err(unreadable)
    }

    fn next_byte(&mut self) -> Result<Option<u8>, String> {
        let byte = self.bytes.next().transpose();
        let byte = byte.map_err(|error| unreadable(&error))?;
        self.offset += u64::from(byte.is_some());
        self.line += u64::from(byte == Some(b'\n'));
        Ok(byte)
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot read on: {error}")
}

impl Nesting {
    /// Goes past a byte. Returns whether that byte ends the element.
    fn ends_at(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b',' | b']' if self.depth == 0 => return true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{BOOK_BYTES_MAX, BookReader};

    /// The lines and texts of the books, and the error if there is one.
    fn books(text: &str) -> (Vec<(u64, String)>, Option<String>) {
        let mut reader = BookReader::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            match reader.next_book() {
                Ok(Some(raw)) => {
                    let text = String::from_utf8(raw.text).unwrap();
                    found.push((raw.line, text.trim_end().to_string()));
                }
                Ok(None) => return (found, None),
                Err(what) => return (found, Some(what)),
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &str)], error: Option<&str>) {
        let (found, what) = books(text);
        let found: Vec<_> = found.iter().map(|(line, t)| (*line, t.as_str())).collect();
        assert_eq!((&found[..], what.as_deref()), (expected, error), "{text}");
    }

    #[test]
    fn an_array_and_lines_give_the_same_books() {
        let books = [(1, r#"{"a":"],[","b":[1,{"c":"\"}"}]}"#), (2, "{}")];
        let [(_, first), (_, second)] = books;
        check(&format!("{first}\n{second}"), &books, None);
        check(&format!("\u{feff}[{first},\n{second}]\n"), &books, None);
        check(&format!("[{first}\n,{second}\n]"), &books, None);
    }

    #[test]
    fn empty_lines_and_elements_are_not_books() {
        check("", &[], None);
        check(" \n[ ] ", &[], None);
        check("\r\n{}\r\n\n  \n{}\n\n", &[(2, "{}"), (5, "{}")], None);
        check("[{},\n,{},]", &[(1, "{}"), (2, "{}")], None);
    }

    #[test]
    fn a_bad_book_spoils_no_other() {
        check("{\n}\n{}", &[(1, "{"), (2, "}"), (3, "{}")], None);
        check("[{a},}b,\n{}]", &[(1, "{a}"), (1, "}b"), (2, "{}")], None);
    }

    #[test]
    fn a_table_has_a_record_a_book() {
        let text = "\u{feff}\r\nid,title\r\n1,\"a\nb\"\r\n\r\n ,x\n2,5\" disk\n3,c";
        let expected = [
            (2, "id,title"),
            (3, "1,\"a\nb\""),
            (6, " ,x"),
            (7, "2,5\" disk"),
            (8, "3,c"),
        ];
        check(text, &expected, None);
    }

    #[test]
    fn a_malformed_array_is_reported_with_the_line() {
        let middle = "line 2: the file ends in the middle of its list";
        check("[{},\n", &[(1, "{}")], Some(middle));
        let inside = "line 3: the file ends in the book of line 2";
        check("[{},\n{\n", &[(1, "{}")], Some(inside));
        let more = "line 2: more stands here after the end of the list";
        check("[{}]\n{}", &[(1, "{}")], Some(more));
    }

    #[test]
    fn an_endless_book_does_not_fill_the_memory() {
        let text = "{".repeat(BOOK_BYTES_MAX * 3);
        let mut reader = BookReader::new(text.as_bytes());
        let raw = reader.next_book().unwrap().unwrap();
        assert_eq!(raw.text.len(), BOOK_BYTES_MAX + 1);
        assert_eq!(raw.end, text.len() as u64);
    }
}

//! A file of books, taken apart while it is read: a JSON array, or JSON lines (one book a line).
//!
//! Only the ends of the books are looked for here; whether a piece is a book is judged later. So a
//! bad book costs itself and not its file. At most one book is in memory, and of that at most
//! [`BOOK_BYTES_MAX`].

use std::io::{self, BufReader, Bytes, Read};
use std::iter::Peekable;

/// A longer book is a bad one. The longest possible one, with every letter escaped, has half of
/// that; a thousand of them still fit into the 16 MB that a catalog takes.
pub const BOOK_BYTES_MAX: usize = 12 * 1024;

/// One book as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// How many bytes of the file end with it.
    pub end: u64,
    /// Cut off after [`BOOK_BYTES_MAX`] and one more.
    pub text: Vec<u8>,
}

/// Gives the books of a file one after the other.
pub struct Source<R: Read> {
    bytes: Peekable<Bytes<BufReader<R>>>,
    line: u64,
    offset: u64,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Unread,
    Lines,
    List,
    /// A list whose `]` was read.
    Ended,
}

/// Where in a list's text the next byte is.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl<R: Read> Source<R> {
    pub fn new(file: R) -> Source<R> {
        Source {
            bytes: BufReader::with_capacity(1 << 16, file).bytes().peekable(),
            line: 1,
            offset: 0,
            shape: Shape::Unread,
        }
    }

    /// The next book; nothing between two commas, or on a line, is none. Fails with the line when
    /// the file cannot be read or its list has no end, or more after it.
    pub fn next(&mut self) -> Result<Option<Piece>, String> {
        let found = match self.shape {
            Shape::Unread => self.begin().and_then(|()| self.find()),
            _ => self.find(),
        };
        found.map_err(|what| format!("line {}: {what}", self.line))
    }

    fn find(&mut self) -> Result<Option<Piece>, String> {
        while self.blank()? {
            let piece = self.piece()?;
            if !piece.text.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Looks whether the file is a list. Skips the mark that some editors put before UTF-8.
    fn begin(&mut self) -> Result<(), String> {
        for byte in [0xEF, 0xBB, 0xBF] {
            if self.peek()? == Some(byte) {
                self.take()?;
            }
        }
        self.shape = Shape::Lines;
        if self.blank()? && self.peek()? == Some(b'[') {
            self.take()?;
            self.shape = Shape::List;
        }
        Ok(())
    }

    /// Skips white space; whether anything is left to be taken apart.
    fn blank(&mut self) -> Result<bool, String> {
        while self.peek()?.is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.take()?;
        }
        match (self.peek()?, self.shape) {
            (Some(_), Shape::Ended) => Err("more stands here after the end of the list".into()),
            (None, Shape::List) => Err("the file ends in the middle of its list".into()),
            (left, _) => Ok(left.is_some()),
        }
    }

    /// Everything up to the end of the line, or of the element. White space was skipped.
    fn piece(&mut self) -> Result<Piece, String> {
        let (line, mut text, mut nesting) = (self.line, Vec::new(), Nesting::default());
        loop {
            match self.take()? {
                None if self.shape == Shape::List => {
                    return Err(format!("the file ends in the book of line {line}"));
                }
                None => break,
                Some(b'\n') if self.shape == Shape::Lines => break,
                Some(byte) if self.shape == Shape::List && nesting.ends_at(byte) => {
                    if byte == b']' {
                        self.shape = Shape::Ended;
                    }
                    break;
                }
                Some(byte) if text.len() <= BOOK_BYTES_MAX => text.push(byte),
                Some(_) => {}
            }
        }
        let end = self.offset;
        Ok(Piece { line, end, text })
    }

    fn peek(&mut self) -> Result<Option<u8>, String> {
        match self.bytes.peek() {
            Some(Ok(byte)) => Ok(Some(*byte)),
            None => Ok(None),
            Some(Err(error)) => Err(unreadable(error)),
        }
    }

    fn take(&mut self) -> Result<Option<u8>, String> {
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
    /// Goes past a byte, or tells that it ends the element.
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
    use super::*;

    /// The lines and texts of the pieces, and the error if there is one.
    fn pieces(text: &str) -> (Vec<(u64, String)>, Option<String>) {
        let mut source = Source::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            match source.next() {
                Ok(Some(piece)) => {
                    let text = String::from_utf8(piece.text).unwrap();
                    found.push((piece.line, text.trim_end().to_string()));
                }
                Ok(None) => return (found, None),
                Err(what) => return (found, Some(what)),
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &str)], error: Option<&str>) {
        let (found, what) = pieces(text);
        let found: Vec<_> = found.iter().map(|(line, t)| (*line, t.as_str())).collect();
        assert_eq!((&found[..], what.as_deref()), (expected, error), "{text}");
    }

    #[test]
    fn a_list_and_lines_give_the_same_books() {
        let books = [(1, r#"{"a":"],[","b":[1,{"c":"\"}"}]}"#), (2, "{}")];
        let [(_, first), (_, second)] = books;
        check(&format!("{first}\n{second}"), &books, None);
        check(&format!("\u{feff}[{first},\n{second}]\n"), &books, None);
        check(&format!("[{first}\n,{second}\n]"), &books, None);
    }

    #[test]
    fn nothing_is_no_book() {
        check("", &[], None);
        check(" \n[ ] ", &[], None);
        check("\r\n{}\r\n\n  \n{}\n\n", &[(2, "{}"), (5, "{}")], None);
        check("[{},\n,{},]", &[(1, "{}"), (2, "{}")], None);
    }

    #[test]
    fn a_bad_book_costs_itself_only() {
        check("{\n}\n{}", &[(1, "{"), (2, "}"), (3, "{}")], None);
        check("[{a},}b,\n{}]", &[(1, "{a}"), (1, "}b"), (2, "{}")], None);
    }

    #[test]
    fn a_list_without_its_end_is_told_by_the_line() {
        let middle = "line 2: the file ends in the middle of its list";
        check("[{},\n", &[(1, "{}")], Some(middle));
        let inside = "line 3: the file ends in the book of line 2";
        check("[{},\n{\n", &[(1, "{}")], Some(inside));
        let more = "line 2: more stands here after the end of the list";
        check("[{}]\n{}", &[(1, "{}")], Some(more));
    }

    #[test]
    fn a_book_without_end_does_not_fill_the_memory() {
        let text = "x".repeat(BOOK_BYTES_MAX * 3);
        let mut source = Source::new(text.as_bytes());
        let piece = source.next().unwrap().unwrap();
        assert_eq!(piece.text.len(), BOOK_BYTES_MAX + 1);
        assert_eq!(piece.end, text.len() as u64);
    }
}

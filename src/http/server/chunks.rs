//! Chunks (RFC 9112, 7.1), for requests that mention an upgrade: tiny_http leaves their bodies as
//! they came (HTTP.md, 4).

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

/// Bytes of one line: the size of a chunk with its extensions, or a trailer.
const LINE_BYTES_MAX: usize = 1024;

/// Trailers, which are read and thrown away.
const TRAILERS_MAX: usize = 100;

/// The body that is in the chunks.
pub(super) struct Chunks<'a> {
    from: &'a mut dyn Read,
    /// Lines that come later than this are none.
    deadline: Instant,
    /// Bytes of the present chunk that are unread.
    left: usize,
    is_first: bool,
    has_ended: bool,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(from: &'a mut dyn Read, deadline: Instant) -> Chunks<'a> {
        Chunks {
            from,
            deadline,
            left: 0,
            is_first: true,
            has_ended: false,
        }
    }

    /// Goes on to the next chunk, or past the trailers behind the last.
    fn begin_chunk(&mut self) -> io::Result<()> {
        if !self.is_first && !self.line()?.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        self.is_first = false;
        self.left = size(&self.line()?).ok_or(ErrorKind::InvalidData)?;
        if 0 < self.left {
            return Ok(());
        }
        self.has_ended = true;
        for _ in 0..TRAILERS_MAX {
            if self.line()?.is_empty() {
                return Ok(());
            }
        }
        Err(ErrorKind::InvalidData.into())
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LINE_BYTES_MAX && Instant::now() < self.deadline {
            self.from.read_exact(&mut byte)?;
            line.push(byte[0]);
            if let Some(line) = line.strip_suffix(b"\r\n") {
                return Ok(line.to_vec());
            }
        }
        Err(ErrorKind::InvalidData.into())
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.has_ended {
            self.begin_chunk()?;
        }
        let wanted = buffer.len().min(self.left);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.from.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(count)
    }
}

/// The size at the beginning of a line. Extensions behind it mean nothing here.
fn size(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
    // `from_str_radix` alone would take a sign.
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| usize::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(mut text: &[u8]) -> io::Result<String> {
        let mut body = String::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        Chunks::new(&mut text, deadline).read_to_string(&mut body)?;
        Ok(body + "|" + std::str::from_utf8(text).unwrap())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(read(text.as_bytes()).unwrap(), expected, "{text:?}");
    }

    #[test]
    fn chunks_are_read_to_their_end_and_no_further() {
        check("0\r\n\r\nGET", "|GET");
        check(
            "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\nGET",
            "abc0123456789|GET",
        );
        check("1 ;x\r\na\r\n0\r\nTrailer: t\r\n\r\nGET", "a|GET");
    }

    #[test]
    fn what_is_no_chunk_or_has_no_end_is_an_error() {
        for text in [
            "",
            "0",
            "0\r\n",
            "\r\n\r\n",
            "+1\r\na\r\n0\r\n\r\n",
            "-1\r\n",
            "0x1\r\na\r\n0\r\n\r\n",
            "1\na\r\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "2\r\na",
            "1\r\na\r\n",
            "ffffffffffffffffff\r\n",
            "zz\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(2000));
        assert!(read(long.as_bytes()).is_err());
    }
}

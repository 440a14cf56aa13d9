//! A persistent connection with at most one request under way.
//!
//! Requests are written by hand, and answers are parsed no further than needed, so that the load
//! generator takes little of the machine that it measures.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::model::address::Address;

/// An answer that takes longer is an error, and its connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// New connections that wait for their first answer at a time. A listener's queue holds 128; a
/// client that finds it full tries again after a second.
const OPENING_MAX: usize = 50;

/// A longer answer is an error: nothing that is measured is that long.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A book that exists, at the front-end.
    Lookup(u64),
    /// A book that exists, at a catalog.
    Query(u64),
    /// A book that does not exist, at the front-end.
    Missing(u64),
    Buy(u64),
    /// `/livez`, the first request on every connection.
    Liveness,
}

#[derive(Debug)]
pub(crate) struct Connection {
    address: Address,
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
    body: &'a [u8],
}

impl Request {
    fn text(self) -> String {
        let end = "HTTP/1.1\r\nHost: localhost\r\n";
        match self {
            Request::Lookup(id) | Request::Missing(id) => format!("GET /lookup/{id} {end}\r\n"),
            Request::Query(id) => format!("GET /query/item/{id} {end}\r\n"),
            Request::Buy(id) => format!("PUT /buy/{id} {end}Content-Length: 0\r\n\r\n"),
            Request::Liveness => format!("GET /livez {end}\r\n"),
        }
    }
}

impl Response<'_> {
    /// Whether this is the answer that `request` should get.
    pub(crate) fn is_expected(&self, request: Request) -> bool {
        match request {
            Request::Missing(_) => self.status == 404,
            Request::Buy(_) => self.status == 200 && contains(self.body, b"\"success\":true"),
            Request::Lookup(_) | Request::Query(_) | Request::Liveness => self.status == 200,
        }
    }

    /// Whether the front-end answered from its cache.
    pub(crate) fn is_cache_hit(&self) -> bool {
        contains(self.head, b"bazar; hit")
    }
}

impl Connection {
    /// Opens one connection, and returns once it has had an answer.
    ///
    /// Fails when there is none.
    pub(crate) fn open(address: &Address) -> Result<Connection, String> {
        Ok(Connection::open_many(address, 1)?.remove(0))
    }

    /// Opens `count` connections, a few at a time, and returns once each has had an answer.
    ///
    /// Fails when one has none.
    pub(crate) fn open_many(address: &Address, count: usize) -> Result<Vec<Connection>, String> {
        let failed = |error| format!("cannot open connections to {address}: {error}");
        let mut all = Vec::with_capacity(count);
        for before in (0..count).step_by(OPENING_MAX) {
            for _ in before..count.min(before + OPENING_MAX) {
                let mut connection = Connection {
                    address: address.clone(),
                    stream: connect(address).map_err(failed)?,
                    buffer: vec![0; ANSWER_BYTES_MAX],
                };
                connection.send(Request::Liveness).map_err(failed)?;
                all.push(connection);
            }
            for connection in &mut all[before..] {
                connection.receive().map_err(failed)?;
            }
        }
        Ok(all)
    }

    /// After a failure: an answer that is still under way must not be taken for the answer to the
    /// next request.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.stream = connect(&self.address)?;
        Ok(())
    }

    pub(crate) fn send(&mut self, request: Request) -> io::Result<()> {
        self.stream.write_all(request.text().as_bytes())
    }

    pub(crate) fn receive(&mut self) -> io::Result<Response<'_>> {
        let mut filled = 0;
        let (head, whole) = loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            match lengths(&self.buffer[..filled])? {
                Some(parts) if parts.1 == filled => break parts,
                // With one request under way nothing may follow.
                Some(parts) if parts.1 < filled => return Err(ErrorKind::InvalidData.into()),
                _ => {}
            }
        };
        Ok(Response {
            status: status(&self.buffer)?,
            head: &self.buffer[..head],
            body: &self.buffer[head..whole],
        })
    }
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    let authority = address.as_str().trim_start_matches("http://");
    let address = authority.to_socket_addrs()?.next();
    let stream = TcpStream::connect_timeout(&address.ok_or(ErrorKind::NotFound)?, ANSWER_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// The lengths of the head and of the whole answer, once the head is complete.
fn lengths(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let length = lines.find_map(content_length);
    let length = length.ok_or(ErrorKind::InvalidData)?;
    Ok(Some((end + 4, end + 4 + length)))
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    let value = name.eq_ignore_ascii_case(NAME).then_some(value)?;
    str::from_utf8(value).ok()?.trim().parse().ok()
}

fn status(bytes: &[u8]) -> io::Result<u16> {
    let digits = str::from_utf8(&bytes[9..12]).ok();
    let status = digits.and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| ErrorKind::InvalidData.into())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::{Request, Response, lengths};

    #[test]
    fn content_length_tells_where_an_answer_ends() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(lengths(answer).unwrap(), Some((38, 40)));
        assert_eq!(lengths(&answer[..37]).unwrap(), None);
        assert!(lengths(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn out_of_stock_is_not_the_expected_answer_to_a_buy() {
        let response = |body: &'static [u8]| Response {
            status: 200,
            head: b"",
            body,
        };
        assert!(response(br#"{"message":"","success":true}"#).is_expected(Request::Buy(1)));
        assert!(!response(br#"{"message":"","success":false}"#).is_expected(Request::Buy(1)));
    }
}

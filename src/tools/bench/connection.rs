//! One customer's kept connection: requests written by hand, answers read with as little work as
//! will do, so that the load generator takes little of the machine that it measures.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer that takes longer is an error, and its connection is given up.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// New connections that wait for their first answer at a time: a listener's queue is 128 long, and
/// more at the same instant wait a second (HTTP_NOTES 13).
const OPENING_MAX: usize = 50;

/// A longer answer is an error: nothing that is measured is that long.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What a customer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A book that exists.
    Lookup(u64),
    /// The same at a catalog.
    Query(u64),
    /// A book that does not exist.
    Missing(u64),
    Buy(u64),
    /// Whether anybody is there; the first on every connection.
    Alive,
}

/// One open connection, with at most one request under way.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    pub status: u16,
    head: &'a [u8],
    body: &'a [u8],
}

impl Ask {
    fn is_answered_by(self, reply: &Reply) -> bool {
        match self {
            Ask::Missing(_) => reply.status == 404,
            Ask::Buy(_) => reply.status == 200 && reply.has_sold(),
            Ask::Lookup(_) | Ask::Query(_) | Ask::Alive => reply.status == 200,
        }
    }

    fn write(self, into: &mut Vec<u8>) {
        into.clear();
        let end = "HTTP/1.1\r\nHost: bazar\r\n";
        let written = match self {
            Ask::Lookup(id) | Ask::Missing(id) => write!(into, "GET /lookup/{id} {end}\r\n"),
            Ask::Query(id) => write!(into, "GET /query/item/{id} {end}\r\n"),
            Ask::Buy(id) => write!(into, "PUT /buy/{id} {end}Content-Length: 0\r\n\r\n"),
            Ask::Alive => write!(into, "GET /livez {end}\r\n"),
        };
        written.expect("a Vec takes any bytes");
    }
}

impl Reply<'_> {
    /// Whether it is what was to be expected.
    pub fn answers(&self, ask: Ask) -> bool {
        ask.is_answered_by(self)
    }

    /// Whether the front-end answered from its cache.
    pub fn is_hit(&self) -> bool {
        contains(self.head, b"bazar; hit")
    }

    pub fn has_sold(&self) -> bool {
        contains(self.body, b"\"success\":true")
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        Ok(Connection {
            address,
            stream: connect(address)?,
            request: Vec::new(),
            buffer: vec![0; ANSWER_BYTES_MAX],
        })
    }

    /// Opens `count` connections, a few at a time, and returns when each has had an answer.
    ///
    /// Fails with what was not answered.
    pub fn open_all(address: SocketAddr, count: usize) -> Result<Vec<Connection>, String> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let before = all.len();
            let wrong = |error| format!("cannot open connections to {address}: {error}");
            for _ in before..count.min(before + OPENING_MAX) {
                let mut one = Connection::open(address).map_err(wrong)?;
                one.send(Ask::Alive).map_err(wrong)?;
                all.push(one);
            }
            for one in &mut all[before..] {
                one.receive().map_err(wrong)?;
            }
        }
        Ok(all)
    }

    /// After a failure: what is still under way must not be taken for the answer to the next
    /// request.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.stream = connect(self.address)?;
        Ok(())
    }

    pub fn send(&mut self, ask: Ask) -> io::Result<()> {
        ask.write(&mut self.request);
        self.stream.write_all(&self.request)
    }

    pub fn receive(&mut self) -> io::Result<Reply<'_>> {
        let mut filled = 0;
        let (head, whole) = loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            match measure(&self.buffer[..filled])? {
                Some(parts) if parts.1 == filled => break parts,
                // With one request under way nothing may follow.
                Some(parts) if parts.1 < filled => return Err(ErrorKind::InvalidData.into()),
                _ => {}
            }
        };
        Ok(Reply {
            status: status(&self.buffer)?,
            head: &self.buffer[..head],
            body: &self.buffer[head..whole],
        })
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// The lengths of head and whole answer, once the head is there.
fn measure(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let length = bytes[..end]
        .split(|byte| *byte == b'\n')
        .find_map(content_length);
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
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(measure(answer).unwrap(), Some((38, 40)));
        assert_eq!(measure(&answer[..37]).unwrap(), None);
        assert!(measure(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn out_of_stock_does_not_answer_a_buy() {
        let reply = |body: &'static [u8]| Reply {
            status: 200,
            head: b"",
            body,
        };
        assert!(reply(br#"{"message":"","success":true}"#).answers(Ask::Buy(1)));
        assert!(!reply(br#"{"message":"","success":false}"#).answers(Ask::Buy(1)));
    }
}

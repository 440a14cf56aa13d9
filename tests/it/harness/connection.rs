//! A connection that stays open, and on which anything may be sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::harness::http::{self, Response};

/// Far longer than any response takes, so that only a hang is a failure.
const RESPONSE_MAX: Duration = Duration::from_secs(30);

/// Between the system's first and second try to connect, and its third.
const CONNECT_MAX: Duration = Duration::from_secs(2);

pub struct Connection(BufReader<TcpStream>);

impl Connection {
    #[track_caller]
    pub fn open(address: &str) -> Connection {
        Connection::open_within(address, RESPONSE_MAX).unwrap()
    }

    /// Fails when nobody listens, or when nobody takes it for a while: where connections wait in a
    /// full queue, the system tries again ever more seldom.
    pub fn try_open(address: &str) -> io::Result<Connection> {
        Connection::open_within(address, CONNECT_MAX)
    }

    fn open_within(address: &str, limit: Duration) -> io::Result<Connection> {
        let address = address.parse().expect("a literal address");
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(RESPONSE_MAX))?;
        stream.set_write_timeout(Some(RESPONSE_MAX))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// How long a read or a write may wait.
    pub fn patience(&self, patience: Duration) {
        self.0.get_ref().set_read_timeout(Some(patience)).unwrap();
        self.0.get_ref().set_write_timeout(Some(patience)).unwrap();
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Sends what is taken without waiting.
    pub fn send_if_taken(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(bytes.as_ref());
        stream.set_nonblocking(false).unwrap();
    }

    /// Sends a request without a body and reads its response.
    pub fn ask(&mut self, method: &str, path: &str) -> io::Result<Response> {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: bazar\r\n\r\n"))?;
        self.response()
    }

    /// The next response, of a length that its head tells.
    pub fn response(&mut self) -> io::Result<Response> {
        let mut bytes = Vec::new();
        let mut length = 0;
        loop {
            let begin = bytes.len();
            if self.0.read_until(b'\n', &mut bytes)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(&bytes[begin..]).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        let head = bytes.len();
        bytes.resize(head + length, 0);
        self.0.read_exact(&mut bytes[head..])?;
        http::parse(&bytes, false)
    }

    /// Says that nothing more is sent, and reads what there is until the server closes. Fails when
    /// it does not.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
        self.until_closed()
    }

    /// Reads what there is until the server closes. Fails when it does not.
    pub fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // A reset is an end, too.
            _ => Ok(bytes),
        }
    }
}

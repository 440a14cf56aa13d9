//! A connection that stays open, and on which anything may be sent.

use std::io::{self, BufReader, Read, Write};
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

    /// Fails when no server listens, or when it does not accept for a while: the system retries a
    /// connection to a full backlog ever more seldom.
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
    pub fn set_timeout(&self, timeout: Duration) {
        self.0.get_ref().set_read_timeout(Some(timeout)).unwrap();
        self.0.get_ref().set_write_timeout(Some(timeout)).unwrap();
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Sends as much as the system accepts without waiting.
    pub fn send_without_waiting(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(bytes.as_ref());
        stream.set_nonblocking(false).unwrap();
    }

    /// Sends a request without a body and reads its response.
    pub fn ask(&mut self, method: &str, path: &str) -> io::Result<Response> {
        self.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ))?;
        self.response()
    }

    /// The next response, whose body is as long as its head says.
    pub fn response(&mut self) -> io::Result<Response> {
        http::parse(&http::read_message(&mut self.0)?.bytes, false)
    }

    /// Closes the sending side, and reads until the server closes. Fails when it does not.
    pub fn finish(&mut self) -> io::Result<Vec<u8>> {
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
        self.until_closed()
    }

    /// Reads until the server closes. Fails when it does not.
    pub fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // A reset is an end, too.
            _ => Ok(bytes),
        }
    }
}

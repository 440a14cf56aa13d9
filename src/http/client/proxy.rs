//! The way to other servers through an HTTP proxy, if this process has one: `CONNECT` (RFC 9110,
//! 9.3.6). `bazar shop --demo` is such a proxy, so that it can cut the links between its servers.
//!
//! A call fails as it does without: a proxy that answers 502 found nobody who listens, and one that
//! does not answer is a network in which packets vanish. Nothing has happened in either case.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Of this process; servers set it as they start.
static PROXY: OnceLock<SocketAddr> = OnceLock::new();

/// A longer answer is not that of a proxy.
const ANSWER_BYTES_MAX: usize = 512;

/// From now on every new connection of this process to another server goes through this proxy.
pub(crate) fn use_proxy(proxy: SocketAddr) {
    // A process starts one server.
    let _ = PROXY.set(proxy);
}

pub(super) fn of_process() -> Option<SocketAddr> {
    PROXY.get().copied()
}

/// Asks the proxy at the other end of `stream` to connect it to `host:port`. Returns when it has.
///
/// Fails with `ConnectionRefused` when nobody listens there.
pub(super) fn open_tunnel(
    mut stream: &TcpStream,
    target: &str,
    deadline: Instant,
) -> io::Result<()> {
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut length) = ([0; ANSWER_BYTES_MAX], 0);
    while !answer[..length].ends_with(b"\r\n\r\n") {
        if length == answer.len() {
            return Err(ErrorKind::InvalidData.into());
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut answer[length..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    match answer.get(9..12) {
        Some(b"200") => Ok(()),
        Some(b"502") => Err(ErrorKind::ConnectionRefused.into()),
        _ => {
            let line = String::from_utf8_lossy(&answer[..length]);
            let line = line.lines().next().unwrap_or_default();
            Err(io::Error::other(format!("the proxy answers {line:?}")))
        }
    }
}

/// Fails when nothing is left.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero())
        .then_some(left)
        .ok_or_else(|| ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Asks a proxy that answers with this text.
    fn answered(text: &'static str) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let proxy = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut head = [0; 256];
            let read = stream.read(&mut head).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        let outcome = open_tunnel(&stream, "[::1]:5000", deadline);
        let head = proxy.join().unwrap();
        let expected = "CONNECT [::1]:5000 HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n";
        assert_eq!(head, expected);
        outcome
    }

    #[track_caller]
    fn check(text: &'static str, expected: Option<ErrorKind>) {
        assert_eq!(answered(text).map_err(|error| error.kind()).err(), expected);
    }

    #[test]
    fn a_proxys_answer_is_told_as_the_network_would() {
        check("HTTP/1.1 200 OK\r\n\r\n", None);
        let refused = Some(ErrorKind::ConnectionRefused);
        check("HTTP/1.1 502 Bad Gateway\r\n\r\n", refused);
        let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        check(busy, Some(ErrorKind::Other));
        check("HTTP/1.1 200", Some(ErrorKind::UnexpectedEof));
    }

    #[test]
    fn a_proxy_that_says_nothing_is_a_time_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let error = open_tunnel(&stream, "a:1", deadline).unwrap_err();
        let silent = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        assert!(silent.contains(&error.kind()), "{error:?}");
    }
}

//! One connection through the relay: the head of its `CONNECT`, then bytes in both directions.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::supervisor::relay::Relay;
use crate::supervisor::relay::link::{HELD_MAX, Link};

/// What one thread holds of what passes.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;

/// Who connects says at once where to.
const HEAD_MAX: Duration = Duration::from_secs(2);
const HEAD_BYTES_MAX: usize = 1024;

/// A listener on this machine accepts at once, unless its queue is full.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Servers and clients close what is silent for 10 s.
const SILENT_MAX: Duration = Duration::from_secs(60);
const WRITE_MAX: Duration = Duration::from_secs(10);

/// How often a connection that waits is looked at: whether its client has given up.
const LOOK: Duration = Duration::from_millis(50);

pub(super) const TOO_MANY: &str = "503 Service Unavailable";

/// Answers that there is no connection. The client may have gone.
pub(super) fn refuse(mut client: &TcpStream, status: &str) {
    let _ = client.set_write_timeout(Some(LOOK));
    let _ = client.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
}

/// Carries one connection until an end of it is closed.
pub(super) fn carry(relay: &Relay, source: usize, client: &TcpStream) {
    let Ok(authority) = read_head(client) else {
        return;
    };
    let Some((link, target)) = relay.way(source, &authority) else {
        return refuse(client, "403 Forbidden");
    };
    if !await_passage(link, client) {
        return;
    }
    let Some(_place) = link.take_place() else {
        return refuse(client, TOO_MANY);
    };
    match connect(target) {
        Ok(server) => {
            let mut answering = client;
            if answering.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
                pump_both(link, client, &server);
            }
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            refuse(client, "502 Bad Gateway");
        }
        Err(_) => refuse(client, "504 Gateway Timeout"),
    }
}

/// The `host:port` of a `CONNECT`. Fails on anything else.
fn read_head(mut client: &TcpStream) -> io::Result<String> {
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(WRITE_MAX))?;
    let deadline = Instant::now() + HEAD_MAX;
    let (mut head, mut length) = ([0; HEAD_BYTES_MAX], 0);
    while !head[..length].ends_with(b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || length == head.len() {
            return Err(ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut head[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    }
    let head = String::from_utf8_lossy(&head[..length]);
    let authority = head.strip_prefix("CONNECT ");
    let authority = authority.and_then(|rest| rest.split_once(' '));
    let (authority, _) = authority.ok_or(ErrorKind::InvalidData)?;
    Ok(authority.to_string())
}

/// The first packets pass as the link lets them. While it is cut, there is no answer. Returns
/// whether they pass before the client, or the relay, gives up.
fn await_passage(link: &Link, client: &TcpStream) -> bool {
    let deadline = Instant::now() + HELD_MAX;
    while !link.wait(LOOK) {
        if deadline < Instant::now() || has_ended(client) {
            return false;
        }
    }
    link.pass()
}

/// Whether the client has closed its connection. It sends nothing before it has its answer.
fn has_ended(client: &TcpStream) -> bool {
    let peeked = client.set_nonblocking(true);
    let peeked = peeked.and_then(|()| client.peek(&mut [0]));
    let blocking = client.set_nonblocking(false).is_ok();
    !blocking || !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn connect(target: &str) -> io::Result<TcpStream> {
    let mut failed = ErrorKind::AddrNotAvailable.into();
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                // Nobody listens: the system has connected it to itself.
                failed = ErrorKind::ConnectionRefused.into();
            }
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(WRITE_MAX))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn pump_both(link: &Arc<Link>, client: &TcpStream, server: &TcpStream) {
    thread::scope(|scope| {
        let back = thread::Builder::new().name("relay".into());
        let back = back.spawn_scoped(scope, || pump(link, server, client));
        if back.is_ok() {
            pump(link, client, server);
        }
    });
}

/// Carries bytes one way, until an end is closed. Then both are.
fn pump(link: &Link, mut from: &TcpStream, mut to: &TcpStream) {
    let mut chunk = [0; CHUNK_BYTES];
    let _ = from.set_read_timeout(Some(SILENT_MAX));
    while let Some(read) = from.read(&mut chunk).ok().filter(|read| 0 < *read) {
        if !link.pass() || to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    // That it is closed is told as bytes are.
    link.pass();
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

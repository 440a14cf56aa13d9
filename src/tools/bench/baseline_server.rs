//! The least that can answer: what `bazar bench` measures the shop's servers against.
//!
//! Run as processes of their own, so that they share nothing with the load generator. Both answer
//! every request with the same bytes, whatever it asks for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use crate::config::bench::BaselineKind;

/// Servers on one listener, each with one thread that receives: as many as our servers have.
const POSTS: usize = 2;

/// How often a connection that tiny_http has queued behind another (HTTP_NOTES 2) is freed.
const NUDGE_EVERY: Duration = Duration::from_millis(10);

/// As long as a cached look-up's answer, head included.
const FIXED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Status: bazar; hit\r\n\
X-Request-Id: 0123456789abcdef\r\nContent-Length: 89\r\n\r\n\
{\"price\":25.0,\"quantity\":10,\"title\":\"How to get a good grade in DOS in 20 minutes a day\"}";

/// Listens on a port that the system chooses, says where on stdout, and answers.
///
/// Fails when it cannot listen, or accept.
pub fn serve(kind: BaselineKind, host: &str) -> Result<(), String> {
    let listener = TcpListener::bind((host, 0)).map_err(|error| error.to_string())?;
    let socket: OwnedFd = listener.try_clone().map_err(|e| e.to_string())?.into();
    // Accepted sockets inherit it.
    TcpStream::from(socket)
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on http://{address}");
    match kind {
        BaselineKind::TinyHttp => tiny(&listener, address),
        BaselineKind::Std => plain(&listener),
    }
}

fn tiny(listener: &TcpListener, address: SocketAddr) -> Result<(), String> {
    for _ in 0..POSTS {
        let listener = listener.try_clone().map_err(|error| error.to_string())?;
        let server = tiny_http::Server::from_listener(listener, None);
        let server = server.map_err(|error| error.to_string())?;
        thread::spawn(move || {
            while let Ok(request) = server.recv() {
                let mut writer = request.into_writer();
                let _ = writer.write_all(FIXED).and_then(|()| writer.flush());
            }
        });
    }
    loop {
        thread::sleep(NUDGE_EVERY);
        drop(TcpStream::connect(address));
    }
}

fn plain(listener: &TcpListener) -> Result<(), String> {
    loop {
        let (mut stream, _) = listener.accept().map_err(|error| error.to_string())?;
        thread::spawn(move || {
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|count| 0 < count) {
                if stream.write_all(FIXED).is_err() {
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_answer_is_as_long_as_its_head_says() {
        let text = str::from_utf8(FIXED).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{length}");
    }
}

//! The least that can answer: `bazar bench` compares the shop's servers with it.
//!
//! Each runs as a process of its own, so that it shares nothing with the load generator, and
//! answers every request with the same bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use crate::config::bench::BaselineKind;
use crate::tools::bench::Bench;
use crate::tools::harness::local_shop::unique_host;
use crate::tools::harness::process::Process;

/// Servers on one listener, each with one receiving thread: as many as our servers have.
const ACCEPTORS: usize = 2;

/// In a burst of new connections, tiny_http may leave one unserved until some other connection
/// closes (`src/http/server/HTTP.md`). So one is opened and closed at this interval.
const WAKEUP_INTERVAL: Duration = Duration::from_millis(10);

/// As long as the answer to a cached look-up, head included.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Status: bazar; hit\r\n\
X-Request-Id: 0123456789abcdef\r\nContent-Length: 89\r\n\r\n\
{\"price\":25.0,\"quantity\":10,\"title\":\"How to get a good grade in DOS in 20 minutes a day\"}";

/// A running baseline server, until this is dropped.
#[derive(Debug)]
pub(super) struct BaselineServer {
    pub(super) address: SocketAddr,
    _process: Process,
}

impl BaselineServer {
    pub(super) fn start(bench: &Bench, kind: BaselineKind) -> Result<BaselineServer, String> {
        let kind = match kind {
            BaselineKind::TinyHttp => "tiny_http",
            BaselineKind::Std => "std",
        };
        let args = ["baseline-server", kind, &unique_host(bench.shops)];
        let process = Process::new("baseline".into(), &args, Vec::new(), &bench.scratch);
        let address = process.start()?;
        let parsed = address.trim_start_matches("http://").parse();
        Ok(BaselineServer {
            address: parsed.map_err(|error| format!("{address}: {error}"))?,
            _process: process,
        })
    }
}

/// Listens on a port that the system chooses, prints the address, and answers.
///
/// Fails when it cannot listen or accept.
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
        BaselineKind::TinyHttp => serve_tiny_http(&listener, address),
        BaselineKind::Std => serve_std(&listener),
    }
}

fn serve_tiny_http(listener: &TcpListener, address: SocketAddr) -> Result<(), String> {
    for _ in 0..ACCEPTORS {
        let listener = listener.try_clone().map_err(|error| error.to_string())?;
        let server = tiny_http::Server::from_listener(listener, None);
        let server = server.map_err(|error| error.to_string())?;
        thread::spawn(move || {
            while let Ok(request) = server.recv() {
                let mut writer = request.into_writer();
                let _ = writer.write_all(ANSWER).and_then(|()| writer.flush());
            }
        });
    }
    loop {
        thread::sleep(WAKEUP_INTERVAL);
        drop(TcpStream::connect(address));
    }
}

fn serve_std(listener: &TcpListener) -> Result<(), String> {
    loop {
        let (mut stream, _) = listener.accept().map_err(|error| error.to_string())?;
        thread::spawn(move || {
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|count| 0 < count) {
                if stream.write_all(ANSWER).is_err() {
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::ANSWER;

    #[test]
    fn the_answer_is_as_long_as_its_head_says() {
        let text = str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{length}");
    }
}

//! The least that tiny_http can do: `bazar bench` compares the shop's servers with it.
//!
//! It has our servers' number of threads, NODELAY and one write for each answer, and answers every
//! request with the same bytes. It runs as a process of its own, so that it shares nothing with the
//! load generator.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use crate::model::address::Address;
use crate::supervisor::process::{Output, Process, Spec};
use crate::tools::bench::Bench;
use crate::tools::harness::local_shop::unique_host;

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
    pub(super) address: Address,
    _process: Process,
}

impl BaselineServer {
    pub(super) fn start(bench: &Bench) -> Result<BaselineServer, String> {
        let spec = Spec {
            name: "baseline".into(),
            program: None,
            args: vec!["baseline-server".into(), unique_host(bench.shops)],
            environment: Vec::new(),
            inherits: false,
        };
        let process = Process::new(spec, Output::File(bench.scratch.log("baseline")));
        Ok(BaselineServer {
            address: Address::parse(&process.start()?)?,
            _process: process,
        })
    }
}

/// Listens on a port that the system chooses, prints the address, and answers.
///
/// Fails when it cannot listen.
pub fn serve(host: &str) -> Result<(), String> {
    listen(host).map_err(|error| error.to_string())
}

fn listen(host: &str) -> io::Result<()> {
    let listener = TcpListener::bind((host, 0))?;
    // Accepted sockets inherit the option.
    TcpStream::from(OwnedFd::from(listener.try_clone()?)).set_nodelay(true)?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    for _ in 0..ACCEPTORS {
        let server = tiny_http::Server::from_listener(listener.try_clone()?, None);
        let server = server.map_err(io::Error::other)?;
        thread::spawn(move || answer_all(&server));
    }
    loop {
        thread::sleep(WAKEUP_INTERVAL);
        drop(TcpStream::connect(address));
    }
}

fn answer_all(server: &tiny_http::Server) {
    while let Ok(request) = server.recv() {
        let mut writer = request.into_writer();
        let _ = writer.write_all(ANSWER).and_then(|()| writer.flush());
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

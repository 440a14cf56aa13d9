//! The relay before a server that sends back what it gets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use super::link::Condition;
use super::*;
use crate::model::address::Address;
use crate::supervisor::topology::Member;

/// Far longer than anything takes here, so that only a hang is a failure.
const DEADLINE: Duration = Duration::from_secs(20);

/// Shorter than it takes until somebody would answer.
const MOMENT: Duration = Duration::from_millis(300);

/// catalog1 calls catalog2, which is such a server.
struct Pair {
    relay: Arc<Relay>,
    target: String,
}

fn member(name: &str, port: u16) -> Member {
    Member {
        kind: Kind::Catalog,
        name: name.into(),
        host: "127.0.0.1".into(),
        port,
        address: Address::of("127.0.0.1", port),
    }
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
}

impl Pair {
    fn new() -> Pair {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || echo(stream.unwrap()));
            }
        });
        Pair::before(port)
    }

    fn before(port: u16) -> Pair {
        let members = vec![member("catalog1", 1), member("catalog2", port)];
        let (data, books) = ("data".into(), None);
        let topology = Topology {
            members,
            data,
            books,
            etcd: None,
        };
        Pair {
            relay: Relay::open(&topology, "127.0.0.1").unwrap(),
            target: format!("127.0.0.1:{port}"),
        }
    }

    fn link(&self) -> &Link {
        self.relay.link("catalog2", "catalog1").unwrap()
    }

    /// A connection that asks for `target`, and waits no longer than `timeout` for anything.
    fn asked(&self, target: &str, timeout: Duration) -> TcpStream {
        let mut stream = TcpStream::connect(self.relay.proxy_of("catalog1")).unwrap();
        stream.set_read_timeout(Some(timeout)).unwrap();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// The status with which the relay answers; 0: none.
    fn status(&self, target: &str, timeout: Duration) -> (TcpStream, u16) {
        let mut stream = self.asked(target, timeout);
        let mut head = [0; 256];
        let read = stream.read(&mut head).unwrap_or(0);
        let line = String::from_utf8_lossy(&head[..read]).into_owned();
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        (stream, status.unwrap_or(0))
    }

    fn connected(&self) -> TcpStream {
        let (stream, status) = self.status(&self.target, DEADLINE);
        assert_eq!(status, 200);
        stream
    }
}

/// Whether the server sends it back within this time.
fn is_echoed(mut stream: &TcpStream, timeout: Duration) -> bool {
    stream.set_read_timeout(Some(timeout)).unwrap();
    stream.write_all(b"x").unwrap();
    matches!(stream.read(&mut [0]), Ok(1))
}

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never so: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_cut_is_silence_and_what_was_under_way_arrives_after_it() {
    let pair = Pair::new();
    let mut stream = pair.connected();
    assert!(is_echoed(&stream, DEADLINE));
    pair.link().set(Condition::Cut);
    assert!(!is_echoed(&stream, MOMENT));
    assert_eq!(pair.status(&pair.target, MOMENT).1, 0, "nobody answers");
    pair.link().set(Condition::Open);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(1)), "it comes late");
    assert!(is_echoed(&stream, DEADLINE));
}

#[test]
fn who_gives_up_during_a_cut_leaves_nothing_behind() {
    let pair = Pair::new();
    pair.link().set(Condition::Cut);
    for _ in 0..20 {
        let _ = pair.asked(&pair.target, MOMENT);
    }
    eventually("all are gone", || pair.relay.connections() == 0);
}

#[test]
fn a_slow_link_is_late_in_both_directions() {
    let pair = Pair::new();
    let stream = pair.connected();
    pair.link().set(Condition::Slow);
    let began = Instant::now();
    assert!(is_echoed(&stream, DEADLINE));
    assert!(2 * link::DELAY <= began.elapsed());
}

#[test]
fn what_a_lossy_link_loses_comes_late_since_tcp_sends_it_again() {
    let pair = Pair::new();
    let stream = pair.connected();
    pair.link().set(Condition::Lossy);
    let is_late = || {
        let began = Instant::now();
        assert!(is_echoed(&stream, DEADLINE));
        link::RESEND_AFTER <= began.elapsed()
    };
    eventually("something is lost", is_late);
    eventually("something is not", || !is_late());
    pair.connected();
}

#[test]
fn a_server_that_does_not_run_refuses_and_no_other_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pair = Pair::before(port);
    assert_eq!(pair.status(&pair.target, DEADLINE).1, 502);
    let own = pair.relay.proxy_of("catalog2").to_string();
    for elsewhere in ["127.0.0.1:9", "example.com:80", &own] {
        assert_eq!(pair.status(elsewhere, DEADLINE).1, 403, "{elsewhere}");
    }
}

#[test]
fn a_thousand_connections_at_once_stay_within_the_bounds_and_leave_nothing() {
    let pair = Pair::new();
    let all: Vec<TcpStream> = (0..1000)
        .map(|_| pair.asked(&pair.target, DEADLINE))
        .collect();
    let answered = |stream: &TcpStream| {
        let mut stream = stream;
        // One that is closed before its request was read breaks instead.
        let mut head = [0; 256];
        let read = stream.read(&mut head).unwrap_or(0);
        head[..read].starts_with(b"HTTP/1.1 200")
    };
    let connected = all.iter().filter(|stream| answered(stream)).count();
    assert_eq!(connected, link::CONNECTIONS_MAX);
    assert!(pair.relay.connections() <= CONNECTIONS_MAX);
    assert_eq!(pair.link().connections(), link::CONNECTIONS_MAX);
    drop(all);
    eventually("all are gone", || pair.relay.connections() == 0);
    assert!(is_echoed(&pair.connected(), DEADLINE));
}

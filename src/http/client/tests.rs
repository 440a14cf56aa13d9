//! The client against small servers, each of which misbehaves in one way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::model::error::Error;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Limits that only a failing test reaches.
fn patient() -> Client {
    client(ms(20_000))
}

fn client(whole: Duration) -> Client {
    let connect = ms(10_000);
    Client::new(Limits { connect, whole }, None)
}

/// A server that handles its connections one after the other, each with the next of `handlers`, and
/// closes its port once it has the last. Every request that was read is sent to the receiver.
fn server(handlers: Vec<fn(&mut Peer)>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (received, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut listener = Some(listener);
        for (left, handle) in (0..handlers.len()).rev().zip(handlers) {
            let accepted = listener.as_ref().map(TcpListener::accept);
            let stream = BufReader::new(accepted.unwrap().unwrap().0);
            listener = listener.filter(|_| 0 < left);
            let received = received.clone();
            handle(&mut Peer { stream, received });
        }
    });
    (url, requests)
}

struct Peer {
    stream: BufReader<TcpStream>,
    received: mpsc::Sender<String>,
}

impl Peer {
    /// Reads one request, head and body.
    fn read(&mut self) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0);
        }
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| {
            rest.split("\r\n").next().unwrap().parse().unwrap()
        });
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let _ = self.received.send(head + &String::from_utf8(body).unwrap());
    }

    /// Writes as long as the client reads. Returns whether all was taken.
    fn write(&mut self, text: &str) -> bool {
        self.stream.get_mut().write_all(text.as_bytes()).is_ok()
    }

    fn answer(&mut self) {
        self.read();
        self.write(OK);
    }

    fn wait_for_the_end(&mut self) {
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}

/// Checks that a call takes as long as its limit and no longer, but for the slack of a busy
/// machine.
#[track_caller]
fn check_takes(limit: Duration, call: impl FnOnce(Client) -> Result<Answer, Failure>) {
    let start = Instant::now();
    let got = call(client(limit));
    let took = start.elapsed();
    assert!(matches!(got, Err(Failure::TimedOut(_))), "{got:?}");
    assert!(limit <= took && took < limit * 10, "{took:?}");
}

#[test]
fn an_answer_is_an_answer_whatever_its_status() {
    let (url, _) = server(vec![|peer| {
        peer.read();
        peer.write("HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n");
        peer.read();
        peer.write("HTTP/1.1 500 No\r\nETag: \"1-2\"\r\nContent-Length: 3\r\n\r\n[1]");
    }]);
    let client = patient();
    assert_eq!(client.get(&url, &[]).unwrap().status, 302);
    let answer = client.get(&url, &[]).unwrap();
    assert_eq!(
        (answer.status, answer.header("etag")),
        (500, Some("\"1-2\""))
    );
    assert_eq!(answer.json::<Vec<u8>>(), Ok(vec![1]));
    let nonsense = answer.json::<String>().unwrap_err();
    assert!(matches!(nonsense, Failure::Broken(_)));
}

#[test]
fn head_and_body_arrive_with_the_token() {
    let (url, requests) = server(vec![|peer| (0..3).for_each(|_| peer.answer())]);
    let limits = patient().limits;
    let client = Client::new(limits, Some("secret"));
    client.put(&url, &[("X-Request-Id", "7")], b"{}").unwrap();
    client.call(Method::Delete, &url, &[], Some(b"[]")).unwrap();
    client.put(&url, &[], b"").unwrap();
    let next = || requests.recv().unwrap().to_lowercase();
    let put = next();
    assert!(
        put.starts_with("put /x http/1.1\r\n") && put.ends_with("\r\n\r\n{}"),
        "{put}"
    );
    for line in [
        "x-request-id: 7",
        "authorization: bearer secret",
        "content-type: application/json",
    ] {
        assert!(put.contains(&format!("\r\n{line}\r\n")), "{put}");
    }
    assert!(next().ends_with("\r\n\r\n[]"));
    assert!(next().contains("content-length: 0\r\n"));
    assert!(!format!("{client:?}").contains("secret"));
}

#[test]
fn a_small_request_is_one_packet() {
    let (url, _) = server(vec![|peer| {
        let mut bytes = [0; 10_000];
        let length = peer.stream.get_mut().read(&mut bytes).unwrap();
        assert!(bytes[..length].ends_with(b"{}"));
        peer.write(OK);
    }]);
    patient().put(&url, &[], b"{}").unwrap();
}

#[test]
fn a_kept_connection_is_used_again() {
    let (url, _) = server(vec![|peer| (0..100).for_each(|_| peer.answer())]);
    let client = patient();
    for _ in 0..100 {
        assert_eq!(client.clone().put(&url, &[], b"{}").unwrap().body, b"ok");
    }
}

#[test]
fn a_proxy_in_the_environment_makes_no_difference() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([
        "--exact",
        "http::client::tests::a_kept_connection_is_used_again",
    ]);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        again.env(variable, "http://127.0.0.1:1");
    }
    let output = String::from_utf8(again.output().unwrap().stdout).unwrap();
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
fn a_call_to_a_port_where_nobody_listens_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let failure = patient().put(&url, &[], b"{}").unwrap_err();
    assert!(
        matches!(&failure, Failure::Refused(text) if text.contains(&url)),
        "{failure:?}"
    );
    assert!(failure.definite());
    assert!(matches!(Error::from(failure), Error::Unreachable(_)));
}

#[test]
fn a_full_backlog_is_no_connection_but_no_proof_that_the_server_is_dead() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let full = || TcpStream::connect_timeout(&address, ms(100)).ok();
    let waiting: Vec<TcpStream> = std::iter::from_fn(full).take(10_000).collect();
    let limits = Limits {
        connect: ms(100),
        whole: ms(20_000),
    };
    let failure = Client::new(limits, None).get(&format!("http://{address}/"), &[]);
    assert!(
        matches!(failure, Err(Failure::Unconnected(_))),
        "{failure:?}"
    );
    drop(waiting);
}

#[test]
fn a_malformed_url_or_header_is_never_sent() {
    for (url, value) in [
        ("nonsense", ""),
        ("http://127.0.0.1:1/", "a\r\nb"),
        ("http://no.invalid:1/", ""),
    ] {
        let failure = patient().get(url, &[("X", value)]).unwrap_err();
        assert!(
            matches!(failure, Failure::Unconnected(_)),
            "{url} {failure:?}"
        );
    }
}

#[test]
fn a_silent_server_is_waited_for_until_the_limit() {
    let (url, _) = server(vec![Peer::wait_for_the_end]);
    check_takes(ms(300), |client| client.get(&url, &[]));
}

#[test]
fn a_body_that_trickles_is_waited_for_until_the_limit() {
    let (url, _) = server(vec![|peer| {
        peer.read();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while peer.write("x") {
            thread::sleep(ms(10));
        }
    }]);
    check_takes(ms(300), |client| client.get(&url, &[]));
}

#[test]
fn a_head_that_trickles_is_waited_for_until_the_limit() {
    let (url, _) = server(vec![|peer| {
        peer.read();
        peer.write("HTTP/1.1 200 OK\r\nX: ");
        while peer.write("x") {
            thread::sleep(ms(10));
        }
    }]);
    check_takes(ms(300), |client| client.get(&url, &[]));
}

#[test]
fn a_server_that_reads_slowly_is_waited_for_until_the_limit() {
    let (url, _) = server(vec![|peer| {
        let mut bytes = [0; 50_000];
        while matches!(peer.stream.get_mut().read(&mut bytes), Ok(1..)) {
            thread::sleep(ms(10));
        }
    }]);
    let body = vec![b' '; 64 << 20];
    check_takes(ms(300), |client| client.put(&url, &[], &body));
}

#[test]
fn an_answer_that_is_not_http_is_broken() {
    for nonsense in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.read(&mut [0; 10_000]);
            stream.write_all(nonsense.as_bytes()).unwrap();
        });
        let failure = patient().put(&url, &[], b"").unwrap_err();
        assert!(
            matches!(failure, Failure::Broken(_)),
            "{nonsense:?} {failure:?}"
        );
        assert!(matches!(Error::from(failure), Error::TimedOut(_)));
    }
}

#[test]
fn an_endless_answer_is_broken() {
    let (url, _) = server(vec![|peer| {
        peer.read();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        while peer.write(&"x".repeat(1 << 20)) {}
    }]);
    let failure = client(ms(60_000)).get(&url, &[]).unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
}

#[test]
fn a_kept_connection_whose_server_has_gone_costs_nothing() {
    let write: fn(&mut Peer) = |peer| assert!(peer.write("x"));
    let (url, _) = server(vec![Peer::answer, write, Peer::answer]);
    let client = patient();
    client.put(&url, &[], b"{}").unwrap();
    // The server writes to the second connection once it has closed the first.
    let address = url.trim_start_matches("http://").trim_end_matches("/x");
    let mut second = TcpStream::connect(address).unwrap();
    second.read_exact(&mut [0]).unwrap();
    assert_eq!(client.put(&url, &[], b"{}").unwrap().status, 200);
}

/// The outcome of a call to a server that drops the first connection after reading, and answers on
/// the second.
fn dropped_once(
    call: impl FnOnce(&Client, &str) -> Result<Answer, Failure>,
) -> Result<u16, Failure> {
    let (url, _) = server(vec![Peer::read, Peer::answer]);
    call(&patient(), &url).map(|answer| answer.status)
}

#[test]
fn an_idempotent_call_is_sent_once_more_when_its_connection_breaks() {
    let order = [("bazar-order", "1.1; open=1")];
    assert_eq!(dropped_once(|client, url| client.get(url, &[])), Ok(200));
    assert_eq!(
        dropped_once(|client, url| client.call(Method::Delete, url, &[], None)),
        Ok(200)
    );
    assert_eq!(
        dropped_once(|client, url| client.put(url, &order, b"{}")),
        Ok(200)
    );
    assert_eq!(
        dropped_once(|client, url| client.clone().idempotent().put(url, &[], b"{}")),
        Ok(200)
    );
}

#[test]
fn any_other_call_is_sent_once() {
    let got = dropped_once(|client, url| client.put(url, &[], b"{}"));
    assert!(matches!(got, Err(Failure::Broken(_))), "{got:?}");
}

/// The failure of a call to a server that drops the first connection after reading, and then is
/// gone.
fn gone_after_reading(call: impl FnOnce(&Client, &str) -> Result<Answer, Failure>) -> Failure {
    // The port is closed once the only connection is dropped.
    let (url, _) = server(vec![Peer::read]);
    call(&patient(), &url).unwrap_err()
}

#[test]
fn a_refusal_of_the_second_does_not_undo_the_first() {
    let order = [("bazar-order", "1.1; open=1")];
    let put = gone_after_reading(|client, url| client.put(url, &order, b"{}"));
    assert!(!put.definite(), "{put:?}");
    let get = gone_after_reading(|client, url| client.get(url, &[]));
    assert!(get.definite(), "{get:?}");
}

#[test]
fn a_refusal_of_the_second_says_that_a_peer_is_dead() {
    let failure =
        gone_after_reading(|client, url| client.clone().idempotent().put(url, &[], b"{}"));
    assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
}

//! Many connections, slow ones, silent ones, and those that never read.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::server::tests::{Connection, DEADLINE, TestServer, server, server_with, usual};

const QUICK: &str = "GET /quick HTTP/1.1\r\n\r\n";

/// Repeats until it is so.
#[track_caller]
pub(super) fn eventually(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it has not become so");
        thread::yield_now();
    }
}

/// Checks that a client is served while others misbehave. The time is tenfold what is promised.
#[track_caller]
fn check_served(server: &TestServer) {
    check_served_within(Duration::from_secs(5), server);
}

#[track_caller]
fn check_served_within(limit: Duration, server: &TestServer) {
    let begin = Instant::now();
    assert_eq!(server.get("/quick").status, 200);
    assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
}

fn many(server: &TestServer, count: usize, text: &str) -> Vec<Connection> {
    let connections = (0..count).map(|_| {
        let mut connection = server.connect();
        connection.send(text);
        connection
    });
    connections.collect()
}

#[test]
fn every_connection_of_a_burst_is_served() {
    let server = server();
    for _ in 0..3 {
        let begin = Instant::now();
        for connection in &mut many(&server, 100, QUICK) {
            assert_eq!(connection.answer(true).status, 200);
        }
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn an_idle_server_still_accepts() {
    let mut config = usual();
    config.idle = Duration::from_millis(200);
    let server = server_with(config);
    // Three silences are the point of this test.
    thread::sleep(Duration::from_millis(600));
    check_served(&server);
}

#[test]
fn a_silent_connection_is_closed() {
    let server = server();
    let mut connection = server.connect();
    assert!(connection.is_closed());
    let mut half = server.connect();
    half.send("GET /quick HT");
    assert!(half.is_closed());
    let mut kept = server.connect();
    assert_eq!(kept.ask(QUICK).status, 200);
    assert!(kept.is_closed());
}

#[test]
fn announced_bodies_that_never_come_delay_no_other_client() {
    let server = server();
    let mut silent = many(
        &server,
        150,
        "PUT /echo HTTP/1.1\r\nContent-Length: 5000\r\n\r\n",
    );
    check_served(&server);
    let body = "7".repeat(5000);
    let peer = format!("PUT /rep/echo HTTP/1.1\r\nContent-Length: 5000\r\n\r\n{body}");
    assert_eq!(server.ask(&peer).status, 200);
    let first = &mut silent[0];
    assert_eq!(first.answer(true).status, 400);
    assert!(first.is_closed());
}

#[test]
fn bodies_that_trickle_are_forgotten_in_the_end() {
    let server = server();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| trickle(&server, &is_over));
        eventually(|| {
            let metrics = server.get("/metrics");
            !metrics
                .text()
                .contains("\nbazar_http_requests_forgotten_total 0\n")
        });
        is_over.store(true, Ordering::Relaxed);
    });
    check_served(&server);
}

/// Sends a byte now and then, more often than the silence that would close the connection, and
/// begins again if it was closed all the same.
fn trickle(server: &TestServer, is_over: &AtomicBool) {
    let begin = || {
        many(
            server,
            1,
            "PUT /echo HTTP/1.1\r\nContent-Length: 5000\r\n\r\n",
        )
    };
    let mut connections = begin();
    let deadline = Instant::now() + DEADLINE;
    while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
        let mut stream = connections[0].0.get_ref();
        if stream.write_all(b"7").is_err() {
            connections = begin();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn quick_requests_behind_a_slow_one_delay_no_other_client() {
    let server = server();
    let slow_then_quick = format!("GET /gate HTTP/1.1\r\n\r\n{}", QUICK.repeat(4));
    let mut connections = many(&server, 20, &slow_then_quick);
    check_served(&server);
    server.service.open_gate();
    for connection in &mut connections {
        assert_eq!(connection.answer(true).text(), "\"passed\"");
        for _ in 0..4 {
            assert_eq!(connection.answer(true).text(), "\"quick\"");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = server();
    let mut connection = server.connect();
    let ask = |n| format!("GET /text/{n} HTTP/1.1\r\n\r\n");
    connection.send(&(0..50).map(ask).collect::<String>());
    for n in 0..50 {
        assert_eq!(connection.answer(true).text(), format!("\"{n}\""));
    }
}

#[test]
fn clients_that_never_read_delay_no_other_client() {
    let server = server();
    let _long = many(&server, 30, "GET /long HTTP/1.1\r\n\r\n");
    let _short = many(&server, 30, &"GET /page HTTP/1.1\r\n\r\n".repeat(300));
    check_served(&server);
    // Long enough for some of them to be given up.
    eventually(|| {
        let metrics = server.get("/metrics");
        !metrics
            .text()
            .contains("\nbazar_http_responses_unread_total 0\n")
    });
    check_served(&server);
}

#[test]
fn a_client_that_reads_slowly_gets_the_whole_response() {
    let server = server();
    let mut connection = server.connect();
    connection.send("GET /long HTTP/1.1\r\n\r\n");
    let mut some = vec![0; 400_000];
    for _ in 0..10 {
        connection.0.read_exact(&mut some).unwrap();
        // Longer than a write waits, shorter than the silence that gives it up.
        thread::sleep(Duration::from_millis(40));
    }
    let mut rest = vec![0; 4_000_000];
    connection.0.read_exact(&mut rest).unwrap();
    assert!(rest.iter().all(|byte| *byte == b'7'));
}

#[test]
fn a_full_queue_is_a_503_at_once() {
    let mut config = usual();
    (config.client_threads_max, config.waiting_max) = (2, 3);
    let server = server_with(config);
    let gate = "PUT /gate HTTP/1.1\r\n\r\n";
    let mut waiting = many(&server, 5, gate);
    let is_rejected = || {
        let mut connection = server.connect();
        let answer = connection.ask("PUT /echo HTTP/1.1\r\n\r\n");
        let seen = (
            answer.status,
            answer.header("Bazar-Outcome"),
            answer.header("Retry-After"),
        );
        seen == (503, Some("none"), Some("1"))
    };
    // Two are at the gate and three wait, once all five have been received.
    let is_full = || {
        let metrics = server.get("/metrics");
        metrics
            .text()
            .contains("\nbazar_http_requests_waiting{pool=\"client\"} 3\n")
    };
    eventually(is_full);
    assert!(is_rejected());
    assert_eq!(server.get("/quick").status, 200);
    server.service.open_gate();
    for connection in &mut waiting {
        assert_eq!(connection.answer(true).status, 200);
    }
}

#[test]
fn connections_of_http_2_by_prior_knowledge_are_counted() {
    let server = server();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    drop(many(&server, 7, preface));
    // One connection: what is looked through for lost ones grows with each that was closed.
    let mut connection = server.connect();
    let begin = Instant::now();
    while !connection
        .ask("GET /metrics HTTP/1.1\r\n\r\n")
        .text()
        .contains("\nbazar_http_connections_lost 7\n")
    {
        let tenfold = Duration::from_secs(300);
        assert!(begin.elapsed() < tenfold, "they are not counted");
    }
}

#[test]
fn another_http_version_costs_only_its_own_connection() {
    let server = server();
    let _lost = many(&server, 50, "GET / HTTP/2.0\r\n\r\n");
    // The client may wait behind them until a self-probe has waited, too, and makes wakeups due: a
    // probe takes a second at most, and 200 wakeups another. The limit is tenfold that.
    check_served_within(DEADLINE, &server);
    assert_eq!(server.ask("GET /quick HTTP/7\r\n\r\n").status, 400);
}

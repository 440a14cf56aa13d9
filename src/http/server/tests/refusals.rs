//! What is refused before its body has come, connections that end with an answer, and upgrades.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::http::server::tests::connections::eventually;
use crate::http::server::tests::{Connection, TestServer, server, server_with, usual};

/// With so long a silence that nothing here can be taken for the end of one.
fn patient() -> TestServer {
    let mut config = usual();
    config.idle = Duration::from_secs(60);
    server_with(config)
}

#[track_caller]
fn check_refused_at_once(head: &str, status: u16) {
    let server = patient();
    let mut connection = server.connect();
    connection.send(&format!("PUT /echo HTTP/1.1\r\n{head}\r\n\r\n"));
    let answer = connection.answer(true);
    assert_eq!(answer.status, status, "{head}");
    assert!(answer.closes(), "{answer:?}");
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("X-Request-Id").map(str::len), Some(16));
    assert_eq!(answer.header("Date").map(str::len), Some(29));
    assert!(answer.text().starts_with("{\"message\":"), "{answer:?}");
    assert_eq!(server.service.echoes.load(Ordering::SeqCst), 0);
    assert_eq!(server.get("/quick").status, 200);
}

#[test]
fn a_body_that_is_announced_too_long_is_refused_at_once() {
    check_refused_at_once("Content-Length: 3000000", 413);
    check_refused_at_once("Content-Length: 3000000\r\nExpect: 100-continue", 413);
    check_refused_at_once("Content-Length: 3000000\r\nConnection: close", 413);
    check_refused_at_once("Content-Length: 3000000\r\nConnection: upgrade", 413);
    check_refused_at_once("Content-Length: 100000000000000", 413);
}

#[test]
fn a_framing_that_is_refused_is_refused_at_once() {
    check_refused_at_once("Transfer-Encoding: gzip", 400);
    check_refused_at_once("Transfer-Encoding: gzip, chunked", 400);
    check_refused_at_once("Transfer-Encoding: chunked\r\nContent-Length: 5", 400);
    check_refused_at_once("Content-Length: 5000\r\nContent-Length: 5000", 400);
    check_refused_at_once("Content-Length: 5000\r\nNo(Token: 1", 400);
}

#[test]
fn a_buy_takes_no_chunks() {
    let server = patient();
    let text = "PUT /buy/2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = server.ask(text);
    assert_eq!(answer.status, 411);
    assert!(answer.closes());
}

#[test]
fn a_client_that_sends_all_of_its_body_hears_that_it_is_too_long_and_costs_nothing() {
    let server = patient();
    let body = "7".repeat(3_000_000);
    let text = format!("PUT /echo HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n{body}");
    for _ in 0..5 {
        let mut connection = server.connect();
        connection.send(&text);
        assert_eq!(connection.answer(true).status, 413);
    }
    let metrics = server.get("/metrics");
    assert!(
        metrics
            .text()
            .contains("\nbazar_http_requests_forgotten_total 0\n")
    );
}

#[test]
fn a_huge_announced_body_is_forgotten_and_the_server_lives() {
    let server = server();
    let huge = "PUT /echo HTTP/1.1\r\nContent-Length: 100000000000000\r\n\r\n";
    for _ in 0..20 {
        assert_eq!(server.connect().ask(huge).status, 413);
    }
    assert_eq!(server.get("/quick").status, 200);
    eventually(|| {
        let metrics = server.get("/metrics");
        metrics
            .text()
            .contains("\nbazar_http_requests_forgotten_total 20\n")
    });
}

#[test]
fn a_head_gets_no_body_even_if_it_is_refused() {
    let server = patient();
    let mut connection = server.connect();
    connection.send("HEAD /quick HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n");
    let answer = connection.answer(false);
    assert_eq!(answer.status, 413);
    let stream = connection.0.get_ref();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(connection.is_closed());
}

#[test]
fn nothing_is_served_after_an_answer_that_closes() {
    for head in ["Content-Length: -1", "Transfer-Encoding: gzip"] {
        let server = server();
        let mut connection = server.connect();
        let answer = connection.ask(&format!("PUT /echo HTTP/1.1\r\n{head}\r\n\r\n"));
        assert!(400 <= answer.status, "{answer:?}");
        // For longer than any quarantine that is not for good, but never as long as a silence.
        let again = "GET /quick HTTP/1.1\r\nHost: shop\r\n\r\n";
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(400));
            let stream = connection.0.get_mut();
            let _ = std::io::Write::write_all(stream, again.as_bytes());
        }
        // tiny_http itself may answer to what it takes for a malformed head.
        let rest = connection.rest();
        assert!(!rest.contains(" 200 ") && !rest.contains("quick"), "{rest}");
    }
}

#[test]
fn an_upgrade_is_ignored_and_its_body_is_read() {
    let server = patient();
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n";
    let ask = |rest: &str| server.ask(&format!("PUT /echo HTTP/1.1\r\n{upgrade}{rest}"));
    assert_eq!(ask("Content-Length: 2\r\n\r\n{}").text(), "{}");
    let chunks = "3\r\n[1,\r\n2;x\r\n2]\r\n0\r\n\r\n";
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{chunks}");
    assert_eq!(ask(&chunked).text(), "[1,2]");
    let wrong = "Transfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(ask(wrong).status, 400);
    let long = format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, "7".repeat(70_000));
    let long = format!("Transfer-Encoding: chunked\r\n\r\n{long}");
    assert_eq!(ask(&long).status, 413);
    let no_body = format!("GET /quick HTTP/1.1\r\n{upgrade}\r\n");
    assert_eq!(server.ask(&no_body).status, 200);
    // Without `Connection: upgrade` it means nothing at all.
    let kept = format!("PUT /echo HTTP/1.1\r\nUpgrade: h2c\r\n{chunked}");
    let mut connection = server.connect();
    assert_eq!(connection.ask(&kept).text(), "[1,2]");
    assert_eq!(connection.ask(&kept).text(), "[1,2]");
}

#[test]
fn http_1_0_knows_no_chunks() {
    let server = patient();
    let text = "PUT /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut connection = server.connect();
    let answer = connection.ask(&format!("{text}2\r\n{{}}\r\n0\r\n\r\n"));
    assert_eq!(answer.status, 400);
    assert_eq!(server.service.echoes.load(Ordering::SeqCst), 0);
}

/// Sends so many requests at once, the first of which waits. Returns the answers' statuses.
fn pipelined(count: usize) -> (Vec<u16>, Connection) {
    let server = patient();
    let mut connection = server.connect();
    let quick = "GET /quick HTTP/1.1\r\n\r\n".repeat(count);
    connection.send(&format!("GET /gate HTTP/1.1\r\n\r\n{quick}"));
    server.service.open_gate();
    let mut statuses = Vec::new();
    loop {
        let answer = connection.answer(true);
        statuses.push(answer.status);
        if answer.closes() || statuses.len() == count + 1 {
            return (statuses, connection);
        }
    }
}

#[test]
fn hundreds_of_pipelined_requests_are_served_in_order() {
    let (statuses, _) = pipelined(900);
    assert_eq!(statuses, [200; 901]);
}

#[test]
fn a_pipelined_request_too_many_is_refused_in_its_turn_and_the_connection_ends() {
    let mut config = usual();
    (config.client_threads_max, config.waiting_max) = (2, 3);
    let server = server_with(config);
    let mut connection = server.connect();
    let gate = "GET /gate HTTP/1.1\r\n\r\n";
    let quick = "GET /quick HTTP/1.1\r\n\r\n".repeat(1200);
    connection.send(&format!("{gate}{quick}"));
    // The server has received them all once it has dropped those beyond.
    eventually(|| {
        let metrics = server.get("/metrics");
        metrics
            .text()
            .contains("\nbazar_http_requests_dropped_total 199\n")
    });
    server.service.open_gate();
    for _ in 0..1001 {
        assert_eq!(connection.answer(true).status, 200);
    }
    let refusal = connection.answer(true);
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.header("Connection"), Some("close"));
    assert_eq!(connection.0.read(&mut [0]).unwrap_or(0), 0);
}

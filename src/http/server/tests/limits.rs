//! Requests that are too large or malformed.

use std::sync::atomic::Ordering;

use crate::http::server::tests::{Answer, TestServer, server, server_with, usual};

const LARGE: usize = 64 * 1024;

fn put(server: &TestServer, path: &str, headers: &str, bytes: usize) -> Answer {
    let body = "7".repeat(bytes);
    let head = format!("PUT {path} HTTP/1.1\r\n{headers}Content-Length: {bytes}\r\n\r\n");
    server.ask(&(head + &body))
}

#[track_caller]
fn check_head(head: &str, expected: u16) {
    let answer = server().ask(&format!("{head}\r\n\r\n"));
    assert_eq!(answer.status, expected, "{:.80}", head);
}

#[test]
fn a_path_may_have_8_kb() {
    check_head(&format!("GET /text/{} HTTP/1.1", "a".repeat(8186)), 200);
    check_head(&format!("GET /text/{} HTTP/1.1", "a".repeat(8187)), 414);
}

#[test]
fn a_head_may_have_100_headers_and_16_kb() {
    let line = "GET /quick HTTP/1.1";
    check_head(&format!("{line}{}", "\r\nA: b".repeat(99)), 200);
    check_head(&format!("{line}{}", "\r\nA: b".repeat(100)), 431);
    check_head(&format!("{line}\r\nA: {}", "b".repeat(16 * 1024)), 431);
}

#[test]
fn a_body_may_have_64_kb_and_that_of_a_peer_more() {
    let server = server();
    assert_eq!(put(&server, "/echo", "", LARGE).body.len(), LARGE);
    assert_eq!(put(&server, "/echo", "", LARGE + 1).status, 413);
    assert_eq!(put(&server, "/rep/echo", "", 500_000).body.len(), 500_000);
}

#[test]
fn a_large_body_needs_the_token() {
    let mut config = usual();
    config.token = Some("secret".into());
    let server = server_with(config);
    assert_eq!(put(&server, "/rep/echo", "", LARGE + 1).status, 413);
    let token = "Authorization: Bearer secret\r\n";
    let answer = put(&server, "/rep/echo", token, LARGE + 1);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_length_that_is_none_is_refused_and_its_body_is_no_request() {
    let server = server();
    for lengths in [
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: abc",
        "Content-Length:",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let mut connection = server.connect();
        let smuggled = "PUT /echo HTTP/1.1\r\n\r\n";
        let answer = connection.ask(&format!(
            "PUT /nothing HTTP/1.1\r\n{lengths}\r\n\r\n{smuggled}"
        ));
        assert_eq!(answer.status, 400, "{lengths}");
        assert!(answer.closes(), "{lengths}");
    }
    assert_eq!(server.service.echoes.load(Ordering::SeqCst), 0);
}

#[test]
fn a_chunked_body_is_read_to_its_end() {
    let server = server();
    let mut connection = server.connect();
    let chunked =
        "PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
    assert_eq!(connection.ask(chunked).text(), "[1,2]");
    assert_eq!(connection.ask(chunked).text(), "[1,2]");
}

#[test]
fn a_chunked_body_that_is_wrong_or_too_long_is_refused() {
    let head = "PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = server();
    let answer = server.ask(&format!("{head}zz\r\nabc\r\n0\r\n\r\n"));
    assert_eq!(answer.status, 400);
    let chunk = format!("{LARGE:x}\r\n{}\r\n", "7".repeat(LARGE));
    let answer = server.ask(&format!("{head}{chunk}{chunk}0\r\n\r\n"));
    assert_eq!(answer.status, 413);
}

#[test]
fn an_expectation_to_continue_is_met() {
    let server = server();
    let mut connection = server.connect();
    connection.send("PUT /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(connection.answer(false).status, 100);
    assert_eq!(connection.ask("{}").text(), "{}");
}

#[test]
fn a_truncated_body_is_never_used() {
    let server = server();
    for bytes in [10, 5000] {
        let mut connection = server.connect();
        connection.send(&format!(
            "PUT /echo HTTP/1.1\r\nContent-Length: {bytes}\r\n\r\n[1]"
        ));
        let stream = connection.0.get_ref();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_ne!(connection.answer(true).status, 200);
    }
    assert_eq!(server.service.echoes.load(Ordering::SeqCst), 0);
}

#[test]
fn a_request_that_is_not_http_is_refused() {
    let server = server();
    assert_eq!(server.ask("nonsense\r\n\r\n").status, 400);
    assert_eq!(
        server.ask("GET /quick HTTP/1.1\r\nno colon\r\n\r\n").status,
        400
    );
    assert_eq!(
        server
            .ask("GET /quick HTTP/1.1\r\nExpect: a lot\r\n\r\n")
            .status,
        417
    );
    assert_eq!(server.ask("GET /qu\u{1}ick HTTP/1.1\r\n\r\n").status, 400);
}

//! Request lines and headers: what is refused, and what each method gets.

use crate::http::server::tests::{Answer, TestServer, server};

// One server for each test, not for each line: servers of one process make wakeups for each
// other's connections, so a hundred of them leave thousands of sockets in TIME_WAIT.

/// The answer to what is sent as it is, on a connection of its own.
fn raw(server: &TestServer, text: &str) -> Answer {
    let mut connection = server.connect();
    connection.send_raw(text);
    connection.answer(!text.starts_with("HEAD"))
}

#[track_caller]
fn check(server: &TestServer, text: &str, status: u16) {
    assert_eq!(raw(server, text).status, status, "{text:?}");
}

#[test]
fn a_request_has_one_host() {
    let server = server();
    let check = |text: &str, status| check(&server, text, status);
    for path in ["/quick", "/text/a"] {
        let line = format!("GET {path} HTTP/1.1\r\n");
        for host in ["shop", "shop.example:8080", "127.0.0.1", "[::1]:80", ""] {
            check(&format!("{line}Host: {host}\r\n\r\n"), 200);
        }
        check(&format!("{line}\r\n"), 400);
        check(&format!("{line}Host: a\r\nHost: a\r\n\r\n"), 400);
        for host in [
            "a b/@c", "a b", "a/b", "a@b", "a:b", "a, b", "[::1", "a?b", "<a>",
        ] {
            check(&format!("{line}Host: {host}\r\n\r\n"), 400);
        }
        let old = format!("GET {path} HTTP/1.0\r\n");
        check(&format!("{old}\r\n"), 200);
        check(&format!("{old}Host: a\r\nHost: a\r\n\r\n"), 400);
        check(&format!("{old}Host: a b\r\n\r\n"), 400);
    }
}

#[track_caller]
fn check_target(server: &TestServer, target: &str, status: u16) {
    check(
        server,
        &format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"),
        status,
    );
}

#[test]
fn an_absolute_target_has_a_host_and_perhaps_a_path() {
    let server = server();
    let check_target = |target: &str, status| check_target(&server, target, status);
    check_target("http://shop/quick", 200);
    check_target("HTTP://shop:80/quick?a", 200);
    check_target("http://localhost", 404);
    check_target("http://localhost?next=/quick", 404);
    check_target("http:///quick", 400);
    check_target("http://:80/quick", 400);
    check_target("http://a@b/quick", 400);
    check_target("https://shop/quick", 400);
    check_target("ftp://shop/quick", 400);
    check_target("shop/quick", 400);
}

#[test]
fn a_target_with_a_fragment_or_control_characters_is_refused() {
    let server = server();
    let check_target = |target: &str, status| check_target(&server, target, status);
    for path in ["/quick", "/text/a"] {
        for wrong in ["#", "#frag", "?a#b", "\u{1}", "?a=\u{7f}", "\0", "?\t"] {
            check_target(&format!("{path}{wrong}"), 400);
        }
    }
}

#[test]
fn a_header_with_a_malformed_name_or_control_characters_is_refused() {
    let server = server();
    let check = |text: &str, status| check(&server, text, status);
    for path in ["/quick", "/text/a"] {
        for header in [
            "A: b\rc",
            "A: \0",
            "A: b\0c",
            "A: b\u{1}c",
            "A: b\u{7f}c",
            ": b",
            "(A): b",
            "A/B: c",
            "A@: b",
            "\"A\": b",
            "A\0: b",
            "[: b",
            "A b: c",
            "A : b",
        ] {
            check(
                &format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{header}\r\n\r\n"),
                400,
            );
        }
        for header in ["A:b", "A:", "A: b\tc", "!#$%&'*+-.^_`|~1: b"] {
            check(
                &format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{header}\r\n\r\n"),
                200,
            );
        }
    }
}

#[test]
fn a_method_that_nothing_has_is_a_501_and_options_tells_the_methods() {
    let server = server();
    let ask = |method: &str, target: &str| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: shop\r\n\r\n");
        raw(&server, &head)
    };
    for method in ["CONNECT", "BREW", "get", "PROPFIND"] {
        let answer = ask(method, "/quick");
        assert_eq!(answer.status, 501, "{method}");
        assert!(answer.text().starts_with("{\"message\":"), "{answer:?}");
    }
    for method in ["G@T", "\"GET\"", "GET:"] {
        assert_eq!(ask(method, "/quick").status, 400, "{method}");
    }
    for method in ["TRACE", "QUERY"] {
        for (target, status, methods) in [
            ("/livez", 405, Some("GET, HEAD")),
            ("/only-put", 405, Some("PUT")),
            ("/unknown", 404, None),
            ("*", 400, None),
        ] {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = raw(&server, &head);
            let seen = (answer.status, answer.header("Allow"));
            assert_eq!(seen, (status, methods), "{method} {target}");
        }
    }
    let answer = ask("OPTIONS", "/livez");
    let seen = (answer.status, answer.header("Allow"));
    assert_eq!(seen, (204, Some("GET, HEAD, OPTIONS")));
    let answer = ask("OPTIONS", "/only-put?a=b");
    let seen = (answer.status, answer.header("Allow"));
    assert_eq!(seen, (204, Some("PUT, OPTIONS")));
    let answer = ask("OPTIONS", "*");
    assert_eq!(answer.status, 204);
    assert!(answer.header("Allow").unwrap().contains("DELETE"));
    assert_eq!(ask("OPTIONS", "/unknown").status, 404);
    assert_eq!(ask("OPTIONS", "/%").status, 400);
    assert_eq!(ask("GET", "*").status, 400);
}

#[test]
fn every_answer_has_a_date() {
    let server = server();
    for path in [
        "/quick", "/nothing", "/unknown", "/%", "/livez", "/panic", "/pieces",
    ] {
        let answer = server.get(path);
        let date = answer.header("Date").unwrap();
        assert!(date.ends_with(" GMT") && date.len() == 29, "{path}: {date}");
    }
}

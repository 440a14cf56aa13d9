//! Responses.

use crate::http::server::tests::{server, server_with, usual};

#[test]
fn an_answer_is_json_with_its_length() {
    let answer = server().get("/quick");
    assert_eq!((answer.status, answer.text()), (200, "\"quick\""));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("Content-Length"), Some("7"));
}

#[test]
fn a_request_that_joined_others_is_answered_whatever_becomes_of_them() {
    let server = server();
    server.service.open_gate();
    let mut connection = server.connect();
    for (how, status, text) in [
        ("elsewhere", 200, "\"joined\""),
        ("with-a-rest", 200, "\"passed\""),
        ("with-a-panic", 500, "internal error"),
        ("and-dropped", 500, "internal error"),
        ("and-panicked", 500, "internal error"),
        ("elsewhere", 200, "\"joined\""),
    ] {
        let answer = connection.ask(&format!("PUT /joined/{how} HTTP/1.1\r\n\r\n"));
        assert_eq!(answer.status, status, "{how}");
        assert!(answer.text().contains(text), "{how}: {}", answer.text());
        let outcome = answer.header("Bazar-Outcome");
        assert_eq!(outcome, (status == 500).then_some("unknown"), "{how}");
    }
}

#[test]
fn a_204_has_no_body_and_no_length() {
    let answer = server().get("/nothing");
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("Content-Length"), None);
    assert_eq!(answer.header("Content-Type"), None);
}

#[test]
fn head_gives_the_length_and_leaves_the_body_out() {
    let server = server();
    let mut connection = server.connect();
    let head = connection.ask("HEAD /quick HTTP/1.1\r\n\r\n");
    assert_eq!(head.header("Content-Length"), Some("7"));
    // The next answer begins where a body would.
    assert_eq!(connection.ask("GET /quick HTTP/1.1\r\n\r\n").status, 200);
}

#[test]
fn an_answer_in_pieces_is_chunked_and_to_http_1_0_ends_with_the_connection() {
    let server = server();
    let chunked = server.get("/pieces");
    assert_eq!(chunked.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(chunked.text(), "[1,2]");
    let old = server.ask("GET /pieces HTTP/1.0\r\n\r\n");
    assert_eq!(old.header("Transfer-Encoding"), None);
    assert_eq!(old.text(), "[1,2]");
    let kept = server.ask("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(kept.header("Content-Length"), Some("5"));
}

#[test]
fn a_connection_is_kept_as_the_client_asks() {
    let server = server();
    for (version, connection, kept) in [
        ("HTTP/1.1", "keep-alive", true),
        ("HTTP/1.1", "close", false),
        ("HTTP/1.0", "close", false),
        ("HTTP/1.0", "keep-alive", true),
    ] {
        let text = format!("GET /quick {version}\r\nConnection: {connection}\r\n\r\n");
        let mut connection = server.connect();
        let answer = connection.ask(&text);
        let closes = answer.header("Connection") == Some("close");
        assert_eq!(closes, !kept, "{text}");
        assert!(kept || connection.is_closed(), "{text}");
        assert!(!kept || connection.ask(&text).status == 200, "{text}");
    }
}

#[test]
fn a_client_is_told_how_long_a_silent_connection_is_kept() {
    let mut config = usual();
    config.idle = std::time::Duration::from_secs(10);
    let server = server_with(config);
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let ask = |connection: &str| {
            let text = format!("GET /quick {version}\r\nConnection: {connection}\r\n\r\n");
            let answer = server.ask(&text);
            let said = |name| answer.header(name).map(str::to_string);
            (said("Connection").unwrap(), said("Keep-Alive"))
        };
        let kept = ("keep-alive".to_string(), Some("timeout=9".to_string()));
        assert_eq!(ask("keep-alive"), kept, "{version}");
        assert_eq!(ask("close"), ("close".to_string(), None), "{version}");
    }
}

#[test]
fn a_long_answer_arrives_whole() {
    let answer = server().get("/long");
    assert_eq!(answer.body.len(), 8_000_000);
}

#[test]
fn a_clients_request_id_is_kept_when_it_is_harmless_and_replaced_otherwise() {
    let server = server();
    let ask = |id: &str| {
        let answer = server.ask(&format!(
            "GET /quick HTTP/1.1\r\nX-Request-Id: {id}\r\n\r\n"
        ));
        answer.header("X-Request-Id").unwrap().to_string()
    };
    assert_eq!(ask("order-7.a_b"), "order-7.a_b");
    for id in ["", "a b", "<x>", &"7".repeat(65)] {
        assert_eq!(ask(id).len(), 16, "{id}");
    }
    assert_ne!(ask(""), ask(""));
}

#[test]
fn no_text_in_a_header_writes_a_header_of_its_own() {
    let answer = server().get("/break");
    assert_eq!(answer.header("X-Text"), Some("aX-Forged: b"));
    assert_eq!(answer.header("X-Forged"), None);
}

#[test]
fn a_segment_is_split_before_it_is_decoded() {
    let server = server();
    assert_eq!(server.get("/text/a%2Fb%C3%BC?q").text(), "\"a/bü\"");
    assert_eq!(server.get("http://localhost/text/a").text(), "\"a\"");
    for path in ["/text/%", "/text/%ff", "/text/%4", "text", "*"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    assert_eq!(server.get("/unknown").status, 404);
}

#[test]
fn a_handler_that_panics_is_a_500_and_costs_nothing_else() {
    let server = server();
    for _ in 0..100 {
        let answer = server.ask("PUT /panic HTTP/1.1\r\n\r\n");
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("internal error"));
        assert_eq!(answer.header("Bazar-Outcome"), Some("unknown"));
    }
    let read = server.get("/quick-panic");
    assert_eq!((read.status, read.header("Bazar-Outcome")), (500, None));
    assert_eq!(server.get("/quick").status, 200);
    let metrics = server.get("/metrics");
    assert!(metrics.text().contains("\nbazar_http_panics_total 101\n"));
}

#[test]
fn readiness_says_what_is_missing() {
    let server = server();
    assert_eq!(server.get("/livez").text(), r#"{"live":true}"#);
    assert_eq!(
        server.get("/readyz").text(),
        r#"{"ready":true,"server":"test"}"#
    );
    server
        .service
        .missing
        .lock()
        .unwrap()
        .push("a catalog".into());
    let answer = server.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.text(),
        r#"{"missing":["a catalog"],"ready":false,"server":"test"}"#
    );
    assert!(server.get("/version").text().contains(r#""server":"test""#));
    let answer = server.ask("PUT /livez HTTP/1.1\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("Allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn metrics_count_requests_by_route_and_status() {
    let server = server();
    for path in ["/quick", "/quick", "/unknown"] {
        server.get(path);
    }
    let metrics = server.get("/metrics");
    let type_ = metrics.header("Content-Type").unwrap();
    assert!(type_.starts_with("text/plain; version=0.0.4"), "{type_}");
    for line in [
        r#"bazar_http_requests_total{route="/quick",status="200"} 2"#,
        r#"bazar_http_requests_total{route="other",status="404"} 1"#,
        r#"bazar_http_request_duration_seconds_count{route="/quick"} 2"#,
        "bazar_http_acceptors_total 2",
        "test_total 7",
    ] {
        let text = metrics.text();
        assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
    }
}

#[test]
fn without_the_token_only_public_paths_are_answered() {
    let mut config = usual();
    config.token = Some("secret".into());
    let server = server_with(config);
    for path in ["/quick", "/livez", "/readyz", "/version"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/nothing", "/unknown", "/rep/ask", "/metrics"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"));
    }
    let text = "GET /nothing HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n";
    assert_eq!(server.ask(text).status, 204);
}

#[test]
fn an_answer_that_the_client_has_is_a_304() {
    let server = server();
    for path in ["/versioned", "/versioned-quick"] {
        let mut connection = server.connect();
        let mut ask = |method: &str, known: &str| {
            connection.ask(&format!("{method} {path} HTTP/1.1\r\n{known}\r\n"))
        };
        for known in [
            "\"3-4\"",
            "W/\"3-4\"",
            "\"1-1\", \"3-4\"",
            "*",
            "a\r\nIf-None-Match: \"3-4\"",
        ] {
            for method in ["GET", "HEAD"] {
                let answer = ask(method, &format!("If-None-Match: {known}\r\n"));
                let seen = (answer.status, answer.header("ETag"), answer.text());
                assert_eq!(seen, (304, Some("\"3-4\""), ""), "{known}");
                assert_eq!(answer.header("Content-Length"), None);
            }
        }
        for known in ["\"3-5\"", "3-4", "\"\"", ""] {
            let answer = ask("GET", &format!("If-None-Match: {known}\r\n"));
            let seen = (answer.status, answer.header("ETag"), answer.text());
            assert_eq!(seen, (200, Some("\"3-4\""), "1"), "{known}");
        }
        assert_eq!(ask("GET", "").status, 200);
    }
    let put = "PUT /versioned HTTP/1.1\r\nIf-None-Match: *\r\n\r\n";
    assert_eq!(server.ask(put).status, 200);
}

//! Requests that a browser sends because a page says so.

use crate::http::server::ServerConfig;
use crate::http::server::tests::{Answer, TestServer, server, server_with, usual};
use crate::model::address::Address;
use crate::model::origin::Origin;

const PAGE: &str = "Origin: https://pages.example\r\n";

fn addressed() -> ServerConfig {
    ServerConfig {
        address: Address::parse("http://shop.example:5000").ok(),
        ..usual()
    }
}

/// Pages of `https://pages.example` may write.
fn server_with_pages() -> TestServer {
    server_with(ServerConfig {
        allowed_origins: vec![Origin::parse("https://pages.example").unwrap()],
        ..addressed()
    })
}

fn ask(server: &TestServer, method: &str, path: &str, host: &str, headers: &str) -> Answer {
    let mut connection = server.connect();
    connection.send_raw(&format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
    ));
    connection.answer(method != "HEAD")
}

#[track_caller]
fn check_write(server: &TestServer, headers: &str, status: u16) {
    for method in ["PUT", "POST", "DELETE"] {
        let answer = ask(server, method, "/text/a", "LOCALHOST:80", headers);
        assert_eq!(answer.status, status, "{method} {headers}: {answer:?}");
    }
}

#[test]
fn a_page_of_another_site_writes_nothing() {
    let server = server_with(addressed());
    for headers in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: http://localhost:81\r\n",
        "Origin: http://localhost.evil.example\r\n",
        "Origin: null\r\n",
        "Origin: \r\n",
    ] {
        check_write(&server, headers, 403);
    }
    for (path, host) in [
        ("/echo", "localhost"),
        ("/quick", "shop"),
        ("/livez", "shop"),
    ] {
        let answer = ask(
            &server,
            "PUT",
            path,
            host,
            "Origin: https://evil.example\r\n",
        );
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("ALLOWED_ORIGINS"), "{answer:?}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    }
    assert_eq!(
        server
            .service
            .echoes
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[test]
fn a_page_of_our_own_and_a_program_write_as_before() {
    let server = server_with(addressed());
    for headers in [
        "",
        "Origin: http://localhost\r\n",
        "Origin: http://LocalHost:80\r\n",
        "Origin: http://shop.example:5000\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
        // A proxy has changed `Host`.
        "Sec-Fetch-Site: same-origin\r\nOrigin: https://www.example\r\n",
    ] {
        check_write(&server, headers, 200);
    }
    let page = "Origin: https://shop.example\r\n";
    assert_eq!(
        ask(&server, "PUT", "/text/a", "shop.example", page).status,
        200
    );
}

#[test]
fn reading_harms_nobody() {
    let server = server_with(addressed());
    for path in ["/quick", "/text/a", "/versioned"] {
        for method in ["GET", "HEAD"] {
            let headers = "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n";
            let answer = ask(&server, method, path, "localhost", headers);
            assert_eq!(answer.status, 200, "{method} {path}");
            assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
            assert_eq!(answer.header("Vary"), None);
        }
    }
}

#[test]
fn a_page_of_an_allowed_origin_writes_and_reads_every_answer() {
    let server = server_with_pages();
    check_write(&server, PAGE, 200);
    check_write(
        &server,
        &format!("{PAGE}Sec-Fetch-Site: cross-site\r\n"),
        200,
    );
    check_write(&server, "Origin: http://pages.example\r\n", 403);
    check_write(&server, "Sec-Fetch-Site: cross-site\r\n", 403);
    let too_long = format!("{PAGE}Content-Length: 3000000\r\n");
    let known = format!("{PAGE}If-None-Match: *\r\n");
    for (method, path, headers, status) in [
        ("GET", "/quick", PAGE, 200),
        ("GET", "/versioned-quick", &*known, 304),
        ("GET", "/unknown", PAGE, 404),
        ("PUT", "/echo", PAGE, 200),
        ("PUT", "/panic", PAGE, 500),
        ("PUT", "/echo", &*too_long, 413),
    ] {
        let answer = ask(&server, method, path, "localhost", headers);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let allowed = answer.header("Access-Control-Allow-Origin");
        assert_eq!(allowed, Some("https://pages.example"), "{path}");
        let exposed = answer.header("Access-Control-Expose-Headers").unwrap();
        assert!(exposed.contains("ETag") && exposed.contains("Bazar-Outcome"));
        assert_eq!(answer.header("Vary"), Some("Origin"), "{path}");
        assert_eq!(answer.header("Access-Control-Allow-Credentials"), None);
    }
}

#[test]
fn answers_to_others_vary_by_origin_too_and_say_no_more() {
    let server = server_with_pages();
    for headers in ["", "Origin: https://evil.example\r\n"] {
        let answer = ask(&server, "GET", "/quick", "localhost", headers);
        assert_eq!(
            (answer.status, answer.header("Vary")),
            (200, Some("Origin"))
        );
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    }
}

#[test]
fn a_preflight_tells_what_a_path_takes() {
    let server = server_with_pages();
    let wish = "Access-Control-Request-Method: PUT\r\n\
                Access-Control-Request-Headers: idempotency-key\r\n";
    let preflight = |origin: &str| {
        let headers = format!("{origin}Sec-Fetch-Site: cross-site\r\n{wish}");
        ask(&server, "OPTIONS", "/only-put", "localhost", &headers)
    };
    let answer = preflight(PAGE);
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("Access-Control-Allow-Origin", "https://pages.example"),
        ("Access-Control-Allow-Methods", "PUT, OPTIONS"),
        ("Access-Control-Max-Age", "600"),
        (
            "Vary",
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let headers = answer.header("Access-Control-Allow-Headers").unwrap();
    for name in [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
    ] {
        assert!(headers.contains(name), "{name}");
    }
    let other = preflight("Origin: https://evil.example\r\n");
    assert_eq!(other.status, 204);
    assert_eq!(other.header("Access-Control-Allow-Methods"), None);
}

#[test]
fn a_site_that_names_itself_after_loopback_gets_nothing_but_what_is_public() {
    let server = server_with(addressed());
    let status = |path: &str, host: &str| ask(&server, "GET", path, host, "").status;
    for host in [
        "evil.example",
        "evil.example:80",
        "",
        "localhost.evil.example",
    ] {
        for path in [
            "/versioned",
            "/metrics",
            "/unknown",
            "/versioned-quick",
            "/page",
        ] {
            let answer = ask(&server, "GET", path, host, "");
            assert_eq!(answer.status, 403, "{path} at {host}");
            assert!(answer.text().contains("SERVICE_TOKEN"), "{answer:?}");
        }
        for path in ["/quick", "/text/a", "/livez", "/readyz", "/version"] {
            assert_eq!(status(path, host), 200, "{path} at {host}");
        }
        let put = ask(&server, "PUT", "/echo", host, "");
        assert_eq!(put.status, 403, "{host}");
    }
    for host in [
        "localhost",
        "127.0.0.1:5000",
        "127.1.2.3",
        "[::1]:5000",
        "shop.example",
    ] {
        for path in ["/versioned", "/metrics", "/versioned-quick"] {
            assert_eq!(status(path, host), 200, "{path} at {host}");
        }
    }
    // The host of an absolute target wins.
    assert_eq!(status("http://evil.example/versioned", "localhost"), 403);
    assert_eq!(status("http://localhost/versioned", "evil.example"), 200);
}

#[test]
fn with_a_token_every_host_will_do() {
    let server = server_with(ServerConfig {
        token: Some("secret".into()),
        ..addressed()
    });
    let token = "Authorization: Bearer secret\r\n";
    assert_eq!(
        ask(&server, "GET", "/versioned", "any.example", token).status,
        200
    );
    assert_eq!(
        ask(&server, "GET", "/versioned", "localhost", "").status,
        401
    );
}

#[test]
fn http_1_0_without_a_host_is_no_browser() {
    let mut connection = server().connect();
    connection.send_raw("GET /versioned HTTP/1.0\r\n\r\n");
    assert_eq!(connection.answer(true).status, 200);
}

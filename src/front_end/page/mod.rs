//! The shop page: `GET /` for a browser. Its files are compiled in, and ask the same API as any
//! other client: see `src/API.md`.
//!
//! - `shop.html`: the page, with templates of a topic and of a book.
//! - `shop.js`: asks while the customer types, shows books, buys. What the API says is shown as
//!   text, never as HTML. A click has an `Idempotency-Key`, which is the order's number, too.
//! - `shop.css`: light and dark, from a phone's width up.
//!
//! Nothing is asked of any other host, and nothing in the page is inline: the
//! `Content-Security-Policy` forbids both.

use serde_json::json;

use crate::front_end::query::etag;
use crate::http::Response;

/// What a browser may load and do. Nothing may show the page in a frame: its buttons buy.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors \
                      'none'";

/// A file of the page.
#[derive(Debug, PartialEq)]
pub(super) struct File {
    /// Below `/page/`.
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const PAGE: File = File {
    name: "shop.html",
    content_type: "text/html; charset=utf-8",
    text: include_str!("shop.html"),
};

static FILES: [File; 3] = [
    File {
        name: "shop.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("shop.css"),
    },
    File {
        name: "shop.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("shop.js"),
    },
    File {
        name: "favicon.svg",
        content_type: "image/svg+xml",
        text: include_str!("favicon.svg"),
    },
];

/// The file of `GET /page/<file>`.
pub(super) fn file(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// The answer to `GET /`: the page if the client `accepts` HTML, otherwise the paths as JSON.
pub(super) fn root(accepts: Option<&str>) -> Response {
    let response = if accepts.is_some_and(accepts_html) {
        PAGE.response()
    } else {
        paths()
    };
    response.with("Vary", "Accept")
}

/// Whether `text/html` is one of the types. One that is there to be refused (`q=0`) is not known
/// to be sent by anybody.
fn accepts_html(accepts: &str) -> bool {
    accepts.to_ascii_lowercase().contains("text/html")
}

impl File {
    pub(super) fn response(&self) -> Response {
        Response {
            etag: Some(etag(self.text.as_bytes())),
            ..Response::bytes(200, self.text.into())
        }
        .with("Content-Type", self.content_type)
        .with("Cache-Control", "no-cache")
        .with("Content-Security-Policy", POLICY)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
    }
}

/// The paths of a front-end, for a client that is no browser.
fn paths() -> Response {
    let paths = [
        (
            "GET",
            "/search/<text>",
            "books whose topic contains the text",
        ),
        (
            "GET",
            "/titles/<text>",
            "books whose title contains the text",
        ),
        ("GET", "/lookup/<id>", "price, quantity and title of a book"),
        ("PUT", "/buy/<id>", "buy one copy, or several"),
        ("GET", "/dump/", "the caches"),
        ("GET", "/livez", "whether the process serves"),
        ("GET", "/readyz", "whether it can do its job"),
        ("GET", "/version", "which version it is"),
        ("GET", "/metrics", "metrics for Prometheus"),
        ("GET", "/traces/<trace>", "the spans of a trace"),
    ];
    let path = |(method, path, what)| json!({"method": method, "path": path, "what": what});
    let body = json!({"server": "front-end", "paths": paths.map(path)});
    let response = Response::json(200, &body);
    Response {
        etag: Some(etag(response.body.as_bytes())),
        ..response
    }
    .with("Cache-Control", "no-cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_small_and_has_nothing_inline_and_nothing_from_elsewhere() {
        for file in FILES.iter().chain([&PAGE]) {
            assert!(file.text.len() < 40 * 1024, "{}", file.name);
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for word in [
                "https:",
                "//cdn",
                "@import",
                "innerHTML",
                "style=",
                "onclick=",
            ] {
                assert!(!text.contains(word), "{} has {word}", file.name);
            }
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let named = PAGE
            .text
            .split('"')
            .filter_map(|text| text.strip_prefix("/page/"));
        let named: Vec<&str> = named.collect();
        assert_eq!(named.len(), FILES.len());
        for name in named {
            assert!(file(name).is_some(), "{name}");
        }
        assert_eq!(file("shop.html"), None);
    }

    #[test]
    fn a_browser_gets_the_page_and_a_program_json() {
        let kind = |accepts| {
            let response = root(accepts);
            let typed = response
                .headers
                .iter()
                .find(|(name, _)| *name == "Content-Type");
            typed.map_or("JSON".into(), |(_, value)| value.clone())
        };
        let chromium = "text/html,application/xhtml+xml,*/*;q=0.8";
        assert_eq!(kind(Some(chromium)), PAGE.content_type);
        for accepts in [None, Some("*/*"), Some("application/json")] {
            assert_eq!(kind(accepts), "JSON", "{accepts:?}");
        }
    }
}

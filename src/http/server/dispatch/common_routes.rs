//! What every server answers: `/livez`, `/readyz`, `/version`, `/openapi.json`, `/status`,
//! `/metrics`, `/traces`.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::json;

use super::Dispatcher;
use crate::http::server::status::Status;
use crate::http::{Method, Request, Response, openapi, otlp, query_number};
use crate::model::address::Address;
use crate::model::error::Error;
use crate::runtime::metrics::{CONTENT_TYPE, Exposition};
use crate::runtime::span::{self, TraceId};
use crate::runtime::{log, process, sync};

const ROUTES: [&str; 7] = [
    "/livez",
    "/readyz",
    "/version",
    "/openapi.json",
    "/status",
    "/metrics",
    "/traces",
];

const TRACE: &str = "/traces/<trace>";

/// The common route that is asked for, if it is one.
pub(super) fn route(request: &Request) -> Option<&'static str> {
    match request.segments.as_slice() {
        [only] => ROUTES.into_iter().find(|route| route[1..] == **only),
        [traces, _] if traces == "traces" => Some(TRACE),
        _ => None,
    }
}

/// Whether a common route needs no token: health does not; status, metrics and traces do.
pub(super) fn is_public(route: &str) -> bool {
    !matches!(route, "/status" | "/metrics" | "/traces" | TRACE)
}

impl Dispatcher {
    pub(super) fn common_response(&self, route: &str, request: &Request) -> Response {
        if request.method != Method::Get {
            return Error::MethodNotAllowed("GET, HEAD").into();
        }
        match route {
            "/livez" => Response::json(200, &json!({"live": true})),
            "/readyz" => self.readyz(),
            "/version" => {
                let version = env!("CARGO_PKG_VERSION");
                let body = json!({"server": self.config.server, "version": version});
                Response::json(200, &body)
            }
            "/openapi.json" => {
                Response::shared(200, self.openapi.get_or_init(|| self.document()).clone())
            }
            "/status" => self.status(),
            "/traces" => self.traces_since(request),
            TRACE => self.trace(&request.segments[1]),
            _ => self.metrics_page(),
        }
    }

    /// Answers `OPTIONS`: which methods a path has (RFC 9110, 9.3.7). A service says so when it is
    /// asked with a method that none of its paths has.
    pub(super) fn options(&self, request: &Request) -> Response {
        if request.segments == ["*"] {
            return Response::empty(204)
                .with("Allow", "GET, HEAD, PUT, POST, DELETE, PATCH, OPTIONS");
        }
        let refusal = match route(request) {
            Some(_) => Error::MethodNotAllowed("GET, HEAD").into(),
            None => self.service.answer(request),
        };
        match refusal.header("Allow") {
            Some(methods) => Response::empty(204).with("Allow", format!("{methods}, OPTIONS")),
            None => refusal,
        }
    }

    fn missing(&self) -> Vec<String> {
        let mut missing = self.service.missing();
        if self.is_ending() {
            missing.push("this server ends".into());
        }
        missing
    }

    fn status(&self) -> Response {
        #[derive(Serialize)]
        struct Whole<'a> {
            server: &'a str,
            name: &'a str,
            address: Option<&'a Address>,
            version: &'a str,
            uptime_s: u64,
            missing: Vec<String>,
            #[serde(flatten)]
            status: Status,
        }
        let now = log::since_1970(SystemTime::now());
        let uptime = process::started().map(|started| now.saturating_sub(started));
        let whole = Whole {
            server: self.config.server,
            name: &self.config.name,
            address: self.config.address.as_ref(),
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: uptime.unwrap_or_default().as_secs(),
            missing: self.missing(),
            status: self.service.status(),
        };
        Response::json(200, &whole)
    }

    fn readyz(&self) -> Response {
        let server = self.config.server;
        let missing = self.missing();
        if missing.is_empty() {
            return Response::json(200, &json!({"ready": true, "server": server}));
        }
        let body = json!({"ready": false, "server": server, "missing": missing});
        Response::json(503, &body).with("Retry-After", "1")
    }

    /// What this server answers, as a document of OpenAPI.
    fn document(&self) -> Arc<[u8]> {
        let is_public = |path: &str| {
            if ROUTES.contains(&path) {
                return is_public(path);
            }
            let first_segment = path[1..].split('/').next().unwrap_or("");
            self.service.is_public(first_segment)
        };
        let needs_token = |path: &str| self.config.token.is_some() && !is_public(path);
        let document = openapi::document(self.config.server, &needs_token);
        document.to_string().into_bytes().into()
    }

    /// The spans of one trace. None are left of a trace that is too old, or was never here.
    fn trace(&self, id: &str) -> Response {
        let Some(id) = TraceId::parse(id) else {
            let text = "The id of a trace is 32 lower-case hex digits, not all 0";
            return Error::BadRequest(text.into()).into();
        };
        let address = self.config.address.as_ref().map(Address::to_string);
        let body = json!({
            "server": self.config.server,
            "address": address,
            "spans": span::of_trace(id),
        });
        Response::json(200, &body)
    }

    /// The spans of all traces, from a number on that an earlier answer gave as `next`.
    fn traces_since(&self, request: &Request) -> Response {
        let since = match query_number(request.query.as_deref(), "since") {
            Ok(since) => since.unwrap_or(0),
            Err(error) => return error.into(),
        };
        let (spans, next) = span::since(since);
        let body = json!({"server": self.config.server, "next": next, "spans": spans});
        Response::json(200, &body)
    }

    fn metrics_page(&self) -> Response {
        let mut page = Exposition::default();
        self.metrics.write(&mut page);
        otlp::write_metrics(&mut page);
        for (name, waiting) in self.pools.waiting() {
            let help = "Requests that wait for a thread.";
            let waiting = waiting as f64;
            page.gauge(
                "bazar_http_requests_waiting",
                help,
                &[("pool", name)],
                waiting,
            );
        }
        let mut gauge = |name: &str, help: &str, value: Option<usize>| {
            if let Some(value) = value {
                page.gauge(name, help, &[], value as f64);
            }
        };
        gauge(
            "bazar_http_connections_lost",
            "Connections that clients have closed and this server cannot.",
            *sync::lock(&self.metrics.connections_lost),
        );
        gauge(
            "process_open_fds",
            "Open descriptors.",
            process::descriptors(),
        );
        gauge(
            "process_max_fds",
            "Descriptors allowed.",
            process::descriptors_max(),
        );
        gauge("process_threads", "Threads.", process::threads());
        gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            process::resident_bytes(),
        );
        if let Some(since_1970) = process::started() {
            let help = "When the process was started, in seconds since 1970.";
            let seconds = since_1970.as_secs_f64();
            page.gauge("process_start_time_seconds", help, &[], seconds);
        }
        if let Some(time) = process::cpu_time() {
            let help = "The time that threads have run.";
            page.seconds("process_cpu_seconds_total", help, time);
        }
        let build = [
            ("server", self.config.server),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        page.gauge("bazar_build_info", "What runs here.", &build, 1.0);
        self.service.metrics(&mut page);
        Response::bytes(200, page.finish().into_bytes()).with("Content-Type", CONTENT_TYPE)
    }
}

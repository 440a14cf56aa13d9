//! What every server answers: `/livez`, `/readyz`, `/version`, `/metrics`.

use serde_json::json;

use crate::http::server::dispatch::Dispatcher;
use crate::http::{Method, Request, Response};
use crate::model::error::Error;
use crate::runtime::metrics::{CONTENT_TYPE, Exposition};
use crate::runtime::process;

/// The common route that is asked for, if it is one.
pub fn route(request: &Request) -> Option<&'static str> {
    match request.segments.as_slice() {
        [only] => ["/livez", "/readyz", "/version", "/metrics"]
            .into_iter()
            .find(|route| route[1..] == **only),
        _ => None,
    }
}

/// Whether a common route may be asked without the token: health may, figures may not.
pub fn is_open(route: &str) -> bool {
    route != "/metrics"
}

pub fn answer(desk: &Dispatcher, route: &str, request: &Request) -> Response {
    if request.method != Method::Get {
        return Error::MethodNotAllowed("GET, HEAD").into();
    }
    match route {
        "/livez" => Response::json(200, &json!({"live": true})),
        "/readyz" => readyz(desk),
        "/version" => version(desk),
        _ => metrics(desk),
    }
}

fn readyz(desk: &Dispatcher) -> Response {
    match desk.service.ready() {
        Ok(()) => Response::json(200, &json!({"ready": true})),
        Err(missing) => {
            let body = json!({"ready": false, "missing": missing});
            Response::json(503, &body).with("Retry-After", "1")
        }
    }
}

fn version(desk: &Dispatcher) -> Response {
    let body = json!({"server": desk.serving.server, "version": env!("CARGO_PKG_VERSION")});
    Response::json(200, &body)
}

fn metrics(desk: &Dispatcher) -> Response {
    let mut page = Exposition::new();
    desk.tally.write(&mut page);
    for crew in desk.crews.all() {
        let labels = [("crew", crew.name)];
        let help = "Requests that wait for a thread.";
        page.gauge("bazar_http_waiting", help, &labels, crew.waiting() as f64);
    }
    let process = [
        (
            "process_open_fds",
            "Open descriptors.",
            process::descriptors(),
        ),
        (
            "process_max_fds",
            "Descriptors allowed.",
            process::descriptors_max(),
        ),
        ("process_threads", "Threads.", process::threads()),
        (
            "process_resident_memory_bytes",
            "Memory in use.",
            process::resident_bytes(),
        ),
    ];
    for (name, help, value) in process {
        if let Some(value) = value {
            page.gauge(name, help, &[], value as f64);
        }
    }
    desk.service.metrics(&mut page);
    Response::bytes(200, page.finish().into_bytes()).with("Content-Type", CONTENT_TYPE)
}

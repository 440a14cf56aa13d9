//! `bazar trace`: sends one request, and prints what it caused at all servers as a sequence
//! diagram.
//!
//! The request is sampled, so that each server that it touches records it. `spans` collects what
//! they recorded, from server to server; `diagram` draws it.

mod diagram;
mod spans;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::trace::TraceSettings;
use crate::http::Method;
use crate::runtime::span::{SpanContext, unix_ns};
use crate::tools::{failure_text, patient_client};
use spans::Span;

/// How the client is called among the servers.
const CLIENT: &str = "client";

/// Sends the request. Returns the text to print. Fails when the server cannot be reached.
pub fn run(settings: &TraceSettings) -> Result<String, String> {
    let TraceSettings {
        shop, path, body, ..
    } = settings;
    let client = patient_client(settings.token.as_deref());
    let context = SpanContext::root();
    let (traceparent, url) = (context.header(), format!("{shop}{path}"));
    let headers = [("traceparent", traceparent.as_str())];
    let method = method(&settings.method);
    let start = unix_ns(Instant::now());
    let answer = client.call(method, &url, &headers, body.as_deref().map(str::as_bytes));
    let end = unix_ns(Instant::now());
    let answer = answer.map_err(failure_text)?;
    let trace = context.trace.to_string();
    let collected = spans::collect(&client, &shop.to_string(), &trace);
    if collected.spans.is_empty() {
        return Err(format!(
            "{shop} shows no trace: it must be a server of Bazar, and SERVICE_TOKEN its token"
        ));
    }
    let peer = collected.own_address(&shop.to_string()).to_string();
    let status = ("status".to_string(), answer.status.to_string());
    let root = Span {
        server: CLIENT.into(),
        span: context.span.to_string(),
        parent: None,
        name: format!("{} {path}", settings.method),
        kind: CLIENT.into(),
        start,
        end,
        attributes: BTreeMap::from([status, ("peer".into(), peer)]),
    };
    let body = String::from_utf8_lossy(&answer.body);
    let (picture, servers) = diagram::draw(&root, &collected);
    let status = answer.status;
    Ok(format!(
        "{picture}\n{status} {body:.200}\ntrace {trace}\n{servers}"
    ))
}

fn method(word: &str) -> Method {
    match word {
        "GET" => Method::Get,
        "PUT" => Method::Put,
        "POST" => Method::Post,
        "PATCH" => Method::Patch,
        _ => Method::Delete,
    }
}

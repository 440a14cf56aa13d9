//! The tools beside the servers. They use the servers' interface, and nothing inside a server.
//!
//! Read `trace` (one request at all servers), `status` (all servers), `import` (a file of books
//! into a running shop), `export` (the way back), `orders` (what was sold) and `audit` (that
//! nothing was lost) on their own. `bench` (how fast) and `scale` (how large) stand on `harness`:
//! local shops, load, and measurements.

pub mod audit;
pub mod bench;
pub(crate) mod csv;
pub mod export;
pub(crate) mod harness;
pub mod import;
pub mod orders;
pub mod scale;
pub mod status;
pub mod trace;

use std::time::Duration;

use serde_json::Value;

use crate::config::Limits;
use crate::http::client::{Answer, Client, Failure};
use crate::model::error::Error;

/// A client for calls that may take long: a catalog answers `/add` once a thousand books are on
/// every disk.
fn patient_client(token: Option<&str>) -> Client {
    let limits = Limits {
        connect: Duration::from_secs(2),
        whole: Duration::from_secs(60),
    };
    Client::new(limits, token)
}

/// The size of something in a whole run, and in a quick one, which shows that everything works and
/// nothing about how fast.
fn full_or_quick<T>(quick: bool, full: T, short: T) -> T {
    if quick { short } else { full }
}

/// What was tried and why it failed, in words.
fn failure_text(failure: Failure) -> String {
    Error::from(failure).message().to_string()
}

/// A catalog's answer that is not a 200, in words.
fn describe(answer: &Answer) -> String {
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    format!("the catalog answered {}: {}", answer.status, message(&body))
}

/// What a refusal says.
fn message(body: &Value) -> String {
    let text = body.get("message").and_then(Value::as_str);
    text.unwrap_or("(no message)").to_string()
}

//! Requests that a browser sends because a page says so.
//!
//! A page of any site can have its browser write to a server that the browser reaches, even one
//! that listens on loopback only. The browser says where the page is from, in `Origin` and
//! `Sec-Fetch-Site`; a program says neither. So a write by a page of another origin is refused,
//! and a page that `ALLOWED_ORIGINS` names may also read the answers (CORS, in the Fetch standard).
//!
//! Credentials are not allowed: a page has to show the token itself. Reading needs no check: what
//! a `GET` does harms nobody, and the browser keeps the answer from the page.

use crate::http::server::head::{self, Raw};
use crate::http::{Response, server::ServerConfig};
use crate::model::error::{Error, Result};
use crate::model::origin::Origin;

/// What a page may send beyond what every page may.
const REQUEST_HEADERS: &str = "Authorization, Bazar-Order, Content-Type, Idempotency-Key, \
     If-Match, If-None-Match, traceparent, X-Request-Id";

/// What a page may read beyond what every page may.
const RESPONSE_HEADERS: &str = "Allow, Bazar-Applied, Bazar-Closed, Bazar-Outcome, Cache-Status, \
     Date, ETag, Idempotent-Replayed, Link, Location, Retry-After, WWW-Authenticate, X-Request-Id";

/// How long a browser may remember what a path allows. In seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// Fails with 403 when a page of another origin writes (the rules are those of Go's
/// `CrossOriginProtection`). A browser that says `same-origin` is believed: a proxy may have
/// changed `Host`.
pub(super) fn check_write(config: &ServerConfig, raw: &Raw) -> Result<()> {
    let origin = head::header(raw, "Origin");
    let is_ours = match (head::header(raw, "Sec-Fetch-Site"), origin) {
        (Some("same-origin" | "none"), _) | (None, None) => true,
        (None, Some(origin)) => {
            Origin::parse(origin).is_ok_and(|origin| is_own(config, &origin, raw))
        }
        (Some(_), _) => false,
    };
    if is_ours || allowed(config, raw).is_some() {
        return Ok(());
    }
    let text = "A page of another origin may write here only if ALLOWED_ORIGINS names its origin";
    Err(Error::Forbidden(text.into()))
}

fn is_own(config: &ServerConfig, origin: &Origin, raw: &Raw) -> bool {
    let own = config.address.as_ref();
    let is_own = own.is_some_and(|address| origin.is_at(address.authority()));
    is_own || head::host(raw).is_some_and(|host| origin.is_at(host))
}

/// The origin of the request, if the settings name it.
fn allowed<'a>(config: &'a ServerConfig, raw: &Raw) -> Option<&'a Origin> {
    let origin = Origin::parse(head::header(raw, "Origin")?).ok()?;
    config
        .allowed_origins
        .iter()
        .find(|allowed| **allowed == origin)
}

/// The same response, with what the browser of a page of an allowed origin needs.
pub(super) fn with_cors(config: &ServerConfig, raw: &Raw, response: Response) -> Response {
    if config.allowed_origins.is_empty() {
        return response;
    }
    let is_preflight =
        head::is_options(raw) && head::header(raw, "Access-Control-Request-Method").is_some();
    let vary = if is_preflight {
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    } else {
        "Origin"
    };
    let response = response.with("Vary", vary);
    let Some(origin) = allowed(config, raw) else {
        return response;
    };
    let response = response.with("Access-Control-Allow-Origin", origin.to_string());
    if !is_preflight {
        return response.with("Access-Control-Expose-Headers", RESPONSE_HEADERS);
    }
    let methods = response.header("Allow").unwrap_or_default().to_string();
    response
        .with("Access-Control-Allow-Methods", methods)
        .with("Access-Control-Allow-Headers", REQUEST_HEADERS)
        .with("Access-Control-Max-Age", PREFLIGHT_SECONDS)
}

//! Answers that are known at a glance, such as a cached look-up's: a request of the plainest kind
//! is answered from the bytes that its service has ready, without being taken apart first. Whatever
//! is not so plain, or not ready, goes the usual way ([`super::desk`]) and hears the same.

use std::sync::Arc;
use std::time::Instant;

use crate::http::server::FastAnswer;
use crate::http::server::dispatch::Dispatcher;
use crate::http::server::encoded_response::{self, EncodedResponse};
use crate::http::server::exchange::{self, Raw};
use crate::http::server::head;
use crate::runtime::log;

/// Headers that change what is answered, or how.
const TELLING: [&str; 6] = [
    "Connection",
    "Content-Length",
    "Expect",
    "Transfer-Encoding",
    "Upgrade",
    "X-Request-Id",
];

impl Dispatcher {
    /// Answers, if a glance is enough. Otherwise gives the request back.
    pub fn glance(self: &Arc<Dispatcher>, raw: Raw, started: Instant) -> Option<Raw> {
        let peer = exchange::peer(&raw);
        // In the log every request has a line with its head.
        if !is_plain(&raw) || log::enabled(log::Level::Debug) || !self.visitors.pass(peer, started)
        {
            return Some(raw);
        }
        let Ok(Some(glance)) = self.guarded(|| self.service.fast_path(raw.url())) else {
            return Some(raw);
        };
        self.tally.note(glance.route, 200, started.elapsed());
        let parcel = pack(&glance);
        self.send_at_once(parcel.address(peer, raw.into_writer()));
        None
    }
}

fn is_plain(raw: &Raw) -> bool {
    let telling = |header: &tiny_http::Header| TELLING.iter().any(|name| header.field.equiv(name));
    *raw.method() == tiny_http::Method::Get
        && *raw.http_version() == (1, 1)
        && !raw.headers().iter().any(telling)
        && head::check_size(raw).is_ok()
}

fn pack(glance: &FastAnswer) -> EncodedResponse {
    let mut text = Vec::with_capacity(256 + glance.body.len());
    text.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
    encoded_response::write_length(&mut text, glance.body.len());
    text.extend_from_slice(b"X-Request-Id: ");
    text.extend_from_slice(&head::new_id(fastrand::u64(..)));
    text.extend_from_slice(b"\r\n");
    let (name, value) = glance.header;
    encoded_response::write_header(&mut text, name, value);
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&glance.body);
    EncodedResponse::of(text)
}

//! The spans of a trace, collected from every server that it touched.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::http::client::Client;

/// How long is waited for what ends after the answer, such as confirms.
const COMPLETE_MAX: Duration = Duration::from_secs(3);

/// The spans are complete when none came for this long.
const QUIET: Duration = Duration::from_millis(150);

/// A span as a server tells it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Span {
    /// The address of the server that recorded it.
    #[serde(default)]
    pub(super) server: String,
    pub(super) span: String,
    pub(super) parent: Option<String>,
    pub(super) name: String,
    pub(super) kind: String,
    /// In ns since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: BTreeMap<String, String>,
}

/// The answer to `GET /traces/<id>`.
#[derive(Deserialize)]
struct Answer {
    /// The kind of server.
    server: String,
    /// How the others reach it.
    address: Option<String>,
    spans: Vec<Span>,
}

impl Span {
    pub(super) fn is_server(&self) -> bool {
        self.kind == "server"
    }

    pub(super) fn is_child_of(&self, parent: &Span) -> bool {
        self.parent.as_ref() == Some(&parent.span)
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The address of the server that was asked.
    pub(super) fn peer(&self) -> &str {
        self.attribute("peer").unwrap_or_default()
    }
}

/// The spans of a trace at all servers.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) spans: Vec<Span>,
    /// By the address at which a server was asked, its own.
    addresses: BTreeMap<String, String>,
    /// The kinds of those that answered, by their own addresses.
    pub(super) kinds: BTreeMap<String, String>,
}

/// Asks the server at `first` for the spans of a trace, and each server that is asked in them.
/// Servers that do not answer are left out.
pub(super) fn collect(client: &Client, first: &str, trace: &str) -> Collected {
    let deadline = Instant::now() + COMPLETE_MAX;
    let mut last = Collected::now(client, first, trace);
    loop {
        thread::sleep(QUIET);
        let next = Collected::now(client, first, trace);
        if next.spans.len() == last.spans.len() || deadline < Instant::now() {
            return next;
        }
        last = next;
    }
}

impl Collected {
    fn now(client: &Client, first: &str, trace: &str) -> Collected {
        let mut collected = Collected::default();
        let mut unasked = vec![first.to_string()];
        while let Some(server) = unasked.pop() {
            let url = format!("{server}/traces/{trace}");
            let answer = client.get(&url, &[]).ok();
            let answer = answer.and_then(|answer| answer.json::<Answer>().ok());
            collected.addresses.insert(server.clone(), server.clone());
            if let Some(answer) = answer {
                unasked.extend(collected.add(server, answer));
            }
        }
        for span in &mut collected.spans {
            if let Some(peer) = span.attributes.get_mut("peer")
                && let Some(own) = collected.addresses.get(peer)
            {
                *peer = own.clone();
            }
        }
        collected
    }

    /// Adds what a server answered. Returns the servers that it asked and that are not known yet.
    fn add(&mut self, server: String, answer: Answer) -> Vec<String> {
        let own = answer.address.unwrap_or_else(|| server.clone());
        self.addresses.insert(server, own.clone());
        if self.kinds.insert(own.clone(), answer.server).is_some() {
            // It was asked at another address before.
            return Vec::new();
        }
        let mut unknown = Vec::new();
        for span in answer.spans {
            let peer = span.peer().to_string();
            if !span.is_server() && !self.addresses.contains_key(&peer) && !unknown.contains(&peer)
            {
                unknown.push(peer);
            }
            let server = own.clone();
            self.spans.push(Span { server, ..span });
        }
        unknown
    }

    /// A server's own address.
    pub(super) fn own_address<'a>(&'a self, asked_at: &'a str) -> &'a str {
        self.addresses
            .get(asked_at)
            .map_or(asked_at, String::as_str)
    }
}

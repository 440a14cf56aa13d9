//! Calls to etcd's JSON gateway: several members, deadlines, and what a failure means.
//!
//! A member that fails is asked last from then on. A request is repeated, as it is, until its
//! deadline: every request here may be done twice, since a write is on condition of a revision
//! that its first doing ends.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::catalog::etcd::wire::{ErrorReply, StatusReply, Txn};
use crate::config::Limits;
use crate::http::Method::Post;
use crate::http::client::{Client, Failure, Lines};
use crate::model::address::Address;
use crate::model::error::{Error, Result};
use crate::runtime::log;
use crate::runtime::metrics::{Counter, Histogram};

/// The pause after all members have failed.
const PAUSE: Duration = Duration::from_millis(20);

/// gRPC's codes: the request makes no sense; there is no room, or there are too many requests.
const INVALID_ARGUMENT: u32 = 3;
const RESOURCE_EXHAUSTED: u32 = 8;

pub(super) struct Gateway {
    members: Vec<Address>,
    client: Client,
    /// How long one member has for one request.
    patience: Duration,
    /// How long a request may take, whoever answers it.
    whole: Duration,
    /// The member that is asked first.
    first: AtomicUsize,
    pub(super) metrics: GatewayMetrics,
}

#[derive(Default)]
pub(super) struct GatewayMetrics {
    /// Requests that were answered.
    pub(super) seconds: Histogram,
    /// Those that had to be sent again.
    pub(super) retried: Counter,
    /// Those that etcd had no space for.
    pub(super) full: Counter,
}

/// The reply to a request, and whether an earlier sending of it may have been done too.
pub(super) struct Answered<T> {
    pub(super) reply: T,
    pub(super) again: bool,
}

/// Why one member has not done a request.
#[derive(Debug, PartialEq)]
enum Refusal {
    /// Nothing happened, but it may at another member, or later.
    NotNow(String),
    /// It may have happened, or may happen yet.
    Unknown(String),
    /// Nothing happened: etcd's quota is used up.
    Full(String),
    /// Nothing happened: the request makes no sense to it.
    Never(String),
}

impl Gateway {
    pub(super) fn new(members: &[Address], limits: Limits) -> Gateway {
        Gateway {
            members: members.to_vec(),
            client: Client::outside(limits),
            patience: limits.whole / 2,
            whole: limits.whole * 2,
            first: AtomicUsize::new(0),
            metrics: GatewayMetrics::default(),
        }
    }

    /// When a request that begins now must have ended.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.whole
    }

    /// Does a txn.
    ///
    /// Fails with [`Error::TimedOut`] when it may have been done or may be done yet, otherwise with
    /// [`Error::Unreachable`], [`Error::DiskRefuses`] or [`Error::Internal`].
    pub(super) fn txn<T: DeserializeOwned>(
        &self,
        txn: &Txn,
        until: Instant,
    ) -> Result<Answered<T>> {
        let json = serde_json::to_vec(txn).expect("it is JSON");
        let (mut again, mut tried) = (false, 0);
        let mut why = String::new();
        while Instant::now() < until {
            let index = self.first.load(Relaxed);
            match self.ask(&self.members[index], "/v3/kv/txn", &json, until) {
                Ok(reply) => return Ok(Answered { reply, again }),
                Err(Refusal::Full(text)) => {
                    self.metrics.full.inc();
                    let full = || Error::DiskRefuses(format!("etcd has no space left: {text}"));
                    return Err(if again { unknown(&text) } else { full() });
                }
                Err(Refusal::Never(text)) => {
                    log::error("etcd refuses a request", &[("why", &text)]);
                    return Err(if again {
                        unknown(&text)
                    } else {
                        Error::Internal
                    });
                }
                Err(Refusal::NotNow(text)) => why = text,
                Err(Refusal::Unknown(text)) => (why, again) = (text, true),
            }
            self.turn_from(index);
            self.metrics.retried.inc();
            tried += 1;
            if tried % self.members.len() == 0 {
                thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
            }
        }
        log::debug("etcd does not answer", &[("why", &why)]);
        Err(if again {
            unknown(&why)
        } else {
            Error::Unreachable(format!("etcd cannot be reached: {why}"))
        })
    }

    /// The next member is asked first, unless another thread has turned already.
    fn turn_from(&self, index: usize) {
        let next = (index + 1) % self.members.len();
        let _ = self.first.compare_exchange(index, next, Relaxed, Relaxed);
    }

    fn ask<T: DeserializeOwned>(
        &self,
        member: &Address,
        path: &str,
        body: &[u8],
        until: Instant,
    ) -> std::result::Result<T, Refusal> {
        let began = Instant::now();
        let left = until.saturating_duration_since(began).min(self.patience);
        let url = format!("{member}{path}");
        let client = self.client.within(Some(left));
        let answer = client.call(Post, &url, &[], Some(body)).map_err(refusal)?;
        if answer.status != 200 {
            return Err(refused(answer.status, &answer.body));
        }
        self.metrics.seconds.observe(began.elapsed());
        answer.json().map_err(refusal)
    }

    /// Follows the changes of keys: each line is a reply. It ends after `time`, with an error.
    pub(super) fn watch(&self, body: &Value, time: Duration) -> std::result::Result<Lines, String> {
        let index = self.first.load(Relaxed);
        let url = format!("{}/v3/watch", self.members[index]);
        // A member that has lost its leader then ends the watch instead of saying nothing.
        let headers = [("Grpc-Metadata-hasleader", "true")];
        let json = body.to_string();
        let lines = self
            .client
            .post_for_lines(&url, &headers, json.as_bytes(), time);
        lines.map_err(|failure| {
            self.turn_from(index);
            Error::from(failure).message().to_string()
        })
    }

    /// The versions of all members; fails when one does not say it.
    pub(super) fn versions(&self) -> std::result::Result<Vec<String>, String> {
        let version = |member: &Address| {
            let body = json!({}).to_string();
            let until = Instant::now() + self.patience;
            let path = "/v3/maintenance/status";
            let status = self.ask::<StatusReply>(member, path, body.as_bytes(), until);
            status.map(|status| status.version)
        };
        let versions: std::result::Result<Vec<String>, Refusal> =
            self.members.iter().map(version).collect();
        versions.map_err(|refusal| format!("{refusal:?}"))
    }
}

fn unknown(why: &str) -> Error {
    Error::TimedOut(format!("etcd has not said what came of the change: {why}"))
}

fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Refused(text) | Failure::Unconnected(text) => Refusal::NotNow(text),
        Failure::TimedOut(text) | Failure::Broken(text) => Refusal::Unknown(text),
    }
}

/// What an answer other than 200 means. Whatever is not known to have done nothing may have.
fn refused(status: u16, body: &[u8]) -> Refusal {
    let reply: ErrorReply = serde_json::from_slice(body).unwrap_or_default();
    let text = match (reply.message.is_empty(), reply.error.as_str()) {
        (false, _) => reply.message,
        (true, Some(error)) => error.to_string(),
        (true, None) => format!("status {status}"),
    };
    match reply.code {
        RESOURCE_EXHAUSTED if text.contains("space") => Refusal::Full(text),
        RESOURCE_EXHAUSTED => Refusal::NotNow(text),
        INVALID_ARGUMENT => Refusal::Never(text),
        _ => Refusal::Unknown(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_etcd_did_not_begin_counts_as_not_done() {
        let space =
            br#"{"error":"x","message":"etcdserver: mvcc: database space exceeded","code":8}"#;
        assert!(matches!(refused(429, space), Refusal::Full(_)));
        let many = br#"{"message":"etcdserver: too many requests","code":8}"#;
        assert!(matches!(refused(429, many), Refusal::NotNow(_)));
        let twice = br#"{"error":"etcdserver: duplicate key given in txn request","code":3}"#;
        let text = "etcdserver: duplicate key given in txn request".to_string();
        assert_eq!(refused(400, twice), Refusal::Never(text));
        let late = br#"{"error":"etcdserver: request timed out","code":14}"#;
        assert!(matches!(refused(503, late), Refusal::Unknown(_)));
        assert_eq!(
            refused(502, b"<html>"),
            Refusal::Unknown("status 502".into())
        );
    }
}

//! The heartbeats of a front-end to all catalogs: they keep the leases of its caches alive. See
//! [`crate::membership`].
//!
//! Each catalog has a thread and a connection of its own, so one that does not answer delays no
//! other heartbeat. One more thread says when the next ones are due.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::config::{FrontEndSettings, Limits};
use crate::front_end::cache::leased_cache::LeasedCache;
use crate::http::client::{Answer, Client, Failure};
use crate::membership::{Changes, HeartbeatOutcome, HeartbeatReply};
use crate::model::address::Address;
use crate::runtime::{log, sync};

/// The first round ends once every catalog has answered or has been silent for
/// `HEARTBEAT_TIMEOUT_MS`. A round that takes longer than this is a bug.
const FIRST_ROUND_MAX: Duration = Duration::from_secs(30);

/// Starts the heartbeats, and returns once the first round has ended.
pub(super) fn start(cache: &Arc<LeasedCache>, settings: &FrontEndSettings) -> Result<(), String> {
    let silent = settings.timing.silent;
    let limits = Limits {
        connect: silent,
        whole: silent,
    };
    let body = json!({"from": settings.common.address, "start": cache.start()}).to_string();
    let mut senders = Vec::new();
    for (i, catalog) in settings.catalogs.iter().enumerate() {
        let (due, when_due) = channel();
        senders.push(due);
        let client = Client::new(limits, settings.common.token.as_deref()).idempotent();
        let (catalog, body, cache) = (catalog.clone(), body.clone(), cache.clone());
        sync::spawn("heartbeat", move || {
            let url = format!("{catalog}/rep/heartbeat");
            while when_due.recv().is_ok() {
                let sent = cache.now();
                let answer = client.put(&url, &[], body.as_bytes());
                if let Some(ended) = answer.as_ref().ok().and_then(|it| it.json::<Ended>().ok()) {
                    cache.release_before(ended.start, ended.ended);
                }
                let outcome = outcome(answer);
                log_changes(&catalog, cache.heartbeat_ended(i, sent, outcome));
            }
        })?;
    }
    let (ticking, every) = (cache.clone(), settings.timing.every);
    sync::spawn("heartbeat-tick", move || tick(&ticking, every, &senders))?;
    if !cache.wait_for_round(FIRST_ROUND_MAX) {
        return Err("the first round of heartbeats did not end".into());
    }
    Ok(())
}

/// What a catalog on etcd says, too: its changes with lower numbers than this have ended.
#[derive(Deserialize)]
struct Ended {
    start: u64,
    ended: u64,
}

fn tick(cache: &LeasedCache, every: Duration, senders: &[Sender<()>]) {
    loop {
        let (due, slept) = cache.tick();
        for i in due {
            senders[i].send(()).expect("a heartbeat thread never ends");
        }
        if slept {
            static OFTEN: log::RateLimited = log::RateLimited::new();
            OFTEN.warn("this process was asleep: the caches are emptied", &[]);
        }
        thread::sleep(every);
    }
}

fn log_changes(catalog: &Address, changes: Changes) {
    let fields: [log::Field; 1] = [("peer", catalog)];
    if changes.unknown_peer {
        let message = "a catalog does not know this front-end: nothing is cached";
        log::error(message, &fields);
    }
    if changes.lost {
        log::warn("a catalog counts as down", &fields);
    }
    if changes.regained {
        let message = "a catalog is live: the caches are emptied";
        log::always(message, &fields);
    } else if changes.missed_invalidations {
        let message = "invalidations may have been missed: the caches are emptied";
        log::warn(message, &fields);
    }
}

fn outcome(answer: Result<Answer, Failure>) -> HeartbeatOutcome {
    match answer {
        Ok(answer) if answer.status == 403 => HeartbeatOutcome::UnknownPeer,
        Ok(answer) if answer.status == 200 => answer
            .json::<HeartbeatReply>()
            .map_or(HeartbeatOutcome::Silent, HeartbeatOutcome::Answered),
        Err(Failure::Refused(_)) => HeartbeatOutcome::Refused,
        _ => HeartbeatOutcome::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: HeartbeatOutcome) {
        let answer = Answer {
            status,
            headers: crate::http::client::Headers::new(),
            body: body.as_bytes().to_vec(),
        };
        assert_eq!(outcome(Ok(answer)), expected);
    }

    #[test]
    fn only_a_refusal_proves_a_catalog_dead() {
        let reply = HeartbeatReply {
            start: 7,
            down_count: 2,
            outlives_refusal: false,
        };
        check(
            200,
            r#"{"start":7,"down_count":2}"#,
            HeartbeatOutcome::Answered(reply),
        );
        check(403, "{}", HeartbeatOutcome::UnknownPeer);
        check(503, "{}", HeartbeatOutcome::Silent);
        check(200, "nonsense", HeartbeatOutcome::Silent);
        let failed = |failure: fn(String) -> Failure| outcome(Err(failure(String::new())));
        assert_eq!(failed(Failure::Refused), HeartbeatOutcome::Refused);
        assert_eq!(failed(Failure::Unconnected), HeartbeatOutcome::Silent);
        assert_eq!(failed(Failure::TimedOut), HeartbeatOutcome::Silent);
        assert_eq!(failed(Failure::Broken), HeartbeatOutcome::Silent);
    }
}

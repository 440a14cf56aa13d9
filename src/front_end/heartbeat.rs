//! Saying heartbeat to the catalogs: what a front-end may keep depends on it. See
//! [`crate::membership`].
//!
//! Each catalog has a thread and a connection of its own, so that one that does not answer delays
//! nobody's heartbeat but its own; one more thread gives them the beat.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::config::timing::Timing;
use crate::config::{FrontEndSettings, Limits};
use crate::front_end::cache::leased_cache::Memory;
use crate::http::client::{Answer, Client, Failure};
use crate::membership::{Changes, HeartbeatOutcome, HeartbeatReply};
use crate::model::address::Address;
use crate::runtime::log;

/// A round of heartbeat ends when the last catalog has been silent for long enough; that it does
/// not end at all is a bug.
const FIRST_ROUND_MAX: Duration = Duration::from_secs(30);

/// Begins to send a heartbeat, and returns once the first round is done.
pub fn start(memory: &Arc<Memory>, settings: &FrontEndSettings) -> Result<(), String> {
    let mut greeters = Vec::new();
    for (i, catalog) in settings.catalogs.iter().enumerate() {
        let (due, when_due) = channel();
        greeters.push(due);
        let greeter = Greeter::new(i, catalog, memory.clone(), settings);
        spawn("heartbeat", move || greeter.run(&when_due))?;
    }
    let (ticking, every) = (memory.clone(), settings.timing.every);
    spawn("tick", move || tick(&ticking, every, &greeters))?;
    if !memory.wait_for_round(FIRST_ROUND_MAX) {
        return Err("no round of heartbeat came to an end".into());
    }
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = thread::Builder::new().name(name.into()).spawn(run);
    thread
        .map(drop)
        .map_err(|error| format!("cannot start a thread: {error}"))
}

fn tick(memory: &Memory, every: Duration, greeters: &[Sender<()>]) {
    loop {
        let (due, slept) = memory.tick();
        for i in due {
            greeters[i].send(()).expect("a greeter never ends");
        }
        if slept {
            log::warn("this process was asleep: the caches are emptied", &[]);
        }
        thread::sleep(every);
    }
}

/// Says heartbeat to one catalog.
struct Greeter {
    index: usize,
    catalog: Address,
    url: String,
    body: Vec<u8>,
    client: Client,
    memory: Arc<Memory>,
}

impl Greeter {
    fn new(
        index: usize,
        catalog: &Address,
        memory: Arc<Memory>,
        settings: &FrontEndSettings,
    ) -> Greeter {
        let common = &settings.common;
        Greeter {
            index,
            catalog: catalog.clone(),
            url: format!("{catalog}/rep/heartbeat"),
            body: json!({"from": common.address}).to_string().into_bytes(),
            client: Client::new(limits(settings.timing), common.token.as_deref()).repeating(),
            memory,
        }
    }

    fn run(&self, when_due: &Receiver<()>) {
        while when_due.recv().is_ok() {
            let sent = self.memory.now();
            let outcome = outcome(self.client.put(&self.url, &[], &self.body));
            let news = self.memory.greeted(self.index, sent, outcome);
            self.tell(news);
        }
    }

    fn tell(&self, news: Changes) {
        let catalog: log::Field = ("peer", &self.catalog);
        if news.unknown_peer {
            log::error(
                "a catalog does not know this front-end: nothing is cached",
                &[catalog],
            );
        }
        if news.lost {
            log::warn("contact with a catalog is lost", &[catalog]);
        }
        if news.regained {
            log::always(
                "contact with a catalog is made: the caches are emptied",
                &[catalog],
            );
        } else if news.missed {
            log::warn(
                "something may have been missed: the caches are emptied",
                &[catalog],
            );
        }
    }
}

fn limits(timing: Timing) -> Limits {
    Limits {
        connect: timing.silent,
        whole: timing.silent,
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
        let heartbeat_reply = HeartbeatReply {
            start: 7,
            down_count: 2,
        };
        check(
            200,
            r#"{"start":7,"down_count":2}"#,
            HeartbeatOutcome::Answered(heartbeat_reply),
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

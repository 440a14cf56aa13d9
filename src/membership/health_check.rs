//! Whether another server can do its job: a thread asks `GET /readyz` again and again.
//!
//! So a request need not find out, at the cost of a timeout, that a server is down, nor that it is
//! up again. The result is a hint: a request may be sent to a server that counts as down, and its
//! answer counts.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::config::Limits;
use crate::http::client::{Client, Failure};
use crate::model::address::Address;
use crate::runtime::{log, sync};

/// The pause between an answer and the next check.
const INTERVAL: Duration = Duration::from_millis(100);

/// A server that does not answer so long after the usual time is silent.
const SILENT_AFTER: Duration = Duration::from_millis(100);

/// The usual time counts as no longer than [`LIMITS`] allow.
const LIMITS: Limits = Limits {
    connect: Duration::from_millis(100),
    whole: Duration::from_millis(300),
};

/// The weight of the newest answer's time in the usual one is 1 in so many.
const SMOOTHING: u32 = 8;

/// A server that is silent is slow. One that is silent so many times in a row is down: once may be
/// due to load.
const SILENT_MAX: u32 = 2;

/// Slow: it would be asked last, but the shop is as ready as before.
const UP: u8 = 0;
const SLOW: u8 = 1;
const DOWN: u8 = 2;

/// What a server must be to stand in a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role {
    /// As `/readyz` says it.
    pub(crate) server: &'static str,
    pub(crate) setting: &'static str,
}

/// One server and whether it is up.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    pub(crate) address: Address,
    role: Role,
    /// [`UP`], [`SLOW`] or [`DOWN`].
    health: AtomicU8,
    /// The last check was answered, be it that the server is not ready.
    answers: AtomicBool,
    /// When it was silent for the last time.
    silent_at: Mutex<Option<Instant>>,
    /// When nobody listened there for the last time.
    gone_at: Mutex<Option<Instant>>,
    /// What the server is instead, if it has another role.
    wrong: Mutex<Option<String>>,
}

/// What one thread of checks has seen.
#[derive(Default)]
struct Seen {
    /// How long answers took of late. A silence counts as an answer that came just too late.
    usual: Duration,
    /// How many times in a row the server was silent.
    silent: u32,
}

/// What matters of the answer to `/readyz`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Readiness {
    server: String,
}

impl HealthCheck {
    /// A server that counts as down until [`HealthCheck::report`]. Nothing checks it yet.
    pub(crate) fn new(address: Address, role: Role) -> HealthCheck {
        HealthCheck {
            address,
            role,
            health: AtomicU8::new(DOWN),
            answers: AtomicBool::new(false),
            silent_at: Mutex::default(),
            gone_at: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Starts to check servers, and returns once each has been asked.
    ///
    /// Fails when no thread can be started.
    pub(crate) fn start(
        addresses: &[Address],
        role: Role,
        token: Option<&str>,
    ) -> Result<Vec<Arc<HealthCheck>>, String> {
        let (first, all_asked) = channel();
        let start = |address| HealthCheck::start_one(address, role, token, first.clone());
        let health_checks = addresses.iter().map(start).collect();
        drop(first);
        // Closed once the last health check has dropped its sender.
        let _ = all_asked.recv();
        health_checks
    }

    /// Starts a thread with a connection of its own. Drops `first` after the first check.
    fn start_one(
        address: &Address,
        role: Role,
        token: Option<&str>,
        first: Sender<()>,
    ) -> Result<Arc<HealthCheck>, String> {
        let health_check = Arc::new(HealthCheck::new(address.clone(), role));
        let client = Client::new(LIMITS, token);
        let checked = health_check.clone();
        sync::spawn("health-check", move || {
            let mut seen = Seen::default();
            checked.check(&client, &mut seen);
            drop(first);
            loop {
                thread::sleep(INTERVAL);
                checked.check(&client, &mut seen);
            }
        })?;
        Ok(health_check)
    }

    /// Whether it is to be asked before those that are not up.
    pub(crate) fn up(&self) -> bool {
        self.health.load(Relaxed) == UP
    }

    /// Whether it runs and does not hang, as the last check has found. It need not be ready.
    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Relaxed)
    }

    /// Whether no check has found it silent for so long. One that is gone is not silent: it refuses.
    pub(crate) fn was_heard_for(&self, time: Duration) -> bool {
        sync::lock(&self.silent_at).is_none_or(|silent| time <= silent.elapsed())
    }

    /// Whether a check that was begun since then has found nobody there: what the server had in its
    /// hands before has ended with it.
    pub(crate) fn was_gone_since(&self, since: Instant) -> bool {
        sync::lock(&self.gone_at).is_some_and(|gone| since <= gone)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.health.load(Relaxed) == DOWN
    }

    /// Why it is down, for people.
    pub(crate) fn why_down(&self) -> String {
        let wrong = sync::lock(&self.wrong).clone();
        wrong.unwrap_or_else(|| {
            let Role { server, setting } = self.role;
            format!(
                "the {server} server {} of {setting} is not ready",
                self.address
            )
        })
    }

    /// Notes that the server is up, or down, as a check or a request has found.
    pub(crate) fn report(&self, up: bool) {
        let health = if up { UP } else { DOWN };
        let was_down = self.health.swap(health, Relaxed) == DOWN;
        if was_down == up {
            let message = if up {
                "a server is ready"
            } else {
                "a server is down"
            };
            log::always(message, &[("peer", &self.address)]);
        }
    }

    /// Notes that the server was silent, as a check has found that ended then.
    pub(crate) fn report_silent(&self, at: Instant) {
        *sync::lock(&self.silent_at) = Some(at);
        self.report_slow();
    }

    /// Notes that nobody listens there, as a check has found that was begun then.
    pub(crate) fn report_gone(&self, asked: Instant) {
        *sync::lock(&self.gone_at) = Some(asked);
        self.report(false);
    }

    /// Notes that the server is slower than usual: it is asked last, until a check is answered.
    pub(crate) fn report_slow(&self) {
        // One that is down stays so.
        let _ = self.health.compare_exchange(UP, SLOW, Relaxed, Relaxed);
    }

    /// Checks once.
    fn check(&self, client: &Client, seen: &mut Seen) {
        let url = format!("{}/readyz", self.address);
        let (asked, deadline) = (Instant::now(), seen.usual + SILENT_AFTER);
        let answer = client.within(Some(deadline)).get(&url, &[]);
        let usual = seen.usual - seen.usual / SMOOTHING + asked.elapsed() / SMOOTHING;
        seen.usual = usual.min(LIMITS.whole - SILENT_AFTER);
        self.answers.store(answer.is_ok(), Relaxed);
        match answer {
            Ok(answer) => {
                let ready = answer.status == 200;
                let readiness: Readiness = answer.json().unwrap_or_default();
                let right = self.has_role(ready, &readiness.server);
                self.report(ready && right);
            }
            Err(Failure::Refused(_)) => self.report_gone(asked),
            Err(_) => {
                seen.silent = seen.silent.saturating_add(1);
                self.report_silent(Instant::now());
                if SILENT_MAX <= seen.silent {
                    self.report(false);
                }
                return;
            }
        }
        seen.silent = 0;
    }

    /// Whether the server says that it has this role. One that only says "ready" is no server of
    /// Bazar; one that is not ready need not say anything.
    fn has_role(&self, ready: bool, server: &str) -> bool {
        let Role {
            server: expected,
            setting,
        } = self.role;
        let right = server == expected || (server.is_empty() && !ready);
        let is = if server.is_empty() {
            "is no server of Bazar"
        } else {
            &format!("is the {server} server, not {expected}")
        };
        let why = (!right).then(|| format!("{} in {setting} {is}", self.address));
        let mut wrong = sync::lock(&self.wrong);
        if let Some(why) = why.as_ref().filter(|why| wrong.as_ref() != Some(why)) {
            log::error(why, &[]);
        }
        *wrong = why;
        right
    }
}

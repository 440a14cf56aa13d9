//! Whether another server can do its job: a thread asks `GET /readyz` again and again.
//!
//! So a request need not find out, at the cost of a timeout, that a server is down, nor that it is
//! up again. The result is a hint: a request may be sent to a server that counts as down, and its
//! answer counts.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::config::Limits;
use crate::http::client::{Client, Failure};
use crate::model::address::Address;
use crate::runtime::{log, sync};

/// The pause between an answer and the next check.
const INTERVAL: Duration = Duration::from_millis(100);

/// A server that does not answer within this is silent.
const LIMITS: Limits = Limits {
    connect: Duration::from_millis(100),
    whole: Duration::from_millis(300),
};

/// A server that is silent so many times in a row is down. Once may be due to load.
const SILENT_MAX: u32 = 2;

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
    up: AtomicBool,
    /// What the server is instead, if it has another role.
    wrong: Mutex<Option<String>>,
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
            up: AtomicBool::new(false),
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
            let mut silent = checked.check(&client, 0);
            drop(first);
            loop {
                thread::sleep(INTERVAL);
                silent = checked.check(&client, silent);
            }
        })?;
        Ok(health_check)
    }

    pub(crate) fn up(&self) -> bool {
        self.up.load(Relaxed)
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
        if self.up.swap(up, Relaxed) != up {
            let message = if up {
                "a server is ready"
            } else {
                "a server is down"
            };
            log::always(message, &[("peer", &self.address)]);
        }
    }

    /// Checks once. Takes and returns how many times in a row the server was silent.
    fn check(&self, client: &Client, silent: u32) -> u32 {
        match client.get(&format!("{}/readyz", self.address), &[]) {
            Ok(answer) => {
                let ready = answer.status == 200;
                let readiness: Readiness = answer.json().unwrap_or_default();
                let right = self.has_role(ready, &readiness.server);
                self.report(ready && right);
            }
            Err(Failure::Refused(_)) => self.report(false),
            Err(_) => {
                let silent = silent.saturating_add(1);
                if SILENT_MAX <= silent {
                    self.report(false);
                }
                return silent;
            }
        }
        0
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

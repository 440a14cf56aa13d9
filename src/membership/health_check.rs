//! Whether another server can do its job, asked in the background: `GET /readyz`, again and again.
//!
//! So that a request need not find out, and pay a time limit for it, that a server is down; nor
//! that it is back. What a watch says is a hint: whoever is asked all the same answers for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crate::config::Limits;
use crate::http::client::{Client, Failure};
use crate::model::address::Address;
use crate::runtime::log;

/// How long after an answer the next question follows.
const EVERY: Duration = Duration::from_millis(100);

/// Who does not answer within this is silent.
const LIMITS: Limits = Limits {
    connect: Duration::from_millis(100),
    whole: Duration::from_millis(300),
};

/// Who is silent this often, one time after another, is taken as down; once may be the load.
const SILENT_MAX: u32 = 2;

/// What is known about one server.
#[derive(Debug)]
pub struct HealthCheck {
    pub address: Address,
    up: AtomicBool,
}

impl HealthCheck {
    /// A server that is not watched, taken as down until somebody says otherwise.
    pub fn new(address: Address) -> HealthCheck {
        HealthCheck {
            address,
            up: AtomicBool::new(false),
        }
    }

    /// Begins to watch, on a thread and a connection that nothing else uses. `first` is dropped
    /// once the first answer is in, or is late: whoever waits for several watches hears a closed
    /// channel when all of them know.
    pub fn start(
        address: Address,
        token: Option<&str>,
        first: Sender<()>,
    ) -> Result<Arc<HealthCheck>, String> {
        let watch = Arc::new(HealthCheck::new(address));
        let client = Client::new(LIMITS, token);
        let watching = watch.clone();
        let run = move || {
            let mut silent = watching.ask(&client, 0);
            drop(first);
            loop {
                thread::sleep(EVERY);
                silent = watching.ask(&client, silent);
            }
        };
        let thread = thread::Builder::new().name("watch".into());
        thread
            .spawn(run)
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(watch)
    }

    pub fn up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// It was found up, or down. Returns whether that is news.
    pub fn report(&self, up: bool) -> bool {
        let news = self.up.swap(up, Relaxed) != up;
        if news {
            let message = if up {
                "a server behind is ready"
            } else {
                "a server behind is down"
            };
            log::always(message, &[("peer", &self.address)]);
        }
        news
    }

    /// Asks once. Takes and returns how often in a row it was silent.
    fn ask(&self, client: &Client, silent: u32) -> u32 {
        match client.get(&format!("{}/readyz", self.address), &[]) {
            Ok(answer) => {
                self.report(answer.status == 200);
                0
            }
            Err(Failure::Refused(_)) => {
                self.report(false);
                0
            }
            Err(_) => {
                if SILENT_MAX <= silent + 1 {
                    self.report(false);
                }
                silent.saturating_add(1)
            }
        }
    }
}

//! An acceptor: one tiny_http server, and the one thread that receives from it.
//!
//! All acceptors accept from the same listening socket. One thread for each keeps the requests of a
//! connection in their order, and no two receiving threads wake each other: 61,000 requests/s over
//! 16 connections with two acceptors, 53,000 with one server and two threads, 45,000 with one of
//! each (two cores, which the load generator shared).

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Once};
use std::time::Duration;
use std::{io, panic, thread};

use super::Event;
use crate::http::server::dispatch::Dispatcher;
use crate::runtime::{log, sync};

/// How often an acceptor looks for the next request before it sleeps.
const LOOKS_MAX: u32 = 30;

/// How many waits in a row must find no request before an acceptor ends that accepts no more:
/// together twice the silence that closes a connection.
const QUIET_WAITS: u32 = 8;

/// The same for an acceptor that may have stopped accepting. One that still accepts gets requests
/// from the self-probe all the time, so it is hardly quiet for so long.
const QUIET_WAITS_SUSPECT: u32 = 64;

/// Panics of tiny_http's accepting threads that no supervisor has taken yet. One for the process,
/// because there is one panic hook.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// What all acceptors of one server share.
#[derive(Clone)]
pub(super) struct Acceptors {
    pub(super) listener: Arc<TcpListener>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) events: Sender<Event>,
    /// How many acceptors have stopped accepting without saying which they are.
    pub(super) suspects: Arc<AtomicU64>,
}

impl Acceptors {
    /// Opens one more. Fails when there are no descriptors or threads left.
    pub(super) fn open(&self) -> Result<(), String> {
        let listener = self.listener.try_clone().map_err(|e| e.to_string())?;
        // It panics when it cannot start its thread.
        let server = catch_unwind(AssertUnwindSafe(|| {
            tiny_http::Server::from_listener(listener, None)
        }));
        let server = server.map_err(|_| "no thread to accept with".to_string())?;
        let server = server.map_err(|error| error.to_string())?;
        let shared = self.clone();
        sync::spawn("http-receive", move || shared.receive(server))?;
        self.dispatcher.metrics.acceptors.inc();
        Ok(())
    }

    /// Tells the acceptors that so many of them, it is not known which, accept no more.
    pub(super) fn suspect(&self, acceptors: u64) {
        self.suspects.fetch_add(acceptors, Relaxed);
    }

    /// Whether there is a suspect, which an acceptor that has been quiet for long takes to be
    /// itself.
    fn take_suspect(&self) -> bool {
        let less = |suspects: u64| suspects.checked_sub(1);
        self.suspects.fetch_update(Relaxed, Relaxed, less).is_ok()
    }

    /// Receives as long as anything may come. Accepting ends at the first error (HTTP.md, 5); the
    /// requests of connections that were accepted before still come here.
    fn receive(self, server: tiny_http::Server) {
        let wait = self.dispatcher.config.idle * 2 / QUIET_WAITS;
        let mut ended = false;
        let (mut quiet, mut looks) = (0, 1);
        loop {
            match next(&server, wait, &mut looks) {
                Ok(Some(raw)) => {
                    quiet = 0;
                    let _ = catch_unwind(AssertUnwindSafe(|| self.dispatcher.receive(raw)));
                }
                Ok(None) => quiet += 1,
                Err(error) => {
                    ended = true;
                    // Only because no client connected for long.
                    let immediately = error.kind() == io::ErrorKind::WouldBlock;
                    // The supervisor is gone when the process is about to exit.
                    let _ = self.events.send(Event::Replace { immediately });
                }
            }
            let is_over = ended && QUIET_WAITS <= quiet;
            if is_over
                || self.dispatcher.has_ended()
                || (QUIET_WAITS_SUSPECT <= quiet && self.take_suspect())
            {
                break;
            }
        }
        // Dropping it would make it connect to our own port, where the other acceptors listen.
        std::mem::forget(server);
    }
}

/// As `recv_timeout`, but while there is much to do, looks again and again for a moment, and lets
/// other threads run in between. To put this thread to sleep and to wake it costs as much as an
/// answer does, and tiny_http wakes it while it holds the lock that is needed next. Over 64
/// connections 1.17 times as many hits a second are answered so, in 17.9 us of processor instead of
/// 20.2. After looks in vain there is one only, until requests come together again.
fn next(
    server: &tiny_http::Server,
    wait: Duration,
    looks: &mut u32,
) -> io::Result<Option<tiny_http::Request>> {
    for _ in 0..*looks {
        match server.try_recv() {
            Ok(None) => thread::yield_now(),
            found => {
                *looks = LOOKS_MAX;
                return found;
            }
        }
    }
    *looks = 1;
    server.recv_timeout(wait)
}

/// What a panic ended.
#[derive(Debug, PartialEq)]
enum Ended {
    /// The accepting of tiny_http, which expects that it can duplicate a descriptor.
    Accepting,
    /// A connection of tiny_http, which expects that a client that has sent a request is there yet.
    Connection,
    /// A request of ours.
    Request,
    Other,
}

impl Ended {
    fn of(file: &str, thread: &str) -> Ended {
        if file.ends_with("refined_tcp_stream.rs") {
            Ended::Accepting
        } else if file.contains("/tiny_http-") {
            Ended::Connection
        } else if thread.starts_with("http-") {
            Ended::Request
        } else {
            Ended::Other
        }
    }
}

/// Logs panics of our threads and of tiny_http's, and leaves others to the hook that was there.
/// Counts those that end the accepting of tiny_http: nothing else reports them.
pub(super) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let name = thread::current().name().unwrap_or("").to_string();
            match Ended::of(info.location().map_or("", Location::file), &name) {
                Ended::Accepting => {
                    PANICS.fetch_add(1, Relaxed);
                    static OFTEN: log::RateLimited = log::RateLimited::new();
                    OFTEN.warn("accepting panicked, probably out of descriptors", &[]);
                }
                Ended::Connection => {
                    static OFTEN: log::RateLimited = log::RateLimited::new();
                    OFTEN.warn("a connection panicked, probably reset by its client", &[]);
                }
                Ended::Request => log::error(&info.to_string(), &[("thread", &name)]),
                Ended::Other => previous(info),
            }
        }));
    });
}

/// The panics that ended an acceptor's accepting since the last call.
pub(super) fn take_panics() -> u64 {
    PANICS.swap(0, Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_resets_its_connection_is_a_line_of_the_log() {
        let crates = "/home/me/.cargo/registry/src/index.crates.io-1/tiny_http-0.12.0/src";
        let of = |file: &str, thread: &str| Ended::of(&format!("{crates}/{file}.rs"), thread);
        assert_eq!(of("client", ""), Ended::Connection);
        assert_eq!(of("util/refined_tcp_stream", ""), Ended::Accepting);
        let ours = "src/front_end/routes.rs";
        assert_eq!(Ended::of(ours, "http-client"), Ended::Request);
        assert_eq!(Ended::of(ours, "main"), Ended::Other);
        assert_eq!(Ended::of("", ""), Ended::Other);
    }
}

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
use std::{io, panic, thread};

use super::Event;
use crate::http::server::dispatch::Dispatcher;
use crate::runtime::{log, sync};

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
        let mut quiet = 0;
        loop {
            match server.recv_timeout(wait) {
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
            if is_over || (QUIET_WAITS_SUSPECT <= quiet && self.take_suspect()) {
                break;
            }
        }
        // Dropping it would make it connect to our own port, where the other acceptors listen.
        std::mem::forget(server);
    }
}

/// Logs panics of our threads, and leaves others to the hook that was there. Counts those that end
/// the accepting of tiny_http, which expects that it can duplicate a descriptor: nothing else
/// reports them.
pub(super) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let name = thread::current().name().unwrap_or("").to_string();
            let in_file = |at: &Location| at.file().ends_with("refined_tcp_stream.rs");
            if info.location().is_some_and(in_file) {
                PANICS.fetch_add(1, Relaxed);
                static OFTEN: log::RateLimited = log::RateLimited::new();
                OFTEN.warn("accepting panicked, probably out of descriptors", &[]);
            } else if name.starts_with("http-") {
                log::error(&info.to_string(), &[("thread", &name)]);
            } else {
                previous(info);
            }
        }));
    });
}

/// The panics that ended an acceptor's accepting since the last call.
pub(super) fn take_panics() -> u64 {
    PANICS.swap(0, Relaxed)
}

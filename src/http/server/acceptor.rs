//! A post: one tiny_http server, and the one thread that receives from it.
//!
//! All posts accept from the same listening socket. One thread for each keeps the requests of a
//! connection in their order, and no two receiving threads wake each other: 61,000 requests/s over
//! 16 connections with two posts, 53,000 with one server and two threads, 45,000 with one of each
//! (two cores, the load generator on them too).

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Once};
use std::time::Duration;
use std::{io, panic, thread};

use crate::http::server::dispatch::Dispatcher;
use crate::http::server::supervisor::Event;
use crate::runtime::log;

/// How many looks in a row must find nothing before a post goes whose accepting has surely ended:
/// together twice the silence that closes a connection.
const QUIET_LOOKS: u32 = 8;

/// The same for a post whose accepting may have ended. One that accepts is looked at by the keeper
/// all the time, so that it is hardly quiet for so long.
const QUIET_LOOKS_DOUBTFUL: u32 = 64;

/// Panics of tiny_http's accepting threads that have not been told to a keeper. One for the
/// process, because a panic hook is.
static UNSEEN_PANICS: AtomicU64 = AtomicU64::new(0);

/// Opens a post that accepts from `master`.
///
/// Fails when there are no descriptors or threads left.
pub fn open(
    master: &TcpListener,
    desk: &Arc<Dispatcher>,
    events: &Sender<Event>,
) -> Result<(), String> {
    let listener = master.try_clone().map_err(|error| error.to_string())?;
    // It panics when it cannot start its thread.
    let server = catch_unwind(AssertUnwindSafe(|| {
        tiny_http::Server::from_listener(listener, None)
    }));
    let server = server.map_err(|_| "no thread to accept with".to_string())?;
    let server = server.map_err(|error| error.to_string())?;
    let post = Post {
        server,
        desk: desk.clone(),
        events: events.clone(),
        look: desk.serving.idle * 2 / QUIET_LOOKS,
    };
    let receiving = thread::Builder::new().name("http-receive".into());
    receiving
        .spawn(move || post.receive())
        .map_err(|error| error.to_string())?;
    desk.tally.posts.inc();
    Ok(())
}

/// Panics are logged where they happen in our threads, and otherwise left to the hook that was
/// there. Those that end tiny_http's accepting (it expects that a descriptor can be doubled) are
/// counted: nobody else hears of them.
pub fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(hook);
}

fn hook() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(ends_accepting) {
            UNSEEN_PANICS.fetch_add(1, Ordering::Relaxed);
            return log::warn("accepting panicked, probably out of descriptors", &[]);
        }
        let name = thread::current().name().unwrap_or("").to_string();
        if !name.starts_with("http-") {
            return others(info);
        }
        log::error(&info.to_string(), &[("thread", &name)]);
    }));
}

/// The panics since the last call that ended a post's accepting.
pub fn take_panics() -> u64 {
    UNSEEN_PANICS.swap(0, Ordering::Relaxed)
}

fn ends_accepting(location: &Location) -> bool {
    location.file().ends_with("refined_tcp_stream.rs")
}

struct Post {
    server: tiny_http::Server,
    desk: Arc<Dispatcher>,
    events: Sender<Event>,
    look: Duration,
}

impl Post {
    /// Receives as long as anything may come. Accepting ends at the first error (HTTP_NOTES 5); the
    /// connections that were accepted until then go on asking here.
    fn receive(self) {
        let mut ended = false;
        let mut quiet = 0;
        loop {
            match self.server.recv_timeout(self.look) {
                Ok(Some(raw)) => {
                    quiet = 0;
                    let _ = catch_unwind(AssertUnwindSafe(|| self.desk.receive(raw)));
                }
                Ok(None) => quiet += 1,
                Err(error) => {
                    ended = true;
                    self.report(error);
                }
            }
            let known = ended && QUIET_LOOKS <= quiet;
            if known || (QUIET_LOOKS_DOUBTFUL <= quiet && self.desk.take_doubt()) {
                break;
            }
        }
        // Dropping it would make it connect to our own port, where its successors listen.
        std::mem::forget(self.server);
    }

    fn report(&self, error: io::Error) {
        let timed_out = error.kind() == io::ErrorKind::WouldBlock;
        // The keeper is gone when the server leaves; then nothing is to be replaced.
        let _ = self.events.send(Event::AcceptingEnded { timed_out });
    }
}

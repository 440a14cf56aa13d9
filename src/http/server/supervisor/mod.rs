//! Keeps the port open: replaces acceptors that have stopped accepting, and says when the process
//! had better be restarted.
//!
//! An [`acceptor`] reports its own end, unless its thread panics; the panic hook counts those. A
//! `self_probe` sees what neither reports, and `half_closed` counts connections that are lost.

mod acceptor;
mod half_closed;
mod self_probe;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::server::dispatch::Dispatcher;
use crate::runtime::{log, process, sync};
use acceptor::Acceptors;

/// Acceptors at a time.
const ACCEPTORS: usize = 2;

/// The pause before an acceptor is replaced after a failure that is not just a silence: descriptors
/// take a moment to come back.
const REPLACE_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that must be free before an acceptor is opened: with fewer it would end at its first
/// connections.
const DESCRIPTORS_FOR_ACCEPTOR: usize = 16;

/// How often it is checked whether an accepting thread has panicked, or the server should end.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A server that ends serves for so long after it has begun to say that it is not ready: the others
/// look every 100 ms, and clients read on each response that the connection closes.
const ENDING_MIN: Duration = Duration::from_millis(300);

/// It ends then, even if a request is not answered yet.
const ENDING_MAX: Duration = Duration::from_millis(800);

/// Between two looks whether all is answered.
const ENDING_PAUSE: Duration = Duration::from_millis(5);

/// Descriptors that are used, even if the system allows more: two for each connection, which has a
/// thread as well.
const DESCRIPTORS_MAX: usize = 20_000;

/// A message to the supervisor.
enum Event {
    /// An acceptor accepts no more, or the self-probe gets no answer. `immediately`: there is no
    /// failure that had better be over first.
    Replace { immediately: bool },
    /// The server can no longer serve well.
    Degraded(String),
}

struct Supervisor {
    acceptors: Acceptors,
    /// Acceptors that are to be opened, and not before when.
    due: u64,
    not_before: Instant,
}

/// Opens the acceptors and replaces them. Returns why the process should be restarted; `None`: it
/// was told to end.
///
/// Fails when no acceptor can be opened to begin with.
pub(super) fn run(
    listener: TcpListener,
    dispatcher: Arc<Dispatcher>,
    address: SocketAddr,
) -> Result<Option<String>, String> {
    acceptor::install_panic_hook();
    let listens_at = listener.local_addr().map_err(|error| error.to_string())?;
    let (sender, events) = mpsc::channel();
    let acceptors = Acceptors {
        listener: Arc::new(listener),
        dispatcher: dispatcher.clone(),
        events: sender.clone(),
        suspects: Arc::default(),
    };
    for _ in 0..ACCEPTORS {
        acceptors.open()?;
    }
    let waking = dispatcher.clone();
    sync::spawn("http-wakeups", move || waking.wakeups.run())?;
    let counting = dispatcher.clone();
    let count = move || half_closed::run(&counting, listens_at);
    sync::spawn("http-half-closed", count)?;
    let probe = move || self_probe::run(dispatcher, address, sender);
    sync::spawn("http-self-probe", probe)?;
    let supervisor = Supervisor {
        acceptors,
        due: 0,
        not_before: Instant::now(),
    };
    Ok(supervisor.replace_acceptors(&events))
}

impl Supervisor {
    fn replace_acceptors(mut self, events: &Receiver<Event>) -> Option<String> {
        loop {
            match events.recv_timeout(self.patience()) {
                Ok(Event::Replace { immediately }) => self.request(1, immediately),
                Ok(Event::Degraded(why)) => return Some(why),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => unreachable!("acceptors hold a sender"),
            }
            if self.acceptors.dispatcher.config.should_end.load(Relaxed) {
                self.finish();
                return None;
            }
            let panics = acceptor::take_panics();
            self.acceptors.suspect(panics);
            self.request(panics, false);
            while 0 < self.due && self.not_before <= Instant::now() {
                self.open_one();
            }
        }
    }

    /// Says that this server ends, waits until all requests are answered, and ends its threads.
    fn finish(&self) {
        log::always("ending", &[]);
        let dispatcher = &self.acceptors.dispatcher;
        dispatcher.begin_ending();
        let begun = Instant::now();
        while begun.elapsed() < ENDING_MIN
            || begun.elapsed() < ENDING_MAX && dispatcher.connections.any_busy()
        {
            thread::sleep(ENDING_PAUSE);
        }
        dispatcher.end();
    }

    fn request(&mut self, acceptors: u64, immediately: bool) {
        if self.due == 0 && 0 < acceptors && !immediately {
            self.not_before = Instant::now() + REPLACE_PAUSE;
        }
        self.due += acceptors;
    }

    fn open_one(&mut self) {
        self.not_before = Instant::now() + REPLACE_PAUSE;
        if !has_room() {
            return;
        }
        match self.acceptors.open() {
            Ok(()) => {
                self.due -= 1;
                self.not_before = Instant::now();
                log::always("a new acceptor is open", &[]);
            }
            Err(error) => log::warn("cannot open a new acceptor", &[("error", &error)]),
        }
    }

    fn patience(&self) -> Duration {
        if self.due == 0 {
            return CHECK_EVERY;
        }
        let left = self.not_before.saturating_duration_since(Instant::now());
        left.min(CHECK_EVERY)
    }
}

fn has_room() -> bool {
    let allowed = process::descriptors_max().unwrap_or(DESCRIPTORS_MAX);
    process::descriptors().is_some_and(|open| open + DESCRIPTORS_FOR_ACCEPTOR <= allowed)
}

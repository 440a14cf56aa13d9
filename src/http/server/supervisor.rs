//! Keeps the port open: replaces posts whose accepting has ended, looks at the server from outside,
//! and says when the process had better be restarted.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::server::acceptor;
use crate::http::server::dispatch::Dispatcher;
use crate::http::server::wakeups;
use crate::runtime::log;
use crate::runtime::process;

/// Posts that accept at a time.
const POSTS: usize = 2;

/// The pause before a new post after a failure that is not just a silence: descriptors do not come
/// back at once.
const REPAIR_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that must be free before a new post is opened: with fewer it would end at its first
/// connections.
const DESCRIPTORS_FOR_POST: usize = 16;

/// How often it is looked whether accepting has panicked.
const PANIC_LOOK: Duration = Duration::from_millis(250);

/// The longest time between two looks from outside; they also keep accepting from timing out
/// (HTTP_NOTES 5).
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a look may take, twice: to connect and to be answered.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A look that waits for so long is one of the connections that tiny_http does not serve until it
/// is nudged, and there may be others.
const LOOK_SLOW: Duration = Duration::from_millis(50);

/// Wakeups for each time that a look has waited for so long.
const NUDGES_FOR_SLOW_LOOK: u32 = 20;

/// Failed looks in a row before another post is opened.
const LOOKS_FAILED_MAX: u32 = 3;

/// Posts opened in a row after failed looks. Beyond: the server leaves.
const REPAIRS_MAX: u32 = 6;

/// tiny_http has one to read from a connection and one to write to it.
const DESCRIPTORS_OF_CONNECTION: usize = 2;

/// Descriptors that are used, whatever more the system allows: two for each connection, and a
/// thread.
const DESCRIPTORS_MAX: usize = 20_000;

/// Part of the descriptors that may be lost for good. Beyond: the server leaves.
const LOST_PART: usize = 4;

/// Silences for which the descriptors may be nearly all in use. Beyond: the server leaves. Shorter
/// floods end by themselves, because silent connections are closed.
const CROWDED_IDLES_MAX: u32 = 3;

/// What a keeper must know.
#[derive(Debug)]
pub enum Event {
    /// `timed_out`: only because nobody connected for long.
    AcceptingEnded { timed_out: bool },
    /// Looks from outside find nobody.
    Unheard,
    /// The server can no longer serve well.
    Degraded(String),
}

/// Opens the posts and replaces them. Returns why the process should be restarted.
///
/// Fails when no post can be opened to begin with.
pub fn keep(
    master: TcpListener,
    desk: Arc<Dispatcher>,
    address: SocketAddr,
) -> Result<String, String> {
    acceptor::watch_panics();
    let (sender, events) = mpsc::channel();
    for _ in 0..POSTS {
        acceptor::open(&master, &desk, &sender)?;
    }
    let nudging = desk.clone();
    spawn("http-nudge", move || nudging.nudges.make())?;
    let lookout = Lookout {
        desk: desk.clone(),
        address,
        events: sender.clone(),
        open: process::descriptors().unwrap_or(0),
        crowded_since: None,
        failed: 0,
        repairs: 0,
    };
    spawn("http-look", move || lookout.watch())?;
    let keeper = Keeper {
        master,
        desk,
        sender,
        due: 0,
        not_before: Instant::now(),
    };
    Ok(keeper.replace_posts(&events))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = thread::Builder::new().name(name.into());
    let spawned = thread.spawn(work);
    spawned.map(drop).map_err(|error| error.to_string())
}

struct Keeper {
    master: TcpListener,
    desk: Arc<Dispatcher>,
    sender: Sender<Event>,
    /// Posts that are to be opened.
    due: u64,
    not_before: Instant,
}

impl Keeper {
    fn replace_posts(mut self, events: &Receiver<Event>) -> String {
        loop {
            match events.recv_timeout(self.patience()) {
                Ok(Event::AcceptingEnded { timed_out }) => self.want(1, timed_out),
                Ok(Event::Unheard) => self.want(1, true),
                Ok(Event::Degraded(why)) => return why,
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this keeper holds a sender"),
            }
            let panics = acceptor::take_panics();
            self.desk.doubt(panics);
            self.want(panics, false);
            if 0 < self.due && self.not_before <= Instant::now() {
                self.open_due();
            }
        }
    }

    fn want(&mut self, posts: u64, at_once: bool) {
        if self.due == 0 && 0 < posts && !at_once {
            self.not_before = Instant::now() + REPAIR_PAUSE;
        }
        self.due += posts;
    }

    fn open_due(&mut self) {
        while 0 < self.due {
            if !has_room() {
                self.not_before = Instant::now() + REPAIR_PAUSE;
                return;
            }
            match acceptor::open(&self.master, &self.desk, &self.sender) {
                Ok(()) => {
                    self.due -= 1;
                    log::always("a new generation accepts connections", &[]);
                }
                Err(error) => {
                    log::warn("cannot open a new generation", &[("error", &error)]);
                    self.not_before = Instant::now() + REPAIR_PAUSE;
                    return;
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.due == 0 {
            return PANIC_LOOK;
        }
        let left = self.not_before.saturating_duration_since(Instant::now());
        left.min(PANIC_LOOK)
    }
}

/// Looks at the server as a client would, and at what the process uses.
struct Lookout {
    desk: Arc<Dispatcher>,
    address: SocketAddr,
    events: Sender<Event>,
    /// Descriptors at the last look. When there are none left to look with, all are in use.
    open: usize,
    /// Since when nearly all descriptors are in use.
    crowded_since: Option<Instant>,
    /// Looks in a row that found nobody, since the last repair.
    failed: u32,
    /// Repairs since the last look that found somebody.
    repairs: u32,
}

impl Lookout {
    /// Does not return while there is a keeper to tell.
    fn watch(mut self) {
        let every = LOOK_EVERY.min(self.desk.serving.idle / (3 * POSTS as u32));
        loop {
            thread::sleep(every);
            self.desk.visitors.sweep(Instant::now());
            self.count_descriptors();
            let event = self.look_and_judge().or_else(|| self.worn_out());
            if event.is_some_and(|event| self.events.send(event).is_err()) {
                return;
            }
        }
    }

    /// New descriptors are new connections, whether they have sent a request or not. One nudge
    /// more, now and then, keeps looks from always meeting the same post.
    fn count_descriptors(&mut self) {
        let open = process::descriptors().unwrap_or(usize::MAX);
        let new = open.saturating_sub(self.open) / DESCRIPTORS_OF_CONNECTION;
        let new = u32::try_from(new).unwrap_or(0);
        let some = new.saturating_mul(wakeups::FOR_NEW) + fastrand::u32(0..=1);
        self.desk.nudges.want(some);
        self.open = open;
    }

    fn look_and_judge(&mut self) -> Option<Event> {
        match self.look() {
            Ok(()) => (self.failed, self.repairs) = (0, 0),
            // Without descriptors nobody can look; the posts tell of that themselves.
            Err(_) if self.is_crowded() => (),
            Err(_) => self.failed += 1,
        }
        if self.failed < LOOKS_FAILED_MAX {
            return None;
        }
        log::warn("this server does not answer itself", &[]);
        (self.failed, self.repairs) = (0, self.repairs + 1);
        if REPAIRS_MAX < self.repairs {
            let why = "this server does not answer itself".to_string();
            return Some(Event::Degraded(why));
        }
        Some(Event::Unheard)
    }

    fn look(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, LOOK_MAX)?;
        self.desk.visitors.expect(stream.local_addr()?);
        stream.set_read_timeout(Some(LOOK_SLOW))?;
        stream.set_write_timeout(Some(LOOK_MAX))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let deadline = Instant::now() + LOOK_MAX;
        let mut status = [0; 12];
        // The head is written at once, so that it can be read at once.
        while let Err(error) = stream.read_exact(&mut status) {
            if error.kind() != io::ErrorKind::WouldBlock || deadline < Instant::now() {
                return Err(error);
            }
            self.desk.nudges.want(NUDGES_FOR_SLOW_LOOK);
        }
        if &status != b"HTTP/1.1 200" {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn worn_out(&mut self) -> Option<Event> {
        let lost = self.desk.tally.forgotten.get() as usize;
        if descriptors_max() / LOST_PART < lost * DESCRIPTORS_OF_CONNECTION {
            let why = format!("{lost} connections are lost");
            return Some(Event::Degraded(why));
        }
        if !self.is_crowded() {
            self.crowded_since = None;
            return None;
        }
        let since = *self.crowded_since.get_or_insert_with(Instant::now);
        let lasts = self.desk.serving.idle * CROWDED_IDLES_MAX < since.elapsed();
        let why = "nearly all descriptors have been in use for long";
        lasts.then(|| Event::Degraded(why.into()))
    }

    /// Whether nine tenths of the descriptors are in use.
    fn is_crowded(&self) -> bool {
        descriptors_max() / 10 * 9 <= self.open
    }
}

fn has_room() -> bool {
    let allowed = process::descriptors_max().unwrap_or(DESCRIPTORS_MAX);
    process::descriptors().is_some_and(|open| open + DESCRIPTORS_FOR_POST <= allowed)
}

fn descriptors_max() -> usize {
    let allowed = process::descriptors_max().unwrap_or(DESCRIPTORS_MAX);
    allowed.min(DESCRIPTORS_MAX)
}

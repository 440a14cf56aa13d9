//! The self-probe: asks this server for `/livez` as a client would, and watches what the process
//! uses.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::{ACCEPTORS, DESCRIPTORS_MAX, Event};
use crate::http::server::dispatch::Dispatcher;
use crate::http::server::wakeups;
use crate::runtime::{log, process};

/// The longest pause between two probes. Probes also keep accepting from timing out (HTTP.md, 5).
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// How long a probe may take to connect, and how long to be answered.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// A probe that waits for so long is one of the connections that tiny_http does not serve until it
/// is woken (HTTP.md, 2), and there may be others.
const PROBE_SLOW: Duration = Duration::from_millis(50);

/// Wakeups for each time that a probe has waited for so long.
const WAKEUPS_FOR_SLOW_PROBE: u32 = 20;

/// Failed probes in a row before another acceptor is opened.
const PROBES_FAILED_MAX: u32 = 3;

/// Acceptors opened in a row after failed probes. Beyond: the process should be restarted.
const REPAIRS_MAX: u32 = 6;

/// tiny_http has one to read from a connection and one to write to it.
const DESCRIPTORS_OF_CONNECTION: usize = 2;

/// One in so many descriptors may be lost for good. Beyond: the process should be restarted.
const LOST_PART: usize = 4;

/// How long nearly all descriptors may be in use, in multiples of the silence that closes a
/// connection. Beyond: the process should be restarted. Shorter floods end by themselves, because
/// silent connections are closed.
const NEARLY_FULL_IDLES_MAX: u32 = 3;

struct SelfProbe {
    dispatcher: Arc<Dispatcher>,
    address: SocketAddr,
    /// Descriptors in use before the last probe. When there are none left to find out with, all are
    /// in use.
    descriptors: usize,
    /// Since when nearly all descriptors are in use.
    nearly_full_since: Option<Instant>,
    /// Failed probes in a row, since the last repair.
    failed: u32,
    /// Acceptors opened since the last probe that was answered.
    repairs: u32,
}

/// Returns when the server has ended, or its supervisor has.
pub(super) fn run(dispatcher: Arc<Dispatcher>, address: SocketAddr, events: Sender<Event>) {
    let every = PROBE_EVERY.min(dispatcher.config.idle / (3 * ACCEPTORS as u32));
    let mut probe = SelfProbe {
        dispatcher,
        address,
        descriptors: process::descriptors().unwrap_or(0),
        nearly_full_since: None,
        failed: 0,
        repairs: 0,
    };
    while !probe.dispatcher.has_ended() {
        thread::sleep(every);
        probe.dispatcher.connections.forget_closed(Instant::now());
        probe.count_descriptors();
        let event = probe.check_answer().or_else(|| probe.check_descriptors());
        if event.is_some_and(|event| events.send(event).is_err()) {
            return;
        }
    }
}

impl SelfProbe {
    /// New descriptors are new connections, whether they have sent a request or not. One wakeup
    /// more, now and then, keeps probes from always meeting the same acceptor.
    fn count_descriptors(&mut self) {
        let descriptors = process::descriptors().unwrap_or(usize::MAX);
        let new = descriptors.saturating_sub(self.descriptors) / DESCRIPTORS_OF_CONNECTION;
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        let wakeups = new.saturating_mul(wakeups::FOR_NEW_CONNECTION) + fastrand::u32(0..=1);
        self.dispatcher.wakeups.request(wakeups);
        self.descriptors = descriptors;
    }

    fn check_answer(&mut self) -> Option<Event> {
        match self.probe() {
            Ok(()) => (self.failed, self.repairs) = (0, 0),
            // Without descriptors no probe can connect; the acceptors report that themselves.
            Err(_) if self.is_nearly_full() => (),
            Err(_) => self.failed += 1,
        }
        if self.failed < PROBES_FAILED_MAX {
            return None;
        }
        let why = "this server does not answer its own probes";
        log::warn(why, &[]);
        (self.failed, self.repairs) = (0, self.repairs + 1);
        if REPAIRS_MAX < self.repairs {
            return Some(Event::Degraded(why.into()));
        }
        Some(Event::Replace { immediately: true })
    }

    fn probe(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, PROBE_TIMEOUT)?;
        self.dispatcher.connections.add_known(stream.local_addr()?);
        stream.set_read_timeout(Some(PROBE_SLOW))?;
        stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let deadline = Instant::now() + PROBE_TIMEOUT;
        let mut status = [0; 12];
        // The head is sent in one write, so that it is read whole or not at all.
        while let Err(error) = stream.read_exact(&mut status) {
            if error.kind() != io::ErrorKind::WouldBlock || deadline < Instant::now() {
                return Err(error);
            }
            self.dispatcher.wakeups.request(WAKEUPS_FOR_SLOW_PROBE);
        }
        if &status != b"HTTP/1.1 200" {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn check_descriptors(&mut self) -> Option<Event> {
        let lost = self.dispatcher.metrics.forgotten.get() as usize;
        if descriptors_max() / LOST_PART < lost * DESCRIPTORS_OF_CONNECTION {
            return Some(Event::Degraded(format!("{lost} connections are lost")));
        }
        if !self.is_nearly_full() {
            self.nearly_full_since = None;
            return None;
        }
        let since = *self.nearly_full_since.get_or_insert_with(Instant::now);
        let lasts = self.dispatcher.config.idle * NEARLY_FULL_IDLES_MAX < since.elapsed();
        let why = "nearly all descriptors have been in use for long";
        lasts.then(|| Event::Degraded(why.into()))
    }

    /// Whether nine tenths of the descriptors are in use.
    fn is_nearly_full(&self) -> bool {
        descriptors_max() / 10 * 9 <= self.descriptors
    }
}

fn descriptors_max() -> usize {
    let allowed = process::descriptors_max().unwrap_or(DESCRIPTORS_MAX);
    allowed.min(DESCRIPTORS_MAX)
}

//! Load: one request after another, a closed loop, and an open loop.
//!
//! In a *closed loop* each client sends its next request as soon as the last one is answered: that
//! finds the highest rate. In an *open loop* requests are due at fixed times, whether the one before
//! is answered or not, and latency counts from the time at which a request was due. So a stall of
//! the server counts against every request that had to wait, not only against those under way. (See
//! Gil Tene, "coordinated omission".)

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::machine;
use crate::tools::harness::measurement::Measurement;

/// Threads of a closed loop of look-ups. Each serves its connections in turn: it reads one answer
/// before it goes to the next, so every connection always has a request under way. On two cores,
/// over 64 connections to the baseline server, two threads got 68,000 to 71,000 answers a second
/// and used 34 % of the machine; one for each connection got 51,000 to 70,000 and used 43 %. From a
/// server that does not parse requests, two got 89,000 to 104,000.
pub(crate) const LOOKUP_THREADS: usize = 2;

/// Each client has a connection, and sends again as soon as it is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedLoop {
    pub(crate) clients: usize,
    /// The clients are divided among these. Where answers take long there are as many threads as
    /// clients, so that no answer is read late.
    pub(crate) threads: usize,
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
}

/// Requests are due at fixed times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenLoop {
    pub(crate) per_second: f64,
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
}

/// What a sequence of requests measured; look-ups and buys apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    pub(crate) lookups: Measurement,
    pub(crate) buys: Measurement,
}

/// Sends one request after another.
pub(crate) fn run_sequence(connection: &mut Connection, requests: &[Request]) -> Sequence {
    let mut sequence = Sequence::default();
    for request in requests {
        let measurement = match request {
            Request::Buy(_) => &mut sequence.buys,
            _ => &mut sequence.lookups,
        };
        let due = Instant::now();
        if measurement.send(connection, *request, due) {
            measurement.receive(connection, *request, due);
        }
        measurement.elapsed += due.elapsed();
    }
    sequence
}

impl ClosedLoop {
    /// As [`ClosedLoop::run_on`], on new connections.
    ///
    /// Fails when the connections cannot be opened.
    pub(crate) fn run(
        &self,
        address: SocketAddr,
        next: impl Fn(&mut Rng) -> Request + Sync,
    ) -> Result<Measurement, String> {
        let mut connections = Connection::open_many(address, self.clients)?;
        Ok(self.run_on(&mut connections, next))
    }

    /// Runs on these connections, one for each client. No request is under way afterwards. `next`
    /// chooses each request.
    pub(crate) fn run_on(
        &self,
        connections: &mut [Connection],
        next: impl Fn(&mut Rng) -> Request + Sync,
    ) -> Measurement {
        let each = self.clients.div_ceil(self.threads.min(self.clients));
        let parts = connections.chunks_mut(each).collect();
        measure_in_parallel(parts, |n, part| {
            let mut rng = Rng::with_seed(self.seed.wrapping_add(n as u64));
            keep_busy(part, self.duration, || next(&mut rng))
        })
    }
}

/// Keeps every connection busy until the time is over, and then receives what is still under way.
fn keep_busy(
    connections: &mut [Connection],
    duration: Duration,
    mut next: impl FnMut() -> Request,
) -> Measurement {
    let mut measurement = Measurement::default();
    let began = Instant::now();
    let mut under_way: Vec<Option<(Request, Instant)>> = vec![None; connections.len()];
    loop {
        let goes_on = began.elapsed() < duration;
        for (connection, slot) in connections.iter_mut().zip(&mut under_way) {
            if let Some((request, due)) = slot.take() {
                measurement.receive(connection, request, due);
            }
            if goes_on {
                let (request, due) = (next(), Instant::now());
                let sent = measurement.send(connection, request, due);
                *slot = sent.then_some((request, due));
            }
        }
        if !goes_on {
            measurement.elapsed = began.elapsed();
            return measurement;
        }
    }
}

impl OpenLoop {
    /// Sends on these connections in turn. `next` chooses each request.
    pub(crate) fn run_on(
        &self,
        connections: &mut [Connection],
        next: impl Fn(&mut Rng) -> Request + Sync,
    ) -> Measurement {
        let count = connections.len() as u32;
        let gap = Duration::from_secs_f64(1.0 / self.per_second);
        measure_in_parallel(connections.iter_mut().collect(), |n, connection| {
            let mut rng = Rng::with_seed(self.seed.wrapping_add(n as u64));
            let mut measurement = Measurement::default();
            let began = Instant::now();
            let mut due = began + gap * n as u32;
            while due < began + self.duration {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let request = next(&mut rng);
                if measurement.send(connection, request, due) {
                    measurement.receive(connection, request, due);
                }
                due += gap * count;
            }
            measurement.elapsed = began.elapsed();
            measurement
        })
    }
}

/// What all threads measured, as one, and what the load generator used of the machine.
fn measure_in_parallel<T: Send>(
    parts: Vec<T>,
    work: impl Fn(usize, T) -> Measurement + Sync,
) -> Measurement {
    let before = machine::processor_time();
    let mut whole = Measurement::default();
    for part in in_parallel(parts, work) {
        whole.merge_parallel(part);
    }
    let used = machine::processor_time().saturating_sub(before);
    let available = whole.elapsed.as_secs_f64() * machine::cores() as f64;
    if 0.0 < available {
        whole.generator_cpu = used.as_secs_f64() / available;
    }
    whole
}

/// Runs `work` for each part on a thread of its own, all from the same moment on. Returns the
/// results in the order of the parts.
pub(crate) fn in_parallel<T: Send, R: Send>(
    parts: Vec<T>,
    work: impl Fn(usize, T) -> R + Sync,
) -> Vec<R> {
    let start = Barrier::new(parts.len());
    thread::scope(|scope| {
        let spawn = |(n, part)| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(n, part)
            })
        };
        let threads: Vec<_> = parts.into_iter().enumerate().map(spawn).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, R>| {
            thread.join().expect("a load has no reason to panic")
        };
        threads.into_iter().map(join).collect()
    })
}

pub(crate) fn one_of(rng: &mut Rng, books: &[u64]) -> u64 {
    books[rng.usize(..books.len())]
}

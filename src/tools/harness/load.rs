//! Load: one request after another, a closed loop, and an open loop.
//!
//! In a *closed loop* each client sends its next request as soon as the last one is answered: that
//! finds the highest rate. In an *open loop* requests are due at fixed times, whether the one
//! before is answered or not, and latency counts from the time at which a request was due. So a
//! stall of the server counts against every request that had to wait, not only against those under
//! way. (See Gil Tene, "coordinated omission".)

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

/// Sends one request after another.
pub(crate) fn run_sequence(connection: &mut Connection, requests: &[Request]) -> Measurement {
    let mut measured = Measurement::default();
    let began = Instant::now();
    for request in requests {
        measured.exchange(connection, *request, Instant::now());
    }
    measured.elapsed = began.elapsed();
    measured
}

/// A closed loop with a client for each connection. The clients are divided among the threads;
/// where answers take long there are as many threads as clients, so that no answer is read late.
/// `next` chooses each request. No request is under way afterwards.
pub(crate) fn run_closed_loop(
    connections: &mut [Connection],
    threads: usize,
    duration: Duration,
    seed: u64,
    next: impl Fn(&mut Rng) -> Request + Sync,
) -> Measurement {
    let each = connections.len().div_ceil(threads.min(connections.len()));
    measure_in_parallel(connections.chunks_mut(each).collect(), |n, part| {
        let mut rng = Rng::with_seed(seed.wrapping_add(n as u64));
        keep_busy(part, duration, || next(&mut rng))
    })
}

/// Keeps every connection busy until the time is over, and then receives what is still under way.
fn keep_busy(
    connections: &mut [Connection],
    duration: Duration,
    mut next: impl FnMut() -> Request,
) -> Measurement {
    let mut measured = Measurement::default();
    let began = Instant::now();
    let mut under_way: Vec<Option<(Request, Instant)>> = vec![None; connections.len()];
    loop {
        let goes_on = began.elapsed() < duration;
        for (connection, slot) in connections.iter_mut().zip(&mut under_way) {
            if let Some((request, due)) = slot.take() {
                measured.receive(connection, request, due);
            }
            if goes_on {
                let (request, due) = (next(), Instant::now());
                let sent = measured.send(connection, request, due);
                *slot = sent.then_some((request, due));
            }
        }
        if !goes_on {
            measured.elapsed = began.elapsed();
            return measured;
        }
    }
}

/// An open loop with requests on these connections in turn. `next` chooses each request.
pub(crate) fn run_open_loop(
    connections: &mut [Connection],
    per_second: f64,
    duration: Duration,
    seed: u64,
    next: impl Fn(&mut Rng) -> Request + Sync,
) -> Measurement {
    let count = connections.len() as u32;
    let gap = Duration::from_secs_f64(1.0 / per_second);
    measure_in_parallel(connections.iter_mut().collect(), |n, connection| {
        let mut rng = Rng::with_seed(seed.wrapping_add(n as u64));
        let mut measured = Measurement::default();
        let began = Instant::now();
        let mut due = began + gap * n as u32;
        while due < began + duration {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            measured.exchange(connection, next(&mut rng), due);
            due += gap * count;
        }
        measured.elapsed = began.elapsed();
        measured
    })
}

/// What all threads measured, as one, and what the load generator used of the machine.
pub(crate) fn measure_in_parallel<T: Send>(
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
    let (start, work) = (&start, &work);
    thread::scope(|scope| {
        let spawn = |(n, part)| {
            scope.spawn(move || {
                start.wait();
                work(n, part)
            })
        };
        let threads: Vec<_> = parts.into_iter().enumerate().map(spawn).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results
            .map(|result| result.expect("a load has no reason to panic"))
            .collect()
    })
}

pub(crate) fn one_of(rng: &mut Rng, books: &[u64]) -> u64 {
    books[rng.usize(..books.len())]
}

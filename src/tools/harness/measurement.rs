//! What a load measured: latencies, errors, and the sales that the stock must show.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::tools::harness::connection::{Connection, Request, Response};

/// The pause before a broken connection is opened again, so that a server that refuses is not
/// called in a tight loop.
const RECONNECT_PAUSE: Duration = Duration::from_millis(1);

/// The outcome of one load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measurement {
    /// Of every request, in nanoseconds. Failed requests count too: somebody waited for them.
    pub(crate) latencies: Vec<u64>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Requests without an answer, or with another than expected.
    pub(crate) errors: u64,
    /// Look-ups that the front-end answered from its cache.
    pub(crate) hits: u64,
    /// By book.
    pub(crate) sales: BTreeMap<u64, Sales>,
    /// The part of all processors that the load generator itself used, from 0 to 1.
    pub(crate) generator_cpu: f64,
}

/// Copies of one book that customers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sales {
    pub(crate) sold: u64,
    /// Buys without an answer that tells their outcome.
    pub(crate) unknown: u64,
}

impl Sales {
    pub(crate) fn add(&mut self, other: Sales) {
        self.sold += other.sold;
        self.unknown += other.unknown;
    }
}

impl Measurement {
    /// Sends `request`, which is due at `due`. Returns whether an answer will come. After a failure
    /// the connection is a new one.
    pub(crate) fn send(
        &mut self,
        connection: &mut Connection,
        request: Request,
        due: Instant,
    ) -> bool {
        let Err(error) = connection.send(request) else {
            return true;
        };
        self.record(request, Err(error), due.elapsed());
        reconnect(connection);
        false
    }

    /// Receives the answer to `request`, which was due at `due`. After a failure the connection is
    /// a new one.
    pub(crate) fn receive(&mut self, connection: &mut Connection, request: Request, due: Instant) {
        let response = connection.receive();
        let latency = due.elapsed();
        let broken = response.is_err();
        self.record(request, response, latency);
        if broken {
            reconnect(connection);
        }
    }

    /// Sends `request`, which is due at `due`, and receives the answer.
    pub(crate) fn exchange(&mut self, connection: &mut Connection, request: Request, due: Instant) {
        if self.send(connection, request, due) {
            self.receive(connection, request, due);
        }
    }

    fn record(&mut self, request: Request, response: io::Result<Response>, latency: Duration) {
        self.latencies.push(latency.as_nanos() as u64);
        let expected = response.as_ref().is_ok_and(|it| it.is_expected(request));
        self.errors += u64::from(!expected);
        if let Request::Buy(book) = request {
            // "Out of stock" is an error here, but certainly no sale.
            let known = response.is_ok_and(|response| response.status == 200);
            self.sales.entry(book).or_default().add(Sales {
                sold: u64::from(expected),
                unknown: u64::from(!known),
            });
        } else if let Ok(response) = response {
            self.hits += u64::from(response.is_cache_hit());
        }
    }

    /// Runs `work`, and enters how long it took.
    pub(crate) fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = work();
        self.latencies.push(began.elapsed().as_nanos() as u64);
        result
    }

    /// Half of the requests took at most this long.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        Duration::from_nanos(quantile(&sorted, 0.5))
    }

    /// Adds a load that ran at the same time.
    pub(crate) fn merge_parallel(&mut self, other: Measurement) {
        self.elapsed = self.elapsed.max(other.elapsed);
        self.merge(other);
    }

    /// Adds a load that ran afterwards.
    pub(crate) fn append(&mut self, other: Measurement) {
        let (mine, its) = (self.elapsed.as_secs_f64(), other.elapsed.as_secs_f64());
        if 0.0 < mine + its {
            let used = self.generator_cpu * mine + other.generator_cpu * its;
            self.generator_cpu = used / (mine + its);
        }
        self.elapsed += other.elapsed;
        self.merge(other);
    }

    fn merge(&mut self, other: Measurement) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.hits += other.hits;
        for (book, sales) in other.sales {
            self.sales.entry(book).or_default().add(sales);
        }
    }
}

fn reconnect(connection: &mut Connection) {
    thread::sleep(RECONNECT_PAUSE);
    // When it fails, so does the next request, which is then an error.
    let _ = connection.reopen();
}

/// The smallest value that `part` of all did not exceed; 0 when there is none. It is one of the
/// values, never one interpolated between two.
pub(crate) fn quantile(sorted: &[u64], part: f64) -> u64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

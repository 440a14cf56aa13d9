//! What a load brought: latencies, errors, and which sales the stock must show.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::tools::bench::connection::{Ask, Connection, Reply};

/// The pause before a connection is opened again.
const RENEWAL_PAUSE: Duration = Duration::from_millis(1);

/// The outcome of one load.
#[derive(Clone, Debug, Default)]
pub struct Take {
    /// Of every request, in nanoseconds; failed ones too, since somebody waited for them.
    pub latencies: Vec<u64>,
    /// How long it took from the first request to the last answer.
    pub elapsed: Duration,
    /// Requests without an answer, or with another than expected.
    pub errors: u64,
    /// Look-ups that the front-end answered from its cache.
    pub hits: u64,
    /// By book.
    pub sales: BTreeMap<u64, Sales>,
    /// What the load generator itself used of all processors, from 0 to 1.
    pub generator: f64,
}

/// Copies of one book that customers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sales {
    pub sold: u64,
    /// Buys whose customer was told neither yes nor no.
    pub unknown: u64,
}

impl Take {
    /// Receives the answer to `ask`, which was due at `due`. After a failure the connection is a
    /// new one.
    pub fn receive(&mut self, connection: &mut Connection, ask: Ask, due: Instant) {
        let reply = connection.receive();
        let latency = due.elapsed();
        let broken = reply.is_err();
        self.note(ask, reply, latency);
        if broken {
            renew(connection);
        }
    }

    /// Sends `ask`; says whether it is under way. After a failure the connection is a new one.
    pub fn send(&mut self, connection: &mut Connection, ask: Ask, due: Instant) -> bool {
        let sent = connection.send(ask);
        if let Err(error) = sent {
            self.note(ask, Err(error), due.elapsed());
            renew(connection);
            return false;
        }
        true
    }

    fn note(&mut self, ask: Ask, reply: io::Result<Reply>, latency: Duration) {
        self.latencies.push(latency.as_nanos() as u64);
        let fine = reply.as_ref().is_ok_and(|reply| reply.answers(ask));
        self.errors += u64::from(!fine);
        match (ask, reply) {
            (Ask::Buy(book), reply) => {
                let sales = self.sales.entry(book).or_default();
                // "Out of stock" is an error here, but certainly no sale.
                let settled = reply.is_ok_and(|reply| reply.status == 200);
                sales.sold += u64::from(fine);
                sales.unknown += u64::from(!settled);
            }
            (_, Ok(reply)) => self.hits += u64::from(reply.is_hit()),
            (_, Err(_)) => (),
        }
    }

    /// Adds another load that went on at the same time.
    pub fn merge(&mut self, other: Take) {
        self.latencies.extend(other.latencies);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.merge_counts(other.errors, other.hits, other.sales);
        self.generator = self.generator.max(other.generator);
    }

    /// Adds another load that came after.
    pub fn append(&mut self, other: Take) {
        let (mine, its) = (self.elapsed.as_secs_f64(), other.elapsed.as_secs_f64());
        if 0.0 < mine + its {
            let used = self.generator * mine + other.generator * its;
            self.generator = used / (mine + its);
        }
        self.elapsed += other.elapsed;
        self.latencies.extend(other.latencies);
        self.merge_counts(other.errors, other.hits, other.sales);
    }

    fn merge_counts(&mut self, errors: u64, hits: u64, sales: BTreeMap<u64, Sales>) {
        self.errors += errors;
        self.hits += hits;
        for (book, more) in sales {
            let sales = self.sales.entry(book).or_default();
            sales.sold += more.sold;
            sales.unknown += more.unknown;
        }
    }
}

/// A server that refuses is not asked as fast as a loop can go.
fn renew(connection: &mut Connection) {
    thread::sleep(RENEWAL_PAUSE);
    // Should it fail, the next request will say so.
    let _ = connection.reopen();
}

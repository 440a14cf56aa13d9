//! Load: one customer after another, a crowd, and requests by the clock.
//!
//! A *crowd* asks again as soon as it is answered: that finds the highest rate. Requests *by the
//! clock* are due at fixed times, whether the one before is answered or not, and their latency
//! counts from then: a server that stalls is charged for everybody who had to wait, not only for
//! those who were let in to ask.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::tools::bench::connection::{Ask, Connection};
use crate::tools::bench::machine;
use crate::tools::bench::take::Take;
use std::net::SocketAddr;

/// Threads of a crowd of readers. Each serves its connections in turn, always reading one answer
/// before it looks for the next, so that every connection has a request under way. On two cores,
/// over 64 connections to the bare server, two threads got 68,000 to 71,000 answers a second and
/// used 34 % of the machine; a thread for each got 51,000 to 70,000 and used 43 %. From a server
/// that does not look at requests, two got 89,000 to 104,000.
pub const READERS_MAX: usize = 2;

/// A closed loop: each customer has a connection and asks again as soon as it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub customers: usize,
    /// Among which the customers are dealt out; as many as customers where answers take long, so
    /// that nobody's answer is found late.
    pub threads: usize,
    pub lasts: Duration,
    pub seed: u64,
}

/// An open loop: requests are due at fixed times.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub per_second: f64,
    pub lasts: Duration,
    pub seed: u64,
}

/// What one customer meets who asks one thing after another; look-ups and buys apart.
#[derive(Clone, Debug, Default)]
pub struct Mixed {
    pub lookups: Take,
    pub buys: Take,
}

/// Asks one after another on one connection, open already.
pub fn in_turn(connection: &mut Connection, asks: &[Ask]) -> Mixed {
    let mut mixed = Mixed::default();
    for ask in asks {
        let take = match ask {
            Ask::Buy(_) => &mut mixed.buys,
            _ => &mut mixed.lookups,
        };
        let due = Instant::now();
        if take.send(connection, *ask, due) {
            take.receive(connection, *ask, due);
        }
        take.elapsed += due.elapsed();
    }
    mixed
}

impl Crowd {
    /// Runs the crowd on connections of its own. `pick` chooses what is asked.
    ///
    /// Fails when the connections cannot be opened.
    pub fn run(
        &self,
        at: SocketAddr,
        pick: impl Fn(&mut Rng) -> Ask + Sync,
    ) -> Result<Take, String> {
        let mut connections = Connection::open_all(at, self.customers)?;
        Ok(self.run_on(&mut connections, pick))
    }

    /// Runs the crowd on these connections, one for each customer. They are open and silent
    /// afterwards.
    pub fn run_on(
        &self,
        connections: &mut [Connection],
        pick: impl Fn(&mut Rng) -> Ask + Sync,
    ) -> Take {
        let each = self.customers.div_ceil(self.threads.min(self.customers));
        let hands = connections.chunks_mut(each).collect();
        at_once(hands, |n, hand| {
            let mut rng = Rng::with_seed(self.seed.wrapping_add(n as u64));
            drive(hand, self.lasts, || pick(&mut rng))
        })
    }
}

/// Keeps every connection busy until the time is over, and then receives what is still under way.
fn drive(hand: &mut [Connection], lasts: Duration, mut pick: impl FnMut() -> Ask) -> Take {
    let mut take = Take::default();
    let began = Instant::now();
    let mut waiting: Vec<Option<(Ask, Instant)>> = vec![None; hand.len()];
    loop {
        let open = began.elapsed() < lasts;
        for (connection, slot) in hand.iter_mut().zip(&mut waiting) {
            if let Some((ask, due)) = slot.take() {
                take.receive(connection, ask, due);
            }
            if open {
                let (ask, due) = (pick(), Instant::now());
                *slot = take.send(connection, ask, due).then_some((ask, due));
            }
        }
        if !open {
            take.elapsed = began.elapsed();
            return take;
        }
    }
}

impl Clock {
    /// Asks by the clock, on these connections in turn. `pick` chooses what is asked.
    pub fn run_on(
        &self,
        connections: &mut [Connection],
        pick: impl Fn(&mut Rng) -> Ask + Sync,
    ) -> Take {
        let count = connections.len() as u32;
        let gap = Duration::from_secs_f64(1.0 / self.per_second);
        at_once(connections.iter_mut().collect(), |n, connection| {
            let mut rng = Rng::with_seed(self.seed.wrapping_add(n as u64));
            let mut take = Take::default();
            let began = Instant::now();
            let mut due = began + gap * n as u32;
            while due < began + self.lasts {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let ask = pick(&mut rng);
                if take.send(connection, ask, due) {
                    take.receive(connection, ask, due);
                }
                due += gap * count;
            }
            take.elapsed = began.elapsed();
            take
        })
    }
}

/// One thread for each part, all begun together; what they brought, as one.
fn at_once<T: Send>(parts: Vec<T>, work: impl Fn(usize, T) -> Take + Sync) -> Take {
    let gate = Barrier::new(parts.len());
    let used = machine::processor_time();
    let mut whole = Take::default();
    thread::scope(|scope| {
        let start = |(n, part)| {
            let (gate, work) = (&gate, &work);
            scope.spawn(move || {
                gate.wait();
                work(n, part)
            })
        };
        let threads: Vec<_> = parts.into_iter().enumerate().map(start).collect();
        for thread in threads {
            whole.merge(thread.join().expect("a load thread has no reason to panic"));
        }
    });
    let used = machine::processor_time().saturating_sub(used);
    let all = whole.elapsed.as_secs_f64() * machine::cores() as f64;
    whole.generator = if 0.0 < all {
        used.as_secs_f64() / all
    } else {
        0.0
    };
    whole
}

//! Customers of the page: so many as its slider says, each sends a request, thinks, and sends the
//! next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::Serialize;
use serde_json::json;

use crate::config::Limits;
use crate::http::Method;
use crate::http::client::{Answer, Client, Failure};
use crate::model::error::Error;
use crate::runtime::sync::{self, lock};
use crate::supervisor::cluster::Cluster;
use crate::supervisor::cluster::account::Outcome;
use crate::supervisor::topology::Kind;

/// Of 100 requests, until somebody says otherwise.
pub(super) const BUYS_AT_FIRST: usize = 50;

pub(super) const CUSTOMERS_MAX: usize = 32;

/// Between an answer and the next request of a customer.
const THINKING: Duration = Duration::from_millis(25);

/// A customer who does not know whether they bought sends the same buy again, so often.
const BUY_TRIES: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A customer waits no longer.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    whole: Duration::from_secs(6),
};

/// The curves reach so many seconds back.
const SECONDS_MAX: usize = 120;

/// Customers buy the books with the first ids.
const BOOKS_MAX: u64 = 7;

/// Copies that are added when a customer finds a book out of stock.
const COPIES: u64 = 100;

/// What is asked of the customers, and what became of it.
#[derive(Debug)]
pub(super) struct Load {
    customers: AtomicUsize,
    /// Of 100 requests.
    buys: AtomicUsize,
    /// Threads that were started: those beyond `customers` wait.
    threads: Mutex<usize>,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    /// When the second that is measured now began.
    began: Option<Instant>,
    second: Second,
    latencies_us: Vec<u64>,
    seconds: VecDeque<Second>,
    /// Of all seconds that ended.
    number: u64,
}

/// One second of the curves.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Second {
    number: u64,
    requests: u64,
    /// Requests without a usable answer.
    errors: u64,
    sold: u64,
    p50_ms: f64,
    p99_ms: f64,
}

/// For the page.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    customers: usize,
    customers_max: usize,
    buys: usize,
    seconds: Vec<Second>,
}

impl Load {
    /// Without customers.
    pub(super) fn new() -> Load {
        Load {
            customers: AtomicUsize::new(0),
            buys: AtomicUsize::new(BUYS_AT_FIRST),
            threads: Mutex::default(),
            measured: Mutex::default(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        0 < self.customers.load(Relaxed)
    }

    pub(super) fn shown(&self) -> Shown {
        Shown {
            customers: self.customers.load(Relaxed),
            customers_max: CUSTOMERS_MAX,
            buys: self.buys.load(Relaxed),
            seconds: lock(&self.measured).seconds.iter().copied().collect(),
        }
    }

    /// Enters one request.
    fn observe(&self, took: Duration, outcome: Outcome, sold: bool) {
        let mut measured = lock(&self.measured);
        measured.latencies_us.push(took.as_micros() as u64);
        measured.second.requests += 1;
        measured.second.errors += u64::from(outcome == Outcome::Unknown);
        measured.second.sold += u64::from(sold);
    }
}

impl Measured {
    /// Ends the second if it is over.
    fn tick(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        if now - began < Duration::from_secs(1) {
            return;
        }
        self.began = Some(now);
        self.latencies_us.sort_unstable();
        self.number += 1;
        let ended = Second {
            number: self.number,
            p50_ms: percentile_ms(&self.latencies_us, 50),
            p99_ms: percentile_ms(&self.latencies_us, 99),
            ..self.second
        };
        if self.seconds.len() == SECONDS_MAX {
            self.seconds.pop_front();
        }
        self.seconds.push_back(ended);
        self.second = Second::default();
        self.latencies_us.clear();
    }
}

/// 0 of none.
fn percentile_ms(sorted_us: &[u64], percent: usize) -> f64 {
    let at = (sorted_us.len() * percent).div_ceil(100).saturating_sub(1);
    sorted_us.get(at).map_or(0.0, |us| *us as f64 / 1000.0)
}

/// From now on there are so many customers, and so many of 100 requests are buys.
///
/// Fails when a thread cannot be started.
pub(super) fn set(cluster: &Arc<Cluster>, customers: usize, buys: usize) -> Result<(), String> {
    cluster.load.buys.store(buys.min(100), Relaxed);
    let customers = customers.min(CUSTOMERS_MAX);
    let mut threads = lock(&cluster.load.threads);
    while *threads < customers {
        let (own, n) = (cluster.clone(), *threads);
        sync::spawn("customer", move || be_customer(&own, n))?;
        *threads += 1;
    }
    cluster.load.customers.store(customers, Relaxed);
    Ok(())
}

/// Ends the seconds of the curves while there are customers. Called again and again.
pub(super) fn tick(load: &Load) {
    if load.is_on() {
        lock(&load.measured).tick(Instant::now());
    }
}

fn be_customer(cluster: &Cluster, n: usize) {
    let client = Client::new(LIMITS, None);
    let mut rng = Rng::new();
    loop {
        thread::sleep(THINKING);
        if cluster.load.customers.load(Relaxed) <= n {
            continue;
        }
        let book = rng.u64(1..=BOOKS_MAX);
        let began = Instant::now();
        if rng.usize(0..100) < cluster.load.buys.load(Relaxed) {
            let (outcome, answer) = buy(cluster, &client, n, book, &mut rng);
            cluster
                .load
                .observe(began.elapsed(), outcome, outcome == Outcome::Done);
            if outcome == Outcome::Nothing && answer.is_some_and(|answer| answer.status == 200) {
                restock_sold_out(cluster, book);
            }
        } else {
            let answer = ask_front_ends(cluster, n, |url| {
                client.get(&format!("{url}/lookup/{book}"), &[])
            });
            let is_answered = answer.is_ok_and(|answer| answer.status < 500);
            let outcome = if is_answered {
                Outcome::Nothing
            } else {
                Outcome::Unknown
            };
            cluster.load.observe(began.elapsed(), outcome, false);
        }
    }
}

/// Asks the customer's front-end, and the next one if that cannot be reached.
fn ask_front_ends(
    cluster: &Cluster,
    n: usize,
    ask: impl Fn(&str) -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    let front_ends = cluster.addresses(Kind::FrontEnd);
    let mut answer = ask(front_ends[n % front_ends.len()].as_str());
    for further in 1..front_ends.len() {
        match &answer {
            Err(failure) if failure.definite() => {
                answer = ask(front_ends[(n + further) % front_ends.len()].as_str());
            }
            _ => break,
        }
    }
    answer
}

/// Buys one copy, and enters it into the account. The buy has a key of its own, so that it is one
/// purchase however often it is sent.
fn buy(
    cluster: &Cluster,
    client: &Client,
    n: usize,
    book: u64,
    rng: &mut Rng,
) -> (Outcome, Option<Answer>) {
    let key = format!("{:016x}", rng.u64(..));
    cluster.account.buys(book);
    let (mut outcome, mut answer) = (Outcome::Nothing, None);
    let mut may_have_sold = false;
    for attempt in 0..BUY_TRIES {
        if 0 < attempt {
            thread::sleep(RETRY_PAUSE);
        }
        let sent = ask_front_ends(cluster, n, |url| {
            client.put(
                &format!("{url}/buy/{book}"),
                &[("Idempotency-Key", &key)],
                b"",
            )
        });
        outcome = outcome_of(&sent);
        answer = sent.ok();
        may_have_sold |= outcome == Outcome::Unknown;
        let is_final = answer.as_ref().is_some_and(|answer| answer.status < 500);
        if is_final || !may_have_sold {
            break;
        }
        outcome = Outcome::Unknown;
    }
    cluster.account.bought(book, outcome);
    (outcome, answer)
}

/// Whether an answer to a write says that it was done, that it was not, or neither.
pub(super) fn outcome_of(answer: &Result<Answer, Failure>) -> Outcome {
    match answer {
        Ok(answer) if answer.status == 200 || answer.status == 201 => {
            let body: serde_json::Value = answer.json().unwrap_or_default();
            if body["success"] == false {
                Outcome::Nothing
            } else {
                Outcome::Done
            }
        }
        Ok(answer) if answer.status < 500 => Outcome::Nothing,
        Ok(answer) if answer.header("Bazar-Outcome") == Some("none") => Outcome::Nothing,
        Err(failure) if failure.definite() => Outcome::Nothing,
        Ok(_) | Err(_) => Outcome::Unknown,
    }
}

/// Adds copies to a book of which none is left, unless somebody else has just done it.
fn restock_sold_out(cluster: &Cluster, book: u64) {
    let client = Client::new(LIMITS, cluster.shop.token.as_deref());
    let read = cluster.addresses(Kind::Catalog).iter().find_map(|catalog| {
        let read = client.get(&format!("{catalog}/query/item/{book}"), &[]);
        read.ok().filter(|answer| answer.status == 200)
    });
    let Some(read) = read else { return };
    let body: serde_json::Value = read.json().unwrap_or_default();
    if let (Some(0), Some(version)) = (body["quantity"].as_u64(), read.header("etag")) {
        // Whoever finds it sold out next tries again.
        let _ = restock(cluster, book, COPIES, &[("If-Match", version)]);
    }
}

/// Adds copies to a book at the first catalog that does it: with a key, so that they are added once
/// however many are asked.
///
/// Fails with [`Error::NoSuchBook`], and with [`Error::Busy`] when it is not known that it was done.
pub(super) fn restock(
    cluster: &Cluster,
    book: u64,
    copies: u64,
    condition: &[(&str, &str)],
) -> Result<(), Error> {
    let client = Client::new(LIMITS, cluster.shop.token.as_deref());
    let key = format!("{:016x}", fastrand::u64(..));
    let headers = [&[("Idempotency-Key", key.as_str())], condition].concat();
    let body = json!({ "quantity": { "add": copies } }).to_string();
    cluster.account.adds(book, copies);
    let (mut outcome, mut is_missing) = (Outcome::Nothing, false);
    for catalog in cluster.addresses(Kind::Catalog) {
        let url = format!("{catalog}/update/{book}");
        let answer = client.call(Method::Patch, &url, &headers, Some(body.as_bytes()));
        match outcome_of(&answer) {
            // An earlier one may have done it.
            Outcome::Nothing if outcome == Outcome::Unknown => (),
            now => outcome = now,
        }
        is_missing |= answer.is_ok_and(|answer| answer.status == 404);
        if outcome == Outcome::Done {
            break;
        }
    }
    cluster.account.added(book, copies, outcome);
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Nothing if is_missing => Err(Error::NoSuchBook),
        _ => Err(Error::Busy("No catalog has added the copies".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_ends_with_its_percentiles() {
        let load = Load::new();
        let began = Instant::now();
        lock(&load.measured).tick(began);
        for ms in 1..=100 {
            load.observe(Duration::from_millis(ms), Outcome::Nothing, ms == 1);
        }
        load.observe(Duration::from_secs(1), Outcome::Unknown, false);
        lock(&load.measured).tick(began + Duration::from_secs(1));
        let second = load.shown().seconds[0];
        assert_eq!((second.requests, second.errors, second.sold), (101, 1, 1));
        assert_eq!((second.p50_ms, second.p99_ms), (51.0, 100.0));
    }

    #[test]
    fn a_second_without_requests_has_no_latency() {
        assert_eq!(percentile_ms(&[], 99), 0.0);
    }
}

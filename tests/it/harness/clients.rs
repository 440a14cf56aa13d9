//! Clients that do more than one call: many at once, one that retries, and the seed of random ones.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use crate::harness::http::{self, Response};
use crate::harness::process::DEADLINE;

/// Between two tries of a buy.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// So many calls at the same time. Returns their responses.
pub fn concurrently(count: usize, call: impl Fn(usize) -> Response + Sync) -> Vec<Response> {
    thread::scope(|scope| {
        let call = &call;
        let calls: Vec<_> = (0..count).map(|n| scope.spawn(move || call(n))).collect();
        calls.into_iter().map(|c| c.join().unwrap()).collect()
    })
}

/// Buys with this idempotency key until the response is definite. Until then, each says
/// in `Bazar-Outcome` whether a copy may have been sold.
pub fn buy_until_definite(address: &str, book: u64, key: &str) -> Response {
    buy_copies_until_definite(address, book, 1, key)
}

/// As [`buy_until_definite`], so many copies at once.
pub fn buy_copies_until_definite(address: &str, book: u64, copies: usize, key: &str) -> Response {
    let body = match copies {
        1 => String::new(),
        copies => json!({ "quantity": copies }).to_string(),
    };
    let deadline = Instant::now() + DEADLINE;
    let (path, headers) = (format!("/buy/{book}"), [("Idempotency-Key", key)]);
    loop {
        if let Ok(response) = http::call(address, "PUT", &path, &headers, &body) {
            if response.status == 200 {
                return response;
            }
            assert!(matches!(response.status, 503 | 504), "{response:?}");
            let outcome = response.header("Bazar-Outcome");
            assert!(matches!(outcome, "none" | "unknown"), "{response:?}");
        }
        assert!(Instant::now() < deadline, "what became of {key}?");
        thread::sleep(RETRY_PAUSE);
    }
}

/// Randomness from the variable `SEED`, or from a new seed, which it prints.
pub fn seeded() -> (u64, Rng) {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("SEED={seed}");
    (seed, Rng::with_seed(seed))
}

/// A number from the environment, if that variable is set.
pub fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

//! A fair counting semaphore with a soft limit.
//!
//! Callers get their permits in the order of arrival. Up to the soft limit a permit is given as
//! soon as the caller's turn comes. Between the soft limit and the limit it is given only after a
//! delay, in which no other permit was given. [`crate::runtime::batcher`] uses that delay to
//! collect more requests, so that under load fewer and larger batches run at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::sync;

/// A number of permits.
pub(crate) struct Semaphore {
    limit: usize,
    soft_limit: usize,
    /// Held for moments only, never while a permit is in use.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    acquired: usize,
    last_acquired: Option<Instant>,
    /// First in, first out: each waiter has a condition variable of its own.
    waiters: VecDeque<Arc<Condvar>>,
}

/// The right to go on. Dropping it gives it back.
pub(crate) struct Permit<'a>(&'a Semaphore);

impl Semaphore {
    pub(crate) fn new(limit: usize) -> Semaphore {
        Semaphore::with_soft_limit(limit, limit)
    }

    /// As [`Semaphore::new`], but permits beyond `soft_limit` are delayed.
    pub(crate) fn with_soft_limit(limit: usize, soft_limit: usize) -> Semaphore {
        Semaphore {
            limit,
            soft_limit,
            state: Mutex::default(),
        }
    }

    /// How many permits are in use.
    #[cfg(test)]
    pub(crate) fn acquired(&self) -> usize {
        sync::lock(&self.state).acquired
    }

    /// Waits for a permit: one below the soft limit; or any, once no permit has been given for
    /// `delay`.
    pub(crate) fn acquire(&self, delay: Duration) -> Permit<'_> {
        let mut state = sync::lock(&self.state);
        if state.acquired < self.soft_limit && state.waiters.is_empty() {
            state.acquire();
            return Permit(self);
        }
        let turn = Arc::<Condvar>::default();
        state.waiters.push_back(turn.clone());
        loop {
            let first = Arc::ptr_eq(&state.waiters[0], &turn);
            let full = state.acquired == self.limit;
            let delay_left = state
                .last_acquired
                .map_or(Duration::ZERO, |last| delay.saturating_sub(last.elapsed()));
            if first && (state.acquired < self.soft_limit || !full && delay_left.is_zero()) {
                break;
            }
            state = if first && !full {
                sync::wait_timeout(&turn, state, delay_left)
            } else {
                sync::wait(&turn, state)
            };
        }
        state.waiters.pop_front();
        state.acquire();
        state.wake_first();
        Permit(self)
    }
}

impl State {
    fn acquire(&mut self) {
        self.acquired += 1;
        self.last_acquired = Some(Instant::now());
    }

    /// The first waiter checks whether it may go on.
    fn wake_first(&self) {
        if let Some(turn) = self.waiters.front() {
            turn.notify_one();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = sync::lock(&self.0.state);
        state.acquired -= 1;
        state.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(100);
    const SHORT: Duration = Duration::from_micros(10);

    fn check_never_more_than(limit: usize, semaphore: Semaphore, delay: Duration) {
        let (running, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _permit = semaphore.acquire(delay);
                        seen.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
        let seen = seen.into_inner();
        assert!(seen <= limit, "{seen}");
    }

    #[test]
    fn no_more_permits_are_acquired_than_the_limit() {
        check_never_more_than(2, Semaphore::new(2), SHORT);
        check_never_more_than(1, Semaphore::with_soft_limit(8, 1), LONG);
        check_never_more_than(3, Semaphore::with_soft_limit(3, 1), SHORT);
    }

    #[test]
    fn a_waiter_exceeds_the_soft_limit_after_the_delay() {
        let delay = Duration::from_millis(20);
        let semaphore = Semaphore::with_soft_limit(2, 1);
        let _first = semaphore.acquire(delay);
        let began = Instant::now();
        let _second = semaphore.acquire(delay);
        assert!(delay <= began.elapsed());
    }

    #[test]
    fn a_delayed_waiter_proceeds_once_a_permit_is_free() {
        let semaphore = Semaphore::with_soft_limit(2, 1);
        let began = Instant::now();
        thread::scope(|scope| {
            let first = semaphore.acquire(LONG);
            let second = scope.spawn(|| drop(semaphore.acquire(LONG)));
            while sync::lock(&semaphore.state).waiters.is_empty() {
                thread::yield_now();
            }
            drop(first);
            second.join().unwrap();
        });
        assert!(began.elapsed() < LONG / 2);
    }

    #[test]
    fn permits_are_given_in_the_order_of_arrival() {
        let semaphore = Semaphore::with_soft_limit(3, 1);
        let (serve, served) = mpsc::channel();
        let mut all: Vec<Permit> = (0..3).map(|_| semaphore.acquire(SHORT)).collect();
        thread::scope(|scope| {
            for n in 0..5 {
                let (semaphore, serve) = (&semaphore, serve.clone());
                scope.spawn(move || {
                    let _permit = semaphore.acquire(SHORT);
                    // Sent before the permit goes on to the next.
                    serve.send(n).unwrap();
                });
                while sync::lock(&semaphore.state).waiters.len() <= n {
                    thread::yield_now();
                }
            }
            let _others = all.split_off(1);
            drop(all);
            assert!(served.iter().take(5).eq(0..5));
        });
    }
}

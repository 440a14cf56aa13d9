//! Locks, condition variables and detached threads, each in the one way that the whole crate uses.
//!
//! All of these panic when another thread has panicked while it held the lock: that is a bug which
//! the state behind the lock may not survive.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

const POISONED: &str = "no thread panics while it holds this lock";

/// Locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(POISONED)
}

/// Unlocks, waits for a notification, and locks again. May return without one.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).expect(POISONED)
}

/// As [`wait`], but no longer than `timeout`.
pub(crate) fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).expect(POISONED).0
}

/// Waits until `condition` is false.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_while(guard, condition).expect(POISONED)
}

/// As [`wait_while`], but no longer than `timeout`.
pub(crate) fn wait_timeout_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    let waited = condvar.wait_timeout_while(guard, timeout, condition);
    waited.expect(POISONED).0
}

/// Starts a thread that nobody joins. Fails with its name when the system starts no more threads.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned
        .map(drop)
        .map_err(|error| format!("cannot start the thread {name}: {error}"))
}

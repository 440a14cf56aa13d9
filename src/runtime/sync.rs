//! Locks and threads, each in the one way that the whole crate uses.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// A panic under one of our locks is a bug that the state behind it may not survive.
const POISONED: &str = "no thread panics while it holds this lock";

/// Locks. Panics when another thread panicked while it held this lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(POISONED)
}

/// Gives up `guard`, waits for a notification, and locks again. May return early for no reason.
pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).expect(POISONED)
}

/// As [`wait`], but no longer than `timeout`.
pub fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).expect(POISONED).0
}

/// Starts a thread that nobody joins. Fails with its name when the system has no thread left.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned
        .map(drop)
        .map_err(|error| format!("cannot start the thread {name}: {error}"))
}

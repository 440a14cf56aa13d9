//! Condition variables for many keys: striped, so that their number does not grow with the keys.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, MutexGuard};
use std::time::Duration;

use crate::catalog::replication::env::WaitKey;
use crate::runtime::sync::wait_timeout;

/// Two keys seldom share a queue. A thread that is woken for another key looks and waits again.
const QUEUES: usize = 256;

/// The threads that wait, each for one key.
pub(super) struct WaitQueues([WaitQueue; QUEUES]);

#[derive(Default)]
struct WaitQueue {
    woken: Condvar,
    /// A waiter adds itself under the lock that guards the change it waits for, and the thread that
    /// wakes it has made the change under that lock. So the latter sees the waiter here, or the
    /// waiter has seen the change and does not wait.
    waiting: AtomicUsize,
}

impl WaitQueues {
    pub(super) fn new() -> WaitQueues {
        WaitQueues(std::array::from_fn(|_| WaitQueue::default()))
    }

    /// Releases `guard`, waits until `key` is woken or the time is over, and locks again. May
    /// return early for no reason.
    pub(super) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        key: WaitKey,
        timeout: Duration,
    ) -> MutexGuard<'a, T> {
        let queue = self.queue(key);
        queue.waiting.fetch_add(1, Relaxed);
        let guard = wait_timeout(&queue.woken, guard, timeout);
        queue.waiting.fetch_sub(1, Relaxed);
        guard
    }

    pub(super) fn wake(&self, key: WaitKey) {
        self.queue(key).wake();
    }

    pub(super) fn wake_all(&self) {
        self.0.iter().for_each(WaitQueue::wake);
    }

    fn queue(&self, key: WaitKey) -> &WaitQueue {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.0[hasher.finish() as usize % QUEUES]
    }
}

impl WaitQueue {
    /// Costs no system call while nothing waits.
    fn wake(&self) {
        if self.waiting.load(Relaxed) != 0 {
            self.woken.notify_all();
        }
    }
}

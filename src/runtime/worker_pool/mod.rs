//! A few threads that take work from a queue and live as long as the server. What waits may be done
//! together.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// More work waiting than this is refused.
const WAITING_MAX: usize = 4096;

/// Work that could go with other work waits for it no longer than this.
const HOLD_MAX: Duration = Duration::from_millis(5);

/// What a pool does.
pub trait Work: Send + Sized + 'static {
    /// Whether this can be done in one go with these, which waited before it.
    fn goes_with(&self, _batch: &[Self]) -> bool {
        false
    }

    /// Does it. Never called without any.
    fn run(batch: Vec<Self>);

    /// Too much work waits.
    fn refuse(self);
}

/// A queue and its threads.
pub struct Pool<W>(Arc<Office<W>>);

struct Office<W> {
    name: String,
    threads_max: usize,
    /// So many batches under way are enough: more work waits a moment for more to go with.
    enough: usize,
    desk: Mutex<Desk<W>>,
    bell: Condvar,
}

/// Guarded by its lock, which is held for moments only.
struct Desk<W> {
    /// With the time since when it waits.
    waiting: VecDeque<(Instant, W)>,
    threads: usize,
    running: usize,
    /// Somebody sees to it that nothing is held for too long.
    watched: bool,
}

impl<W: Work> Pool<W> {
    /// At most `threads_max` threads; each is started when there is nobody idle.
    pub fn new(name: String, threads_max: usize) -> Pool<W> {
        Pool::gathering(name, threads_max, threads_max)
    }

    /// As [`Pool::new`]; while `enough` batches are under way, work waits up to 5 ms for more that
    /// goes with it.
    pub fn gathering(name: String, threads_max: usize, enough: usize) -> Pool<W> {
        let desk = Desk {
            waiting: VecDeque::new(),
            threads: 0,
            running: 0,
            watched: false,
        };
        Pool(Arc::new(Office {
            name,
            threads_max,
            enough,
            desk: Mutex::new(desk),
            bell: Condvar::new(),
        }))
    }

    pub fn send(&self, work: W) {
        let mut desk = self.0.desk();
        if WAITING_MAX <= desk.waiting.len() {
            drop(desk);
            return work.refuse();
        }
        desk.waiting.push_back((Instant::now(), work));
        self.0.call(desk);
    }
}

impl<W: Work> Office<W> {
    /// Sees to it that there is a thread for what waits.
    fn call(self: &Arc<Self>, mut desk: MutexGuard<Desk<W>>) {
        let batches_more = self.enough.saturating_sub(desk.running);
        let ready = desk.waiting.len().min(batches_more);
        if desk.waiting.is_empty() || ready == 0 && desk.watched {
            return;
        }
        let idle = desk.threads - desk.running;
        if idle < ready.max(1) && desk.threads < self.threads_max {
            desk.threads += 1;
            drop(desk);
            self.hire();
        } else {
            drop(desk);
            self.bell.notify_one();
        }
    }

    /// Without a thread to be had, the work waits for those that are there.
    fn hire(self: &Arc<Self>) {
        let office = self.clone();
        let hired = thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || office.work());
        if hired.is_err() {
            self.desk().threads -= 1;
        }
    }

    fn work(self: &Arc<Self>) {
        loop {
            let batch = self.next();
            // A panic has been told by its hook; it must not cost the thread.
            let _ = catch_unwind(AssertUnwindSafe(|| W::run(batch)));
            self.desk().running -= 1;
        }
    }

    fn next(self: &Arc<Self>) -> Vec<W> {
        let mut desk = self.desk();
        loop {
            let held = desk.waiting.front().map(|(since, _)| since.elapsed());
            desk = match held {
                Some(held) if desk.running < self.enough || HOLD_MAX <= held => {
                    let batch = desk.take();
                    self.call(desk);
                    return batch;
                }
                Some(held) if !desk.watched => self.watch(desk, HOLD_MAX - held),
                _ => self.bell.wait(desk).expect(NEVER_POISONED),
            };
        }
    }

    fn watch<'a>(
        &self,
        mut desk: MutexGuard<'a, Desk<W>>,
        time: Duration,
    ) -> MutexGuard<'a, Desk<W>> {
        desk.watched = true;
        let waited = self.bell.wait_timeout(desk, time);
        let mut desk = waited.expect(NEVER_POISONED).0;
        desk.watched = false;
        desk
    }

    fn desk(&self) -> MutexGuard<'_, Desk<W>> {
        self.desk.lock().expect(NEVER_POISONED)
    }
}

impl<W: Work> Desk<W> {
    /// What waits longest, and all that goes with it.
    fn take(&mut self) -> Vec<W> {
        self.running += 1;
        let first = self.waiting.pop_front().map(|(_, work)| work);
        let mut batch = Vec::from_iter(first);
        let mut at = 0;
        while at < self.waiting.len() {
            match self.waiting[at].1.goes_with(&batch) {
                true => batch.extend(self.waiting.remove(at).map(|(_, work)| work)),
                false => at += 1,
            }
        }
        batch
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

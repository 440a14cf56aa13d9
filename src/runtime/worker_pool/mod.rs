//! A bounded queue of work and the threads that do it, of which there is a maximum too.
//!
//! A thread starts when no idle one is left for new work, and ends after some seconds without any.
//! A pool may work in batches: while enough batches are under way, further work is held for a
//! moment, so that more of its kind can join it and be done in one go.
//!
//! The HTTP server, the messages between servers and the group commit use it. A thread that submits
//! work does not wait for it; one that waits for the outcome of its batch uses
//! `runtime::batcher`, which needs no threads of its own.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::runtime::sync;

/// Work that others could join is held for them no longer than this.
const HELD_MAX: Duration = Duration::from_millis(5);

/// How long a thread waits for work. Then it ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What a pool does.
pub(crate) trait Work: Send + Sized + 'static {
    /// Whether this can be done in one go with these, which were submitted before it. `others` have
    /// joined `first` already.
    fn joins(&self, _first: &Self, _others: &[Self]) -> bool {
        false
    }

    /// Does this, and `others`, which have joined it. A panic here does not end the thread.
    fn run(self, others: Vec<Self>);
}

/// A queue and its threads. They stop when the process does.
pub(crate) struct WorkerPool<W>(Arc<Shared<W>>);

struct Shared<W> {
    thread_name: String,
    threads_max: usize,
    waiting_max: usize,
    /// While so many batches are under way, work is held. `None`: each piece is done on its own.
    batches_enough: Option<usize>,
    /// Held to put work in or to take it out, never while it is done.
    queue: Mutex<Queue<W>>,
    changed: Condvar,
}

struct Queue<W> {
    /// With the moment since when each waits.
    waiting: VecDeque<(Instant, W)>,
    threads: usize,
    running: usize,
    /// An idle thread waits for the moment when the first in the queue has been held long enough.
    timed: bool,
}

impl<W: Work> WorkerPool<W> {
    /// A pool that does each piece of work on its own, as soon as a thread is free. With
    /// `batches_enough`, it does work in batches, and holds it for up to 5 ms while so many batches
    /// are under way.
    pub(crate) fn new(
        thread_name: &str,
        threads_max: usize,
        waiting_max: usize,
        batches_enough: Option<usize>,
    ) -> WorkerPool<W> {
        WorkerPool(Arc::new(Shared {
            thread_name: thread_name.into(),
            threads_max,
            waiting_max,
            batches_enough,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                threads: 0,
                running: 0,
                timed: false,
            }),
            changed: Condvar::new(),
        }))
    }

    /// Queues the work and does not wait. Fails, with the work, when too much waits already.
    pub(crate) fn try_submit(&self, work: W) -> Result<(), W> {
        let mut queue = sync::lock(&self.0.queue);
        if self.0.waiting_max <= queue.without_thread() {
            return Err(work);
        }
        queue.waiting.push_back((Instant::now(), work));
        self.0.find_thread(queue);
        Ok(())
    }

    /// How much work has to wait until other work is done.
    pub(crate) fn waiting(&self) -> usize {
        sync::lock(&self.0.queue).without_thread()
    }
}

impl<W: Work> Shared<W> {
    /// Wakes or starts a thread, if one is needed for the work that waits.
    fn find_thread(self: &Arc<Self>, mut queue: MutexGuard<Queue<W>>) {
        let ready = queue.waiting.len().min(self.batches_free(&queue));
        if queue.waiting.is_empty() || ready == 0 && queue.timed {
            return;
        }
        if queue.idle() < ready.max(1) && queue.threads < self.threads_max {
            queue.threads += 1;
            drop(queue);
            self.start_thread();
        } else if 0 < queue.idle() {
            drop(queue);
            self.changed.notify_one();
        }
    }

    /// When the system refuses a thread, the work waits for one that runs, or for the next that is
    /// submitted.
    fn start_thread(self: &Arc<Self>) {
        let shared = self.clone();
        let run = move || {
            while let Some((first, others)) = shared.next() {
                // The panic hook has logged it.
                let _ = catch_unwind(AssertUnwindSafe(|| first.run(others)));
                sync::lock(&shared.queue).running -= 1;
            }
        };
        if sync::spawn(&self.thread_name, run).is_err() {
            sync::lock(&self.queue).threads -= 1;
        }
    }

    fn batches_free(&self, queue: &Queue<W>) -> usize {
        let enough = self.batches_enough.unwrap_or(self.threads_max);
        enough.saturating_sub(queue.running)
    }

    /// Waits for work. `None`: the thread has been idle for so long that it ends.
    fn next(self: &Arc<Self>) -> Option<(W, Vec<W>)> {
        let mut queue = sync::lock(&self.queue);
        loop {
            let held = queue.waiting.front().map(|(since, _)| since.elapsed());
            if held.is_some_and(|held| 0 < self.batches_free(&queue) || HELD_MAX <= held) {
                let batch = queue.take(self.batches_enough.is_some());
                self.find_thread(queue);
                return batch;
            }
            if let Some(held) = held.filter(|_| !queue.timed) {
                queue.timed = true;
                queue = sync::wait_timeout(&self.changed, queue, HELD_MAX - held);
                queue.timed = false;
                continue;
            }
            let began = Instant::now();
            queue = sync::wait_timeout(&self.changed, queue, IDLE_MAX);
            if queue.waiting.is_empty() && IDLE_MAX <= began.elapsed() {
                queue.threads -= 1;
                return None;
            }
        }
    }
}

impl<W: Work> Queue<W> {
    /// Threads without work, including those that have been started or woken and have not taken any
    /// yet.
    fn idle(&self) -> usize {
        self.threads - self.running
    }

    /// How much of the waiting work no idle thread is about to take.
    fn without_thread(&self) -> usize {
        self.waiting.len().saturating_sub(self.idle())
    }

    /// What has waited longest and, in a pool that `batches`, all that joins it.
    fn take(&mut self, batches: bool) -> Option<(W, Vec<W>)> {
        let (_, first) = self.waiting.pop_front()?;
        self.running += 1;
        let mut others = Vec::new();
        let mut at = 0;
        while batches && at < self.waiting.len() {
            if self.waiting[at].1.joins(&first, &others) {
                others.extend(self.waiting.remove(at).map(|(_, work)| work));
            } else {
                at += 1;
            }
        }
        Some((first, others))
    }
}

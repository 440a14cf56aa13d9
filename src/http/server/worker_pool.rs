//! A queue of tasks and the threads that do them, both bounded. One crew for each kind of waiting:
//! customers who wait for another server must not keep a peer's write from the disk.
//!
//! Threads come when no idle one is left for a task, and go after some seconds of idleness.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::ServerConfig;
use crate::http::server::dispatch::{Dispatcher, Task};

/// How long a thread waits for its next task. Then it ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The crews of one server. There are so many because each waits for something else.
pub struct WorkerPools {
    pub customers: Arc<WorkerPool>,
    pub writes: Arc<WorkerPool>,
    pub asks: Arc<WorkerPool>,
    /// Wait for bodies from whoever shows no token.
    pub intake: Arc<WorkerPool>,
    /// Wait for bodies from other servers.
    pub peer_intake: Arc<WorkerPool>,
    /// Begin with requests that waited for their predecessors.
    pub pipelined: Arc<WorkerPool>,
    /// Send long answers.
    pub long: Arc<WorkerPool>,
    /// Send to clients that do not read.
    pub stuck: Arc<WorkerPool>,
}

impl WorkerPools {
    pub fn new(serving: &ServerConfig) -> WorkerPools {
        let waiting = serving.waiting_max;
        // A connection has one unread body at most, so that their number bounds those queues too.
        WorkerPools {
            customers: WorkerPool::new("customers", serving.client_threads_max, waiting),
            writes: WorkerPool::new("writes", serving.peer_write_threads_max, waiting),
            asks: WorkerPool::new("asks", serving.peer_read_threads_max, waiting),
            intake: WorkerPool::new("intake", 128, 10_000),
            peer_intake: WorkerPool::new("peer-intake", 32, 1000),
            pipelined: WorkerPool::new("pipelined", 4, 10_000),
            long: WorkerPool::new("long", 16, 64),
            stuck: WorkerPool::new("stuck", 64, 1000),
        }
    }

    pub fn all(&self) -> [&WorkerPool; 8] {
        [
            &self.customers,
            &self.writes,
            &self.asks,
            &self.intake,
            &self.peer_intake,
            &self.pipelined,
            &self.long,
            &self.stuck,
        ]
    }
}

pub struct WorkerPool {
    pub name: &'static str,
    threads_max: usize,
    /// More waiting tasks than that are handed back.
    waiting_max: usize,
    /// Held for a push or a pop, never while a task is done.
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    threads: usize,
    /// Threads without a task, including those that were hired or woken and have not taken theirs
    /// yet.
    idle: usize,
}

impl State {
    /// Tasks that no idle thread is about to take.
    fn in_line(&self) -> usize {
        self.waiting.len().saturating_sub(self.idle)
    }
}

impl WorkerPool {
    pub fn new(name: &'static str, threads_max: usize, waiting_max: usize) -> Arc<WorkerPool> {
        Arc::new(WorkerPool {
            name,
            threads_max,
            waiting_max,
            state: Mutex::default(),
            wake: Condvar::new(),
        })
    }

    /// Hands the task to a thread of this crew, soon. Fails at once, with the task, when too many
    /// wait already.
    pub fn push(self: &Arc<WorkerPool>, desk: &Arc<Dispatcher>, task: Task) -> Result<(), Task> {
        let mut state = self.state();
        if self.waiting_max <= state.in_line() {
            return Err(task);
        }
        state.waiting.push_back(task);
        if state.idle < state.waiting.len() && state.threads < self.threads_max {
            let hired = usize::from(self.hire(desk.clone()));
            state.threads += hired;
            state.idle += hired;
        }
        self.wake.notify_one();
        Ok(())
    }

    /// How many tasks have to wait until another is done.
    pub fn waiting(&self) -> usize {
        self.state().in_line()
    }

    /// Starts a thread. Without one (the system refuses it now and then under attack) the task
    /// waits for those there are, or for the next push.
    fn hire(self: &Arc<WorkerPool>, desk: Arc<Dispatcher>) -> bool {
        let crew = self.clone();
        let work = move || {
            while let Some(task) = crew.next() {
                // Every call of a service is guarded on its own; this is for our own bugs: they
                // must not cost the thread.
                let _ = catch_unwind(AssertUnwindSafe(|| desk.work(task)));
                crew.state().idle += 1;
            }
        };
        let name = format!("http-{}", self.name);
        thread::Builder::new().name(name).spawn(work).is_ok()
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.state();
        loop {
            if let Some(task) = state.waiting.pop_front() {
                state.idle -= 1;
                return Some(task);
            }
            let (woken, wait) = self
                .wake
                .wait_timeout(state, IDLE_MAX)
                .expect("no panic under this lock");
            state = woken;
            if wait.timed_out() && state.waiting.is_empty() {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

//! Virtual time, and many threads of which exactly one runs at any moment. So a seed decides every
//! interleaving.
//!
//! The running thread takes the next event from the queue. What never waits runs on the spot. What
//! may wait is a *task* and has a thread. When a task waits, its thread itself goes on with the
//! queue, until the next event belongs to another thread: then it wakes that one and sleeps. So a
//! task that need not wait costs no switch of threads.
//!
//! `event_queue` is the time, `servers` who is up, `chance` the seed, `worker` how a thread sleeps.

mod chance;
pub(super) mod event_queue;
mod servers;
mod worker;

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::runtime::sync;
use event_queue::{Action, EventQueue, Incarnation, Micros, WaitId, Work};
use worker::{Command, Worker};

/// What a task of a crashed server panics with, to end.
struct Crashed;

thread_local! {
    /// The number of this thread among the workers.
    static WORKER: Cell<usize> = const { Cell::new(usize::MAX) };
}

pub(crate) struct Scheduler {
    /// Held for moments; never while simulated code runs.
    state: Mutex<State>,
}

struct State {
    queue: EventQueue,
    rng: fastrand::Rng,
    /// From now on [`Scheduler::chance`] says no.
    chance_is_over: bool,
    /// The waits that are not over: whose thread, and for which server.
    waits: BTreeMap<WaitId, (usize, Option<Incarnation>)>,
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    idle: Vec<usize>,
    /// The run has ended: all threads quit.
    over: bool,
    failure: Option<String>,
}

impl Scheduler {
    pub(crate) fn new(seed: u64, servers: usize) -> Arc<Scheduler> {
        let state = State {
            queue: EventQueue::new(servers),
            rng: fastrand::Rng::with_seed(seed),
            chance_is_over: false,
            waits: BTreeMap::new(),
            workers: Vec::new(),
            threads: Vec::new(),
            idle: Vec::new(),
            over: false,
            failure: None,
        };
        Arc::new(Scheduler {
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }

    /// Runs until `script`, itself a task, returns. Fails with the first failure.
    pub(crate) fn run(
        self: &Arc<Self>,
        script: impl FnOnce() + Send + 'static,
    ) -> Result<(), String> {
        let scheduler = self.clone();
        self.start_thread().send(Command::Run(Box::new(move || {
            script();
            scheduler.lock().over = true;
        })));
        // The thread that finds the run over tells all others to quit.
        loop {
            let thread = self.lock().threads.pop();
            let Some(thread) = thread else { break };
            thread
                .join()
                .map_err(|_| "a thread of the simulation panicked")?;
        }
        let left = self.lock().queue.drain();
        drop(left);
        self.lock().failure.take().map_or(Ok(()), Err)
    }

    pub(crate) fn now(&self) -> Micros {
        self.lock().queue.now
    }

    /// Ends the run. The first failure counts.
    pub(crate) fn fail(&self, why: String) {
        let mut state = self.lock();
        state.failure.get_or_insert(why);
        state.over = true;
    }

    /// Does this after `delay`, on whatever thread: it must not wait.
    pub(crate) fn run_in(
        &self,
        delay: Micros,
        incarnation: Option<Incarnation>,
        work: impl FnOnce() + Send + 'static,
    ) {
        let action = Action::Run(Box::new(work));
        self.lock().queue.add(delay, incarnation, action);
    }

    /// Does this after `delay`; it may wait.
    pub(crate) fn spawn_in(
        &self,
        delay: Micros,
        incarnation: Option<Incarnation>,
        work: impl FnOnce() + Send + 'static,
    ) {
        let action = Action::Spawn(Box::new(work));
        self.lock().queue.add(delay, incarnation, action);
    }

    /// Announces a wait of this thread. [`Scheduler::wait`] must follow.
    pub(crate) fn begin_wait(&self, incarnation: Option<Incarnation>) -> WaitId {
        let mut state = self.lock();
        let wait = state.queue.next_wait();
        state.waits.insert(wait, (WORKER.get(), incarnation));
        wait
    }

    /// The wait ends after `delay`, if it has not ended before.
    pub(crate) fn wake_in(&self, delay: Micros, wait: WaitId) {
        let mut state = self.lock();
        if let Some((_, incarnation)) = state.waits.get(&wait).copied() {
            state.queue.add(delay, incarnation, Action::Wake(wait));
        }
    }

    /// Waits until the wait is over, and goes on with the queue meanwhile. Panics with [`Crashed`]
    /// when the server has crashed or the run is over.
    pub(crate) fn wait(self: &Arc<Self>, wait: WaitId, incarnation: Option<Incarnation>) {
        let quit = loop {
            match self.next() {
                None => break true,
                Some(Action::Run(work)) => self.run_work(work),
                Some(Action::Wake(other)) if other == wait => break false,
                Some(action) => {
                    if self.hand_over(action) {
                        let worker = self.lock().workers[WORKER.get()].clone();
                        break matches!(worker.receive(), Command::Quit);
                    }
                }
            }
        };
        self.lock().waits.remove(&wait);
        if quit || incarnation.is_some_and(|incarnation| !self.is_alive(incarnation)) {
            resume_unwind(Box::new(Crashed));
        }
    }

    pub(crate) fn sleep(self: &Arc<Self>, time: Micros) {
        let wait = self.begin_wait(None);
        self.wake_in(time, wait);
        self.wait(wait, None);
    }

    /// The next event that still has somebody to do it. `None`: the run is over.
    fn next(&self) -> Option<Action> {
        loop {
            let mut state = self.lock();
            if state.over {
                state.quit_all();
                return None;
            }
            let Some((event, crashed)) = state.queue.pop() else {
                state
                    .failure
                    .get_or_insert("nothing is left to happen".into());
                state.over = true;
                continue;
            };
            drop(state);
            // A crashed server's work is dropped here, without the lock, which that may need. A
            // crashed server's task is woken all the same, to end.
            if !crashed || matches!(event.action, Action::Wake(_)) {
                return Some(event.action);
            }
        }
    }

    /// Wakes the thread that this is for. False: nobody waits for it any more.
    fn hand_over(self: &Arc<Self>, action: Action) -> bool {
        match action {
            Action::Wake(wait) => {
                let mut state = self.lock();
                let Some((worker, _)) = state.waits.remove(&wait) else {
                    return false;
                };
                state.workers[worker].send(Command::Resume);
            }
            Action::Spawn(work) | Action::Run(work) => {
                let idle = self.lock().take_idle();
                let worker = idle.unwrap_or_else(|| self.start_thread());
                worker.send(Command::Run(work));
            }
        }
        true
    }

    fn start_thread(self: &Arc<Self>) -> Arc<Worker> {
        let mut state = self.lock();
        let (number, worker) = (state.workers.len(), Arc::new(Worker::default()));
        state.workers.push(worker.clone());
        let (scheduler, own) = (self.clone(), worker.clone());
        let work = move || {
            WORKER.set(number);
            while let Command::Run(work) = own.receive() {
                scheduler.run_work(work);
                scheduler.run_events(number);
            }
        };
        state.threads.push(std::thread::spawn(work));
        worker
    }

    /// Goes on with the queue until another thread runs.
    fn run_events(&self, number: usize) {
        while let Some(action) = self.next() {
            match action {
                Action::Run(work) | Action::Spawn(work) => self.run_work(work),
                Action::Wake(wait) => {
                    let mut state = self.lock();
                    let Some((worker, _)) = state.waits.remove(&wait) else {
                        continue;
                    };
                    state.idle.push(number);
                    let worker = state.workers[worker].clone();
                    drop(state);
                    worker.send(Command::Resume);
                    return;
                }
            }
        }
    }

    fn run_work(&self, work: Work) {
        match catch_unwind(AssertUnwindSafe(work)) {
            Err(payload) if !payload.is::<Crashed>() => {
                self.fail(format!("panic: {}", text(payload.as_ref())));
            }
            _ => {}
        }
    }
}

impl State {
    fn quit_all(&self) {
        self.workers
            .iter()
            .for_each(|worker| worker.send(Command::Quit));
    }

    fn take_idle(&mut self) -> Option<Arc<Worker>> {
        let number = self.idle.pop()?;
        Some(self.workers[number].clone())
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of another kind".into())
}

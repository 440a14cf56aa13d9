//! Jobs that can be made to wait.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;

const WAITING_MAX: usize = 4096;

/// Waits for its signal, if it has one, and reports the batch in which it was done.
struct Job {
    name: u32,
    signal: Option<Receiver<()>>,
    done: Sender<Vec<u32>>,
}

impl Work for Job {
    fn joins(&self, first: &Job, _: &[Job]) -> bool {
        self.name % 2 == first.name % 2
    }

    fn run(self, others: Vec<Job>) {
        let batch = || std::iter::once(&self).chain(&others);
        let signals = batch().filter_map(|job| job.signal.as_ref());
        signals.for_each(|signal| signal.recv().unwrap());
        self.done
            .send(batch().map(|job| job.name).collect())
            .unwrap();
    }
}

fn job(name: u32, done: &Sender<Vec<u32>>) -> Job {
    let done = done.clone();
    Job {
        name,
        signal: None,
        done,
    }
}

fn submit(pool: &WorkerPool<Job>, job: Job) {
    assert!(pool.try_submit(job).is_ok());
}

/// Submits all of these before any thread looks.
fn submit_at_once(pool: &WorkerPool<Job>, jobs: impl Iterator<Item = Job>) {
    let mut queue = sync::lock(&pool.0.queue);
    queue.waiting.extend(jobs.map(|job| (Instant::now(), job)));
    pool.0.find_thread(queue);
}

/// Occupies a thread of the pool, until a signal is sent.
fn occupy(pool: &WorkerPool<Job>, done: &Sender<Vec<u32>>) -> Sender<()> {
    let (go, signal) = channel();
    submit(
        pool,
        Job {
            signal: Some(signal),
            ..job(0, done)
        },
    );
    while sync::lock(&pool.0.queue).running == 0 {
        thread::yield_now();
    }
    go
}

fn next(batches: &Receiver<Vec<u32>>) -> Vec<u32> {
    batches.recv_timeout(Duration::from_secs(10)).unwrap()
}

#[test]
fn work_is_done_by_a_few_threads() {
    let pool = WorkerPool::new("test", 2, WAITING_MAX, None);
    let (done, batches) = channel();
    (0..100).for_each(|name| submit(&pool, job(name, &done)));
    let mut names = Vec::new();
    while names.len() < 100 {
        names.extend(next(&batches));
    }
    names.sort_unstable();
    assert_eq!(names, Vec::from_iter(0..100));
    assert!(sync::lock(&pool.0.queue).threads <= 2);
}

#[test]
fn without_batching_nothing_is_joined() {
    let pool = WorkerPool::new("test", 1, WAITING_MAX, None);
    let (done, batches) = channel();
    let go = occupy(&pool, &done);
    [2, 4]
        .into_iter()
        .for_each(|name| submit(&pool, job(name, &done)));
    go.send(()).unwrap();
    assert_eq!([0, 2, 4].map(|_| next(&batches)), [[0], [2], [4]]);
}

#[test]
fn work_that_waits_is_done_in_batches() {
    let pool = WorkerPool::new("test", 1, WAITING_MAX, Some(1));
    let (done, batches) = channel();
    let go = occupy(&pool, &done);
    (1..=5).for_each(|name| submit(&pool, job(name, &done)));
    go.send(()).unwrap();
    assert_eq!(next(&batches), [0]);
    assert_eq!(next(&batches), [1, 3, 5]);
    assert_eq!(next(&batches), [2, 4]);
}

#[test]
fn work_is_not_held_for_long_behind_a_batch_that_is_stuck() {
    let pool = WorkerPool::new("test", 8, WAITING_MAX, Some(1));
    let (done, batches) = channel();
    let go = occupy(&pool, &done);
    // One by one they would be done apart if the second came more than 5 ms late.
    submit_at_once(&pool, [2, 1, 4].into_iter().map(|name| job(name, &done)));
    let mut others = vec![next(&batches), next(&batches)];
    others.sort_unstable();
    assert_eq!(others, [vec![1], vec![2, 4]]);
    go.send(()).unwrap();
    assert_eq!(next(&batches), [0]);
}

#[test]
fn work_that_finds_the_queue_full_is_handed_back() {
    let pool = WorkerPool::new("test", 1, WAITING_MAX, None);
    let (done, batches) = channel();
    let go = occupy(&pool, &done);
    (0..WAITING_MAX).for_each(|_| submit(&pool, job(1, &done)));
    let refused = pool.try_submit(job(7, &done)).err().unwrap();
    assert_eq!(refused.name, 7);
    assert_eq!(pool.waiting(), WAITING_MAX);
    go.send(()).unwrap();
    assert_eq!(next(&batches), [0]);
}

#[test]
fn a_panic_costs_no_thread() {
    let pool = WorkerPool::new("test", 1, WAITING_MAX, None);
    let (done, batches) = channel();
    // Nobody receives from its channel, so that it panics.
    submit(&pool, job(0, &channel().0));
    submit(&pool, job(1, &done));
    assert_eq!(next(&batches), [1]);
}

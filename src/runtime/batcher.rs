//! A combining batcher: requests that wait at the same time are done in one call.
//!
//! The technique is flat combining (Hendler, Incze, Shavit and Tzafrir, SPAA 2010): the first
//! request of a batch runs the whole batch on its own thread, so no thread is needed besides those
//! of the callers. A lone request runs immediately. After a batch of several requests, the next one
//! waits once for others to join.
//!
//! A caller that has something else to do joins a batch that waits for others, and leaves what is
//! to be done with its answer ([`Batcher::try_join`]): then it need not be woken for it.
//!
//! Nothing is retried here, and a batch has no time limit of its own: `run` must have one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::semaphore::Semaphore;
use crate::runtime::sync;

/// Combines requests `Q` into batches, and gives each its own answer `A`.
pub(crate) struct Batcher<Q, A> {
    /// One permit for each batch that runs.
    permits: Semaphore,
    batch_max: usize,
    wait_max: Duration,
    /// How many requests the next batch waits for: the size of the last batch, and the requests
    /// that came too late for it.
    expected: AtomicUsize,
    /// The longest recent run, in microseconds. `wait_max` before the first run.
    run_micros: AtomicU64,
    /// The batch that can still be joined. Held for moments only; locked before a batch's state.
    open: Mutex<Option<Arc<Batch<Q, A>>>>,
}

/// What is done with an answer, on the thread that ran the batch. It gets `None` if that panicked.
pub(crate) type Taker<A> = Box<dyn FnOnce(Option<A>) + Send>;

/// Requests that run together. The one at index 0 runs them all.
struct Batch<Q, A> {
    state: Mutex<State<Q, A>>,
    joined: Condvar,
    done: Condvar,
}

struct State<Q, A> {
    requests: Vec<Q>,
    /// By index, of requests whose callers do not wait.
    takers: BTreeMap<usize, Taker<A>>,
    /// How many requests the first one waits for; 0 while it does not wait. Who makes the batch so
    /// large wakes it: to be woken by each would take it as long as the whole batch.
    awaited: usize,
    /// In the order of the requests; each is taken once. Empty if `run` has panicked.
    answers: Option<Vec<Option<A>>>,
}

impl<Q, A> Batcher<Q, A> {
    /// Runs one batch for each of `permits`, each of up to `batch_max` requests.
    ///
    /// A batch waits twice before it runs, each time for `wait_max` at most, which bounds what one
    /// slow run costs all others. First, beyond the soft limit of `permits`, it waits up to four
    /// times as long as recent runs took. Then it waits, up to as long as recent runs took, until
    /// it has as many requests as the last batch and those that came too late for it: a caller
    /// that has its answer often comes back with its next request. If the others do not come, the
    /// next batch does not wait for them, so a caller that is always alone never waits.
    pub(crate) fn new(permits: Semaphore, batch_max: usize, wait_max: Duration) -> Batcher<Q, A> {
        Batcher {
            permits,
            batch_max,
            wait_max,
            expected: AtomicUsize::new(1),
            run_micros: AtomicU64::new(wait_max.as_micros() as u64),
            open: Mutex::new(None),
        }
    }

    /// Does `request`, alone or with others, and returns its answer.
    ///
    /// `run` is called after this request was submitted, on the thread of one of the callers. It
    /// returns one answer for each request, in their order. If it panics, all callers of the batch
    /// panic.
    pub(crate) fn submit(&self, request: Q, run: impl FnOnce(Vec<Q>) -> Vec<A>) -> A {
        let (batch, index) = self.join(request);
        if index == 0 {
            self.run(&batch, run);
        }
        batch.wait_for_answer(index)
    }

    /// Adds a request to the open batch, if there is one. Does not wait.
    pub(crate) fn try_join(&self, request: impl FnOnce() -> (Q, Taker<A>)) -> bool {
        let open = sync::lock(&self.open);
        let Some(batch) = open.as_ref() else {
            return false;
        };
        let mut state = sync::lock(&batch.state);
        let index = state.requests.len();
        if self.batch_max <= index {
            return false;
        }
        let (request, taker) = request();
        state.takers.insert(index, taker);
        batch.add(&mut state, request);
        true
    }

    /// How many requests the open batch has.
    pub(crate) fn pending(&self) -> usize {
        let open = sync::lock(&self.open);
        open.as_ref()
            .map_or(0, |batch| sync::lock(&batch.state).requests.len())
    }

    /// Adds the request to the open batch, or opens a new one. Returns its index in that batch.
    fn join(&self, request: Q) -> (Arc<Batch<Q, A>>, usize) {
        let mut open = sync::lock(&self.open);
        if let Some(batch) = open.as_ref() {
            let mut state = sync::lock(&batch.state);
            let index = state.requests.len();
            if index < self.batch_max {
                batch.add(&mut state, request);
                return (batch.clone(), index);
            }
        }
        let state = State {
            requests: vec![request],
            takers: BTreeMap::new(),
            awaited: 0,
            answers: None,
        };
        let batch = Arc::new(Batch {
            state: Mutex::new(state),
            joined: Condvar::new(),
            done: Condvar::new(),
        });
        *open = Some(batch.clone());
        (batch, 0)
    }

    /// Waits for a permit, and runs all requests that have joined until then.
    fn run(&self, batch: &Batch<Q, A>, run: impl FnOnce(Vec<Q>) -> Vec<A>) {
        let run_time = Duration::from_micros(self.run_micros.load(Relaxed));
        let permit = self.permits.acquire((4 * run_time).min(self.wait_max));
        self.wait_for_expected(batch, run_time);
        sync::lock(&self.open).take_if(|open| std::ptr::eq(Arc::as_ptr(open), batch));
        let (requests, takers) = {
            let mut state = sync::lock(&batch.state);
            let requests = std::mem::take(&mut state.requests);
            (requests, std::mem::take(&mut state.takers))
        };
        let count = requests.len();
        let began = Instant::now();
        // The others must be told of a panic: otherwise they would wait for ever.
        let mut ran = catch_unwind(AssertUnwindSafe(|| run(requests)));
        drop(permit);
        self.record(count, began.elapsed());
        let answers = ran.as_mut().map(std::mem::take).unwrap_or_default();
        let mut answers: Vec<Option<A>> = answers.into_iter().map(Some).collect();
        let taken = takers.into_iter().map(|(index, taker)| {
            let answer = answers.get_mut(index).and_then(Option::take);
            (taker, answer)
        });
        let taken: Vec<(Taker<A>, Option<A>)> = taken.collect();
        sync::lock(&batch.state).answers = Some(answers);
        batch.done.notify_all();
        for (taker, answer) in taken {
            // The panic hook has logged it; the others must have their answers.
            let _ = catch_unwind(AssertUnwindSafe(|| taker(answer)));
        }
        if let Err(panic) = ran {
            resume_unwind(panic);
        }
    }

    fn wait_for_expected(&self, batch: &Batch<Q, A>, timeout: Duration) {
        let expected = self.expected.load(Relaxed).min(self.batch_max);
        if expected < 2 || timeout.is_zero() {
            return;
        }
        let too_few = |state: &mut State<Q, A>| state.requests.len() < expected;
        let mut state = sync::lock(&batch.state);
        state.awaited = expected;
        let _state = sync::wait_timeout_while(&batch.joined, state, timeout, too_few);
    }

    /// Learns from a batch of `count` requests, and from the requests that came too late for it.
    fn record(&self, count: usize, run_time: Duration) {
        // A long run counts for a while, because a lone request takes less time than a full batch.
        let before = self.run_micros.load(Relaxed);
        let micros = run_time.min(self.wait_max).as_micros() as u64;
        self.run_micros
            .store(micros.max(before - before / 8), Relaxed);
        self.expected.store(count + self.pending(), Relaxed);
    }
}

impl<Q, A> Batch<Q, A> {
    fn add(&self, state: &mut State<Q, A>, request: Q) {
        state.requests.push(request);
        if state.requests.len() == state.awaited {
            self.joined.notify_one();
        }
    }

    fn wait_for_answer(&self, index: usize) -> A {
        let state = sync::lock(&self.state);
        let mut state = sync::wait_while(&self.done, state, |state| state.answers.is_none());
        let answers = state.answers.as_mut();
        let answer = answers.and_then(|answers| answers.get_mut(index)?.take());
        // Unlocked first: a panic here must not poison the lock for the others.
        drop(state);
        answer.expect("the batch's run answers every request, unless it has panicked")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// One batch at a time, of up to three requests.
    fn batcher() -> Batcher<usize, usize> {
        Batcher::new(Semaphore::new(1), 3, Duration::ZERO)
    }

    fn wait_until_pending(batcher: &Batcher<usize, usize>, count: usize) {
        while batcher.pending() < count {
            thread::yield_now();
        }
    }

    #[test]
    fn a_lone_request_runs_immediately() {
        let answer = batcher().submit(7, |requests| {
            assert_eq!(requests, [7]);
            vec![49]
        });
        assert_eq!(answer, 49);
    }

    #[test]
    fn requests_that_wait_run_as_one_batch_and_each_gets_its_own_answer() {
        let batcher = batcher();
        let (go, may_go) = channel::<()>();
        let batches = Mutex::new(Vec::new());
        let run = |requests: Vec<usize>| {
            batches.lock().unwrap().push(requests.len());
            let squares = requests.iter().map(|request| request * request);
            squares.collect()
        };
        thread::scope(|scope| {
            let (batcher, run) = (&batcher, &run);
            let first = scope.spawn(move || {
                batcher.submit(1, |requests| {
                    may_go.recv().unwrap();
                    run(requests)
                })
            });
            while batcher.permits.acquired() == 0 {
                thread::yield_now();
            }
            let mut others = Vec::new();
            // Three fill a batch; the fourth opens the next one.
            for (request, pending) in [(2, 1), (3, 2), (4, 3), (5, 1)] {
                others.push(scope.spawn(move || batcher.submit(request, run)));
                wait_until_pending(batcher, pending);
            }
            go.send(()).unwrap();
            assert_eq!(first.join().unwrap(), 1);
            let answers = others.into_iter().map(|other| other.join().unwrap());
            assert!(answers.eq([4, 9, 16, 25]));
        });
        assert_eq!(batches.into_inner().unwrap(), [1, 3, 1]);
    }

    #[test]
    fn who_joins_a_batch_that_waits_need_not_wait_for_the_answer() {
        let batcher = Batcher::new(Semaphore::new(1), 3, Duration::from_secs(100));
        let (take, taken) = channel();
        let request = |request: usize| {
            let take = take.clone();
            let taker = move |answer: Option<usize>| take.send((request, answer)).unwrap();
            (request, Box::new(taker) as Taker<usize>)
        };
        assert!(!batcher.try_join(|| request(1)), "none waits");
        batcher.expected.store(3, Relaxed);
        let squares = |requests: Vec<usize>| requests.iter().map(|n| n * n).collect();
        thread::scope(|scope| {
            let first = scope.spawn(|| batcher.submit(2, squares));
            wait_until_pending(&batcher, 1);
            assert!(batcher.try_join(|| request(3)));
            assert!(batcher.try_join(|| request(4)));
            assert_eq!(first.join().unwrap(), 4);
        });
        let answers: Vec<_> = taken.try_iter().collect();
        assert_eq!(answers, [(3, Some(9)), (4, Some(16))]);
    }

    #[test]
    fn who_joined_a_batch_that_panics_is_told_so() {
        let batcher = Batcher::new(Semaphore::new(1), 3, Duration::from_secs(100));
        batcher.expected.store(2, Relaxed);
        let (take, taken) = channel();
        thread::scope(|scope| {
            let first = scope.spawn(|| batcher.submit(1, |_| panic!("as the test wants")));
            wait_until_pending(&batcher, 1);
            let taker = move |answer: Option<usize>| take.send(answer).unwrap();
            assert!(batcher.try_join(|| (2, Box::new(taker))));
            assert!(first.join().is_err());
        });
        assert_eq!(taken.recv().unwrap(), None);
    }

    #[test]
    fn a_batch_waits_for_as_many_as_the_last_one_had_and_once_only() {
        let batcher = Batcher::new(Semaphore::new(1), 3, Duration::from_secs(100));
        let run = |requests: Vec<usize>| {
            let count = requests.len();
            vec![count; count]
        };
        batcher.expected.store(2, Relaxed);
        thread::scope(|scope| {
            let first = scope.spawn(|| batcher.submit(1, run));
            wait_until_pending(&batcher, 1);
            assert_eq!(batcher.submit(2, run), 2);
            assert_eq!(first.join().unwrap(), 2);
        });
        assert_eq!(batcher.expected.load(Relaxed), 2);
        batcher.run_micros.store(1000, Relaxed);
        assert_eq!(batcher.submit(3, run), 1);
        assert_eq!(batcher.expected.load(Relaxed), 1);
    }

    #[test]
    fn one_slow_run_does_not_raise_the_wait_beyond_its_maximum() {
        let wait_max = Duration::from_millis(1);
        let batcher = Batcher::<usize, usize>::new(Semaphore::new(1), 3, wait_max);
        batcher.record(1, Duration::from_secs(4));
        assert_eq!(batcher.run_micros.load(Relaxed), 1000);
    }

    #[test]
    fn a_panic_reaches_every_caller_of_its_batch_and_no_other() {
        let batcher = batcher();
        let permit = batcher.permits.acquire(Duration::ZERO);
        thread::scope(|scope| {
            let batcher = &batcher;
            let run = |_: Vec<usize>| -> Vec<usize> { panic!("on purpose") };
            let mut all = Vec::new();
            for pending in 1..=2 {
                all.push(scope.spawn(move || batcher.submit(1, run)));
                wait_until_pending(batcher, pending);
            }
            drop(permit);
            assert!(all.into_iter().all(|one| one.join().is_err()));
        });
        assert_eq!(batcher.submit(1, |_| vec![2]), 2);
    }
}

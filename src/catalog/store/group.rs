//! Group commit: work that many ask for at once is done once for all of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

/// What came of one run of the work.
type Outcome = Result<(), String>;

/// One piece of work, such as replacing one file, that must see everything that was done before it was asked for.
///
/// A run that is under way may have looked too early for whoever asks now: they wait for the next run, together with all
/// who ask meanwhile, and one of them does it for all. So at most one run is under way, and nobody waits for more than
/// two. Costs some 150 bytes.
pub struct Group {
    /// Never held while work is done.
    line: Mutex<Line>,
}

struct Line {
    running: bool,
    /// The run that has not begun yet.
    next: Arc<Run>,
}

/// One run, past or to come. The condition variable goes with [`Group::line`].
#[derive(Default)]
struct Run {
    outcome: OnceLock<Outcome>,
    changed: Condvar,
}

impl Default for Group {
    fn default() -> Group {
        let next = Arc::default();
        let running = false;
        Group {
            line: Mutex::new(Line { running, next }),
        }
    }
}

impl Group {
    /// Returns what came of a run that began after this call: of `work`, or of the work of another who asked for the
    /// same.
    pub fn share(&self, work: impl FnOnce() -> Outcome) -> Outcome {
        let mut line = self.lock();
        let run = line.next.clone();
        while run.outcome.get().is_none() && line.running {
            line = run.changed.wait(line).expect(NEVER_POISONED);
        }
        match run.outcome.get() {
            Some(outcome) => outcome.clone(),
            None => self.lead(line, run, work),
        }
    }

    /// Does the work for everybody who waits for `run`.
    fn lead(
        &self,
        mut line: MutexGuard<Line>,
        run: Arc<Run>,
        work: impl FnOnce() -> Outcome,
    ) -> Outcome {
        line.running = true;
        line.next = Arc::default();
        drop(line);
        // A panic goes on after it was told to the others, who would wait for ever.
        let done = catch_unwind(AssertUnwindSafe(work));
        let outcome = match &done {
            Ok(outcome) => outcome.clone(),
            Err(_) => Err("the thread that did it panicked".to_string()),
        };
        let mut line = self.lock();
        line.running = false;
        run.outcome.set(outcome).expect("a run is led once");
        run.changed.notify_all();
        line.next.changed.notify_one();
        drop(line);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect(NEVER_POISONED)
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn who_asks_hears_of_a_run_that_began_afterwards() {
        let (group, asked, done) = (Group::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let runs = AtomicUsize::new(0);
        let work = || {
            let seen = asked.load(SeqCst);
            thread::yield_now();
            runs.fetch_add(1, SeqCst);
            done.fetch_max(seen, SeqCst);
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mine = asked.fetch_add(1, SeqCst) + 1;
                        group.share(work).unwrap();
                        assert!(mine <= done.load(SeqCst));
                    }
                });
            }
        });
        assert!(runs.load(SeqCst) <= asked.load(SeqCst));
    }

    #[test]
    fn those_who_wait_share_one_run_and_its_failure() {
        let (group, runs) = (Group::default(), AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let fail = || {
            runs.fetch_add(1, SeqCst);
            Err("full".to_string())
        };
        thread::scope(|scope| {
            let (group, fail) = (&group, &fail);
            scope.spawn(move || {
                group.share(|| {
                    begun.send(()).unwrap();
                    may_go.recv().map_err(|e| e.to_string())
                })
            });
            has_begun.recv().unwrap();
            let waiting: Vec<_> = (0..8)
                .map(|_| scope.spawn(move || group.share(fail)))
                .collect();
            // One reference is the line's own.
            while Arc::strong_count(&group.lock().next) < 9 {
                thread::yield_now();
            }
            go.send(()).unwrap();
            for waiter in waiting {
                assert_eq!(waiter.join().unwrap(), Err("full".to_string()));
            }
        });
        assert_eq!(runs.load(SeqCst), 1);
    }

    #[test]
    fn a_panic_blocks_nobody() {
        let group = Group::default();
        let panic = catch_unwind(AssertUnwindSafe(|| group.share(|| panic!("on purpose"))));
        assert!(panic.is_err());
        assert_eq!(group.share(|| Ok(())), Ok(()));
    }
}

//! Group commit: work that many ask for at once is done once for all of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use super::slots::Slots;

/// What came of one run of the work.
type Outcome = Result<(), String>;

/// One piece of work, such as replacing one file, that must see everything that was done before it was asked for.
///
/// A run that is under way may have looked too early for whoever asks now: they wait for the next run, together with all
/// who ask meanwhile, and one of them does it for all. So at most one run is under way, and nobody waits for more than
/// two. Who must wait for a slot meanwhile takes all with them who come until there is one. Costs some 150 bytes.
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
    /// Returns what came of a run that began after this call, in one of the slots: of `work`, or of the work of another
    /// who asked for the same. What `work` leaves over is dropped after the others were told.
    pub fn share<L>(&self, slots: &Slots, work: impl FnOnce() -> (Outcome, L)) -> Outcome {
        let mut line = self.lock();
        let run = line.next.clone();
        while run.outcome.get().is_none() && line.running {
            line = run.changed.wait(line).expect(NEVER_POISONED);
        }
        match run.outcome.get() {
            Some(outcome) => outcome.clone(),
            None => self.lead(line, run, slots, work),
        }
    }

    /// Does the work for everybody who waits for `run`.
    fn lead<L>(
        &self,
        mut line: MutexGuard<Line>,
        run: Arc<Run>,
        slots: &Slots,
        work: impl FnOnce() -> (Outcome, L),
    ) -> Outcome {
        line.running = true;
        drop(line);
        let slot = slots.take();
        self.lock().next = Arc::default();
        // A panic goes on after it was told to the others, who would wait for ever.
        let done = catch_unwind(AssertUnwindSafe(work));
        let outcome = match &done {
            Ok((outcome, _)) => outcome.clone(),
            Err(_) => Err("the thread that did it panicked".to_string()),
        };
        drop(slot);
        let mut line = self.lock();
        line.running = false;
        run.outcome.set(outcome).expect("a run is led once");
        run.changed.notify_all();
        line.next.changed.notify_one();
        drop(line);
        done.unwrap_or_else(|panic| resume_unwind(panic)).0
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
        let (group, slots) = (Group::default(), Slots::new(1));
        let (asked, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let runs = AtomicUsize::new(0);
        let work = || {
            let seen = asked.load(SeqCst);
            thread::yield_now();
            runs.fetch_add(1, SeqCst);
            done.fetch_max(seen, SeqCst);
            (Ok(()), ())
        };
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mine = asked.fetch_add(1, SeqCst) + 1;
                        group.share(&slots, work).unwrap();
                        assert!(mine <= done.load(SeqCst));
                    }
                });
            }
        });
        assert!(runs.load(SeqCst) <= asked.load(SeqCst));
    }

    #[test]
    fn those_who_wait_share_one_run_and_its_failure() {
        let (group, slots, runs) = (Group::default(), Slots::new(8), AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let fail = || {
            runs.fetch_add(1, SeqCst);
            (Err("full".to_string()), ())
        };
        thread::scope(|scope| {
            let (group, slots, fail) = (&group, &slots, &fail);
            scope.spawn(move || {
                group.share(slots, || {
                    begun.send(()).unwrap();
                    (may_go.recv().map_err(|e| e.to_string()), ())
                })
            });
            has_begun.recv().unwrap();
            let waiting: Vec<_> = (0..8)
                .map(|_| scope.spawn(move || group.share(slots, fail)))
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
        let (group, slots) = (Group::default(), Slots::new(1));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            group.share::<()>(&slots, || panic!("on purpose"))
        }));
        assert!(panic.is_err());
        assert_eq!(group.share(&slots, || (Ok(()), ())), Ok(()));
    }
}

//! How much of the same kind is under way at once, and who is next.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A number of slots. First come, first served.
///
/// What waits may gather others who want the same, so that it is done once for all of them: who
/// finds a slot taken goes on waiting for that one a while, even if others are free. Under load
/// fewer are busy then, each for more.
pub struct Semaphore {
    count: usize,
    /// While so many are taken, the next ones are held.
    enough: usize,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    taken: usize,
    /// When a slot was last taken.
    last: Option<Instant>,
    waiting: VecDeque<Arc<Condvar>>,
}

/// One of the slots, until this is dropped.
pub struct Slot<'a>(&'a Semaphore);

impl Semaphore {
    pub fn new(count: usize) -> Semaphore {
        Semaphore::gathering(count, count)
    }

    /// As [`Semaphore::new`]; but while `enough` slots are taken, who wants another is held for a
    /// while.
    pub fn gathering(count: usize, enough: usize) -> Semaphore {
        Semaphore {
            count,
            enough,
            line: Mutex::default(),
        }
    }

    /// How many are taken.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.lock().taken
    }

    /// Waits for a slot: for one of those that are enough; or for any, once none has been taken for
    /// as long as `hold`.
    pub fn take(&self, hold: Duration) -> Slot<'_> {
        let mut line = self.lock();
        if line.taken < self.enough && line.waiting.is_empty() {
            line.take();
            return Slot(self);
        }
        let bell = Arc::<Condvar>::default();
        line.waiting.push_back(bell.clone());
        loop {
            let first = Arc::ptr_eq(&line.waiting[0], &bell);
            let held = line
                .last
                .map_or(Duration::ZERO, |last| hold.saturating_sub(last.elapsed()));
            let full = line.taken == self.count;
            if first && (line.taken < self.enough || !full && held.is_zero()) {
                break;
            }
            line = match first && !full {
                true => bell.wait_timeout(line, held).expect(NEVER_POISONED).0,
                false => bell.wait(line).expect(NEVER_POISONED),
            };
        }
        line.waiting.pop_front();
        line.take();
        line.call_first();
        Slot(self)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect(NEVER_POISONED)
    }
}

impl Line {
    fn take(&mut self) {
        self.taken += 1;
        self.last = Some(Instant::now());
    }

    /// Who is first in line looks whether it is their turn.
    fn call_first(&self) {
        if let Some(bell) = self.waiting.front() {
            bell.notify_one();
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut line = self.0.lock();
        line.taken -= 1;
        line.call_first();
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(100);
    const SHORT: Duration = Duration::from_micros(10);

    fn check_never_more_than(most: usize, slots: Semaphore, hold: Duration) {
        let (running, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _slot = slots.take(hold);
                        seen.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
        let seen = seen.into_inner();
        assert!(seen <= most, "{seen}");
    }

    #[test]
    fn no_more_slots_are_taken_than_there_are() {
        check_never_more_than(2, Semaphore::new(2), SHORT);
        check_never_more_than(1, Semaphore::gathering(8, 1), LONG);
        check_never_more_than(3, Semaphore::gathering(3, 1), SHORT);
    }

    #[test]
    fn who_was_held_for_long_enough_goes_beside_the_others() {
        let hold = Duration::from_millis(20);
        let slots = Semaphore::gathering(2, 1);
        let _first = slots.take(hold);
        let began = Instant::now();
        let _second = slots.take(hold);
        assert!(hold <= began.elapsed());
    }

    #[test]
    fn who_is_held_goes_on_once_enough_is_free() {
        let slots = Semaphore::gathering(2, 1);
        let began = Instant::now();
        thread::scope(|scope| {
            let first = slots.take(LONG);
            let second = scope.spawn(|| drop(slots.take(LONG)));
            while slots.lock().waiting.is_empty() {
                thread::yield_now();
            }
            drop(first);
            second.join().unwrap();
        });
        assert!(began.elapsed() < LONG / 2);
    }

    #[test]
    fn first_come_first_served() {
        let slots = Semaphore::gathering(3, 1);
        let (serve, served) = mpsc::channel();
        let all: Vec<Slot> = (0..3).map(|_| slots.take(SHORT)).collect();
        thread::scope(|scope| {
            for n in 0..5 {
                let (slots, serve) = (&slots, serve.clone());
                scope.spawn(move || {
                    let _slot = slots.take(SHORT);
                    // Before the slot goes on to the next.
                    serve.send(n).unwrap();
                });
                while slots.lock().waiting.len() <= n {
                    thread::yield_now();
                }
            }
            let kept = all.into_iter().skip(1).collect::<Vec<_>>();
            assert!(served.iter().take(5).eq(0..5));
            drop(kept);
        });
    }
}

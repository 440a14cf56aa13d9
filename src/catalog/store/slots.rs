//! How much of the same kind is under way at once, and who is next.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A number of slots. First come, first served.
///
/// What waits may gather others who want the same, so that it is done once for all of them: who finds a slot taken goes on
/// waiting for that one a while, even if others are free. Under load fewer are busy then, each for more.
pub struct Slots {
    count: usize,
    /// While so many are taken, the next ones wait for `hold`.
    enough: usize,
    hold: Duration,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    taken: usize,
    waiting: VecDeque<Waiter>,
}

#[derive(Clone)]
struct Waiter {
    held_until: Instant,
    bell: Arc<Condvar>,
}

/// One of the slots, until this is dropped.
pub struct Slot<'a>(&'a Slots);

impl Slots {
    pub fn new(count: usize) -> Slots {
        Slots::gathering(count, count, Duration::ZERO)
    }

    /// As [`Slots::new`]; but while `enough` slots are taken, who wants another waits for `hold`.
    pub fn gathering(count: usize, enough: usize, hold: Duration) -> Slots {
        Slots {
            count,
            enough,
            hold,
            line: Mutex::default(),
        }
    }

    /// Waits for a slot.
    pub fn take(&self) -> Slot<'_> {
        let mut line = self.lock();
        if line.taken < self.enough && line.waiting.is_empty() {
            line.taken += 1;
            return Slot(self);
        }
        let me = Waiter {
            held_until: Instant::now() + self.hold,
            bell: Arc::default(),
        };
        line.waiting.push_back(me.clone());
        while !(line.is_first(&me) && self.is_free_for(&me, &line)) {
            let held = me.held_until.saturating_duration_since(Instant::now());
            line = match held.is_zero() {
                true => me.bell.wait(line).expect(NEVER_POISONED),
                false => me.bell.wait_timeout(line, held).expect(NEVER_POISONED).0,
            };
        }
        line.waiting.pop_front();
        line.taken += 1;
        self.call(&line);
        Slot(self)
    }

    /// Wakes the first of the line if it is their turn. If it is not, it will be when they have been held for long enough,
    /// or when a slot is given back.
    fn call(&self, line: &Line) {
        let first = line.waiting.front();
        if let Some(first) = first.filter(|first| self.is_free_for(first, line)) {
            first.bell.notify_one();
        }
    }

    fn is_free_for(&self, waiter: &Waiter, line: &Line) -> bool {
        line.taken < self.enough || line.taken < self.count && waiter.held_until <= Instant::now()
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect(NEVER_POISONED)
    }
}

impl Line {
    fn is_first(&self, waiter: &Waiter) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|first| Arc::ptr_eq(&first.bell, &waiter.bell))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut line = self.0.lock();
        line.taken -= 1;
        self.0.call(&line);
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn check_never_more_than(most: usize, slots: Slots) {
        let (running, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _slot = slots.take();
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
        check_never_more_than(2, Slots::new(2));
        check_never_more_than(1, Slots::gathering(8, 1, Duration::from_secs(100)));
        check_never_more_than(3, Slots::gathering(3, 1, Duration::from_micros(10)));
    }

    #[test]
    fn who_was_held_for_long_enough_goes_beside_the_others() {
        let hold = Duration::from_millis(20);
        let slots = Slots::gathering(2, 1, hold);
        let _first = slots.take();
        let began = Instant::now();
        let _second = slots.take();
        assert!(hold <= began.elapsed());
    }

    #[test]
    fn who_is_held_goes_on_once_enough_is_free() {
        let slots = Slots::gathering(2, 1, Duration::from_secs(100));
        let began = Instant::now();
        thread::scope(|scope| {
            let first = slots.take();
            let second = scope.spawn(|| drop(slots.take()));
            while slots.lock().waiting.is_empty() {
                thread::yield_now();
            }
            drop(first);
            second.join().unwrap();
        });
        assert!(began.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn first_come_first_served() {
        let slots = Slots::gathering(3, 1, Duration::from_micros(10));
        let (serve, served) = mpsc::channel();
        let all: Vec<Slot> = (0..3).map(|_| slots.take()).collect();
        thread::scope(|scope| {
            for n in 0..5 {
                let (slots, serve) = (&slots, serve.clone());
                scope.spawn(move || {
                    let _slot = slots.take();
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

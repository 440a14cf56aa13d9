//! Virtual time and the baton: many threads, of which exactly one runs at any moment.
//!
//! Whoever holds the baton takes the next event from the calendar. What never waits runs on the
//! spot. What may wait is a *task*: it has a thread, and when it waits (a *nap*) its thread goes on
//! with the calendar itself, until the next event belongs to another thread: then it hands on the
//! baton and sleeps. So a task that need not wait costs no switch, and a seed decides everything.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::catalog::sim::event_queue::{EventQueue, Life, Mail, Micros, Slot, Stand, What, Work};

/// How a task ends whose server has crashed.
struct Crashed;

thread_local! {
    static ME: Cell<usize> = const { Cell::new(usize::MAX) };
}

pub struct Scheduler {
    calendar: Mutex<EventQueue>,
}

impl Scheduler {
    pub fn new(seed: u64, servers: usize) -> Arc<Scheduler> {
        Arc::new(Scheduler {
            calendar: Mutex::new(EventQueue::new(seed, servers)),
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, EventQueue> {
        self.calendar
            .lock()
            .expect("no simulated code runs under this lock")
    }

    /// Plays until `script`, itself a task, returns. Fails with what failed first.
    pub fn play(self: &Arc<Self>, script: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let baton = self.clone();
        self.start_thread().put(Mail::Task(Box::new(move || {
            script();
            baton.lock().over = true;
        })));
        // Whoever ends the game tells all others to quit.
        loop {
            let thread = self.lock().threads.pop();
            match thread {
                Some(thread) => thread
                    .join()
                    .map_err(|_| "a thread of the simulation panicked")?,
                None => break,
            }
        }
        let mut calendar = self.lock();
        let events = std::mem::take(&mut calendar.events);
        let put_off = calendar
            .servers
            .iter_mut()
            .map(|server| std::mem::take(&mut server.put_off));
        let put_off: Vec<_> = put_off.collect();
        let failure = calendar.failure.take();
        drop(calendar);
        drop((events, put_off));
        failure.map_or(Ok(()), Err)
    }

    pub fn now(&self) -> Micros {
        self.lock().now
    }

    /// Draws from the seed.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.lock().rng)
    }

    /// The first failure ends the game.
    pub fn fail(&self, why: String) {
        let mut calendar = self.lock();
        calendar.failure.get_or_insert(why);
        calendar.over = true;
    }

    /// Does this after `pause`, on whatever thread: it must not wait.
    pub fn run_in(&self, pause: Micros, life: Option<Life>, work: impl FnOnce() + Send + 'static) {
        self.lock().put(pause, life, What::Run(Box::new(work)));
    }

    /// Does this after `pause`; it may wait.
    pub fn task_in(&self, pause: Micros, life: Option<Life>, work: impl FnOnce() + Send + 'static) {
        self.lock().put(pause, life, What::Task(Box::new(work)));
    }

    /// Something to wait for. Take the nap on the same thread, at once.
    pub fn nap(&self, life: Option<Life>) -> u64 {
        let mut calendar = self.lock();
        calendar.count += 1;
        let nap = calendar.count;
        calendar.naps.insert(nap, (ME.get(), life));
        nap
    }

    /// The nap ends after `pause`, if it has not ended before.
    pub fn wake_in(&self, pause: Micros, nap: u64) {
        let mut calendar = self.lock();
        if let Some((_, life)) = calendar.naps.get(&nap).copied() {
            calendar.put(pause, life, What::Wake(nap));
        }
    }

    /// Waits until the nap is over, and meanwhile goes on with the calendar. Unwinds when its
    /// server has crashed.
    pub fn sleep(self: &Arc<Self>, nap: u64, life: Option<Life>) {
        let me = ME.get();
        let quit = loop {
            match self.next() {
                None => break true,
                Some(What::Run(work)) => self.guarded(work),
                Some(What::Wake(other)) if other == nap => break false,
                Some(what) => {
                    if self.hand_on(what) {
                        let slot = self.lock().slots[me].clone();
                        break matches!(slot.take(), Mail::Quit);
                    }
                }
            }
        };
        self.lock().naps.remove(&nap);
        if quit || life.is_some_and(|life| !self.alive(life)) {
            resume_unwind(Box::new(Crashed));
        }
    }

    pub fn pause(self: &Arc<Self>, pause: Micros) {
        let nap = self.nap(None);
        self.wake_in(pause, nap);
        self.sleep(nap, None);
    }

    /// The next event that somebody is there for; `None`: the game is over.
    fn next(&self) -> Option<What> {
        loop {
            let mut calendar = self.lock();
            if calendar.over {
                calendar.quit();
                return None;
            }
            let Some(((time, _), event)) = calendar.events.pop_first() else {
                calendar
                    .failure
                    .get_or_insert("nothing is left to happen".into());
                calendar.over = true;
                continue;
            };
            calendar.now = time;
            let dead = match event.life.map(|life| calendar.stands(life)) {
                Some(Stand::Paused) => {
                    let node = event.life.expect("it was just looked at").node;
                    calendar.servers[node].put_off.push(event);
                    continue;
                }
                Some(Stand::Dead) => true,
                Some(Stand::Up) | None => false,
            };
            drop(calendar);
            // A dead server's work is dropped, which may need the calendar; a dead server's nap
            // ends all the same.
            if !dead || matches!(event.what, What::Wake(_)) {
                return Some(event.what);
            }
        }
    }

    /// Gives the baton to whom this is for. False: nobody waits for it any more.
    fn hand_on(self: &Arc<Self>, what: What) -> bool {
        match what {
            What::Wake(nap) => {
                let mut calendar = self.lock();
                let Some((slot, _)) = calendar.naps.remove(&nap) else {
                    return false;
                };
                calendar.slots[slot].put(Mail::GoOn);
            }
            What::Task(work) | What::Run(work) => {
                let idle = self.lock().idle.pop();
                let slot = idle.map(|slot| self.lock().slots[slot].clone());
                slot.unwrap_or_else(|| self.start_thread())
                    .put(Mail::Task(work));
            }
        }
        true
    }

    fn start_thread(self: &Arc<Self>) -> Arc<Slot> {
        let mut calendar = self.lock();
        let (me, slot) = (calendar.slots.len(), Arc::new(Slot::default()));
        calendar.slots.push(slot.clone());
        let (baton, own) = (self.clone(), slot.clone());
        calendar
            .threads
            .push(std::thread::spawn(move || baton.work(me, &own)));
        slot
    }

    fn work(self: &Arc<Self>, me: usize, slot: &Slot) {
        ME.set(me);
        while let Mail::Task(work) = slot.take() {
            self.guarded(work);
            self.lead(me);
        }
    }

    /// Goes on with the calendar, with nothing of one's own under way, until the baton is
    /// another's.
    fn lead(self: &Arc<Self>, me: usize) {
        while let Some(what) = self.next() {
            match what {
                What::Run(work) | What::Task(work) => self.guarded(work),
                What::Wake(nap) => {
                    let slot = {
                        let mut calendar = self.lock();
                        let Some((slot, _)) = calendar.naps.remove(&nap) else {
                            continue;
                        };
                        calendar.idle.push(me);
                        calendar.slots[slot].clone()
                    };
                    slot.put(Mail::GoOn);
                    return;
                }
            }
        }
    }

    fn guarded(&self, work: Work) {
        match catch_unwind(AssertUnwindSafe(work)) {
            Err(payload) if !payload.is::<Crashed>() => {
                self.fail(format!("panic: {}", text(payload.as_ref())));
            }
            _ => {}
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of another kind".into())
}

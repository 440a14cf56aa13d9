//! The simulated net: messages that are late, lost, doubled, refused, or cut off.

use std::sync::{Arc, Mutex};

use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::event_queue::{Life, Micros};

/// A request on its way.
pub struct Call {
    pub from: Option<Life>,
    pub to: usize,
    pub limit: Micros,
    /// Whether the work may wait.
    pub waits: bool,
    pub heartbeat: bool,
    /// Whether it may come very late, or twice.
    pub repeats: bool,
    pub who: String,
    pub what: String,
}

/// What came of a [`Call`].
#[derive(Debug, PartialEq)]
pub enum Heard<R> {
    Answer(R),
    Refused,
    Silent,
}

type Done<R> = Arc<Mutex<Option<Box<dyn FnOnce(Heard<R>) + Send>>>>;

impl Cluster {
    fn delay(&self) -> Micros {
        match self.setting.steady {
            true => 1000,
            false if self.baton.draw(|rng| rng.u8(..10)) == 0 => {
                self.between(3.0, self.setting.slow_net)
            }
            false => self.between(0.2, 3.0),
        }
    }

    fn cut(&self, from: Option<Life>, to: usize) -> bool {
        let inside = self.inside();
        let Some(sides) = &inside.sides else {
            return false;
        };
        from.is_some_and(|from| sides[from.node] != sides[to])
    }

    /// Sends a request; `done` hears what came of it, once, unless the sender has crashed by then.
    pub fn exchange<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl Fn(&Arc<Cluster>) -> R + Send + Sync + 'static,
        show: fn(&R) -> String,
        done: impl FnOnce(Heard<R>) + Send + 'static,
    ) {
        let done: Done<R> = Arc::new(Mutex::new(Some(Box::new(done))));
        let late = done.clone();
        self.baton
            .run_in(call.limit, call.from, move || finish(&late, Heard::Silent));
        let (call, work) = (Arc::new(call), Arc::new(work));
        let setting = &self.setting;
        if !self.chance(setting.lost_request) {
            let late = call.repeats && self.chance(setting.late);
            let delay = if late {
                self.long_delay()
            } else {
                self.delay()
            };
            self.travel(delay, call.clone(), work.clone(), show, done.clone());
        }
        if call.repeats && self.chance(setting.double) {
            self.travel(self.long_delay(), call, work, show, done);
        }
    }

    fn long_delay(&self) -> Micros {
        if self.baton.draw(|rng| rng.bool()) {
            self.between(30.0, 600.0)
        } else {
            self.between(300.0, 3500.0)
        }
    }

    fn travel<R: Send + 'static>(
        self: &Arc<Self>,
        delay: Micros,
        call: Arc<Call>,
        work: Arc<impl Fn(&Arc<Cluster>) -> R + Send + Sync + 'static>,
        show: fn(&R) -> String,
        done: Done<R>,
    ) {
        let world = self.clone();
        self.baton
            .run_in(delay, None, move || world.arrive(call, work, show, done));
    }

    fn arrive<R: Send + 'static>(
        self: &Arc<Self>,
        call: Arc<Call>,
        work: Arc<impl Fn(&Arc<Cluster>) -> R + Send + Sync + 'static>,
        show: fn(&R) -> String,
        done: Done<R>,
    ) {
        if self.cut(call.from, call.to) {
            return;
        }
        if !self.baton.is_up(call.to) {
            self.note(|| {
                format!(
                    "{} -> {} {}: refused",
                    call.who,
                    self.name(call.to),
                    call.what
                )
            });
            self.baton.run_in(self.delay(), call.from, move || {
                finish(&done, Heard::Refused)
            });
            return;
        }
        let starved = call.heartbeat && call.to < self.setting.catalogs;
        let starved = if starved {
            self.inside().catalogs[call.to].starved_until
        } else {
            0
        };
        if self.baton.now() < starved {
            let pause = starved - self.baton.now() + 1;
            return self.travel(pause, call, work, show, done);
        }
        let (world, to, waits) = (self.clone(), call.to, call.waits);
        let ticket = self.open(&call, &done);
        let life = self.baton.life(to);
        let serve = move || {
            world.note(|| format!("{} -> {} {}", call.who, world.name(call.to), call.what));
            let answer = work(&world);
            world.inside().pending.remove(&(call.to, ticket));
            world.look_at(call.to);
            world.answer(&call, answer, show, done);
        };
        if waits {
            self.baton.task_in(0, Some(life), serve);
        } else {
            self.baton.run_in(0, Some(life), serve);
        }
    }

    /// Remembers that the connection breaks if the server crashes before it answers.
    fn open<R: Send + 'static>(self: &Arc<Self>, call: &Arc<Call>, done: &Done<R>) -> u64 {
        let (world, from, done) = (self.clone(), call.from, done.clone());
        let breaks = move || {
            let delay = world.delay();
            world
                .baton
                .run_in(delay, from, move || finish(&done, Heard::Silent));
        };
        let mut inside = self.inside();
        inside.count += 1;
        let ticket = inside.count;
        inside.pending.insert((call.to, ticket), Box::new(breaks));
        ticket
    }

    fn answer<R: Send + 'static>(
        self: &Arc<Self>,
        call: &Arc<Call>,
        answer: R,
        show: fn(&R) -> String,
        done: Done<R>,
    ) {
        if self.chance(self.setting.lost_reply) {
            return;
        }
        let (world, call) = (self.clone(), call.clone());
        self.baton.run_in(self.delay(), call.from, move || {
            if !world.cut(call.from, call.to) {
                world.note(|| format!("{} -> {} {}", world.name(call.to), call.who, show(&answer)));
                finish(&done, Heard::Answer(answer));
                call.from.inspect(|from| world.look_at(from.node));
            }
        });
    }

    /// Sends a request and waits for what comes of it.
    pub fn ask<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl Fn(&Arc<Cluster>) -> R + Send + Sync + 'static,
        show: fn(&R) -> String,
    ) -> Heard<R> {
        let life = call.from;
        let heard = Arc::new(Mutex::new(None));
        let nap = self.baton.nap(life);
        let (world, put) = (self.clone(), heard.clone());
        self.exchange(call, work, show, move |outcome| {
            *put.lock().unwrap() = Some(outcome);
            world.baton.wake_in(0, nap);
        });
        self.baton.sleep(nap, life);
        let outcome = heard.lock().unwrap().take();
        outcome.expect("only an outcome ends this nap")
    }
}

fn finish<R>(done: &Done<R>, heard: Heard<R>) {
    let done = done.lock().unwrap().take();
    if let Some(done) = done {
        done(heard);
    }
}

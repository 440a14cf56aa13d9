//! The calendar: what will happen when, for whom, and which servers are there for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use crate::catalog::sim::scheduler::Scheduler;

/// Virtual time in microseconds.
pub type Micros = u64;

/// One start of one server. Its events wait while it is paused, and are dropped when it has
/// crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    pub node: usize,
    pub number: u64,
}

pub type Work = Box<dyn FnOnce() + Send>;

pub enum What {
    /// Never waits.
    Run(Work),
    /// May wait.
    Task(Work),
    /// A nap is over.
    Wake(u64),
}

pub struct Event {
    pub life: Option<Life>,
    pub what: What,
}

#[derive(Default)]
pub struct Server {
    pub lives: u64,
    pub up: bool,
    pub paused: bool,
    pub put_off: Vec<Event>,
}

pub struct EventQueue {
    pub now: Micros,
    pub events: BTreeMap<(Micros, u64), Event>,
    /// Numbers events and naps.
    pub count: u64,
    pub rng: fastrand::Rng,
    pub servers: Vec<Server>,
    /// Naps that are not over: whose thread, and for whom.
    pub naps: BTreeMap<u64, (usize, Option<Life>)>,
    pub slots: Vec<Arc<Slot>>,
    pub threads: Vec<JoinHandle<()>>,
    pub idle: Vec<usize>,
    pub over: bool,
    pub failure: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Stand {
    Up,
    Paused,
    Dead,
}

impl EventQueue {
    pub fn new(seed: u64, servers: usize) -> EventQueue {
        EventQueue {
            now: 0,
            events: BTreeMap::new(),
            count: 0,
            rng: fastrand::Rng::with_seed(seed),
            servers: (0..servers).map(|_| Server::default()).collect(),
            naps: BTreeMap::new(),
            slots: Vec::new(),
            threads: Vec::new(),
            idle: Vec::new(),
            over: false,
            failure: None,
        }
    }

    pub fn put(&mut self, pause: Micros, life: Option<Life>, what: What) {
        self.count += 1;
        let place = (self.now + pause, self.count);
        self.events.insert(place, Event { life, what });
    }

    pub fn stands(&self, life: Life) -> Stand {
        let server = &self.servers[life.node];
        match server.up && server.lives == life.number {
            false => Stand::Dead,
            true if server.paused => Stand::Paused,
            true => Stand::Up,
        }
    }

    pub fn quit(&mut self) {
        self.slots.iter().for_each(|slot| slot.put(Mail::Quit));
    }
}

/// What a sleeping thread is told.
pub enum Mail {
    Task(Work),
    /// Its nap is over.
    GoOn,
    Quit,
}

#[derive(Default)]
pub struct Slot {
    mail: Mutex<Option<Mail>>,
    arrived: Condvar,
}

impl Slot {
    pub fn put(&self, mail: Mail) {
        *self.mail.lock().unwrap() = Some(mail);
        self.arrived.notify_one();
    }

    pub fn take(&self) -> Mail {
        let mut mail = self.mail.lock().unwrap();
        loop {
            match mail.take() {
                Some(mail) => return mail,
                None => mail = self.arrived.wait(mail).unwrap(),
            }
        }
    }
}

impl Scheduler {
    pub fn alive(&self, life: Life) -> bool {
        self.lock().stands(life) != Stand::Dead
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.lock().servers[node].up
    }

    /// Up, and not paused.
    pub fn runs(&self, node: usize) -> bool {
        let server = &self.lock().servers[node];
        server.up && !server.paused
    }

    pub fn life(&self, node: usize) -> Life {
        Life {
            node,
            number: self.lock().servers[node].lives,
        }
    }

    pub fn start(&self, node: usize) -> Life {
        let server = &mut self.lock().servers[node];
        server.lives += 1;
        server.up = true;
        Life {
            node,
            number: server.lives,
        }
    }

    /// All that the server was about to do is gone; its tasks unwind now.
    pub fn crash(&self, node: usize) {
        let mut calendar = self.lock();
        let server = &mut calendar.servers[node];
        (server.up, server.paused) = (false, false);
        let put_off = std::mem::take(&mut server.put_off);
        let naps = calendar.naps.iter();
        let of_node = naps.filter(|(_, (_, life))| life.is_some_and(|life| life.node == node));
        for nap in of_node.map(|(nap, _)| *nap).collect::<Vec<_>>() {
            calendar.put(0, None, What::Wake(nap));
        }
        drop(calendar);
        drop(put_off);
    }

    pub fn stop(&self, node: usize) {
        self.lock().servers[node].paused = true;
    }

    /// What the server slept through happens now, shuffled or not.
    pub fn go_on(&self, node: usize, shuffle: bool) {
        let mut calendar = self.lock();
        calendar.servers[node].paused = false;
        let mut put_off = std::mem::take(&mut calendar.servers[node].put_off);
        if shuffle {
            calendar.rng.shuffle(&mut put_off);
        }
        for event in put_off {
            calendar.put(0, event.life, event.what);
        }
    }
}

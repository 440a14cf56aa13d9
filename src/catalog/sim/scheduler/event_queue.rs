//! What happens when, for which server, and which servers are up to do it.

use std::collections::BTreeMap;

/// Virtual time in microseconds.
pub(crate) type Micros = u64;

pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// One start of one server. Its events wait while the server is stopped, and are dropped once it
/// has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Incarnation {
    pub(crate) node: usize,
    pub(crate) number: u64,
}

/// Names one wait of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaitId(u64);

pub(super) enum Action {
    /// Never waits.
    Run(Work),
    /// May wait.
    Spawn(Work),
    /// Ends a wait.
    Wake(WaitId),
}

pub(super) struct Event {
    /// `None`: it belongs to no server, as all that clients do.
    incarnation: Option<Incarnation>,
    pub(super) action: Action,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Status {
    Running,
    Stopped,
    Crashed,
}

#[derive(Default)]
struct Server {
    starts: u64,
    up: bool,
    stopped: bool,
    /// What became due while the server was stopped.
    deferred: Vec<Event>,
}

pub(super) struct EventQueue {
    pub(super) now: Micros,
    /// By time; events of one moment in the order in which they were added.
    events: BTreeMap<(Micros, u64), Event>,
    /// Numbers events and waits.
    count: u64,
    servers: Vec<Server>,
}

impl EventQueue {
    pub(super) fn new(servers: usize) -> EventQueue {
        EventQueue {
            now: 0,
            events: BTreeMap::new(),
            count: 0,
            servers: (0..servers).map(|_| Server::default()).collect(),
        }
    }

    pub(super) fn next_wait(&mut self) -> WaitId {
        self.count += 1;
        WaitId(self.count)
    }

    pub(super) fn add(&mut self, delay: Micros, incarnation: Option<Incarnation>, action: Action) {
        self.count += 1;
        let event = Event {
            incarnation,
            action,
        };
        self.events.insert((self.now + delay, self.count), event);
    }

    /// Advances the time to the next event of a server that is not stopped, and takes it. Also
    /// returns whether its server has crashed.
    pub(super) fn pop(&mut self) -> Option<(Event, bool)> {
        loop {
            let ((time, _), event) = self.events.pop_first()?;
            self.now = time;
            match event.incarnation.map(|of| (of.node, self.status(of))) {
                Some((node, Status::Stopped)) => self.servers[node].deferred.push(event),
                Some((_, Status::Crashed)) => return Some((event, true)),
                Some((_, Status::Running)) | None => return Some((event, false)),
            }
        }
    }

    pub(super) fn status(&self, incarnation: Incarnation) -> Status {
        let server = &self.servers[incarnation.node];
        if !server.up || server.starts != incarnation.number {
            Status::Crashed
        } else if server.stopped {
            Status::Stopped
        } else {
            Status::Running
        }
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.servers[node].up
    }

    /// The server's present or, while it is down, latest start.
    pub(super) fn incarnation(&self, node: usize) -> Incarnation {
        Incarnation {
            node,
            number: self.servers[node].starts,
        }
    }

    pub(super) fn start(&mut self, node: usize) -> Incarnation {
        let server = &mut self.servers[node];
        server.starts += 1;
        server.up = true;
        self.incarnation(node)
    }

    /// Returns what the server had deferred. The caller drops it when it holds no lock, because
    /// dropping it may take any.
    #[must_use]
    pub(super) fn crash(&mut self, node: usize) -> Vec<Event> {
        let server = &mut self.servers[node];
        (server.up, server.stopped) = (false, false);
        std::mem::take(&mut server.deferred)
    }

    pub(super) fn stop(&mut self, node: usize) {
        self.servers[node].stopped = true;
    }

    /// Ends a stop: what the server missed happens now, shuffled if there is an `rng` to do so.
    pub(super) fn resume(&mut self, node: usize, shuffle: Option<&mut fastrand::Rng>) {
        let server = &mut self.servers[node];
        server.stopped = false;
        let mut deferred = std::mem::take(&mut server.deferred);
        if let Some(rng) = shuffle {
            rng.shuffle(&mut deferred);
        }
        for event in deferred {
            self.add(0, event.incarnation, event.action);
        }
    }

    /// Removes all events. The caller drops them when it holds no lock.
    #[must_use]
    pub(super) fn drain(&mut self) -> Vec<Event> {
        let deferred = self.servers.iter_mut();
        let deferred = deferred.flat_map(|server| std::mem::take(&mut server.deferred));
        let mut events: Vec<Event> = deferred.collect();
        events.extend(std::mem::take(&mut self.events).into_values());
        events
    }
}

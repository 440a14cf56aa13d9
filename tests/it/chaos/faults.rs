//! Faults of servers at random: killed and started again, stopped and continued, one or all of
//! them, in every order, also in the middle of a save.
//!
//! Nothing sets the wall clock of the machine, which other programs use, too. A stopped process
//! sees both clocks jump forward when it continues; the simulation has the other jumps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::harness::history::History;
use crate::harness::server::Server;
use crate::harness::shop::Shop;

/// A server is down, or stopped, for up to this long.
const FAULT_MAX: Duration = Duration::from_millis(1200);

/// The same where all catalogs are: nothing can be bought meanwhile.
const OUTAGE_MAX: Duration = Duration::from_millis(500);

/// The pause between two faults is up to this; after the end of an outage, too.
const PAUSE_MAX: Duration = Duration::from_millis(800);

/// Between two servers that fail one after another, and between a start and the next kill.
const STEP_MAX: Duration = Duration::from_millis(300);

/// So many times a server is restarted rapidly.
const RESTARTS: Range<u32> = 2..5;

/// How long a save is waited for, to fail in the middle of it, and how often it is looked for.
const SAVE_AWAITED: Duration = Duration::from_millis(40);
const SAVE_LOOK_EVERY: Duration = Duration::from_micros(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Killed,
    Stopped,
    /// A catalog, while a file is being replaced.
    KilledSaving,
    StoppedSaving,
    /// One server, killed again as soon as it listens or a little later.
    RapidRestarts,
    /// All catalogs, at once. They return in any order.
    TotalFailure,
    /// All catalogs, one after another.
    Staggered,
    /// All servers are stopped, as on a machine that is suspended.
    Suspended,
}

impl Fault {
    /// Whether its servers are stopped; otherwise they are killed.
    pub fn stops(self) -> bool {
        matches!(
            self,
            Fault::Stopped | Fault::StoppedSaving | Fault::Suspended
        )
    }
}

pub const FAULTS: [Fault; 8] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::KilledSaving,
    Fault::StoppedSaving,
    Fault::RapidRestarts,
    Fault::TotalFailure,
    Fault::Staggered,
    Fault::Suspended,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Stop,
    Start,
    Continue,
}

/// What is to be done to a server. Nothing is, if the server is not in a state for it.
#[derive(Clone, Copy, Debug)]
struct Event {
    at: Duration,
    server: usize,
    action: Action,
    fault: Fault,
}

/// Injects faults at random.
pub struct FaultInjector<'a> {
    shop: &'a Shop,
    /// Catalogs first.
    servers: Vec<&'a Server>,
    history: &'a History,
    rng: Rng,
    events: Vec<Event>,
    stopped: BTreeSet<usize>,
    /// How many servers were killed or stopped, by fault.
    pub injected: BTreeMap<Fault, u32>,
}

impl<'a> FaultInjector<'a> {
    pub fn new(shop: &'a Shop, history: &'a History, rng: Rng) -> FaultInjector<'a> {
        FaultInjector {
            shop,
            servers: shop.servers().collect(),
            history,
            rng,
            events: Vec::new(),
            stopped: BTreeSet::new(),
            injected: BTreeMap::new(),
        }
    }

    /// Injects these kinds of faults, each once before any of them a second time. At the end every
    /// server runs.
    pub fn run_until(&mut self, end: Duration, faults: &[Fault]) {
        let mut round = Vec::new();
        while self.history.now() < end {
            if round.is_empty() {
                round = faults.to_vec();
                self.rng.shuffle(&mut round);
            }
            let fault = round
                .pop()
                .expect("a history has at least one kind of fault");
            self.plan(fault);
            let outage = matches!(
                fault,
                Fault::TotalFailure | Fault::Staggered | Fault::Suspended
            );
            let last = self.events.iter().map(|event| event.at).max();
            let from = last.filter(|_| outage).unwrap_or(self.history.now());
            let pause = self.up_to(PAUSE_MAX);
            self.play_until(end.min(from + pause));
        }
        self.recover();
    }

    /// Plans the events of one fault, from now on.
    fn plan(&mut self, fault: Fault) {
        let mut at = self.history.now();
        let catalogs = self.shop.catalogs().len();
        match fault {
            Fault::Killed | Fault::Stopped => {
                let server = self.any_server();
                self.plan_one(fault, server, at);
            }
            Fault::KilledSaving | Fault::StoppedSaving => {
                let server = self.rng.usize(..catalogs);
                self.plan_one(fault, server, at);
            }
            Fault::RapidRestarts => {
                let server = self.any_server();
                for _ in 0..self.rng.u32(RESTARTS) {
                    self.push(fault, server, at, Action::Kill);
                    at += self.up_to(STEP_MAX / 4);
                    self.push(fault, server, at, Action::Start);
                    at += self.up_to(STEP_MAX);
                }
            }
            Fault::TotalFailure => {
                (0..catalogs).for_each(|server| self.plan_one(fault, server, at));
            }
            Fault::Staggered => self.plan_staggered(at),
            Fault::Suspended => {
                (0..self.servers.len()).for_each(|server| self.plan_one(fault, server, at));
            }
        }
    }

    /// A fault of one server that begins at once, and its end.
    fn plan_one(&mut self, fault: Fault, server: usize, at: Duration) {
        let (begin, end) = if fault.stops() {
            (Action::Stop, Action::Continue)
        } else {
            (Action::Kill, Action::Start)
        };
        self.push(fault, server, at, begin);
        let until = match fault {
            Fault::TotalFailure | Fault::Suspended => at + self.up_to(OUTAGE_MAX),
            _ => at + self.up_to(FAULT_MAX),
        };
        self.push(fault, server, until, end);
    }

    fn plan_staggered(&mut self, mut at: Duration) {
        let mut order: Vec<usize> = (0..self.shop.catalogs().len()).collect();
        for action in [Action::Kill, Action::Start] {
            self.rng.shuffle(&mut order);
            for server in &order {
                self.push(Fault::Staggered, *server, at, action);
                at += self.up_to(STEP_MAX);
            }
        }
    }

    fn push(&mut self, fault: Fault, server: usize, at: Duration, action: Action) {
        self.events.push(Event {
            at,
            server,
            action,
            fault,
        });
    }

    /// In half of the cases a catalog.
    fn any_server(&mut self) -> usize {
        let count = if self.rng.bool() {
            self.shop.catalogs().len()
        } else {
            self.servers.len()
        };
        self.rng.usize(..count)
    }

    fn up_to(&mut self, max: Duration) -> Duration {
        max.mul_f64(self.rng.f64())
    }

    /// Does what is due until then, in the order of time.
    fn play_until(&mut self, end: Duration) {
        self.events.sort_by_key(|event| event.at);
        while self.events.first().is_some_and(|event| event.at < end) {
            let event = self.events.remove(0);
            self.sleep_until(event.at);
            self.play(event);
        }
        self.sleep_until(end);
    }

    fn sleep_until(&self, time: Duration) {
        thread::sleep(time.saturating_sub(self.history.now()));
    }

    fn play(&mut self, event: Event) {
        let server = self.servers[event.server];
        self.check_runs(server);
        let (running, stopped) = (server.is_running(), self.stopped.contains(&event.server));
        let saving = matches!(event.fault, Fault::KilledSaving | Fault::StoppedSaving);
        match event.action {
            Action::Start if !running => return server.launch(),
            Action::Continue if stopped => {
                self.stopped.remove(&event.server);
                return server.cont();
            }
            Action::Kill | Action::Stop if !running => return,
            Action::Stop if stopped => return,
            Action::Kill | Action::Stop if saving && !self.saves(event.server) => return,
            Action::Kill => {
                self.stopped.remove(&event.server);
                server.kill();
            }
            Action::Stop => {
                self.stopped.insert(event.server);
                server.stop();
            }
            _ => return,
        }
        *self.injected.entry(event.fault).or_default() += 1;
    }

    /// No server ends by itself.
    #[track_caller]
    fn check_runs(&self, server: &Server) {
        if let Some(code) = server.exit_code() {
            panic!("{} ended with {code}: {}", server.name, server.stderr());
        }
    }

    /// Waits a little for the catalog to be in the middle of a save.
    fn saves(&self, catalog: usize) -> bool {
        let folder = self.shop.data_folder(catalog + 1);
        let temporary = |path: PathBuf| path.extension().is_some_and(|e| e == "tmp");
        let end = self.history.now() + SAVE_AWAITED;
        while self.history.now() < end {
            let mut files = fs::read_dir(&folder).unwrap().filter_map(Result::ok);
            if files.any(|file| temporary(file.path())) {
                return true;
            }
            thread::sleep(SAVE_LOOK_EVERY);
        }
        false
    }

    fn recover(&mut self) {
        for stopped in std::mem::take(&mut self.stopped) {
            self.servers[stopped].cont();
        }
        self.rng.shuffle(&mut self.servers);
        for server in &self.servers {
            self.check_runs(server);
            if !server.is_running() {
                server.launch();
            }
        }
    }
}

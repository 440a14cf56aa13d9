//! The simulated world: its servers, which start, crash, stop and go on, and what must hold of them
//! at every step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::front_end::FrontEnd;
use super::trace;
use crate::catalog::replication::env::WaitKey;
use crate::catalog::replication::{Config, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::sim::env::SimEnvironment;
use crate::catalog::sim::event_queue::{Life, Micros};
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::Scheduler;
use crate::config::timing::Timing;
use crate::membership::time::Time;
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Version};

/// The one book of most simulations.
pub const BOOK: BookId = BookId(2);

/// The one that is changed together with it.
pub const OTHER: BookId = BookId(3);

/// How long a catalog's message may take; heartbeat has its own limit.
pub const WHOLE: Micros = 1_000_000;

pub struct Cluster {
    pub baton: Arc<Scheduler>,
    pub setting: Parameters,
    /// Never held while a replica is called.
    state: Mutex<Inside>,
    trace: Option<Mutex<Vec<String>>>,
}

pub struct Inside {
    pub catalogs: Vec<Catalog>,
    pub front_ends: Vec<Arc<FrontEnd>>,
    /// While the net is cut: which side each server is on.
    pub sides: Option<Vec<bool>>,
    /// Acknowledged changes of the other book.
    pub others_changed: u64,
    /// From here on nothing is lost, late or slow.
    pub calm: bool,
    /// Exchanges whose server has not answered: what to do when it crashes.
    pub(super) pending: BTreeMap<(usize, u64), Box<dyn FnOnce() + Send>>,
    pub(super) count: u64,
}

/// One catalog's machine: what outlives its crash, and its present life.
#[derive(Default)]
pub struct Catalog {
    pub replica: Option<Arc<Replica<SimEnvironment>>>,
    pub disk: Vec<Book>,
    /// A file is being written: this will be on disk.
    pub(super) writing: Option<Vec<Book>>,
    /// How many replacements of the file have begun, and ended.
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) disk_naps: Vec<u64>,
    pub(super) naps: Vec<(WaitKey, u64)>,
    /// Its heartbeat is answered by nobody until then.
    pub starved_until: Micros,
    tending: bool,
    /// The copy at the last look, and in which life.
    seen: Option<(u64, Arc<Book>, CopyState)>,
}

impl Cluster {
    pub fn new(seed: u64, setting: Parameters, traced: bool) -> Arc<Cluster> {
        crate::runtime::log::init("simulation", crate::runtime::log::Level::Error);
        let servers = setting.catalogs + setting.front_ends;
        let catalog = |_| Catalog {
            disk: setting.stock.clone(),
            ..Catalog::default()
        };
        let inside = Inside {
            catalogs: (0..setting.catalogs).map(catalog).collect(),
            front_ends: (0..setting.front_ends).map(|_| Arc::default()).collect(),
            sides: None,
            others_changed: 0,
            calm: false,
            pending: BTreeMap::new(),
            count: 0,
        };
        Arc::new(Cluster {
            baton: Scheduler::new(seed, servers),
            setting,
            state: Mutex::new(inside),
            trace: traced.then(Mutex::default),
        })
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.state
            .lock()
            .expect("no replica is called under this lock")
    }

    pub fn address(node: usize) -> Address {
        Address::parse(&format!("http://node{node}:80")).expect("this is an address")
    }

    pub fn name(&self, node: usize) -> String {
        match node.checked_sub(self.setting.catalogs) {
            None => format!("{node}"),
            Some(front_end) => format!("f{front_end}"),
        }
    }

    pub fn time(&self) -> Time {
        let monotonic = Duration::from_micros(self.baton.now());
        Time {
            monotonic,
            wall: monotonic + Duration::from_secs(1_000_000),
        }
    }

    pub fn chance(&self, probability: f64) -> bool {
        0.0 < probability && !self.inside().calm && self.baton.draw(|rng| rng.f64()) < probability
    }

    /// A random time in milliseconds from `low` to `high`.
    pub fn between(&self, low: f64, high: f64) -> Micros {
        self.baton
            .draw(|rng| ((low + (high - low) * rng.f64()) * 1000.0) as Micros)
    }

    /// Writes a line of the trace, which costs nothing when nobody reads it.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let ms = self.baton.now() as f64 / 1000.0;
            trace
                .lock()
                .unwrap()
                .push(format!("{ms:10.3} ms  {}", line()));
        }
    }

    pub fn traced(&self) -> bool {
        self.trace.is_some()
    }

    pub fn take_trace(&self) -> Vec<String> {
        self.trace
            .as_ref()
            .map(|trace| std::mem::take(&mut *trace.lock().unwrap()))
            .unwrap_or_default()
    }

    pub fn replica(&self, node: usize) -> Arc<Replica<SimEnvironment>> {
        self.inside().catalogs[node]
            .replica
            .clone()
            .expect("a catalog that is up has a replica")
    }

    pub fn start(self: &Arc<Self>, node: usize) {
        self.note(|| format!("{} starts", self.name(node)));
        let life = self.baton.start(node);
        if node < self.setting.catalogs {
            self.start_catalog(life);
        } else {
            let front_end = self.inside().front_ends[node - self.setting.catalogs].clone();
            front_end.start(self, life);
        }
    }

    fn start_catalog(self: &Arc<Self>, life: Life) {
        let catalogs = self.setting.catalogs;
        let peers = (0..catalogs)
            .filter(|node| *node != life.node)
            .map(Cluster::address);
        let front_ends = catalogs..catalogs + self.setting.front_ends;
        let config = Config {
            address: Cluster::address(life.node),
            peers: peers.collect(),
            front_ends: front_ends.map(Cluster::address).collect(),
            timing: Timing::default(),
            timeout: Duration::from_micros(WHOLE),
            rules: self.setting.rules,
        };
        let books = self.inside().catalogs[life.node].disk.clone();
        let start = self.baton.draw(|rng| rng.u64(1..1 << 53));
        let replica = Replica::new(
            config,
            start,
            books,
            SimEnvironment {
                world: self.clone(),
                life,
            },
        );
        self.inside().catalogs[life.node].replica = Some(replica.clone());
        self.tick(life, replica);
    }

    /// The owner's two loops: heartbeat every 100 ms, and a task in the background when there is
    /// something to tend.
    fn tick(self: &Arc<Self>, life: Life, replica: Arc<Replica<SimEnvironment>>) {
        replica.tick();
        let idle = !self.inside().catalogs[life.node].tending;
        if self.setting.tends && idle && replica.needs_repair() {
            self.inside().catalogs[life.node].tending = true;
            let (world, replica) = (self.clone(), replica.clone());
            self.baton.task_in(0, Some(life), move || {
                replica.repair();
                world.inside().catalogs[life.node].tending = false;
                world.look_at(life.node);
            });
        }
        let world = self.clone();
        self.baton
            .run_in(100_000, Some(life), move || world.tick(life, replica));
    }

    pub fn crash(self: &Arc<Self>, node: usize) {
        self.note(|| format!("{} crashes", self.name(node)));
        // A rename may have reached the disk although nobody heard of it.
        let renamed = self.baton.draw(|rng| rng.u8(..4)) == 0;
        self.baton.crash(node);
        let mut inside = self.inside();
        if let Some(catalog) = inside.catalogs.get_mut(node) {
            let written = catalog.writing.take().filter(|_| renamed);
            catalog.disk = written.unwrap_or(std::mem::take(&mut catalog.disk));
            (catalog.begun, catalog.ended, catalog.tending) = (0, 0, false);
            catalog.disk_naps.clear();
            catalog.naps.clear();
            catalog.seen = None;
        }
        let later = inside.pending.split_off(&(node + 1, 0));
        let broken = inside.pending.split_off(&(node, 0));
        inside.pending.extend(later);
        let replica = inside
            .catalogs
            .get_mut(node)
            .and_then(|catalog| catalog.replica.take());
        drop(inside);
        broken.into_values().for_each(|breaks| breaks());
        drop(replica);
    }

    pub fn stop(self: &Arc<Self>, node: usize) {
        self.note(|| format!("{} is stopped", self.name(node)));
        self.baton.stop(node);
    }

    pub fn go_on(self: &Arc<Self>, node: usize) {
        self.note(|| format!("{} goes on", self.name(node)));
        let shuffle = self.chance(self.setting.shuffle);
        self.baton.go_on(node, shuffle);
    }

    /// What must hold at every step: sequence numbers never fall, and two valid copies of one
    /// number are equal.
    pub fn look_at(&self, node: usize) {
        if self.setting.catalogs <= node || !self.baton.is_up(node) {
            return;
        }
        let number = self.baton.life(node).number;
        let Some((book, state, _)) = self.replica(node).peek(BOOK) else {
            return;
        };
        let mut inside = self.inside();
        let seen = inside.catalogs[node]
            .seen
            .replace((number, book.clone(), state));
        if let Some((life, before, was)) = seen {
            if life == number && book.version.number < before.version.number {
                self.baton.fail(format!(
                    "{node} fell from {} to {}",
                    before.version, book.version
                ));
            }
            if (before.version, was) == (book.version, state) {
                return;
            }
        }
        let line = || format!("  {} has {}", self.name(node), trace::copy(&book, state));
        self.note(line);
        let others = inside
            .catalogs
            .iter()
            .filter_map(|catalog| catalog.seen.as_ref());
        let clash = others.filter(|(_, other, other_state)| {
            (*other_state, state) == (CopyState::Valid, CopyState::Valid)
                && other.version.number == book.version.number
                && !(other.version == book.version && other.quantity == book.quantity)
        });
        let clash = clash.map(|(_, other, _)| other.version).next();
        if let Some(other) = clash.filter(|_| !self.setting.splits()) {
            self.baton
                .fail(format!("{} and {other} are both valid", book.version));
        }
    }

    /// What a catalog has acknowledged must be in its file.
    pub fn acknowledged(&self, life: Life, id: BookId, version: Version) {
        let inside = self.inside();
        let has = |book: &Book| book.id == id && version.number <= book.version.number;
        if self.baton.alive(life) && !inside.catalogs[life.node].disk.iter().any(has) {
            let node = life.node;
            self.baton.fail(format!(
                "{node} acknowledged {version} of {id}, which is not on disk"
            ));
        }
    }
}

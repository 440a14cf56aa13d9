//! The simulated shop: its servers, which start, crash, stop and resume, and the network between
//! them.
//!
//! `env` is a catalog's surroundings and `disk` what outlives its crash; `front_end` is a server
//! with a cache; `outage` ends a server's work for a while; `invariants` must hold at every step.

pub(super) mod disk;
mod env;
pub(super) mod front_end;
mod invariants;
pub(super) mod outage;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::replication::env::WaitKey;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Config, Opened, Replica};
use crate::catalog::sim::history::History;
use crate::catalog::sim::network::Network;
use crate::catalog::sim::parameters::Parameters;
use crate::catalog::sim::scheduler::Scheduler;
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Micros, WaitId};
use crate::catalog::sim::trace::{self, Trace};
use crate::config::timing::Timing;
use crate::membership::time::Time;
use crate::model::address::Address;
use crate::model::book::Book;
use crate::runtime::{log, sync};
use disk::Disk;
use env::SimEnvironment;
use front_end::FrontEnd;
use invariants::SeenCopy;

/// How long a catalog's message may take, heartbeats excepted.
const TIMEOUT: Micros = 1_000_000;

const HEARTBEAT_TIMEOUT: Micros = 300_000;

/// The left-out list is looked at so often, even if nothing wakes its loop.
const LIST_EVERY: Duration = Duration::from_millis(100);

/// How often new entries of the ledger are put on disk, and ledgers compared.
const LEDGER_EVERY: Duration = Duration::from_millis(100);
const COMPARE_EVERY: Duration = Duration::from_millis(500);

const HEARTBEAT_EVERY: Micros = 100_000;

/// How much a wall clock is ahead of the monotonic one at first.
const WALL_AHEAD: Duration = Duration::from_secs(1_000_000);

pub(super) type SimReplica = Replica<SimEnvironment>;

/// Something that goes on during a run. It may wait.
pub(super) type Task = Box<dyn FnOnce(&Arc<Cluster>) + Send>;

pub(super) struct Cluster {
    pub(super) parameters: Parameters,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) network: Arc<Network>,
    pub(super) trace: Arc<Trace>,
    pub(super) history: History,
    /// What the order servers have heard last: the number of a version with copies left.
    pub(super) heard: Mutex<Option<u64>>,
    /// Never held while a replica is called.
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) catalogs: Vec<Catalog>,
    front_ends: Vec<Arc<FrontEnd>>,
    /// How much each server's wall clock is ahead of the monotonic one.
    walls_ahead: Vec<Duration>,
    /// How far the time of day is ahead of the run's, in ms.
    ms_passed: u64,
    /// Acknowledged writes of the other book.
    pub(super) other_book_writes: u64,
}

/// A catalog's machine: its disk and its present start.
pub(super) struct Catalog {
    /// `None` while it is down.
    replica: Option<Arc<SimReplica>>,
    pub(super) disk: Disk,
    /// What the replica's tasks wait for.
    waits: Vec<(WaitKey, WaitId)>,
    repairing: bool,
    /// How many heartbeats have no outcome yet.
    heartbeats: usize,
    seen: Option<SeenCopy>,
    /// Without which catalogs it goes on from its next start on, as the operator wants.
    lost: Vec<usize>,
}

impl Catalog {
    fn new(disk: Disk) -> Catalog {
        Catalog {
            replica: None,
            disk,
            waits: Vec::new(),
            repairing: false,
            heartbeats: 0,
            seen: None,
            lost: Vec::new(),
        }
    }
}

impl Cluster {
    /// A shop in which no server has started yet.
    pub(super) fn new(seed: u64, parameters: Parameters, traced: bool) -> Arc<Cluster> {
        log::init("simulation", log::Level::Error);
        let scheduler = Scheduler::new(seed, parameters.servers());
        let trace = Trace::new(scheduler.clone(), traced);
        let network = Network::new(scheduler.clone(), trace.clone(), parameters.clone());
        let disk = || match parameters.faults.new_folders {
            true => Disk::default(),
            false => Disk::new(parameters.stock.clone()),
        };
        let catalog = |_| Catalog::new(disk());
        let state = State {
            catalogs: (0..parameters.catalogs).map(catalog).collect(),
            front_ends: (0..parameters.front_ends).map(|_| Arc::default()).collect(),
            walls_ahead: vec![WALL_AHEAD; parameters.servers()],
            ms_passed: 0,
            other_book_writes: 0,
        };
        Arc::new(Cluster {
            parameters,
            scheduler,
            network,
            trace,
            history: History::default(),
            heard: Mutex::default(),
            state: Mutex::new(state),
        })
    }

    /// Runs until `script`, itself a task, returns, and fails with the first failure. The cluster
    /// has no catalogs any more after that.
    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        script: impl FnOnce(&Arc<Cluster>) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let result = Arc::new(Mutex::new(None));
        let (cluster, put) = (self.clone(), result.clone());
        let outcome = self.scheduler.run(move || match script(&cluster) {
            Ok(value) => *sync::lock(&put) = Some(value),
            Err(why) => cluster.scheduler.fail(why),
        });
        // The replicas hold the cluster.
        let catalogs = std::mem::take(&mut self.state().catalogs);
        drop(catalogs);
        outcome?;
        let result = sync::lock(&result).take();
        Ok(result.expect("a script that did not fail has returned"))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }

    pub(super) fn address(node: usize) -> Address {
        Address::parse(&format!("http://node{node}:80")).expect("this is an address")
    }

    fn time(&self, node: usize) -> Time {
        let monotonic = Duration::from_micros(self.scheduler.now());
        let wall_ahead = self.state().walls_ahead[node];
        Time {
            monotonic,
            wall: monotonic + wall_ahead,
        }
    }

    /// The time of day, which a run begins with 1.
    pub(super) fn unix_ms(&self) -> u64 {
        self.scheduler.now() / 1000 + 1 + self.state().ms_passed
    }

    /// So much time passes in which nothing happens.
    pub(super) fn pass_time(&self, ms: u64) {
        self.trace.count("long time");
        self.trace.note(|| format!("{ms} ms pass"));
        self.state().ms_passed += ms;
    }

    /// From now on the server's wall clock is this much ahead of what it shows at first.
    pub(super) fn set_wall_clock(&self, node: usize, ahead: Micros) {
        self.trace.count("clock step");
        self.note(node, "has another time");
        self.state().walls_ahead[node] = WALL_AHEAD + Duration::from_micros(ahead);
    }

    pub(super) fn replica(&self, node: usize) -> Arc<SimReplica> {
        let replica = self.state().catalogs[node].replica.clone();
        replica.expect("a catalog that is up has a replica")
    }

    /// The books of a catalog, in whatever state; none while it is down.
    pub(super) fn books(&self, node: usize) -> Vec<Arc<Book>> {
        let replica = self.state().catalogs[node].replica.clone();
        replica.map_or(Vec::new(), |replica| replica.books_after(None, usize::MAX))
    }

    /// Calls a catalog's replica, and checks its copy afterwards.
    pub(super) fn at_catalog<R>(&self, node: usize, call: impl FnOnce(&Arc<SimReplica>) -> R) -> R {
        let result = call(&self.replica(node));
        self.check_copy(node);
        result
    }

    pub(super) fn front_end(&self, front_end: usize) -> Arc<FrontEnd> {
        self.state().front_ends[front_end].clone()
    }

    pub(super) fn start(self: &Arc<Self>, node: usize) {
        self.note(node, "starts");
        let incarnation = self.scheduler.start(node);
        match node.checked_sub(self.parameters.catalogs) {
            None => self.start_catalog(incarnation),
            Some(front_end) => self.front_end(front_end).start(self, incarnation),
        }
    }

    /// An operator starts this catalog again, and has it go on without those.
    pub(super) fn restart_without(self: &Arc<Self>, node: usize, lost: Vec<usize>) {
        self.crash(node);
        self.trace
            .note(|| format!("  {node} is to go on without {lost:?}"));
        self.state().catalogs[node].lost = lost;
        self.start(node);
    }

    /// Whether this catalog runs and serves.
    pub(super) fn serves(&self, node: usize) -> bool {
        self.scheduler.is_running(node) && self.replica(node).health().not_serving.is_none()
    }

    fn start_catalog(self: &Arc<Self>, incarnation: Incarnation) {
        let node = incarnation.node;
        let catalogs = self.parameters.catalogs;
        let peers = (0..catalogs).filter(|peer| *peer != node);
        let front_ends = catalogs..self.parameters.servers();
        let config = Config {
            address: Cluster::address(node),
            peers: peers.map(Cluster::address).collect(),
            front_ends: front_ends.map(Cluster::address).collect(),
            timing: Timing::default(),
            timeout: Duration::from_micros(TIMEOUT),
            rules: match self.parameters.ledger {
                true => self.parameters.rules,
                false => {
                    let rules = self.parameters.rules.without(Rule::LedgerBack);
                    let rules = rules.without(Rule::LedgerAlone);
                    rules.without(Rule::LedgerDue)
                }
            },
        };
        let start = self.scheduler.draw(|rng| rng.u64(1..1 << 53));
        let opened = {
            let mut state = self.state();
            let Catalog { disk, lost, .. } = &mut state.catalogs[node];
            disk.record.begin_start(start);
            self.trace
                .note(|| format!("  {node} finds {}", trace::record(&disk.record)));
            Opened {
                books: disk.books.clone(),
                entries: disk.ledger.clone(),
                record: disk.record.clone(),
                first_stock: (!disk.record.whole).then(|| self.parameters.stock.clone()),
                go_on_without: lost.drain(..).map(|i| i - usize::from(node < i)).collect(),
            }
        };
        let env = SimEnvironment {
            cluster: self.clone(),
            incarnation,
        };
        let replica = Replica::new(config, start, opened, env);
        self.state().catalogs[node].replica = Some(replica.clone());
        let keeper = replica.clone();
        self.scheduler.spawn_in(0, Some(incarnation), move || {
            loop {
                keeper.keep_list(LIST_EVERY);
            }
        });
        if self.parameters.ledger {
            self.keep_ledger(incarnation, &replica);
        }
        self.tick(incarnation, replica);
    }

    fn keep_ledger(&self, incarnation: Incarnation, replica: &Arc<SimReplica>) {
        let saver = replica.clone();
        self.scheduler.spawn_in(0, Some(incarnation), move || {
            loop {
                saver.save_ledger(LEDGER_EVERY);
            }
        });
        let comparer = replica.clone();
        self.scheduler.spawn_in(0, Some(incarnation), move || {
            loop {
                comparer.compare_ledgers(COMPARE_EVERY);
            }
        });
    }

    /// The replica's two loops: heartbeats, and a task for background repair when there is need.
    fn tick(self: &Arc<Self>, incarnation: Incarnation, replica: Arc<SimReplica>) {
        let node = incarnation.node;
        if !self.parameters.own_timer && 0 < self.state().catalogs[node].heartbeats {
            return self.tick_in(1000, incarnation, replica);
        }
        replica.tick();
        let idle = !self.state().catalogs[node].repairing;
        if self.parameters.repair && idle && replica.needs_repair() {
            self.state().catalogs[node].repairing = true;
            let (cluster, replica) = (self.clone(), replica.clone());
            self.scheduler.spawn_in(0, Some(incarnation), move || {
                replica.repair();
                cluster.state().catalogs[node].repairing = false;
                cluster.check_copy(node);
            });
        }
        self.tick_in(HEARTBEAT_EVERY, incarnation, replica);
    }

    fn tick_in(
        self: &Arc<Self>,
        delay: Micros,
        incarnation: Incarnation,
        replica: Arc<SimReplica>,
    ) {
        let cluster = self.clone();
        self.scheduler.run_in(delay, Some(incarnation), move || {
            cluster.tick(incarnation, replica)
        });
    }

    pub(super) fn crash(self: &Arc<Self>, node: usize) {
        self.trace.count("crash");
        self.note(node, "crashes");
        let renamed = self.scheduler.draw(|rng| rng.u8(..4)) == 0;
        self.scheduler.crash(node);
        let replica = self.state().catalogs.get_mut(node).and_then(|catalog| {
            catalog.disk.crash(renamed);
            let disk = std::mem::take(&mut catalog.disk);
            std::mem::replace(catalog, Catalog::new(disk)).replica
        });
        self.network.break_connections(node);
        drop(replica);
    }

    pub(super) fn stop(self: &Arc<Self>, node: usize) {
        self.trace.count("stop");
        self.note(node, "is stopped");
        self.scheduler.stop(node);
    }

    /// Ends a stop.
    pub(super) fn resume(self: &Arc<Self>, node: usize) {
        self.note(node, "resumes");
        let shuffle = self.scheduler.chance(self.parameters.faults.shuffle);
        self.scheduler.resume(node, shuffle);
    }

    /// Does all at the same time, and returns when all are done.
    pub(super) fn run_tasks(self: &Arc<Self>, tasks: Vec<Task>) {
        let left = Arc::new(Mutex::new(tasks.len()));
        for task in tasks {
            let (cluster, left) = (self.clone(), left.clone());
            self.scheduler.spawn_in(0, None, move || {
                task(&cluster);
                *sync::lock(&left) -= 1;
            });
        }
        while 0 < *sync::lock(&left) {
            self.scheduler.sleep(20_000);
        }
    }

    fn note(&self, node: usize, what: &str) {
        self.trace
            .note(|| format!("{} {what}", self.parameters.name(node)));
    }
}

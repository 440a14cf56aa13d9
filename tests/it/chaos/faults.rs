//! Faults of servers at random: killed and started again, stopped and continued.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::harness::history::History;
use crate::harness::server::Server;
use crate::harness::shop::Shop;

/// A server is down, or stopped, for up to this long.
const FAULT_MAX: Duration = Duration::from_millis(1500);

/// The pause between two faults is up to this.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What was done to a server, and until when.
#[derive(Clone, Copy)]
enum Fault {
    Killed(Duration),
    Stopped(Duration),
}

/// Injects faults at random. At least one catalog that has caught up always stays.
pub struct FaultInjector<'a> {
    shop: &'a Shop,
    history: &'a History,
    rng: Rng,
    /// By the server's name.
    faults: BTreeMap<&'a str, Fault>,
    /// How often, by server and kind of fault.
    pub injected: BTreeMap<String, u32>,
}

impl<'a> FaultInjector<'a> {
    pub fn new(shop: &'a Shop, history: &'a History, rng: Rng) -> FaultInjector<'a> {
        FaultInjector {
            shop,
            history,
            rng,
            faults: BTreeMap::new(),
            injected: BTreeMap::new(),
        }
    }

    pub fn run_until(&mut self, end: Duration) {
        while self.history.now() < end {
            self.recover(self.history.now());
            self.inject();
            thread::sleep(PAUSE_MAX.mul_f64(self.rng.f64()));
        }
        self.recover(Duration::MAX);
    }

    /// Ends the faults whose time is over.
    fn recover(&mut self, now: Duration) {
        for server in self.shop.servers() {
            match self.faults.get(server.name.as_str()).copied() {
                Some(Fault::Killed(until)) if until <= now => server.launch(),
                Some(Fault::Stopped(until)) if until <= now => server.cont(),
                _ => continue,
            }
            self.faults.remove(server.name.as_str());
        }
    }

    fn inject(&mut self) {
        let servers: Vec<&Server> = self.shop.servers().collect();
        let victim = servers[self.rng.usize(..servers.len())];
        let until = self.history.now() + FAULT_MAX.mul_f64(self.rng.f64());
        let kill = self.rng.bool();
        if self.is_faulty(victim) || !self.can_spare(victim) {
            return;
        }
        let (kind, fault) = if kill {
            victim.kill();
            ("killed", Fault::Killed(until))
        } else {
            victim.stop();
            ("stopped", Fault::Stopped(until))
        };
        let key = format!("{} {kind}", victim.name);
        *self.injected.entry(key).or_default() += 1;
        self.faults.insert(&victim.name, fault);
    }

    fn is_faulty(&self, server: &Server) -> bool {
        self.faults.contains_key(server.name.as_str())
    }

    /// Whether another catalog than this one has caught up and is not faulty.
    fn can_spare(&self, victim: &Server) -> bool {
        let mut catalogs = self.shop.catalogs().iter();
        if catalogs.clone().all(|catalog| catalog.name != victim.name) {
            return true;
        }
        let ready = |c: &Server| {
            c.try_get("/readyz")
                .is_ok_and(|response| response.status == 200)
        };
        catalogs.any(|c| c.name != victim.name && !self.is_faulty(c) && ready(c))
    }
}

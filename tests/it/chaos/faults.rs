//! Whoever hurts servers at random.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::clients::History;
use crate::harness::server::Server;
use crate::harness::shop::Shop;

/// A server is down, or stopped, for up to this long.
const FAULT_MAX: Duration = Duration::from_millis(1500);

/// The pause between two faults is up to this.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What was done to a server, and until when.
#[derive(Clone, Copy)]
pub enum Fault {
    Killed(Duration),
    Stopped(Duration),
}

/// Hurts servers at random. At least one catalog that has caught up always stays.
pub struct FaultInjector<'a> {
    pub shop: &'a Shop,
    pub history: &'a History,
    pub rng: Rng,
    pub faults: BTreeMap<&'a str, Fault>,
    pub injected: BTreeMap<String, u32>,
}

impl FaultInjector<'_> {
    pub fn run_until(&mut self, end: Duration) {
        while self.history.now() < end {
            self.recover(self.history.now());
            self.inject();
            thread::sleep(PAUSE_MAX.mul_f64(self.rng.f64()));
        }
        self.recover(Duration::MAX);
    }

    /// Those whose time is up work again.
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
        let fault = if kill { "killed" } else { "stopped" };
        *self
            .injected
            .entry(format!("{} {fault}", victim.name))
            .or_default() += 1;
        let faults = match kill {
            true => {
                victim.kill();
                Fault::Killed(until)
            }
            false => {
                victim.stop();
                Fault::Stopped(until)
            }
        };
        self.faults.insert(&victim.name, faults);
    }

    fn is_faulty(&self, server: &Server) -> bool {
        self.faults.contains_key(server.name.as_str())
    }

    /// Whether another catalog than this one has caught up and is not faults.
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

//! Whoever hurts servers at random.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::customers::Diary;
use crate::process::Server;
use crate::shop::Shop;

/// A server is down, or stopped, for up to this long.
const HURT_MAX: Duration = Duration::from_millis(1500);

/// The pause between two faults is up to this.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What was done to a server, and until when.
#[derive(Clone, Copy)]
pub enum Hurt {
    Killed(Duration),
    Stopped(Duration),
}

/// Hurts servers at random. At least one catalog that has caught up always stays.
pub struct Vandal<'a> {
    pub shop: &'a Shop,
    pub diary: &'a Diary,
    pub rng: Rng,
    pub hurt: BTreeMap<&'a str, Hurt>,
    pub deeds: BTreeMap<String, u32>,
}

impl Vandal<'_> {
    pub fn rages_until(&mut self, end: Duration) {
        while self.diary.now() < end {
            self.mend(self.diary.now());
            self.strike();
            thread::sleep(PAUSE_MAX.mul_f64(self.rng.f64()));
        }
        self.mend(Duration::MAX);
    }

    /// Those whose time is up work again.
    fn mend(&mut self, now: Duration) {
        for server in self.shop.servers() {
            match self.hurt.get(server.name.as_str()).copied() {
                Some(Hurt::Killed(until)) if until <= now => server.launch(),
                Some(Hurt::Stopped(until)) if until <= now => server.cont(),
                _ => continue,
            }
            self.hurt.remove(server.name.as_str());
        }
    }

    fn strike(&mut self) {
        let servers: Vec<&Server> = self.shop.servers().collect();
        let victim = servers[self.rng.usize(..servers.len())];
        let until = self.diary.now() + HURT_MAX.mul_f64(self.rng.f64());
        let kill = self.rng.bool();
        if self.is_hurt(victim) || !self.can_spare(victim) {
            return;
        }
        let deed = if kill { "killed" } else { "stopped" };
        *self
            .deeds
            .entry(format!("{} {deed}", victim.name))
            .or_default() += 1;
        let hurt = match kill {
            true => {
                victim.kill();
                Hurt::Killed(until)
            }
            false => {
                victim.stop();
                Hurt::Stopped(until)
            }
        };
        self.hurt.insert(&victim.name, hurt);
    }

    fn is_hurt(&self, server: &Server) -> bool {
        self.hurt.contains_key(server.name.as_str())
    }

    /// Whether another catalog than this one has caught up and is not hurt.
    fn can_spare(&self, victim: &Server) -> bool {
        let mut catalogs = self.shop.catalogs().iter();
        if catalogs.clone().all(|catalog| catalog.name != victim.name) {
            return true;
        }
        let ready = |c: &Server| {
            c.try_get("/readyz")
                .is_ok_and(|answer| answer.status == 200)
        };
        catalogs.any(|c| c.name != victim.name && !self.is_hurt(c) && ready(c))
    }
}

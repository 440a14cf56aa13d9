//! A front-end of the simulation: the real contact, and a cache of one lookup.

use std::sync::{Arc, Mutex};

use crate::catalog::replication::messages::{Message, Reply};
use crate::catalog::sim::cluster::{BOOK, Cluster};
use crate::catalog::sim::event_queue::Life;
use crate::catalog::sim::network::{Call, Heard};
use crate::config::timing::Timing;
use crate::membership::{HeartbeatOutcome, LeaseNeeds, Membership};
use crate::model::invalidation::Invalidation;

/// How long a catalog may take for a front-end's lookup.
const LOOKUP: u64 = 2_000_000;

#[derive(Default)]
pub struct FrontEnd {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    contact: Option<Membership>,
    kept: Option<u32>,
    /// How often it was told to forget: what was fetched before is not kept after.
    generation: u64,
}

impl FrontEnd {
    pub fn start(self: &Arc<Self>, world: &Arc<Cluster>, life: Life) {
        let catalogs: Vec<_> = (0..world.setting.catalogs).map(Cluster::address).collect();
        let start = world.baton.draw(|rng| rng.u64(..));
        let (timing, now) = (Timing::default(), world.time());
        let contact = Membership::new(start, LeaseNeeds::AllPeers, timing, &catalogs, &[], now);
        *self.inside.lock().unwrap() = Inside {
            contact: Some(contact),
            ..Inside::default()
        };
        self.tick(world, life);
    }

    fn tick(self: &Arc<Self>, world: &Arc<Cluster>, life: Life) {
        let slept = self.inside.lock().unwrap().contact().tick(world.time());
        if slept {
            self.inside.lock().unwrap().forget();
        }
        self.say_hello(world, life, true);
        let (front_end, again) = (self.clone(), world.clone());
        world
            .baton
            .run_in(100_000, Some(life), move || front_end.tick(&again, life));
    }

    fn say_hello(self: &Arc<Self>, world: &Arc<Cluster>, life: Life, periodic: bool) {
        let sent = world.time();
        let due = self
            .inside
            .lock()
            .unwrap()
            .contact()
            .due_heartbeats(sent, periodic);
        for to in due {
            let call = Call {
                heartbeat: true,
                ..front_end_call(world, life, to, 300_000, "heartbeat")
            };
            let from = Cluster::address(life.node);
            let work = move |world: &Arc<Cluster>| {
                let reply = world
                    .replica(to)
                    .receive(Message::Heartbeat { from: from.clone() });
                match reply {
                    Ok(Reply::HeartbeatReply(heartbeat_reply)) => Some(heartbeat_reply),
                    _ => None,
                }
            };
            let (front_end, world) = (self.clone(), world.clone());
            world.clone().exchange(
                call,
                work,
                |_| "heartbeat_reply".into(),
                move |heard| {
                    let outcome = match heard {
                        Heard::Answer(Some(heartbeat_reply)) => {
                            HeartbeatOutcome::Answered(heartbeat_reply)
                        }
                        Heard::Refused => HeartbeatOutcome::Refused,
                        _ => HeartbeatOutcome::Silent,
                    };
                    let mut inside = front_end.inside.lock().unwrap();
                    let news = inside.contact().on_outcome(to, sent, world.time(), outcome);
                    if news.missed_invalidations {
                        inside.forget();
                    }
                    let again =
                        !inside.contact().round_complete() && outcome != HeartbeatOutcome::Silent;
                    drop(inside);
                    if again {
                        front_end.say_hello(&world, life, false);
                    }
                },
            );
        }
    }

    pub fn forget(&self, void: &Invalidation) {
        if matches!(void, Invalidation::Item(_) | Invalidation::AllItems) {
            self.inside.lock().unwrap().forget();
        }
    }

    /// A customer's lookup: from the cache, or from the catalogs in a random order. It may wait.
    pub fn lookup(&self, world: &Arc<Cluster>, life: Life) -> Option<u32> {
        let hit = {
            let mut inside = self.inside.lock().unwrap();
            inside
                .contact()
                .lease_holds(world.time())
                .then_some(inside.kept)
                .flatten()
        };
        if hit.is_some() {
            return hit;
        }
        let mut catalogs: Vec<usize> = (0..world.setting.catalogs).collect();
        world.baton.draw(|rng| rng.shuffle(&mut catalogs));
        catalogs
            .into_iter()
            .find_map(|catalog| self.fetch(world, life, catalog))
    }

    fn fetch(&self, world: &Arc<Cluster>, life: Life, catalog: usize) -> Option<u32> {
        let generation = self.inside.lock().unwrap().generation;
        let call = Call {
            waits: true,
            ..front_end_call(world, life, catalog, LOOKUP, "query")
        };
        let work = move |world: &Arc<Cluster>| {
            let read = world.replica(catalog).read(BOOK, &[]).ok()?;
            Some(read.book.quantity)
        };
        let Heard::Answer(Some(quantity)) = world.ask(call, work, |seen| format!("{seen:?}"))
        else {
            return None;
        };
        let mut inside = self.inside.lock().unwrap();
        let trusted =
            inside.contact().lease_holds(world.time()) && inside.contact().peers[catalog].live;
        if trusted && (inside.generation == generation || !world.setting.guard) {
            inside.kept = Some(quantity);
        }
        Some(quantity)
    }
}

impl Inside {
    fn contact(&mut self) -> &mut Membership {
        self.contact.as_mut().expect("it has started")
    }

    fn forget(&mut self) {
        self.kept = None;
        self.generation += 1;
    }
}

fn front_end_call(world: &Cluster, life: Life, to: usize, limit: u64, what: &str) -> Call {
    Call {
        from: Some(life),
        to,
        limit,
        waits: false,
        heartbeat: false,
        repeats: false,
        who: world.name(life.node),
        what: what.into(),
    }
}

//! A front-end of the simulation: the real contact, and a cache of one lookup.

use std::sync::{Arc, Mutex};

use super::calendar::Life;
use super::net::{Call, Heard};
use super::world::{BOOK, World};
use crate::catalog::protocol::{Message, Reply, Void};
use crate::contact::{Contact, HelloOutcome, LeaseOf, Timing};

/// How long a catalog may take for a front-end's lookup.
const LOOKUP: u64 = 2_000_000;

#[derive(Default)]
pub struct FrontEnd {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    contact: Option<Contact>,
    kept: Option<u32>,
    /// How often it was told to forget: what was fetched before is not kept after.
    generation: u64,
}

impl FrontEnd {
    pub fn start(self: &Arc<Self>, world: &Arc<World>, life: Life) {
        let catalogs: Vec<_> = (0..world.setting.catalogs).map(World::address).collect();
        let start = world.baton.draw(|rng| rng.u64(..));
        let (timing, now) = (Timing::default(), world.time());
        let contact = Contact::new(start, LeaseOf::AllPeers, timing, &catalogs, &[], now);
        *self.inside.lock().unwrap() = Inside {
            contact: Some(contact),
            ..Inside::default()
        };
        self.tick(world, life);
    }

    fn tick(self: &Arc<Self>, world: &Arc<World>, life: Life) {
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

    fn say_hello(self: &Arc<Self>, world: &Arc<World>, life: Life, periodic: bool) {
        let sent = world.time();
        let due = self.inside.lock().unwrap().contact().due(sent, periodic);
        for to in due {
            let call = Call {
                hello: true,
                ..front_end_call(world, life, to, 300_000, "hello")
            };
            let from = World::address(life.node);
            let work = move |world: &Arc<World>| {
                let reply = world
                    .replica(to)
                    .receive(Message::Hello { from: from.clone() });
                match reply {
                    Ok(Reply::Greeting(greeting)) => Some(greeting),
                    _ => None,
                }
            };
            let (front_end, world) = (self.clone(), world.clone());
            world.clone().exchange(
                call,
                work,
                |_| "greeting".into(),
                move |heard| {
                    let outcome = match heard {
                        Heard::Answer(Some(greeting)) => HelloOutcome::Answered(greeting),
                        Heard::Refused => HelloOutcome::Refused,
                        _ => HelloOutcome::Silent,
                    };
                    let mut inside = front_end.inside.lock().unwrap();
                    let news = inside.contact().ended(to, sent, world.time(), outcome);
                    if news.missed {
                        inside.forget();
                    }
                    let again = !inside.contact().whole() && outcome != HelloOutcome::Silent;
                    drop(inside);
                    if again {
                        front_end.say_hello(&world, life, false);
                    }
                },
            );
        }
    }

    pub fn forget(&self, void: &Void) {
        if matches!(void, Void::Item(_) | Void::EveryItem) {
            self.inside.lock().unwrap().forget();
        }
    }

    /// A customer's lookup: from the cache, or from the catalogs in a random order. It may wait.
    pub fn lookup(&self, world: &Arc<World>, life: Life) -> Option<u32> {
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

    fn fetch(&self, world: &Arc<World>, life: Life, catalog: usize) -> Option<u32> {
        let generation = self.inside.lock().unwrap().generation;
        let call = Call {
            waits: true,
            ..front_end_call(world, life, catalog, LOOKUP, "query")
        };
        let work = move |world: &Arc<World>| {
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
    fn contact(&mut self) -> &mut Contact {
        self.contact.as_mut().expect("it has started")
    }

    fn forget(&mut self) {
        self.kept = None;
        self.generation += 1;
    }
}

fn front_end_call(world: &World, life: Life, to: usize, limit: u64, what: &str) -> Call {
    Call {
        from: Some(life),
        to,
        limit,
        waits: false,
        hello: false,
        repeats: false,
        who: world.name(life.node),
        what: what.into(),
    }
}

//! A replica's place in the world: [`Environment`], simulated.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::sim::cluster::{Cluster, WHOLE};
use crate::catalog::sim::event_queue::{Life, Micros};
use crate::catalog::sim::faults;
use crate::catalog::sim::network::{Call, Heard};
use crate::catalog::sim::trace;
use crate::catalog::storage::Reader;
use crate::membership::time::Time;
use crate::model::book::{Book, BookId};
use crate::model::invalidation::Invalidation;

/// How long a front-end may take to forget.
const VOID: Micros = 400_000;

/// A replica's place in the world.
pub struct SimEnvironment {
    pub world: Arc<Cluster>,
    pub life: Life,
}

impl SimEnvironment {
    fn peer(&self, peer: usize) -> usize {
        peer + usize::from(self.life.node <= peer)
    }

    fn call(&self, to: usize, limit: Micros, what: impl FnOnce() -> String) -> Call {
        let traced = self.world.traced();
        Call {
            from: Some(self.life),
            to,
            limit,
            waits: false,
            heartbeat: false,
            repeats: false,
            who: if traced {
                self.world.name(self.life.node)
            } else {
                String::new()
            },
            what: if traced { what() } else { String::new() },
        }
    }
}

/// What a catalog answers to a message, and what it has promised by that.
fn receive(world: &Arc<Cluster>, node: usize, message: &Message) -> Option<Reply> {
    let replica = world.replica(node);
    let life = replica.env.life;
    let reply = replica.receive(message.clone()).ok()?;
    let taken: Vec<_> = match (message, &reply) {
        (Message::Update { books }, Reply::Updated { conflicts }) => {
            let conflicts = |id| conflicts.iter().any(|(book, _)| book.id == id);
            books
                .iter()
                .filter(|book| !conflicts(book.id))
                .map(|book| (book.id, book.version))
                .collect()
        }
        (Message::Claim { versions }, Reply::Claimed { differing }) => versions
            .iter()
            .filter(|(id, _)| !differing.contains(id))
            .copied()
            .collect(),
        _ => Vec::new(),
    };
    for (id, version) in taken {
        world.acknowledged(life, id, version);
    }
    Some(reply)
}

impl Environment for SimEnvironment {
    fn now(&self) -> Time {
        self.world.time()
    }

    fn random(&self) -> u64 {
        match self.world.setting.steady {
            // Whoever chooses by this chooses the first, of up to four; and the first catalog's
            // stamps are the highest.
            true => 12 * (10 - self.life.node as u64),
            false => self.world.baton.draw(|rng| rng.u64(1..1 << 53)),
        }
    }

    fn send(&self, peer: usize, message: Message, done: Box<dyn FnOnce(Outcome) + Send>) {
        let to = self.peer(peer);
        let heartbeat = matches!(message, Message::Heartbeat { .. });
        let write = matches!(message, Message::Update { .. } | Message::Claim { .. });
        let limit = if heartbeat { 300_000 } else { WHOLE };
        let call = Call {
            heartbeat,
            waits: write || matches!(message, Message::Get { .. }),
            repeats: write || matches!(message, Message::Confirm { .. }),
            ..self.call(to, limit, || trace::message(&message))
        };
        if call.repeats {
            faults::at_a_step(&self.world, self.life);
        }
        let work = move |world: &Arc<Cluster>| receive(world, to, &message);
        self.world.exchange(call, work, trace::reply, move |heard| {
            done(match heard {
                Heard::Answer(Some(reply)) => Outcome::Reply(reply),
                Heard::Answer(None) | Heard::Silent => Outcome::Silent,
                Heard::Refused => Outcome::Refused,
            });
        });
    }

    fn invalidate(
        &self,
        front_end: usize,
        void: Invalidation,
        done: Box<dyn FnOnce(Outcome) + Send>,
    ) {
        let to = self.world.setting.catalogs + front_end;
        faults::at_a_step(&self.world, self.life);
        let call = self.call(to, VOID, || trace::void(&void));
        let server = self.world.inside().front_ends[front_end].clone();
        let work = move |_: &Arc<Cluster>| server.forget(&void);
        self.world.exchange(
            call,
            work,
            |()| "forgotten".into(),
            move |heard| {
                done(match heard {
                    Heard::Answer(()) => Outcome::Reply(Reply::Confirmed),
                    Heard::Silent => Outcome::Silent,
                    Heard::Refused => Outcome::Refused,
                });
            },
        );
    }

    /// One file holds all books; those who wait for it share one replacement.
    fn save(&self, _: &[BookId], read: &Reader) -> Result<(), String> {
        let node = self.life.node;
        let wanted = self.world.inside().catalogs[node].begun + 1;
        loop {
            match self.file(wanted) {
                File::Replaced => return Ok(()),
                File::Mine => {
                    self.replace_file(read(BookId(0), BookId(u64::MAX)));
                    return Ok(());
                }
                File::Wait(nap) => self.world.baton.sleep(nap, Some(self.life)),
            }
        }
    }

    fn wait<'a, T>(
        &self,
        lock: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        key: WaitKey,
        until: Duration,
    ) -> MutexGuard<'a, T> {
        drop(guard);
        let baton = &self.world.baton;
        let nap = baton.nap(Some(self.life));
        let pause = (until.as_micros() as Micros).saturating_sub(baton.now());
        baton.wake_in(pause + 1, nap);
        self.world.inside().catalogs[self.life.node]
            .naps
            .push((key, nap));
        baton.sleep(nap, Some(self.life));
        self.world.inside().catalogs[self.life.node]
            .naps
            .retain(|(_, other)| *other != nap);
        lock.lock()
            .expect("whoever panicked with this lock has ended the game")
    }

    fn wake(&self, key: WaitKey) {
        self.wake_those(|other| other == key);
    }

    fn wake_all(&self) {
        self.wake_those(|_| true);
    }
}

/// How a file stands for somebody who wants it replaced.
enum File {
    Replaced,
    /// Go on and replace it.
    Mine,
    /// Somebody replaces it.
    Wait(u64),
}

impl SimEnvironment {
    fn file(&self, wanted: u64) -> File {
        let catalog = &mut self.world.inside().catalogs[self.life.node];
        if wanted <= catalog.ended {
            return File::Replaced;
        }
        if catalog.begun == catalog.ended {
            catalog.begun += 1;
            return File::Mine;
        }
        let nap = self.world.baton.nap(Some(self.life));
        catalog.disk_naps.push(nap);
        File::Wait(nap)
    }

    fn wake_those(&self, which: impl Fn(WaitKey) -> bool) {
        if !self.world.baton.alive(self.life) {
            return;
        }
        let naps = &self.world.inside().catalogs[self.life.node].naps;
        let due: Vec<u64> = naps
            .iter()
            .filter(|(key, _)| which(*key))
            .map(|(_, nap)| *nap)
            .collect();
        for nap in due {
            let pause = self.world.baton.draw(|rng| rng.u64(..40));
            self.world.baton.wake_in(pause, nap);
        }
    }

    fn replace_file(&self, books: Vec<Arc<Book>>) {
        let (world, node) = (&self.world, self.life.node);
        let books: Vec<Book> = books.iter().map(|book| Book::clone(book)).collect();
        world.inside().catalogs[node].writing = Some(books);
        let slow = world.chance(world.setting.slow_disk);
        let pause = match world.setting.steady {
            true => 1000,
            false if slow => world.between(500.0, 2000.0),
            false => world.between(0.1, 2.0),
        };
        let nap = world.baton.nap(Some(self.life));
        world.baton.wake_in(pause, nap);
        world.baton.sleep(nap, Some(self.life));
        let catalog = &mut world.inside().catalogs[node];
        catalog.disk = catalog.writing.take().expect("only a crash takes it away");
        catalog.ended += 1;
        let naps = std::mem::take(&mut catalog.disk_naps);
        naps.into_iter().for_each(|nap| world.baton.wake_in(0, nap));
    }
}

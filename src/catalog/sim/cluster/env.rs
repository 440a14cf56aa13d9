//! A replica's surroundings, simulated.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::disk::{RefusedWrite, Turn};
use super::{Cluster, HEARTBEAT_TIMEOUT, SimReplica, TIMEOUT};
use crate::catalog::replication::env::{Environment, OnOutcome, WaitKey};
use crate::catalog::replication::left_out::{NotSaved, Record};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::sim::network::call::{Call, CallOutcome};
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Micros, WaitId};
use crate::catalog::sim::trace;
use crate::catalog::storage::Reader;
use crate::config::timing::Timing;
use crate::membership::time::Time;
use crate::model::book::entry::Entry;
use crate::model::book::{Book, BookId, Version};
use crate::model::invalidation::Invalidation;
use crate::runtime::sync;

/// Why a disk refuses.
const FULL: &str = "the disk is full";

pub(crate) struct SimEnvironment {
    pub(super) cluster: Arc<Cluster>,
    pub(crate) incarnation: Incarnation,
}

impl Environment for SimEnvironment {
    fn now(&self) -> Time {
        self.cluster.time(self.incarnation.node)
    }

    fn unix_ms(&self) -> u64 {
        self.cluster.unix_ms()
    }

    fn random(&self) -> u64 {
        if self.cluster.parameters.steady {
            // A choice among up to four by this number is always the first, and the first
            // catalog's stamps are the highest.
            12 * (10 - self.incarnation.node as u64)
        } else {
            self.cluster.scheduler.draw(|rng| rng.u64(1..1 << 53))
        }
    }

    fn send(&self, peer: usize, message: Message, on_outcome: OnOutcome) {
        let node = self.incarnation.node;
        let to = peer + usize::from(node <= peer);
        let heartbeat = matches!(message, Message::Heartbeat(_));
        let write = matches!(
            message,
            Message::Update(_) | Message::Claim(_) | Message::Return(_)
        );
        let unordered = write || matches!(message, Message::Confirm(_));
        let timeout = if heartbeat {
            HEARTBEAT_TIMEOUT
        } else {
            TIMEOUT
        };
        let text = self.cluster.trace.text(|| trace::message(&message));
        let call = Call {
            heartbeat,
            waits: write || matches!(message, Message::Get(_)),
            unordered,
            kind: kind(&message),
            ..Call::new(Some(self.incarnation), to, timeout, text)
        };
        if unordered {
            self.cluster.step(self.incarnation);
        }
        if matches!(
            message,
            Message::Page(_) | Message::Fetch(_) | Message::Return(_)
        ) {
            self.cluster.return_step(node, to);
        }
        let (sender, receiver) = (self.cluster.clone(), self.cluster.clone());
        let work = move || receiver.at_catalog(to, |replica| receive(replica, &message));
        self.cluster.state().catalogs[node].heartbeats += usize::from(heartbeat);
        let on_outcome = move |outcome| {
            sender.state().catalogs[node].heartbeats -= usize::from(heartbeat);
            on_outcome(match outcome {
                CallOutcome::Reply(Some(reply)) => Outcome::Reply(reply),
                CallOutcome::Reply(None) | CallOutcome::Silent => Outcome::Silent,
                CallOutcome::Refused => Outcome::Refused,
            });
            sender.check_copy(node);
        };
        let network = &self.cluster.network;
        network.send(call, work, trace::reply, on_outcome);
    }

    fn invalidate(&self, front_end: usize, invalidation: Invalidation, on_outcome: OnOutcome) {
        let to = self.cluster.parameters.catalogs + front_end;
        let text = self
            .cluster
            .trace
            .text(|| trace::invalidation(&invalidation));
        let timeout = Timing::default().invalidation_timeout().as_micros() as Micros;
        self.cluster.step(self.incarnation);
        let call = Call {
            kind: "invalidate",
            ..Call::new(Some(self.incarnation), to, timeout, text)
        };
        let receiver = self.cluster.front_end(front_end);
        let work = move || receiver.invalidate(&invalidation);
        let (sender, node) = (self.cluster.clone(), self.incarnation.node);
        let on_outcome = move |outcome| {
            on_outcome(match outcome {
                CallOutcome::Reply(()) => Outcome::Reply(Reply::Confirmed),
                CallOutcome::Silent => Outcome::Silent,
                CallOutcome::Refused => Outcome::Refused,
            });
            sender.check_copy(node);
        };
        let show = |(): &()| "invalidated".into();
        self.cluster.network.send(call, work, show, on_outcome);
    }

    fn save(&self, _: &[BookId], read: &Reader) -> Result<(), String> {
        let node = self.incarnation.node;
        let wanted = self.cluster.state().catalogs[node].disk.next_replacement();
        loop {
            let turn = self.cluster.state().catalogs[node].disk.turn(wanted);
            match turn {
                Turn::Done => return Ok(()),
                Turn::Replace => {
                    let books = read(BookId(0), BookId(u64::MAX));
                    let books = books.inspect_err(|_| self.end_replacement(Some(false)))?;
                    let books = books.iter().map(|book| Book::clone(book)).collect();
                    return self.replace_file(books);
                }
                Turn::Wait => {
                    let wait = self.begin_wait();
                    let mut cluster = self.cluster.state();
                    cluster.catalogs[node].disk.wake_when_done(wait);
                    drop(cluster);
                    self.wait_for(wait);
                }
            }
        }
    }

    fn save_record(&self, record: &Record) -> Result<(), NotSaved> {
        let node = self.incarnation.node;
        let slow = self.cluster.state().catalogs[node].disk.list_time;
        let time = slow.unwrap_or_else(|| self.write_time());
        let wait = self.begin_wait();
        self.cluster.scheduler.wake_in(time, wait);
        self.wait_for(wait);
        let refused = self.refused();
        if is_there(refused) {
            self.cluster
                .trace
                .note(|| format!("  {node} saves {}", trace::record(record)));
            self.cluster.state().catalogs[node].disk.put_record(record);
        }
        let error = |refusal| NotSaved {
            why: FULL.into(),
            may_be_there: !matches!(refusal, RefusedWrite::Unchanged),
        };
        refused.map_or(Ok(()), |refusal| Err(error(refusal)))
    }

    fn save_entries(&self, entries: &[Arc<Entry>]) -> Result<(), String> {
        let node = self.incarnation.node;
        let slow = self.cluster.state().catalogs[node].disk.ledger_time;
        let time = slow.unwrap_or_else(|| self.write_time());
        let wait = self.begin_wait();
        self.cluster.scheduler.wake_in(time, wait);
        self.wait_for(wait);
        let refused = self.refused();
        if is_there(refused) {
            let saved = entries.iter().map(|entry| Entry::clone(entry));
            let mut cluster = self.cluster.state();
            let disk = &mut cluster.catalogs[node].disk;
            disk.ledger.extend(saved);
        }
        refused.map_or(Ok(()), |_| Err(FULL.into()))
    }

    fn wait<'a, T>(
        &self,
        lock: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        key: WaitKey,
        until: Duration,
    ) -> MutexGuard<'a, T> {
        drop(guard);
        let (scheduler, node) = (&self.cluster.scheduler, self.incarnation.node);
        let wait = self.begin_wait();
        let time = (until.as_micros() as Micros).saturating_sub(scheduler.now());
        scheduler.wake_in(time + 1, wait);
        self.cluster.state().catalogs[node].waits.push((key, wait));
        self.wait_for(wait);
        let mut cluster = self.cluster.state();
        cluster.catalogs[node]
            .waits
            .retain(|(_, other)| *other != wait);
        drop(cluster);
        sync::lock(lock)
    }

    fn wake(&self, key: WaitKey) {
        self.wake_those(|other| other == key);
    }

    fn wake_all(&self) {
        self.wake_those(|_| true);
    }
}

impl SimEnvironment {
    fn begin_wait(&self) -> WaitId {
        self.cluster.scheduler.begin_wait(Some(self.incarnation))
    }

    fn wait_for(&self, wait: WaitId) {
        self.cluster.scheduler.wait(wait, Some(self.incarnation));
    }

    fn wake_those(&self, which: impl Fn(WaitKey) -> bool) {
        let scheduler = &self.cluster.scheduler;
        if !scheduler.is_alive(self.incarnation) {
            return;
        }
        let cluster = self.cluster.state();
        let waits = cluster.catalogs[self.incarnation.node].waits.iter();
        for (_, wait) in waits.filter(|(key, _)| which(*key)) {
            let delay = scheduler.draw(|rng| rng.u64(..40));
            scheduler.wake_in(delay, *wait);
        }
    }

    /// How long a write to disk takes.
    fn write_time(&self) -> Micros {
        let cluster = &self.cluster;
        let slow = cluster
            .scheduler
            .chance(cluster.parameters.faults.slow_disk);
        if cluster.parameters.steady {
            1000
        } else if slow {
            cluster.trace.count("slow disk");
            cluster.scheduler.between(500.0, 2000.0)
        } else {
            cluster.scheduler.between(0.1, 2.0)
        }
    }

    /// `None`: the disk takes what is written.
    fn refused(&self) -> Option<RefusedWrite> {
        let (refuses, refusal) = {
            let disk = &self.cluster.state().catalogs[self.incarnation.node].disk;
            (disk.refuses, disk.refusal)
        };
        let draw = || match self.cluster.scheduler.draw(|rng| rng.u8(..4)) {
            0 => RefusedWrite::Made,
            1 => RefusedWrite::Lost,
            _ => RefusedWrite::Unchanged,
        };
        refuses.then(|| {
            self.cluster.trace.count("refused by a disk");
            refusal.unwrap_or_else(draw)
        })
    }

    fn replace_file(&self, books: Vec<Book>) -> Result<(), String> {
        let (cluster, node) = (&self.cluster, self.incarnation.node);
        cluster.state().catalogs[node].disk.begin(books);
        let slow = cluster.state().catalogs[node].disk.books_time;
        let time = slow.unwrap_or_else(|| self.write_time());
        let wait = self.begin_wait();
        cluster.scheduler.wake_in(time, wait);
        self.wait_for(wait);
        let refused = self.refused();
        self.end_replacement(refused.map(|_| is_there(refused)));
        refused.map_or(Ok(()), |_| Err(FULL.into()))
    }

    /// `refused`: and whether what was written is there all the same.
    fn end_replacement(&self, refused: Option<bool>) {
        let waits = {
            let disk = &mut self.cluster.state().catalogs[self.incarnation.node].disk;
            match refused {
                None => disk.finish(),
                Some(is_there) => disk.fail(is_there),
            }
        };
        waits
            .into_iter()
            .for_each(|wait| self.cluster.scheduler.wake_in(0, wait));
    }
}

/// What was written is on disk, whatever was said of it.
fn is_there(refused: Option<RefusedWrite>) -> bool {
    refused.is_none_or(|refusal| matches!(refusal, RefusedWrite::Made))
}

/// As a schedule names it.
fn kind(message: &Message) -> &'static str {
    match message {
        Message::Heartbeat { .. } => "heartbeat",
        Message::Get { .. } => "get",
        Message::Check { .. } => "check",
        Message::Update { .. } => "update",
        Message::Confirm { .. } => "confirm",
        Message::Page { .. } => "page",
        Message::Fetch { .. } => "fetch",
        Message::Claim { .. } => "claim",
        Message::Return { .. } => "return",
        Message::Dropped { .. } => "dropped",
        Message::Ledger { .. } => "ledger",
        Message::Keys { .. } => "keys",
    }
}

/// Gives a message to a catalog, and checks what it acknowledges. `None`: it failed.
fn receive(replica: &Arc<SimReplica>, message: &Message) -> Option<Reply> {
    let reply = replica.receive(message.clone()).ok()?;
    for (id, version) in acknowledged(message, &reply) {
        let env = &replica.env;
        env.cluster.check_acknowledged(env.incarnation, id, version);
    }
    Some(reply)
}

/// The versions of which this reply says that they are on disk.
fn acknowledged(message: &Message, reply: &Reply) -> Vec<(BookId, Version)> {
    match (message, reply) {
        (Message::Update(update), Reply::Updated(reply)) => {
            let conflicts = |id| reply.conflicts.iter().any(|(book, _)| book.id == id);
            let updated = update.books.iter().filter(|book| !conflicts(book.id));
            updated.map(|book| (book.id, book.version)).collect()
        }
        (Message::Claim(claim), Reply::Claimed(reply)) => {
            let claimed = claim.versions.iter();
            let claimed = claimed.filter(|(id, _)| !reply.differing.contains(id));
            claimed.copied().collect()
        }
        _ => Vec::new(),
    }
}

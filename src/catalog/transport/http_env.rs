//! The real [`Environment`] of a replica: other catalogs and front-ends over HTTP, the data folder,
//! the clocks of this machine.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::catalog::replication::env::{Environment, OnOutcome, WaitKey};
use crate::catalog::replication::left_out::{NotSaved, Record};
use crate::catalog::replication::messages::Message;
use crate::catalog::storage::{Reader, Storage};
use crate::catalog::transport::outbound::front_end::InvalidationSender;
use crate::catalog::transport::outbound::peer::PeerSender;
use crate::catalog::transport::wait_queues::WaitQueues;
use crate::config::CatalogSettings;
use crate::membership::time::Time;
use crate::model::book::entry::Entry;
use crate::model::book::{BookId, STAMP_MAX};
use crate::model::invalidation::Invalidation;
use crate::model::order_ids;
use crate::runtime::metrics::Histogram;

pub(crate) struct HttpEnvironment {
    /// The monotonic clock counts from here.
    origin: Instant,
    pub(crate) storage: Storage,
    peers: Vec<PeerSender>,
    front_ends: Vec<InvalidationSender>,
    wait_queues: WaitQueues,
    /// How long each save took.
    pub(crate) save_seconds: Histogram,
    /// How long peers took to answer an update.
    pub(crate) peer_update_seconds: Arc<Histogram>,
}

impl HttpEnvironment {
    pub(crate) fn new(settings: &CatalogSettings, storage: Storage) -> HttpEnvironment {
        let peer_update_seconds: Arc<Histogram> = Arc::default();
        let (limits, timing) = (settings.limits, settings.timing);
        let token = settings.common.token.as_deref();
        let peer =
            |address| PeerSender::new(address, limits, timing.silent, token, &peer_update_seconds);
        let front_end = |address| {
            InvalidationSender::new(address, limits, timing.invalidation_timeout(), token)
        };
        HttpEnvironment {
            origin: Instant::now(),
            storage,
            peers: settings.peers.iter().map(peer).collect(),
            front_ends: settings.front_ends.iter().map(front_end).collect(),
            wait_queues: WaitQueues::new(),
            save_seconds: Histogram::default(),
            peer_update_seconds,
        }
    }
}

impl Environment for HttpEnvironment {
    fn now(&self) -> Time {
        Time::now(self.origin)
    }

    fn unix_ms(&self) -> u64 {
        order_ids::unix_ms()
    }

    fn random(&self) -> u64 {
        fastrand::u64(1..=STAMP_MAX)
    }

    fn send(&self, peer: usize, message: Message, on_outcome: OnOutcome) {
        self.peers[peer].send(message, on_outcome);
    }

    fn invalidate(&self, front_end: usize, invalidation: Invalidation, on_outcome: OnOutcome) {
        self.front_ends[front_end].send(invalidation, on_outcome);
    }

    fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String> {
        let began = Instant::now();
        let saved = self.storage.save(ids, read);
        self.save_seconds.observe(began.elapsed());
        saved
    }

    fn save_record(&self, record: &Record) -> Result<(), NotSaved> {
        self.storage.save_record(record)
    }

    fn save_entries(&self, entries: &[Arc<Entry>]) -> Result<(), String> {
        self.storage.save_entries(entries)
    }

    fn wait<'a, T>(
        &self,
        _: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        key: WaitKey,
        until: Duration,
    ) -> MutexGuard<'a, T> {
        let left = until.saturating_sub(self.origin.elapsed());
        self.wait_queues.wait(guard, key, left)
    }

    fn wake(&self, key: WaitKey) {
        self.wait_queues.wake(key);
    }

    fn wake_all(&self) {
        self.wait_queues.wake_all();
    }
}

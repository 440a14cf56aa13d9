//! [`Environment`] as it really is: other catalogs and front-ends over HTTP, files, the clocks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome};
use crate::catalog::storage::{Reader, Storage};
use crate::catalog::transport::outbound::{InvalidationSender, PeerSender};
use crate::config::CatalogSettings;
use crate::membership::Time;
use crate::model::book::{BookId, STAMP_MAX};
use crate::model::invalidation::Invalidation;
use crate::runtime::metrics::Histogram;

/// Who waits for different keys seldom shares a bell; whoever is woken for nothing looks and waits
/// again.
const BELLS: usize = 256;

/// The world around a catalog's replica.
pub struct HttpEnvironment {
    origin: Instant,
    pub store: Storage,
    peers: Vec<PeerSender>,
    front_ends: Vec<InvalidationSender>,
    bells: Vec<WaitQueue>,
    pub times: Arc<Times>,
}

/// Who waits for some of the keys.
#[derive(Default)]
struct WaitQueue {
    rung: Condvar,
    /// Grows under the lock of whoever waits. Who rings has changed something under that lock
    /// before, so that either it sees that somebody waits, or the other one saw the change and does
    /// not wait.
    waiting: AtomicUsize,
}

impl WaitQueue {
    /// Costs nothing while nobody waits.
    fn ring(&self) {
        if self.waiting.load(Relaxed) != 0 {
            self.rung.notify_all();
        }
    }
}

/// How long things take, for `/metrics`.
#[derive(Debug, Default)]
pub struct Times {
    pub disk: Histogram,
    pub peers: Histogram,
}

impl HttpEnvironment {
    pub fn new(settings: &CatalogSettings, store: Storage) -> HttpEnvironment {
        let (silent, forgetting) = (
            settings.timing.silent,
            settings.timing.invalidation_timeout(),
        );
        let token = settings.common.token.as_deref();
        let times: Arc<Times> = Arc::default();
        let peer = |address| PeerSender::new(address, settings.limits, silent, token, &times);
        let front_end =
            |address| InvalidationSender::new(address, settings.limits, forgetting, token);
        HttpEnvironment {
            origin: Instant::now(),
            store,
            peers: settings.peers.iter().map(peer).collect(),
            front_ends: settings.front_ends.iter().map(front_end).collect(),
            bells: (0..BELLS).map(|_| WaitQueue::default()).collect(),
            times,
        }
    }

    fn bell(&self, key: WaitKey) -> &WaitQueue {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.bells[hasher.finish() as usize % BELLS]
    }
}

impl Environment for HttpEnvironment {
    fn now(&self) -> Time {
        Time::now(self.origin)
    }

    fn random(&self) -> u64 {
        fastrand::u64(1..=STAMP_MAX)
    }

    fn send(&self, peer: usize, message: Message, done: Box<dyn FnOnce(Outcome) + Send>) {
        self.peers[peer].send(message, done);
    }

    fn invalidate(
        &self,
        front_end: usize,
        void: Invalidation,
        done: Box<dyn FnOnce(Outcome) + Send>,
    ) {
        self.front_ends[front_end].send(void, done);
    }

    fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String> {
        let began = Instant::now();
        let saved = self.store.save(ids, read);
        self.times.disk.observe(began.elapsed());
        saved
    }

    fn wait<'a, T>(
        &self,
        _: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        key: WaitKey,
        until: Duration,
    ) -> MutexGuard<'a, T> {
        let left = until.saturating_sub(self.origin.elapsed());
        let bell = self.bell(key);
        bell.waiting.fetch_add(1, Relaxed);
        let waited = bell.rung.wait_timeout(guard, left);
        bell.waiting.fetch_sub(1, Relaxed);
        waited
            .expect("whoever panicked with this lock has ended the process")
            .0
    }

    fn wake(&self, key: WaitKey) {
        self.bell(key).ring();
    }

    fn wake_all(&self) {
        self.bells.iter().for_each(WaitQueue::ring);
    }
}

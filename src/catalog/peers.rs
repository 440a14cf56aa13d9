//! [`Peers`] as it really is: other catalogs and front-ends over HTTP, files, the clocks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::book::{BookId, STAMP_MAX};
use crate::catalog::letters::{FrontEndPost, PeerPost};
use crate::catalog::protocol::{Key, Message, Outcome, Peers, Void};
use crate::catalog::store::{Reader, Store};
use crate::config::CatalogSettings;
use crate::contact::Time;
use crate::metrics::Histogram;

/// Who waits for different keys seldom shares a bell; whoever is woken for nothing looks and waits again.
const BELLS: usize = 256;

/// The world around a catalog's replica.
pub struct HttpPeers {
    origin: Instant,
    pub store: Store,
    peers: Vec<PeerPost>,
    front_ends: Vec<FrontEndPost>,
    bells: Vec<Bell>,
    pub times: Arc<Times>,
}

/// Who waits for some of the keys.
#[derive(Default)]
struct Bell {
    rung: Condvar,
    /// Grows under the lock of whoever waits. Who rings has changed something under that lock before, so that either it
    /// sees that somebody waits, or the other one saw the change and does not wait.
    waiting: AtomicUsize,
}

impl Bell {
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

impl HttpPeers {
    pub fn new(settings: &CatalogSettings, store: Store) -> HttpPeers {
        let (silent, forgetting) = (settings.timing.silent, settings.timing.forgetting());
        let token = settings.common.token.as_deref();
        let times: Arc<Times> = Arc::default();
        let peer = |address| PeerPost::new(address, settings.limits, silent, token, &times);
        let front_end = |address| FrontEndPost::new(address, settings.limits, forgetting, token);
        HttpPeers {
            origin: Instant::now(),
            store,
            peers: settings.peers.iter().map(peer).collect(),
            front_ends: settings.front_ends.iter().map(front_end).collect(),
            bells: (0..BELLS).map(|_| Bell::default()).collect(),
            times,
        }
    }

    fn bell(&self, key: Key) -> &Bell {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.bells[hasher.finish() as usize % BELLS]
    }
}

impl Peers for HttpPeers {
    fn now(&self) -> Time {
        Time::now(self.origin)
    }

    fn random(&self) -> u64 {
        fastrand::u64(1..=STAMP_MAX)
    }

    fn send(&self, peer: usize, message: Message, done: Box<dyn FnOnce(Outcome) + Send>) {
        self.peers[peer].send(message, done);
    }

    fn invalidate(&self, front_end: usize, void: Void, done: Box<dyn FnOnce(Outcome) + Send>) {
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
        key: Key,
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

    fn wake(&self, key: Key) {
        self.bell(key).ring();
    }

    fn wake_all(&self) {
        self.bells.iter().for_each(Bell::ring);
    }
}

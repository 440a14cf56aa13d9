//! [`Peers`] as it really is: other catalogs and front-ends over HTTP, files, the clocks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::book::{Book, BookId, STAMP_MAX};
use crate::catalog::courier::Couriers;
use crate::catalog::protocol::{Key, Message, Outcome, Peers, Reply, Void};
use crate::catalog::store::Store;
use crate::catalog::wire;
use crate::config::{CatalogSettings, Limits};
use crate::contact::Time;
use crate::http::Method::{Delete, Put};
use crate::http::client::{Answer, Client, Failure};
use crate::http::encode;
use crate::metrics::Histogram;

/// How many messages to one catalog, or voids to one front-end, are under way at once.
const COURIERS_MAX: usize = 64;

/// A front-end has this long to forget.
const VOID_MAX: Duration = Duration::from_millis(400);

/// Who waits for different keys seldom shares a bell; whoever is woken for nothing looks and waits again.
const BELLS: usize = 256;

/// The world around a catalog's replica.
pub struct HttpPeers {
    origin: Instant,
    store: Store,
    peers: Vec<Target>,
    front_ends: Vec<Target>,
    bells: Vec<Condvar>,
    pub times: Arc<Times>,
}

/// How long things take, for `/metrics`.
#[derive(Debug, Default)]
pub struct Times {
    pub disk: Histogram,
    pub peers: Histogram,
}

/// One server to talk to.
struct Target {
    address: Address,
    client: Client,
    couriers: Couriers,
    /// Hello has a thread and a connection that nothing else can occupy.
    hello: Client,
    hello_courier: Couriers,
}

impl Target {
    fn new(address: &Address, limits: Limits, silent: Duration, token: Option<&str>) -> Target {
        let hello_limits = Limits {
            connect: limits.connect.min(silent),
            whole: silent,
        };
        Target {
            address: address.clone(),
            // Whatever catalogs tell each other may be told twice.
            client: Client::new(limits, token).repeating(),
            couriers: Couriers::new(format!("to {address}"), COURIERS_MAX),
            hello: Client::new(hello_limits, token).repeating(),
            hello_courier: Couriers::new(format!("hello {address}"), 1),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

impl HttpPeers {
    pub fn new(settings: &CatalogSettings, store: Store) -> HttpPeers {
        let silent = settings.timing.silent;
        let token = settings.common.token.as_deref();
        let void_limits = Limits {
            whole: VOID_MAX,
            ..settings.limits
        };
        let peer = |address| Target::new(address, settings.limits, silent, token);
        let front_end = |address| Target::new(address, void_limits, silent, token);
        HttpPeers {
            origin: Instant::now(),
            store,
            peers: settings.peers.iter().map(peer).collect(),
            front_ends: settings.front_ends.iter().map(front_end).collect(),
            bells: (0..BELLS).map(|_| Condvar::new()).collect(),
            times: Arc::default(),
        }
    }

    fn bell(&self, key: Key) -> &Condvar {
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
        let target = &self.peers[peer];
        let hello = matches!(message, Message::Hello { .. });
        let (client, couriers) = match hello {
            true => (target.hello.clone(), &target.hello_courier),
            false => (target.client.clone(), &target.couriers),
        };
        let url = target.url(&wire::path(&message));
        let times = self.times.clone();
        couriers.send(Box::new(move |sent| {
            if !sent {
                return done(Outcome::Silent);
            }
            let body = serde_json::to_vec(&message).expect("our own messages are JSON");
            let began = Instant::now();
            let answer = client.call(Put, &url, &[], Some(&body));
            if matches!(message, Message::Update { .. }) {
                times.peers.observe(began.elapsed());
            }
            done(wire::outcome(&message, answer));
        }));
    }

    fn invalidate(&self, front_end: usize, void: Void, done: Box<dyn FnOnce(Outcome) + Send>) {
        let target = &self.front_ends[front_end];
        let url = target.url(&void_path(&void));
        let client = target.client.clone();
        target.couriers.send(Box::new(move |sent| {
            done(match sent {
                true => void_outcome(client.call(Delete, &url, &[], None)),
                false => Outcome::Silent,
            });
        }));
    }

    fn save(
        &self,
        ids: &[BookId],
        read: &(dyn Fn(BookId, BookId) -> Vec<Arc<Book>> + Sync),
    ) -> Result<(), String> {
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
        let waited = self.bell(key).wait_timeout(guard, left);
        waited
            .expect("whoever panicked with this lock has ended the process")
            .0
    }

    fn wake(&self, key: Key) {
        self.bell(key).notify_all();
    }

    fn wake_all(&self) {
        self.bells.iter().for_each(Condvar::notify_all);
    }
}

fn void_path(void: &Void) -> String {
    match void {
        Void::Item(id) => format!("/invalidate/item/{id}"),
        Void::EveryItem => "/invalidate/item/".into(),
        Void::Topic(topic) => format!("/invalidate/topic/{}", encode(topic)),
        Void::EverySearch => "/invalidate/topic/".into(),
    }
}

fn void_outcome(answer: Result<Answer, Failure>) -> Outcome {
    match answer {
        Ok(answer) if answer.status == 204 => Outcome::Reply(Reply::Confirmed),
        Err(Failure::Refused(_)) => Outcome::Refused,
        _ => Outcome::Silent,
    }
}

//! The open connections, as far as they can be seen: tiny_http reports requests, never connections.
//!
//! - **One request of a connection at a time.** Responses on a connection go out in order, so that
//!   the response to a quick request would wait, with its thread, for a slow one before it
//!   (HTTP.md, 12). A request whose predecessor is unanswered waits here, without a thread.
//! - **New connections** are told from known ones, because they make wakeups due (HTTP.md, 2).
//! - **Quarantined connections** are those on which nothing more may be said: half a response was
//!   not taken, it is unknown where the next request begins, or the last response said that the
//!   connection is closed. tiny_http cannot close them, so their requests are dropped unanswered,
//!   until none has come for as long as a silent connection is kept: another connection may get
//!   the port then.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::http::server::head::Raw;
use crate::runtime::sync;

/// How many requests of one connection may wait for their predecessors. The next one is refused,
/// in its turn, and the connection ends with it.
const PIPELINED_MAX: usize = 1000;

/// The same while many requests wait on all connections together.
const PIPELINED_MAX_AMONG_MANY: usize = 64;

/// So many requests that wait are many. A usual one takes 2 KB.
const MANY_WAITING: usize = 16_384;

/// Connections that one shard remembers. With more it forgets those that have nothing unanswered;
/// they count as new at their next request.
const REMEMBERED_MAX: usize = 4096;

/// With so many locks, receiving threads rarely meet at one.
const SHARDS: usize = 16;

type Shard = HashMap<SocketAddr, Connection>;

/// Connections by the client's address and port.
pub(super) struct Connections {
    /// Each is held for a look-up and never while anything waits.
    shards: [Mutex<Shard>; SHARDS],
    /// A connection that has been silent for longer has been closed.
    idle: Duration,
    /// Requests that wait for their predecessors, on all connections.
    waiting: AtomicUsize,
}

struct Connection {
    /// When its latest request came.
    seen: Instant,
    /// A request has been admitted and is unanswered.
    busy: bool,
    is_quarantined: bool,
    waiting: VecDeque<Raw>,
    /// The last of those that wait is one too many, and further ones are dropped.
    is_full: bool,
}

/// A request whose predecessors have been answered.
pub(super) struct Next {
    pub(super) raw: Raw,
    /// It is one too many, and the connection ends with it.
    pub(super) is_excess: bool,
}

/// What is to be done with a request that has come.
pub(super) enum Admission {
    /// Answer it. `new`: it is the first of its connection, as far as can be seen.
    Admit { raw: Raw, new: bool },
    /// Nothing: [`Connections::finish`] returns it once its predecessor is answered.
    Wait,
    /// Drop it without an answer.
    Drop(Raw),
}

impl Connections {
    pub(super) fn new(idle: Duration) -> Connections {
        Connections {
            shards: std::array::from_fn(|_| Mutex::default()),
            idle,
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) fn admit(&self, peer: SocketAddr, raw: Raw, now: Instant) -> Admission {
        let mut shard = self.shard(peer);
        if REMEMBERED_MAX <= shard.len() && !shard.contains_key(&peer) {
            shard.retain(|_, connection| connection.busy || connection.is_quarantined);
        }
        let mut new = false;
        let connection = shard.entry(peer).or_insert_with(|| {
            new = true;
            Connection::new(now)
        });
        if self.idle < now.saturating_duration_since(connection.seen) && !connection.busy {
            new = true;
            *connection = Connection::new(now);
        }
        connection.seen = now;
        if connection.is_quarantined || connection.is_full {
            return Admission::Drop(raw);
        }
        if !connection.busy {
            connection.busy = true;
            return Admission::Admit { raw, new };
        }
        let waiting = self.waiting.fetch_add(1, Relaxed);
        let max = if waiting < MANY_WAITING {
            PIPELINED_MAX
        } else {
            PIPELINED_MAX_AMONG_MANY
        };
        connection.waiting.push_back(raw);
        connection.is_full = max < connection.waiting.len();
        Admission::Wait
    }

    /// To be called when an admitted request has been answered, or never will be. Returns the next
    /// request of its connection, which is admitted by that, if one has been waiting.
    pub(super) fn finish(&self, peer: SocketAddr) -> Option<Next> {
        let mut shard = self.shard(peer);
        let connection = shard.get_mut(&peer)?;
        let next = connection.waiting.pop_front();
        connection.busy = next.is_some();
        let raw = next?;
        self.waiting.fetch_sub(1, Relaxed);
        let is_excess = connection.is_full && connection.waiting.is_empty();
        Some(Next { raw, is_excess })
    }

    /// Whether any request that has come is not answered yet.
    pub(super) fn any_busy(&self) -> bool {
        let busy = |shard: &Mutex<Shard>| sync::lock(shard).values().any(|it| it.busy);
        self.shards.iter().any(busy)
    }

    /// Says nothing more to this connection. Returns the requests that waited, which are to be
    /// dropped.
    pub(super) fn quarantine(&self, peer: SocketAddr) -> Vec<Raw> {
        let mut shard = self.shard(peer);
        let Some(connection) = shard.get_mut(&peer) else {
            return Vec::new();
        };
        connection.is_quarantined = true;
        let waiting: Vec<Raw> = connection.waiting.drain(..).collect();
        self.waiting.fetch_sub(waiting.len(), Relaxed);
        waiting
    }

    /// Adds a connection of our own, which makes no wakeups due.
    pub(super) fn add_known(&self, peer: SocketAddr) {
        let connection = Connection::new(Instant::now());
        self.shard(peer).insert(peer, connection);
    }

    /// Forgets the connections that must have been closed by now.
    pub(super) fn forget_closed(&self, now: Instant) {
        for shard in &self.shards {
            sync::lock(shard).retain(|_, connection| {
                connection.busy || now.saturating_duration_since(connection.seen) <= self.idle
            });
        }
    }

    fn shard(&self, peer: SocketAddr) -> MutexGuard<'_, Shard> {
        sync::lock(&self.shards[usize::from(peer.port()) % SHARDS])
    }
}

impl Connection {
    fn new(now: Instant) -> Connection {
        Connection {
            seen: now,
            busy: false,
            is_quarantined: false,
            waiting: VecDeque::new(),
            is_full: false,
        }
    }
}

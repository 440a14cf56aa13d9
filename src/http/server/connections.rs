//! The open connections, as far as they can be seen: tiny_http reports requests, never connections.
//!
//! - **One request of a connection at a time.** Responses on a connection go out in order, so that
//!   the response to a quick request would wait, with its thread, for a slow one before it
//!   (HTTP.md, 12). A request whose predecessor is unanswered waits here, without a thread.
//! - **New connections** are told from known ones, because they make wakeups due (HTTP.md, 2).
//! - **Quarantined connections** are those on which nothing sensible can be said any more: half a
//!   response was not taken, or it is unknown where the next request begins. tiny_http cannot close
//!   them, so their requests are dropped unanswered.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::http::server::head::Raw;
use crate::runtime::sync;

/// How many requests of one connection may wait for their predecessors. With more it is
/// quarantined.
const PIPELINED_MAX: usize = 64;

/// How long a connection is quarantined. Not for good: another connection may get the port later.
const QUARANTINE: Duration = Duration::from_secs(2);

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
}

struct Connection {
    /// When its latest request came.
    seen: Instant,
    /// A request has been admitted and is unanswered.
    busy: bool,
    quarantined_until: Option<Instant>,
    waiting: VecDeque<Raw>,
}

/// What is to be done with a request that has come.
pub(super) enum Admission {
    /// Answer it. `new`: it is the first of its connection, as far as can be seen.
    Admit { raw: Raw, new: bool },
    /// Nothing: [`Connections::finish`] returns it once its predecessor is answered.
    Wait,
    /// Drop these without an answer.
    Drop(Vec<Raw>),
}

impl Connections {
    pub(super) fn new(idle: Duration) -> Connections {
        Connections {
            shards: std::array::from_fn(|_| Mutex::default()),
            idle,
        }
    }

    pub(super) fn admit(&self, peer: SocketAddr, raw: Raw, now: Instant) -> Admission {
        let mut shard = self.shard(peer);
        if REMEMBERED_MAX <= shard.len() && !shard.contains_key(&peer) {
            shard.retain(|_, connection| connection.busy);
        }
        let mut new = false;
        let connection = shard.entry(peer).or_insert_with(|| {
            new = true;
            Connection::new(now)
        });
        new |= self.idle < now - connection.seen;
        connection.seen = now;
        if connection
            .quarantined_until
            .is_some_and(|until| now < until)
        {
            return Admission::Drop(vec![raw]);
        }
        if !connection.busy {
            connection.busy = true;
            return Admission::Admit { raw, new };
        }
        connection.waiting.push_back(raw);
        if connection.waiting.len() <= PIPELINED_MAX {
            return Admission::Wait;
        }
        Admission::Drop(connection.quarantine(now))
    }

    /// To be called when an admitted request has been answered, or never will be. Returns the next
    /// request of its connection, which is admitted by that, if one has been waiting.
    pub(super) fn finish(&self, peer: SocketAddr) -> Option<Raw> {
        let mut shard = self.shard(peer);
        let connection = shard.get_mut(&peer)?;
        let next = connection.waiting.pop_front();
        connection.busy = next.is_some();
        next
    }

    /// Says nothing more to this connection for a while. Returns the requests that waited, which
    /// are to be dropped.
    pub(super) fn quarantine(&self, peer: SocketAddr) -> Vec<Raw> {
        let mut shard = self.shard(peer);
        let connection = shard.get_mut(&peer);
        connection.map_or(Vec::new(), |connection| {
            connection.quarantine(Instant::now())
        })
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
            quarantined_until: None,
            waiting: VecDeque::new(),
        }
    }

    fn quarantine(&mut self, now: Instant) -> Vec<Raw> {
        self.quarantined_until = Some(now + QUARANTINE);
        self.waiting.drain(..).collect()
    }
}

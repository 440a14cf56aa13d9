//! Who is connected, as far as can be seen: tiny_http tells of requests, never of connections.
//!
//! - **One request of a connection at a time.** Answers on a connection go out in order, so that
//!   the answer to a quick request would wait, with its thread, for a slow one before it
//!   (HTTP_NOTES 12: one slow and four quick requests block four threads). A request whose
//!   predecessor is unanswered waits here, without a thread.
//! - **New connections** are told from known ones, because they make nudges due (HTTP_NOTES 2).
//! - **Mute connections** are those on which nothing sensible can be said any more: half an answer
//!   was not taken, or it is unknown where the next request begins. tiny_http cannot close them, so
//!   their requests are dropped unanswered.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::http::server::exchange::Raw;

/// How many requests of one connection may wait for their predecessors. With more it falls mute.
const PIPELINED_MAX: usize = 64;

/// How long a connection stays mute. Not for good: the port may be that of another connection some
/// day.
const MUTE: Duration = Duration::from_secs(2);

/// Connections that one shard remembers. With more it forgets those that have nothing unanswered;
/// they count as new when they ask again.
const REMEMBERED_MAX: usize = 4096;

/// Receiving threads rarely meet at one of so many locks.
const SHARDS: usize = 16;

type Shard = HashMap<SocketAddr, Visitor>;

pub struct Connections {
    /// Each held for a look-up and never while anything waits.
    shards: [Mutex<Shard>; SHARDS],
    /// After such a silence a connection has been closed.
    idle: Duration,
}

struct Visitor {
    seen: Instant,
    /// A request has been let in and is unanswered.
    busy: bool,
    mute_until: Option<Instant>,
    waiting: VecDeque<Raw>,
}

/// What is to be done with a request that has come.
pub enum Admission {
    /// Answer it. `new`: the first of its connection, as far as can be seen.
    Enter { raw: Raw, new: bool },
    /// Nothing: [`Connections::leave`] will give it to whoever answers its predecessor.
    Wait,
    /// Drop these without an answer.
    Drop(Vec<Raw>),
}

impl Connections {
    pub fn new(idle: Duration) -> Connections {
        Connections {
            shards: std::array::from_fn(|_| Mutex::default()),
            idle,
        }
    }

    pub fn arrive(&self, peer: SocketAddr, raw: Raw, now: Instant) -> Admission {
        let mut shard = self.shard(peer);
        let mut new = !shard.contains_key(&peer);
        if new && REMEMBERED_MAX <= shard.len() {
            shard.retain(|_, visitor| visitor.busy);
        }
        let visitor = shard.entry(peer).or_insert_with(|| Visitor::new(now));
        new |= self.idle < now - visitor.seen;
        visitor.seen = now;
        if visitor.mute_until.is_some_and(|until| now < until) {
            return Admission::Drop(vec![raw]);
        }
        if !visitor.busy {
            visitor.busy = true;
            return Admission::Enter { raw, new };
        }
        visitor.waiting.push_back(raw);
        if visitor.waiting.len() <= PIPELINED_MAX {
            return Admission::Wait;
        }
        Admission::Drop(visitor.fall_mute(now))
    }

    /// Whether a request may be answered by the receiving thread itself, right now: of a known
    /// connection with nothing unanswered. It need not [`Connections::leave`], since the next
    /// request of its connection comes to the same thread.
    pub fn pass(&self, peer: SocketAddr, now: Instant) -> bool {
        let mut shard = self.shard(peer);
        let Some(visitor) = shard.get_mut(&peer) else {
            return false;
        };
        let mute = visitor.mute_until.is_some_and(|until| now < until);
        let passes =
            !visitor.busy && !mute && now.saturating_duration_since(visitor.seen) <= self.idle;
        if passes {
            visitor.seen = now;
        }
        passes
    }

    /// The answer to a request that was let pass is unfinished after all.
    pub fn occupy(&self, peer: SocketAddr) {
        // It may have been forgotten meanwhile.
        let mut shard = self.shard(peer);
        let visitor = shard.entry(peer);
        visitor.or_insert_with(|| Visitor::new(Instant::now())).busy = true;
    }

    /// To be called when a request that was let in has been answered, or never will be. The next
    /// request of its connection, if one has been waiting, is let in by that.
    pub fn leave(&self, peer: SocketAddr) -> Option<Raw> {
        let mut shard = self.shard(peer);
        let visitor = shard.get_mut(&peer)?;
        let next = visitor.waiting.pop_front();
        visitor.busy = next.is_some();
        next
    }

    /// Nothing more is said to this connection for a while. Gives the requests that waited: drop
    /// them.
    pub fn mute(&self, peer: SocketAddr) -> Vec<Raw> {
        let mut shard = self.shard(peer);
        let visitor = shard.get_mut(&peer);
        visitor.map_or(Vec::new(), |visitor| visitor.fall_mute(Instant::now()))
    }

    /// A connection of our own that makes no nudges due.
    pub fn expect(&self, peer: SocketAddr) {
        let visitor = Visitor::new(Instant::now());
        self.shard(peer).insert(peer, visitor);
    }

    /// Forgets the connections that must have been closed by now.
    pub fn sweep(&self, now: Instant) {
        for shard in &self.shards {
            let mut shard = shard.lock().expect("no panic under this lock");
            shard.retain(|_, visitor| {
                visitor.busy || now.saturating_duration_since(visitor.seen) <= self.idle
            });
        }
    }

    fn shard(&self, peer: SocketAddr) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(peer.port()) % SHARDS];
        shard.lock().expect("no panic under this lock")
    }
}

impl Visitor {
    fn new(now: Instant) -> Visitor {
        Visitor {
            seen: now,
            busy: false,
            mute_until: None,
            waiting: VecDeque::new(),
        }
    }

    fn fall_mute(&mut self, now: Instant) -> Vec<Raw> {
        self.mute_until = Some(now + MUTE);
        self.waiting.drain(..).collect()
    }
}

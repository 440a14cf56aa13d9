//! Connections to ourselves that are closed at once.
//!
//! In a burst of new connections tiny_http queues several behind one thread, and the surplus waits
//! until any other connection closes (HTTP.md, 2). A wakeup is a connection that closes: each frees
//! one that waits. So the first request of every connection makes some wakeups due. Connections
//! that are accepted and send no request (half a head, `HTTP/2.0`) are seen only by those that wait
//! behind them. One of those is the self-probe, which makes wakeups due as well.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::sync;

/// Wakeups for a new connection. One would do if each freed one. But there are several acceptors,
/// and some wakeups reach one where no connection waits; the chain of freed connections must not
/// break.
pub(super) const FOR_NEW_CONNECTION: u32 = 3;

/// Wakeups in a burst. Each leaves a socket in TIME_WAIT for a minute, so there are bounds.
const BURST_MAX: f64 = 1000.0;

/// Wakeups a second in the long run.
const RATE_MAX: f64 = 200.0;

/// How long a wakeup may take. It takes longer only when the backlog is full, and then tiny_http
/// needs none.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

/// The wakeups that are due, and a token bucket that limits them.
pub(super) struct Wakeups {
    address: SocketAddr,
    /// Held for some additions.
    bucket: Mutex<Bucket>,
    requested: Condvar,
}

struct Bucket {
    due: f64,
    /// How many may be made. It grows by [`RATE_MAX`].
    allowed: f64,
    refilled: Instant,
    ended: bool,
}

impl Wakeups {
    /// Wakeups of the server that listens at `address`.
    pub(super) fn new(address: SocketAddr) -> Wakeups {
        Wakeups {
            address,
            bucket: Mutex::new(Bucket {
                due: 0.0,
                allowed: BURST_MAX,
                refilled: Instant::now(),
                ended: false,
            }),
            requested: Condvar::new(),
        }
    }

    /// Makes so many more due.
    pub(super) fn request(&self, count: u32) {
        let mut bucket = sync::lock(&self.bucket);
        bucket.due = (bucket.due + f64::from(count)).min(BURST_MAX);
        self.requested.notify_one();
    }

    /// Makes no more wakeups.
    pub(super) fn end(&self) {
        sync::lock(&self.bucket).ended = true;
        self.requested.notify_one();
    }

    /// Makes the wakeups that are due, one by one, until [`Wakeups::end`].
    pub(super) fn run(&self) {
        while self.wait_for_one() {
            // A failure has no consequence: the next one may succeed.
            let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT);
        }
    }

    /// Waits until a wakeup is due and allowed, and takes it. `false`: there will be none.
    fn wait_for_one(&self) -> bool {
        let mut bucket = sync::lock(&self.bucket);
        while !bucket.ended {
            bucket.refill(Instant::now());
            if 1.0 <= bucket.due && 1.0 <= bucket.allowed {
                bucket.due -= 1.0;
                bucket.allowed -= 1.0;
                return true;
            }
            bucket = if bucket.due < 1.0 {
                sync::wait(&self.requested, bucket)
            } else {
                let refill = Duration::from_secs_f64(1.0 / RATE_MAX);
                sync::wait_timeout(&self.requested, bucket, refill)
            };
        }
        false
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let gained = (now - self.refilled).as_secs_f64() * RATE_MAX;
        self.allowed = (self.allowed + gained).min(BURST_MAX);
        self.refilled = now;
    }
}

//! Connections to ourselves that are hung up at once.
//!
//! tiny_http trusts a stale count of its idle threads: in a burst it queues several connections
//! behind one thread, and the surplus waits until any other connection closes (HTTP_NOTES 2). A
//! nudge is a connection that closes: each frees one. So the first request of every connection
//! makes some due. Connections that are accepted and send no request (half a head, `HTTP/2.0`) are
//! seen only by their victims: one of those is the look from outside, and it asks for nudges too.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Wakeups for a new connection. One would do if each freed one; but with several posts some reach
/// a post where nobody waits, and the chain of freed connections must not break.
pub const FOR_NEW: u32 = 3;

/// Wakeups in a burst. Each leaves a socket in TIME_WAIT for a minute, so that there are bounds.
const BURST_MAX: f64 = 1000.0;

/// Wakeups a second in the long run.
const RATE: f64 = 200.0;

/// How long a nudge may take: no longer than a full backlog, which needs none.
const CONNECTING_MAX: Duration = Duration::from_millis(100);

pub struct Wakeups {
    to: SocketAddr,
    /// Held for some additions.
    account: Mutex<Account>,
    wake: Condvar,
}

struct Account {
    due: f64,
    /// What may be spent at `since`; it grows by [`RATE`].
    allowed: f64,
    since: Instant,
}

impl Wakeups {
    pub fn new(to: SocketAddr) -> Wakeups {
        let account = Account {
            due: 0.0,
            allowed: BURST_MAX,
            since: Instant::now(),
        };
        Wakeups {
            to,
            account: Mutex::new(account),
            wake: Condvar::new(),
        }
    }

    /// Makes so many more due.
    pub fn want(&self, count: u32) {
        let mut account = self.account.lock().expect("no panic under this lock");
        account.due = (account.due + f64::from(count)).min(BURST_MAX);
        self.wake.notify_one();
    }

    /// Makes the nudges that are due, one by one, and does not return.
    pub fn make(&self) {
        loop {
            self.take();
            nudge(self.to);
        }
    }

    /// Waits until a nudge is due and allowed.
    fn take(&self) {
        let mut account = self.account.lock().expect("no panic under this lock");
        loop {
            account.refill(Instant::now());
            if 1.0 <= account.due && 1.0 <= account.allowed {
                account.due -= 1.0;
                account.allowed -= 1.0;
                return;
            }
            // With nothing due there is nothing to wait for but `want`.
            let patience = if account.due < 1.0 { 60.0 } else { 1.0 / RATE };
            let wait = self
                .wake
                .wait_timeout(account, Duration::from_secs_f64(patience));
            account = wait.expect("no panic under this lock").0;
        }
    }
}

impl Account {
    fn refill(&mut self, now: Instant) {
        let gained = (now - self.since).as_secs_f64() * RATE;
        self.allowed = (self.allowed + gained).min(BURST_MAX);
        self.since = now;
    }
}

/// Connects and hangs up. A failure has no consequence: the next one may succeed.
pub fn nudge(to: SocketAddr) {
    let _ = TcpStream::connect_timeout(&to, CONNECTING_MAX);
}

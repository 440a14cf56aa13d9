//! Counts the connections that clients have closed and tiny_http has not (HTTP.md, 6).

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::server::dispatch::Dispatcher;
use crate::runtime::{process, sync};

/// The pause between two looks at the machine's table of connections.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The table is everybody's, and may be long: a look in each `/metrics` once kept the shop's
/// servers busy with nothing else, and at one part in 100 they took 2.6 % of a selling catalog's time
/// while the table had 60,000 rows. An empty one takes 2 ms. So looks take at most one in so many
/// parts of the time.
const COST_PART: u32 = 1000;

/// But one that a busy machine made slow must not be the last for long: who has lost too many
/// connections ends.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Of the listener at this address. Returns when the server has ended.
pub(super) fn run(dispatcher: &Arc<Dispatcher>, listener: SocketAddr) {
    while !dispatcher.has_ended() {
        let began = Instant::now();
        let lost = process::half_closed(listener);
        *sync::lock(&dispatcher.metrics.connections_lost) = lost;
        thread::sleep((began.elapsed() * COST_PART).clamp(LOOK_EVERY, PAUSE_MAX));
    }
}

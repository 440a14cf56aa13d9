//! SIGTERM: an operator, or whoever started the process, asks it to end.
//!
//! std knows no signals, and a crate for one call would be a sixth. So this is the one place that
//! declares a function of C, and the only `unsafe` of the crate: `signal` and this handler are the
//! same on every Unix, and storing a flag is all that a handler does.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const SIGTERM: i32 = 15;

static REQUESTED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

extern "C" fn on_signal(_: i32) {
    REQUESTED.store(true, Relaxed);
}

/// From now on SIGTERM does not end this process, but is noted.
pub(crate) fn catch() {
    // SAFETY: the handler only stores to an atomic, which a handler may do at any moment.
    unsafe { signal(SIGTERM, on_signal) };
}

/// Whether SIGTERM has come.
pub(crate) fn is_requested() -> bool {
    REQUESTED.load(Relaxed)
}

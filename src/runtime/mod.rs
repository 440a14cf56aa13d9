//! What every server needs and no shop: threads, locks, the log, metrics, exit codes.
//!
//! Each file stands alone, but that [`batcher`] uses [`semaphore`], and most use [`sync`]. Read
//! [`batcher`] and [`worker_pool`] for the threads of a server: the first batches requests on the
//! threads of their callers, the second on threads of its own.

pub mod batcher;
pub mod exit;
pub mod log;
pub mod metrics;
pub mod process;
pub mod semaphore;
pub mod sync;
pub mod worker_pool;

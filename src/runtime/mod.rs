//! What every server needs and no shop: threads, locks, the log, metrics, exit codes.
//!
//! Each file stands alone, but that `batcher` uses `semaphore`, `hedging` uses `metrics`, and most
//! use `sync`. Read `batcher` and `worker_pool` for the threads of a server: the first batches
//! requests on the threads of their callers, the second on threads of its own.

pub(crate) mod batcher;
pub(crate) mod calendar;
pub mod exit;
pub(crate) mod hedging;
pub mod log;
pub mod metrics;
pub(crate) mod process;
pub(crate) mod semaphore;
pub(crate) mod signals;
pub(crate) mod span;
pub(crate) mod stdin;
pub(crate) mod sync;
pub(crate) mod worker_pool;

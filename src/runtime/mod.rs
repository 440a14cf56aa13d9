//! What every server needs and no shop: threads, locks, logs, metrics, exit codes.

pub(crate) mod batcher;
pub mod exit;
pub mod log;
pub mod metrics;
pub mod process;
pub(crate) mod semaphore;
#[allow(dead_code)]
pub(crate) mod sync;
pub(crate) mod worker_pool;

//! What every server needs and no shop: threads, locks, logs, metrics, exit codes.

pub mod batcher;
pub mod exit;
pub mod log;
pub mod metrics;
pub mod process;
pub mod semaphore;
#[allow(dead_code)]
pub(crate) mod sync;
pub mod worker_pool;

//! The front-end's caches: an LRU, requests that share one fetch, and the lease that guards both.

pub mod flight;
pub mod leased_cache;
pub mod lru;
pub mod single_flight;

//! The front-end's caches, from the inside out. Read the files in this order:
//!
//! 1. [`lru`]: the dictionary and the list. It evicts the least recently used entry.
//! 2. [`single_flight`]: one cache. Beside an LRU it has the fetches under way, so that equal
//!    requests share one fetch, and it refuses an answer that an invalidation has overtaken.
//! 3. [`leased_cache`]: the cache of look-ups and the cache of searches, under one lock with the
//!    membership. They are used only while every catalog's lease holds.
//! 4. [`holds`]: what must not be kept while a change of it is under way in etcd.

mod holds;
pub(crate) mod leased_cache;
mod lru;
pub(crate) mod single_flight;

use std::collections::BTreeSet;
use std::sync::Arc;

/// A longer answer is not cached: a few of them would be all the memory.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a catalog answered to a look-up or a search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CachedAnswer {
    /// The JSON, encoded once for all requests that get it.
    pub(crate) body: Arc<[u8]>,
    /// Made of the body, so that it is the same at every front-end.
    pub(crate) etag: Arc<str>,
    /// The topics of the books that a search found; a look-up has none.
    pub(crate) topics: Arc<BTreeSet<Arc<str>>>,
    /// The `Link` of a search with a limit, if there may be more.
    pub(crate) next: Option<Arc<str>>,
    /// It was found by title: the changed title of a book of any topic may concern it.
    pub(crate) is_by_title: bool,
    /// False when it is longer than [`ANSWER_BYTES_MAX`], or the catalog said `no-store`.
    pub(crate) cacheable: bool,
}

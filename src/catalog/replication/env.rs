//! What a replica needs of its surroundings: network, clocks, chance, waiting, and the disk.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::catalog::replication::left_out::{NotSaved, Record};
use crate::catalog::replication::messages::{Message, Outcome};
use crate::catalog::storage::Reader;
use crate::membership::time::Time;
use crate::model::book::BookId;
use crate::model::book::entry::Entry;
use crate::model::invalidation::Invalidation;

/// Called once with what came of a message, perhaps before the call that sent it returns.
pub(crate) type OnOutcome = Box<dyn FnOnce(Outcome) + Send>;

/// What a waiting thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum WaitKey {
    /// Any change of one book's copy, of its queue of writers, or of its read repair.
    Book(BookId),
    /// An answer within one round of messages.
    Round(u64),
    /// Membership: which servers are live, whether a round of heartbeats is complete; and whether
    /// background repair has work.
    Membership,
    /// Nothing: a pause of the ledger's loops.
    Ledger,
    /// Entries of the ledger that are to be put on disk.
    Entries,
}

/// A replica's surroundings. Peers and front-ends are numbered as in the settings.
///
/// There are two implementations: HTTP with files, and the simulation. All waiting goes through
/// [`Environment::wait`], so that the simulation decides every interleaving.
pub(crate) trait Environment: Send + Sync + 'static {
    fn now(&self) -> Time;

    /// The time of day, in ms since 1970. It may be set back, and differ from the peers'.
    fn unix_ms(&self) -> u64;

    /// 53 random bits, never 0.
    fn random(&self) -> u64;

    /// Sends a message. The caller holds no lock, because `on_outcome` may take it.
    fn send(&self, peer: usize, message: Message, on_outcome: OnOutcome);

    /// Sends an invalidation to a front-end, which has 400 ms to obey. The outcome is
    /// [`Reply::Confirmed`](crate::catalog::replication::messages::Reply::Confirmed) if it did.
    fn invalidate(&self, front_end: usize, invalidation: Invalidation, on_outcome: OnOutcome);

    /// Puts the files of these books on disk, and returns once they are there. `read` gives the
    /// books of a range of ids as they are in memory; it is called before this returns. The caller
    /// holds no lock. Fails with what the disk reported.
    fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String>;

    /// Puts what is kept of this catalog's standing on disk, and returns once it is there. The
    /// caller holds no lock. Fails with what the disk reported.
    fn save_record(&self, record: &Record) -> Result<(), NotSaved>;

    /// Puts these entries of the ledger on disk, and returns once they are there. The caller holds
    /// no lock. Fails with what the disk reported; then some of them may be there.
    fn save_entries(&self, entries: &[Arc<Entry>]) -> Result<(), String>;

    /// Releases `guard`, waits until `key` is woken or the monotonic clock shows `until`, and locks
    /// again. It may return early for no reason.
    fn wait<'a, T>(
        &self,
        lock: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        key: WaitKey,
        until: Duration,
    ) -> MutexGuard<'a, T>;

    /// Wakes the threads that wait for `key`.
    fn wake(&self, key: WaitKey);

    /// Wakes all threads that wait.
    fn wake_all(&self);
}

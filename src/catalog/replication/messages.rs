//! What catalogs say to each other, and what a [`Replica`](super::replica::Replica) asks of the
//! world around it.
//!
//! The messages are those of REPLICATION.md. They are plain values here: `peers.rs` carries them
//! over HTTP, `sim.rs` through a simulated network.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::storage::Reader;
use crate::membership::{HeartbeatReply, Time};
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank, Version};
use crate::model::invalidation::Invalidation;

/// What a catalog knows of its copy of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// On the valid list: the newest copy, answer from it.
    Valid,
    /// A write of it is under way and may or may not come true.
    Tentative,
    /// Just a copy, as after a start or after contact was lost.
    Unknown,
}

/// From one catalog to another. `wire.rs` says how it travels: the kind is in the path, the fields
/// are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Message {
    /// "I am up." Never waits.
    Heartbeat { from: Address },
    /// "Do you know? The requesters do not." `best`: the best copy seen so far. May wait for
    /// others.
    Get {
        id: BookId,
        requesters: Vec<Address>,
        best: Option<Rank>,
    },
    /// "I am about to write on top of this version" (`None`: on top of nothing). Never waits.
    Check { id: BookId, rank: Option<Rank> },
    /// "These are the books now, tentatively." Waits for the disk.
    Update { books: Vec<Arc<Book>> },
    /// "Every live catalog has these." Never waits.
    Confirm { versions: Vec<(BookId, Version)> },
    /// "Which versions have you, of the books after `after`?" At most `limit`. Never waits.
    Page { after: Option<BookId>, limit: usize },
    /// "Give me these as they are." Never waits.
    Fetch { ids: Vec<BookId> },
    /// As [`Message::Update`] with books that the receiver has already, named by version only.
    /// Waits for the disk.
    Claim { versions: Vec<(BookId, Version)> },
}

/// One line of a page.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry(pub BookId, pub Version, pub State);

/// The answer to a [`Message`]. As with those, the fields are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To heartbeat.
    HeartbeatReply(HeartbeatReply),
    /// To heartbeat: "you are not in my settings".
    UnknownPeer,
    /// To get: the book, valid or tentative.
    Known { book: Arc<Book>, state: State },
    /// To get: "nothing newer from here on".
    NothingNewer,
    /// To check: "go on".
    Fine,
    /// To check: "mine is better".
    Better { book: Arc<Book>, state: State },
    /// To update: the books that stand against one of those. All others are on disk here now, in
    /// just this version.
    Updated { against: Vec<(Arc<Book>, State)> },
    /// To confirm.
    Confirmed,
    /// To page. Shorter than the limit: the last one.
    Page { entries: Vec<Entry> },
    /// To fetch: those that are here.
    Books { books: Vec<(Arc<Book>, State)> },
    /// To claim: the ids of which another version is here. The others are on disk.
    Claimed { differ: Vec<BookId> },
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Reply(Reply),
    /// Nobody listens there.
    Refused,
    /// No answer in time, a broken connection, or an answer that cannot be: it may have arrived.
    Silent,
}

/// What a waiting thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Anything that changes about one book's copy, its queue of writers, its settling.
    Book(BookId),
    /// An answer within one round of messages.
    Round(u64),
    /// Heartbeat: who is live, whole rounds.
    Membership,
    /// Something to tend in the background.
    Chores,
}

/// The world around a replica: its peers, the front-ends, the clock, chance, waiting, and the disk.
/// Environment and front-ends are numbered as in the settings.
///
/// Two implementations: HTTP and files, and the simulation. All waiting goes through
/// [`Environment::wait`], so that the simulation decides every interleaving.
pub trait Environment: Send + Sync + 'static {
    fn now(&self) -> Time;

    /// 53 random bits, never 0.
    fn random(&self) -> u64;

    /// Sends a message. `done` is called once, perhaps before this returns: hold no lock meanwhile.
    fn send(&self, peer: usize, message: Message, done: Box<dyn FnOnce(Outcome) + Send>);

    /// Tells a front-end what to forget, within 400 ms. `done` (as in `send`) hears
    /// [`Reply::Confirmed`] if it did.
    fn invalidate(
        &self,
        front_end: usize,
        void: Invalidation,
        done: Box<dyn FnOnce(Outcome) + Send>,
    );

    /// Puts the files of these books on disk and returns once they are. `read` gives the books of a
    /// range of ids as they are in memory; it is called before this returns, without locks held by
    /// the caller. Fails with what the disk said.
    fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String>;

    /// Gives up `guard`, waits until somebody wakes `key` or the monotonic clock shows `until`, and
    /// locks again. May return early for no reason.
    fn wait<'a, T>(
        &self,
        lock: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        key: Key,
        until: Duration,
    ) -> MutexGuard<'a, T>;

    /// Wakes who waits for `key`.
    fn wake(&self, key: Key);

    /// Wakes everybody.
    fn wake_all(&self);
}

//! The messages between catalogs: plain values, without a network. `PROTOCOL.md`, "Messages", is
//! the table of them. The codec carries them over HTTP, the simulation through a simulated network.

use std::sync::Arc;

use serde::Serialize;

use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::membership::HeartbeatReply;
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank, Version};

/// A request from one catalog to another. The kind is in the path, the fields are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Message {
    /// "I am up." The receiver never waits.
    Heartbeat { from: Address },
    /// "Do you know this book? The requesters do not." `best` is the best rank seen so far. The
    /// receiver may wait for other catalogs.
    Get {
        id: BookId,
        requesters: Vec<Address>,
        best: Option<Rank>,
    },
    /// "I am about to write on top of this version"; `None` is on top of nothing. The receiver
    /// never waits.
    Check { id: BookId, rank: Option<Rank> },
    /// "These are the books now, tentatively." The receiver waits for its disk.
    Update { books: Vec<Arc<Book>> },
    /// "Every live catalog has these." The receiver never waits.
    Confirm { versions: Versions },
    /// "Which versions have you, of the books after `after`?" At most `limit`. The receiver never
    /// waits.
    Page { after: Option<BookId>, limit: usize },
    /// "Send me these books as they are." The receiver never waits.
    Fetch { ids: Vec<BookId> },
    /// As [`Message::Update`], for books that the receiver has already, named by version only. The
    /// receiver waits for its disk.
    Claim { versions: Versions },
}

/// The answer to a [`Message`]. As with those, the fields are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// To heartbeat.
    HeartbeatReply(HeartbeatReply),
    /// To heartbeat: "you are not in my settings".
    UnknownPeer,
    /// To get: the book, valid or tentative.
    Known { book: Arc<Book>, state: CopyState },
    /// To get: "nothing newer from here on".
    NothingNewer,
    /// To check: "mine is not better".
    CheckPassed,
    /// To check: "mine is better".
    CheckFailed { book: Arc<Book>, state: CopyState },
    /// To update: the receiver's copies that conflict with books of the update. All other books of
    /// it are on disk there now, in just this version.
    Updated { conflicts: Copies },
    /// To confirm.
    Confirmed,
    /// To page. A page that is shorter than the limit is the last one.
    Page { entries: Vec<PageEntry> },
    /// To fetch: the books that the receiver has.
    Books { books: Copies },
    /// To claim: the ids of which the receiver has another version. The others are on disk there.
    Claimed { differing: Vec<BookId> },
}

/// Copies of books, each with its state at the catalog that sent it.
pub(crate) type Copies = Vec<(Arc<Book>, CopyState)>;

/// Books by id and version.
pub(crate) type Versions = Vec<(BookId, Version)>;

/// What came of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Reply(Reply),
    /// Nothing listens at that address.
    Refused,
    /// No answer in time, a broken connection, or a malformed answer. The message may have arrived.
    Silent,
}

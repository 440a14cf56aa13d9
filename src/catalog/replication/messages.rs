//! The messages between catalogs: plain values, without a network. `PROTOCOL.md`, "Messages", is
//! the table of them. The codec carries them over HTTP, the simulation through a simulated network.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::replication::left_out::{Standing, Token};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::membership::HeartbeatReply;
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Version};

/// A request from one catalog to another. The kind is in the path, the fields are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Message {
    /// "I am up." A catalog also says how it stands. The receiver never waits.
    Heartbeat {
        from: Address,
        #[serde(flatten)]
        peer: Option<PeerHeartbeat>,
    },
    /// "Do you know this book? The requesters do not." `best` is the best version seen so far. The
    /// receiver may wait for other catalogs.
    Get {
        id: BookId,
        requesters: Vec<Address>,
        best: Option<Version>,
    },
    /// "I am about to write on top of this version"; `None` is on top of nothing. The receiver
    /// never waits.
    Check {
        id: BookId,
        version: Option<Version>,
    },
    /// "These are the books now, tentatively." The receiver waits for its disk.
    Update {
        books: Vec<Arc<Book>>,
        sender: Sender,
    },
    /// "Every live catalog has these." The receiver never waits.
    Confirm { versions: Versions },
    /// "Which versions have you, of the books after `after`?" At most `limit`. The receiver never
    /// waits.
    Page {
        after: Option<BookId>,
        limit: usize,
        standing: Standing,
    },
    /// "Send me these books as they are." The receiver never waits.
    Fetch { ids: Vec<BookId> },
    /// As [`Message::Update`], for books that the receiver has already, named by version only. The
    /// receiver waits for its disk.
    Claim { versions: Versions, sender: Sender },
    /// "I was left out and come back." First with `begins`: "from now on, remember what changes at
    /// yours". Later: "I have taken over everything, and your list, which is this; these of the
    /// owed books are on my disk; strike me off." The receiver waits for its disk.
    Return {
        sender: Sender,
        begins: bool,
        left_out: BTreeSet<Address>,
        has: Versions,
    },
}

/// What a catalog says with a heartbeat to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerHeartbeat {
    pub(crate) standing: Standing,
    /// The peers on whose lists it knows itself to be.
    pub(crate) known_listers: BTreeSet<Address>,
}

/// What a catalog says of itself with a request that a peer must only grant if neither has missed
/// anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sender {
    pub(crate) standing: Standing,
    /// The receiver's last token.
    pub(crate) token: Option<Token>,
    /// The peers that the update goes without.
    #[serde(default)]
    pub(crate) without: BTreeSet<Address>,
}

/// The answer to a [`Message`]. As with those, the fields are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// To heartbeat.
    HeartbeatReply(HeartbeatReply),
    /// To a peer's heartbeat.
    Standing {
        reply: HeartbeatReply,
        standing: Standing,
        token: Token,
        /// "An older folder was put back at yours": how often it had been started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen_starts: Option<u64>,
    },
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
    Updated { conflicts: Copies, start: u64 },
    /// To update, claim and return: "not now: one of us has missed something". Sent again later, it
    /// may be accepted.
    NotNow,
    /// To update and claim: "you are on my list".
    LeftOut,
    /// To confirm.
    Confirmed,
    /// To page. A page that is shorter than the limit is the last one.
    Page {
        entries: Vec<PageEntry>,
        standing: Standing,
    },
    /// To fetch: the books that the receiver has.
    Books { books: Copies },
    /// To claim: the ids of which the receiver has another version. The others are on disk there.
    Claimed { differing: Vec<BookId>, start: u64 },
    /// To return: "these are still owed to you"; none, after the first request.
    Owed {
        ids: Vec<BookId>,
        standing: Standing,
    },
    /// To return: "you are not on my list any more".
    Struck { standing: Standing },
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

#[cfg(test)]
pub(crate) mod examples {
    //! Messages need a sender, whatever it says.

    use super::{Address, BTreeSet, Sender, Standing};

    pub(crate) fn standing() -> Standing {
        Standing {
            from: Address::parse("http://a:1").unwrap(),
            start: 5,
            starts: 1,
            sequence: 2,
            left_out: BTreeSet::new(),
            serving: true,
            whole: true,
            disk_refuses: false,
            first_stock: None,
        }
    }

    pub(crate) fn sender() -> Sender {
        Sender {
            standing: standing(),
            token: None,
            without: BTreeSet::new(),
        }
    }
}

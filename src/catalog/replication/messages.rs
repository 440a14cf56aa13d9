//! The messages between catalogs: plain values, without a network. `PROTOCOL.md`, "Messages", is
//! the table of them. The codec carries them over HTTP, the simulation through a simulated network.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::ledger::Digests;
use crate::catalog::replication::left_out::{Standing, Token};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::membership::HeartbeatReply;
use crate::model::address::Address;
use crate::model::book::entry::{Entry, EntryKey};
use crate::model::book::{Book, BookId, Version};
use crate::model::number::is_zero;
use crate::model::order::OrderId;

/// A request from one catalog to another. The kind is in the path, the fields are the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Message {
    Heartbeat(Heartbeat),
    Get(Get),
    Check(Check),
    Update(Update),
    Confirm(Confirm),
    Page(AskPage),
    Fetch(Fetch),
    Claim(Claim),
    Return(Return),
    Dropped(Dropped),
    Ledger(AskLedger),
    Keys(AskKeys),
}

/// "I am up." A catalog also says how it stands; a front-end says only its start number. The
/// receiver never waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) from: Address,
    /// Of a front-end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) start: u64,
    pub(crate) standing: Option<Standing>,
    /// The peers on whose lists the sender knows itself to be.
    #[serde(default)]
    pub(crate) known_listers: BTreeSet<Address>,
}

/// "Do you know this book? The requesters do not." `best` is the best version seen so far. The
/// receiver may wait for other catalogs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Get {
    pub(crate) id: BookId,
    pub(crate) requesters: Vec<Address>,
    pub(crate) best: Option<Version>,
}

/// "I am about to write on top of this version"; `None` is on top of nothing. The receiver never
/// waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) id: BookId,
    pub(crate) version: Option<Version>,
}

/// "These are the books now, tentatively." The receiver waits for its disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) books: Vec<Arc<Book>>,
    pub(crate) sender: Sender,
}

/// "Every live catalog has these." The receiver never waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Confirm {
    pub(crate) versions: Versions,
}

/// "Which versions have you, of the books after `after`?" At most `limit`. The receiver never
/// waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AskPage {
    pub(crate) after: Option<BookId>,
    pub(crate) limit: usize,
    pub(crate) standing: Standing,
}

/// "Send me these books as they are." The receiver never waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) ids: Vec<BookId>,
}

/// As [`Update`], for books that the receiver has already, named by version only. The receiver
/// waits for its disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) versions: Versions,
    pub(crate) sender: Sender,
}

/// "I was left out and come back." First with `begins`: "from now on, remember what changes at
/// yours". Later: "I have taken over everything, and your list, which is this; these of the owed
/// books are on my disk; strike me off." The receiver waits for its disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Return {
    pub(crate) sender: Sender,
    pub(crate) begins: bool,
    pub(crate) left_out: BTreeSet<Address>,
    pub(crate) has: Versions,
}

/// "These copies of my side of a cut gave way to those of your side." The receiver logs it, and
/// never waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) from: Address,
    pub(crate) copies: Vec<DroppedCopy>,
}

/// "What is in your ledger?" The receiver never waits. `before`: without what is so new that it may
/// not have come to all, from this bucket of time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AskLedger {
    /// The digest of each day.
    Days {
        before: u64,
    },
    /// The digests of the buckets of a day.
    Buckets {
        day: u64,
        before: u64,
    },
    /// The keys of a bucket, behind this one.
    Keys {
        bucket: u64,
        after: Option<EntryKey>,
    },
    Entries {
        keys: Vec<EntryKey>,
    },
    /// The entries that are about this order.
    Order {
        order: OrderId,
    },
}

/// "I am about to sell these books for these `Idempotency-Key`s. Are they used for others?" The
/// receiver never waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AskKeys {
    pub(crate) keys: Vec<(Arc<str>, BookId)>,
}

/// A copy that was dropped after a cut, and the one that took its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DroppedCopy {
    pub(crate) id: BookId,
    pub(crate) title: Arc<str>,
    pub(crate) version: Version,
    pub(crate) quantity: u32,
    pub(crate) kept_title: Arc<str>,
    pub(crate) kept: Version,
    pub(crate) kept_quantity: u32,
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
    /// To a front-end's heartbeat.
    HeartbeatReply(HeartbeatReply),
    /// The same, of a catalog on etcd.
    Lease(Lease),
    /// To a peer's heartbeat.
    Standing(Box<StandingReply>),
    /// To heartbeat: "you are not in my settings".
    UnknownPeer,
    /// To get: the book, valid or tentative.
    Known(Known),
    /// To get: "nothing newer from here on".
    NothingNewer,
    /// To check: "mine is not better".
    CheckPassed,
    /// To check: "mine is better".
    CheckFailed(Known),
    Updated(UpdatedReply),
    /// To update, claim and return: "not now: one of us has missed something". Sent again later, it
    /// may be accepted.
    NotNow,
    /// To update and claim: "you are on my list".
    LeftOut,
    /// To confirm.
    Confirmed,
    Page(Page),
    Books(Books),
    Claimed(Claimed),
    Returned(Returned),
    Ledger(LedgerReply),
    Keys(KeysReply),
}

/// To a front-end's heartbeat. Of the changes that it holds something for, those with lower numbers
/// than `ended` have ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Lease {
    #[serde(flatten)]
    pub(crate) reply: HeartbeatReply,
    pub(crate) ended: u64,
}

/// To a peer's heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StandingReply {
    pub(crate) reply: HeartbeatReply,
    pub(crate) standing: Standing,
    pub(crate) token: Token,
    /// "An older folder was put back at yours": how often it had been started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen_starts: Option<u64>,
    /// The start of the asker that was seen before the present one: its count and its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen_before: Option<(u64, u64)>,
}

/// A copy and its state at the catalog that sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) book: Arc<Book>,
    pub(crate) state: CopyState,
}

/// To update: the receiver's copies that conflict with books of the update. All other books of it
/// are on disk there now, in just this version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UpdatedReply {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) conflicts: Copies,
    pub(crate) start: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) period: u64,
}

/// To page. A page that is shorter than the limit is the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) entries: Vec<PageEntry>,
    pub(crate) standing: Standing,
}

/// To fetch: the books that the receiver has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Books {
    pub(crate) books: Copies,
}

/// To claim: the ids of which the receiver has another version. The others are on disk there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) differing: Vec<BookId>,
    pub(crate) start: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) period: u64,
}

/// To return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Returned {
    /// These are still owed; none, after the first request. Without a list: "you are not on my list
    /// any more".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Vec<BookId>>,
    pub(crate) standing: Standing,
}

/// To [`AskLedger`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LedgerReply {
    Digests(Digests),
    Keys(Vec<EntryKey>),
    Entries(Vec<Arc<Entry>>),
}

impl LedgerReply {
    /// The answer for a catalog that has no ledger.
    pub(crate) fn none(asked: &AskLedger) -> LedgerReply {
        match asked {
            AskLedger::Days { .. } | AskLedger::Buckets { .. } => {
                LedgerReply::Digests(Digests::new())
            }
            AskLedger::Keys { .. } => LedgerReply::Keys(Vec::new()),
            AskLedger::Entries { .. } | AskLedger::Order { .. } => LedgerReply::Entries(Vec::new()),
        }
    }
}

/// To [`AskKeys`]: those that are used for other books. A catalog that does not know the message
/// knows of none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeysReply {
    /// Writes with them are under way, or may be.
    #[serde(default)]
    pub(crate) in_use: BTreeSet<Arc<str>>,
    /// The others are sold.
    #[serde(default)]
    pub(crate) sold: BTreeSet<Arc<str>>,
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
            period: 0,
            sequence: 2,
            left_out: BTreeSet::new(),
            not_compared: BTreeSet::new(),
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

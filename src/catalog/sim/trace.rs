//! Messages as a person reads them in a trace.

use crate::catalog::replication::messages::{Message, Reply};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{Book, Rank};
use crate::model::invalidation::Invalidation;

pub fn message(message: &Message) -> String {
    match message {
        Message::Heartbeat { .. } => "heartbeat".into(),
        Message::Get { id, best, .. } => format!("get {id}, best {}", rank(*best)),
        Message::Check { id, rank: ours } => format!("check {id}, {}", rank(*ours)),
        Message::Update { books } => format!("update {}", each(books, |book| plain(book))),
        Message::Confirm { versions } => format!(
            "confirm {}",
            each(versions, |(_, version)| version.to_string())
        ),
        Message::Page { .. } => "page".into(),
        Message::Fetch { .. } => "fetch".into(),
        Message::Claim { versions } => format!(
            "claim {}",
            each(versions, |(_, version)| version.to_string())
        ),
    }
}

pub fn reply(reply: &Option<Reply>) -> String {
    let Some(reply) = reply else {
        return "failed".into();
    };
    match reply {
        Reply::HeartbeatReply(heartbeat_reply) => format!(
            "heartbeat_reply, counted down {}",
            heartbeat_reply.down_count
        ),
        Reply::UnknownPeer => "unknown_peer".into(),
        Reply::Known { book, state } => copy(book, *state),
        Reply::NothingNewer => "nothing newer".into(),
        Reply::CheckPassed => "fine".into(),
        Reply::CheckFailed { book, state } => format!("better: {}", copy(book, *state)),
        Reply::Updated { conflicts } if conflicts.is_empty() => "taken".into(),
        Reply::Updated { conflicts } => format!(
            "conflicts: {}",
            each(conflicts, |(book, state)| copy(book, *state))
        ),
        Reply::Confirmed => "confirmed".into(),
        Reply::Page { entries } => format!(
            "page {}",
            each(entries, |entry| format!("{} {:?}", entry.1, entry.2))
        ),
        Reply::Books { books } => {
            format!("books {}", each(books, |(book, state)| copy(book, *state)))
        }
        Reply::Claimed { differing } if differing.is_empty() => "claimed".into(),
        Reply::Claimed { .. } => "differs".into(),
    }
}

pub fn void(void: &Invalidation) -> String {
    match void {
        Invalidation::Item(id) => format!("forget item {id}"),
        Invalidation::AllItems => "forget every item".into(),
        Invalidation::Topic(topic) => format!("forget topic {topic}"),
        Invalidation::AllTopics => "forget every search".into(),
    }
}

/// A copy: version, quantity, and what is known of it.
pub fn copy(book: &Book, state: CopyState) -> String {
    let state = match state {
        CopyState::Valid => "valid",
        CopyState::Tentative => "tentative",
        CopyState::Unknown => "unknown",
    };
    format!("{}, {state}", plain(book))
}

fn plain(book: &Book) -> String {
    let committed = if book.committed { " (came true)" } else { "" };
    format!("{}: {} left{committed}", book.version, book.quantity)
}

fn rank(rank: Option<Rank>) -> String {
    rank.map_or("none".into(), |(number, committed, stamp)| {
        format!("{number}{}-{stamp}", if committed { "+" } else { "" })
    })
}

fn each<T>(things: &[T], show: impl Fn(&T) -> String) -> String {
    things.iter().map(show).collect::<Vec<_>>().join(", ")
}

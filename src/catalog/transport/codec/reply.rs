//! A reply as a response.

use std::fmt::Display;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::catalog::replication::left_out::{Standing, Token};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::http::Response;
use crate::http::client::{Answer, Failure};
use crate::membership::HeartbeatReply;
use crate::model::book::{Book, BookId};
use crate::runtime::log::{self, RateLimited};

#[derive(Deserialize)]
struct Known {
    book: Arc<Book>,
    state: CopyState,
}

#[derive(Deserialize)]
struct Conflicts {
    conflicts: Vec<(Arc<Book>, CopyState)>,
    start: u64,
}

#[derive(Deserialize)]
struct Start {
    start: u64,
}

#[derive(Deserialize)]
struct PeerReply {
    reply: HeartbeatReply,
    standing: Standing,
    token: Token,
    seen_starts: Option<u64>,
}

/// The books that are still owed; without them the peer is struck off.
#[derive(Deserialize)]
struct Owed {
    ids: Option<Vec<BookId>>,
    standing: Standing,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<PageEntry>,
    standing: Standing,
}

#[derive(Deserialize)]
struct Books {
    books: Vec<(Arc<Book>, CopyState)>,
}

#[derive(Deserialize)]
struct Differing {
    differing: Vec<BookId>,
    start: u64,
}

const UNKNOWN_PEER: &str = "You are not in this catalog's CATALOG_ADDRESSES or FRONT_END_ADDRESS";

const NOT_NOW: &str = "One of us has missed something: ask again after a heartbeat";

const LEFT_OUT: &str = "You are on this catalog's left-out list";

/// Encodes a reply.
pub(crate) fn encode(reply: &Reply) -> Response {
    match reply {
        Reply::UnknownPeer => Response::json(403, &json!({"message": UNKNOWN_PEER})),
        Reply::NothingNewer => {
            Response::json(409, &json!({"message": "Nothing newer from here on"}))
        }
        Reply::CheckFailed { .. } => Response::json(409, reply),
        Reply::Updated { conflicts, .. } if !conflicts.is_empty() => Response::json(409, reply),
        Reply::Updated { start, .. } => Response::json(200, &json!({"start": start})),
        Reply::CheckPassed | Reply::Confirmed => Response::json(200, &json!({})),
        Reply::NotNow => Response::json(425, &json!({"message": NOT_NOW})),
        Reply::LeftOut => Response::json(410, &json!({"message": LEFT_OUT})),
        _ => Response::json(200, reply),
    }
}

/// The outcome of a message, from the outcome of its HTTP call.
pub(crate) fn outcome(message: &Message, answer: Result<Answer, Failure>) -> Outcome {
    let reply = match answer {
        Err(Failure::Refused(_)) => return Outcome::Refused,
        Err(_) => return Outcome::Silent,
        Ok(answer) => match answer.status {
            200 => decode_success(message, &answer.body),
            409 => decode_conflict(message, &answer.body),
            403 if matches!(message, Message::Heartbeat { .. }) => Some(Reply::UnknownPeer),
            410 => Some(Reply::LeftOut),
            425 => Some(Reply::NotNow),
            // The peer has just started, has too much to do, or its disk fails.
            500..600 => None,
            status => unexpected(status),
        },
    };
    reply.map_or(Outcome::Silent, Outcome::Reply)
}

/// Decodes a reply of status 200. `None`: no catalog sends this.
fn decode_success(message: &Message, body: &[u8]) -> Option<Reply> {
    let reply = match message {
        Message::Heartbeat { peer: None, .. } => Reply::HeartbeatReply(parse(body)?),
        Message::Heartbeat { .. } => {
            let said: PeerReply = parse(body)?;
            Reply::Standing {
                reply: said.reply,
                standing: said.standing,
                token: said.token,
                seen_starts: said.seen_starts,
            }
        }
        Message::Get { id, .. } => {
            let Known { book, state } = parse(body)?;
            require(is_valid(&book, |asked| asked == *id))?;
            Reply::Known { book, state }
        }
        Message::Check { .. } => Reply::CheckPassed,
        Message::Update { .. } => Reply::Updated {
            conflicts: Vec::new(),
            start: parse::<Start>(body)?.start,
        },
        Message::Confirm { .. } => Reply::Confirmed,
        Message::Page { .. } => {
            let Entries { entries, standing } = parse(body)?;
            Reply::Page { entries, standing }
        }
        Message::Fetch { ids } => {
            let Books { books } = parse(body)?;
            let asked = |id| ids.contains(&id);
            require(books.iter().all(|(book, _)| is_valid(book, asked)))?;
            Reply::Books { books }
        }
        Message::Claim { .. } => {
            let Differing { differing, start } = parse(body)?;
            Reply::Claimed { differing, start }
        }
        Message::Return { .. } => {
            let Owed { ids, standing } = parse(body)?;
            match ids {
                Some(ids) => Reply::Owed { ids, standing },
                None => Reply::Struck { standing },
            }
        }
    };
    Some(reply)
}

/// Decodes a reply of status 409. `None`: no catalog sends this.
fn decode_conflict(message: &Message, body: &[u8]) -> Option<Reply> {
    match message {
        Message::Get { .. } => Some(Reply::NothingNewer),
        Message::Check { id, .. } => {
            let Known { book, state } = parse(body)?;
            require(is_valid(&book, |asked| asked == *id))?;
            Some(Reply::CheckFailed { book, state })
        }
        Message::Update { books, .. } => {
            let Conflicts { conflicts, start } = parse(body)?;
            let sent = |id| books.iter().any(|book| book.id == id);
            let valid = conflicts.iter().all(|(book, _)| is_valid(book, sent));
            require(valid && !conflicts.is_empty())?;
            Some(Reply::Updated { conflicts, start })
        }
        _ => unexpected(409),
    }
}

fn is_valid(book: &Book, was_asked_for: impl Fn(BookId) -> bool) -> bool {
    was_asked_for(book.id) && book.defect().is_none()
}

fn require(valid: bool) -> Option<()> {
    if valid {
        Some(())
    } else {
        reject(&"a book that was not asked for, or that violates the schema")
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).map_or_else(|error| reject(&error), Some)
}

fn unexpected<T>(status: u16) -> Option<T> {
    reject(&format!("status {status}"))
}

/// Drops a reply that no catalog sends, with a line in the log.
fn reject<T>(reason: &dyn Display) -> Option<T> {
    static LIMIT: RateLimited = RateLimited::new();
    if LIMIT.due() {
        log::warn(
            "a peer's answer makes no sense and was dropped",
            &[("reason", reason)],
        );
    }
    None
}

//! The words between catalogs as HTTP: `PUT /rep/<kind>`, or `/rep/<kind>/<id>` where a message is
//! about one book, with a JSON body.
//!
//! | answer | means |
//! |---|---|
//! | 200 | as asked: heartbeat_reply, book, page, … |
//! | 403 to heartbeat | the sender is not in the settings |
//! | 409 | nothing newer (get), or the books that conflict with what was sent |
//! | anything else | no answer |

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::http::Response;
use crate::http::client::{Answer, Failure};
use crate::membership::HeartbeatReply;
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Rank, Version};
use crate::model::error::{Error, Result};
use crate::runtime::log::{self, RateLimited};

#[derive(Deserialize)]
struct Heartbeat {
    from: Address,
}

#[derive(Deserialize)]
struct Get {
    id: BookId,
    requesters: Vec<Address>,
    best: Option<Rank>,
}

#[derive(Deserialize)]
struct Check {
    id: BookId,
    rank: Option<Rank>,
}

#[derive(Deserialize)]
struct Update {
    books: Vec<Arc<Book>>,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<(BookId, Version)>,
}

#[derive(Deserialize)]
struct Page {
    after: Option<BookId>,
    limit: usize,
}

#[derive(Deserialize)]
struct Fetch {
    ids: Vec<BookId>,
}

#[derive(Deserialize)]
struct Known {
    book: Arc<Book>,
    state: CopyState,
}

#[derive(Deserialize)]
struct Conflicts {
    conflicts: Vec<(Arc<Book>, CopyState)>,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<PageEntry>,
}

#[derive(Deserialize)]
struct Books {
    books: Vec<(Arc<Book>, CopyState)>,
}

#[derive(Deserialize)]
struct Differing {
    differing: Vec<BookId>,
}

/// The kinds of message, as they stand in the path.
pub const KINDS: [&str; 8] = [
    "heartbeat",
    "get",
    "check",
    "update",
    "confirm",
    "page",
    "fetch",
    "claim",
];

/// The path that a message is put to.
pub fn path(message: &Message) -> String {
    let kind = kind(message);
    match about(message) {
        Some(id) => format!("/rep/{kind}/{id}"),
        None => format!("/rep/{kind}"),
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Heartbeat { .. } => "heartbeat",
        Message::Get { .. } => "get",
        Message::Check { .. } => "check",
        Message::Update { .. } => "update",
        Message::Confirm { .. } => "confirm",
        Message::Page { .. } => "page",
        Message::Fetch { .. } => "fetch",
        Message::Claim { .. } => "claim",
    }
}

/// The one book that a message is about.
pub fn about(message: &Message) -> Option<BookId> {
    match message {
        Message::Get { id, .. } | Message::Check { id, .. } => Some(*id),
        Message::Update { books } if books.len() == 1 => Some(books[0].id),
        Message::Confirm { versions } if versions.len() == 1 => Some(versions[0].0),
        _ => None,
    }
}

/// Reads a message. Fails with 400 when the body is not JSON, with 422 when it is not such a
/// message, or when the path is about another book than the body.
pub fn message(kind: &str, id: Option<&str>, body: &[u8]) -> Result<Message> {
    let message = match kind {
        "heartbeat" => read(body).map(|Heartbeat { from }| Message::Heartbeat { from }),
        "get" => read(body).map(
            |Get {
                 id,
                 requesters,
                 best,
             }| Message::Get {
                id,
                requesters,
                best,
            },
        ),
        "check" => read(body).map(|Check { id, rank }| Message::Check { id, rank }),
        "update" => read(body).map(|Update { books }| Message::Update { books }),
        "confirm" => read(body).map(|Versions { versions }| Message::Confirm { versions }),
        "page" => read(body).map(|Page { after, limit }| Message::Page { after, limit }),
        "fetch" => read(body).map(|Fetch { ids }| Message::Fetch { ids }),
        "claim" => read(body).map(|Versions { versions }| Message::Claim { versions }),
        _ => Err(Error::NoSuchPath),
    }?;
    let wanted = id
        .map(|id| BookId::parse(id).ok_or(Error::NotFound))
        .transpose()?;
    if wanted.is_some() && wanted != about(&message) {
        return Err(Error::Invalid(
            "The path and the body are about different books".into(),
        ));
    }
    Ok(message)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| match error.is_data() {
        true => Error::Invalid(format!("No such message: {error}")),
        false => Error::BadRequest(format!("The body is not JSON: {error}")),
    })
}

/// The answer to a message over HTTP.
pub fn response(reply: &Reply) -> Response {
    match reply {
        Reply::UnknownPeer => Response::json(
            403,
            &json!({"message": "You are not in this catalog's CATALOG_ADDRESSES or FRONT_END_ADDRESS"}),
        ),
        Reply::NothingNewer => {
            Response::json(409, &json!({"message": "Nothing newer from here on"}))
        }
        Reply::CheckFailed { .. } => Response::json(409, reply),
        Reply::Updated { conflicts } if !conflicts.is_empty() => Response::json(409, reply),
        Reply::Updated { .. } | Reply::CheckPassed | Reply::Confirmed => {
            Response::json(200, &json!({}))
        }
        _ => Response::json(200, reply),
    }
}

/// What came of a message, from what came over HTTP.
pub fn outcome(message: &Message, answer: std::result::Result<Answer, Failure>) -> Outcome {
    match answer {
        Err(Failure::Refused(_)) => Outcome::Refused,
        Err(_) => Outcome::Silent,
        Ok(answer) => reply(message, &answer).map_or(Outcome::Silent, Outcome::Reply),
    }
}

/// Reads an answer. `None`: it cannot be one.
fn reply(message: &Message, answer: &Answer) -> Option<Reply> {
    let body = &answer.body;
    let reply = match (message, answer.status) {
        (Message::Heartbeat { .. }, 200) => Reply::HeartbeatReply(sane::<HeartbeatReply>(body)?),
        (Message::Heartbeat { .. }, 403) => Reply::UnknownPeer,
        (Message::Get { id, .. }, 200) => {
            let Known { book, state } = sane(body)?;
            told(is_fine(&book, *id), Reply::Known { book, state })?
        }
        (Message::Get { .. }, 409) => Reply::NothingNewer,
        (Message::Check { .. }, 200) => Reply::CheckPassed,
        (Message::Check { id, .. }, 409) => {
            let Known { book, state } = sane(body)?;
            told(is_fine(&book, *id), Reply::CheckFailed { book, state })?
        }
        (Message::Update { .. }, 200) => Reply::Updated {
            conflicts: Vec::new(),
        },
        (Message::Update { books }, 409) => {
            let Conflicts { conflicts } = sane(body)?;
            let sent = |id| books.iter().any(|book| book.id == id);
            let fine = conflicts
                .iter()
                .all(|(book, _)| sent(book.id) && book.defect().is_none());
            told(fine && !conflicts.is_empty(), Reply::Updated { conflicts })?
        }
        (Message::Confirm { .. }, 200) => Reply::Confirmed,
        (Message::Page { .. }, 200) => Reply::Page {
            entries: sane::<Entries>(body)?.entries,
        },
        (Message::Fetch { ids }, 200) => {
            let Books { books } = sane(body)?;
            let fine = books
                .iter()
                .all(|(book, _)| ids.contains(&book.id) && book.defect().is_none());
            told(fine, Reply::Books { books })?
        }
        (Message::Claim { .. }, 200) => Reply::Claimed {
            differing: sane::<Differing>(body)?.differing,
        },
        // It has just started, has too much to do, or its disk refuses.
        (_, 500..600) => return None,
        (_, status) => return nonsense(&format!("status {status}")),
    };
    Some(reply)
}

fn is_fine(book: &Book, asked: BookId) -> bool {
    book.id == asked && book.defect().is_none()
}

fn told(fine: bool, reply: Reply) -> Option<Reply> {
    if fine {
        return Some(reply);
    }
    nonsense(&"a book that was not asked for, or that cannot be")
}

/// Reads a body that a peer sent. What cannot be is dropped, with a line in the log.
fn sane<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).map_or_else(|error| nonsense(&error), Some)
}

fn nonsense<T>(why: &dyn Display) -> Option<T> {
    static OFTEN: RateLimited = RateLimited::new();
    if OFTEN.due() {
        log::warn(
            "a peer's answer makes no sense and was dropped",
            &[("reason", why)],
        );
    }
    None
}

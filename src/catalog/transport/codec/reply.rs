//! A reply as a response.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::catalog::replication::messages::{
    Books, KeysReply, Known, LedgerReply, Message, Outcome, Reply, UpdatedReply,
};
use crate::http::Response;
use crate::http::client::{Answer, Failure};
use crate::model::book::{Book, BookId};
use crate::runtime::log::RateLimited;

const UNKNOWN_PEER: &str = "You are not in this catalog's CATALOG_ADDRESSES or FRONT_END_ADDRESS";

const NOT_NOW: &str = "One of us has missed something: ask again after a heartbeat";

const LEFT_OUT: &str = "You are on this catalog's left-out list";

/// Encodes a reply.
pub(crate) fn encode(reply: &Reply) -> Response {
    let refusal = |status, message| Response::json(status, &json!({"message": message}));
    match reply {
        Reply::UnknownPeer => refusal(403, UNKNOWN_PEER),
        Reply::NothingNewer => refusal(409, "Nothing newer from here on"),
        Reply::CheckFailed(_) => Response::json(409, reply),
        Reply::Updated(updated) if !updated.conflicts.is_empty() => Response::json(409, reply),
        Reply::CheckPassed | Reply::Confirmed => Response::json(200, &json!({})),
        Reply::NotNow => refusal(425, NOT_NOW),
        Reply::LeftOut => refusal(410, LEFT_OUT),
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
            404 => match message {
                // A version of Bazar without a ledger.
                Message::Ledger(asked) => Some(Reply::Ledger(LedgerReply::none(asked))),
                // One that asks for no keys.
                Message::Keys(_) => Some(Reply::Keys(KeysReply::default())),
                _ => unexpected(404),
            },
            // The peer has just started, has too much to do, or its disk fails.
            500..600 => None,
            status => unexpected(status),
        },
    };
    reply.map_or(Outcome::Silent, Outcome::Reply)
}

/// Decodes a reply of status 200. `None`: no catalog sends this.
fn decode_success(message: &Message, body: &[u8]) -> Option<Reply> {
    match message {
        Message::Heartbeat(heartbeat) if heartbeat.standing.is_none() => {
            parse(body).map(Reply::HeartbeatReply)
        }
        Message::Heartbeat(_) => parse(body).map(Reply::Standing),
        Message::Get(get) => parse_copy(get.id, body).map(Reply::Known),
        Message::Check(_) => Some(Reply::CheckPassed),
        Message::Update(_) => parse(body).map(Reply::Updated),
        Message::Confirm(_) | Message::Dropped(_) => Some(Reply::Confirmed),
        Message::Page(_) => parse(body).map(Reply::Page),
        Message::Fetch(fetch) => {
            let books: Books = parse(body)?;
            let asked = |id| fetch.ids.contains(&id);
            require(books.books.iter().all(|(book, _)| is_valid(book, asked)))?;
            Some(Reply::Books(books))
        }
        Message::Claim(_) => parse(body).map(Reply::Claimed),
        Message::Return(_) => parse(body).map(Reply::Returned),
        Message::Ledger(_) => parse(body).map(Reply::Ledger),
        Message::Keys(_) => parse(body).map(Reply::Keys),
    }
}

/// Decodes a reply of status 409. `None`: no catalog sends this.
fn decode_conflict(message: &Message, body: &[u8]) -> Option<Reply> {
    match message {
        Message::Get(_) => Some(Reply::NothingNewer),
        Message::Check(check) => parse_copy(check.id, body).map(Reply::CheckFailed),
        Message::Update(update) => {
            let updated: UpdatedReply = parse(body)?;
            let sent = |id| update.books.iter().any(|book| book.id == id);
            let conflicts = &updated.conflicts;
            let valid = conflicts.iter().all(|(book, _)| is_valid(book, sent));
            require(valid && !conflicts.is_empty())?;
            Some(Reply::Updated(updated))
        }
        _ => unexpected(409),
    }
}

fn parse_copy(asked: BookId, body: &[u8]) -> Option<Known> {
    let known: Known = parse(body)?;
    require(is_valid(&known.book, |id| id == asked))?;
    Some(known)
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
    static OFTEN: RateLimited = RateLimited::new();
    let event = "a peer's answer makes no sense and was dropped";
    OFTEN.warn(event, &[("reason", reason)]);
    None
}

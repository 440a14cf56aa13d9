//! A message as a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::catalog::replication::left_out::Standing;
use crate::catalog::replication::messages::{Message, PeerHeartbeat, Sender};
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};

#[derive(Deserialize)]
struct Heartbeat {
    from: Address,
    standing: Option<Standing>,
    #[serde(default)]
    known_listers: BTreeSet<Address>,
}

#[derive(Deserialize)]
struct Get {
    id: BookId,
    requesters: Vec<Address>,
    best: Option<Version>,
}

#[derive(Deserialize)]
struct Check {
    id: BookId,
    version: Option<Version>,
}

#[derive(Deserialize)]
struct Update {
    books: Vec<Arc<Book>>,
    sender: Sender,
}

#[derive(Deserialize)]
struct Claim {
    versions: Vec<(BookId, Version)>,
    sender: Sender,
}

#[derive(Deserialize)]
struct Return {
    sender: Sender,
    begins: bool,
    left_out: BTreeSet<Address>,
    has: Vec<(BookId, Version)>,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<(BookId, Version)>,
}

#[derive(Deserialize)]
struct Page {
    after: Option<BookId>,
    limit: usize,
    standing: Standing,
}

#[derive(Deserialize)]
struct Fetch {
    ids: Vec<BookId>,
}

/// What stands before the kind of a message in its path.
const PREFIX: &str = "/rep/";

/// The path of each kind of message.
const PATHS: [&str; 9] = [
    "/rep/heartbeat",
    "/rep/get",
    "/rep/check",
    "/rep/update",
    "/rep/confirm",
    "/rep/page",
    "/rep/fetch",
    "/rep/claim",
    "/rep/return",
];

/// The path of this kind of message, without the id of a book. `None`: there is no such kind.
pub(crate) fn path_of_kind(kind: &str) -> Option<&'static str> {
    PATHS.into_iter().find(|path| &path[PREFIX.len()..] == kind)
}

/// The path that a message is put to.
pub(crate) fn path(message: &Message) -> String {
    let [
        heartbeat,
        get,
        check,
        update,
        confirm,
        page,
        fetch,
        claim,
        returning,
    ] = PATHS;
    let path = match message {
        Message::Heartbeat { .. } => heartbeat,
        Message::Get { .. } => get,
        Message::Check { .. } => check,
        Message::Update { .. } => update,
        Message::Confirm { .. } => confirm,
        Message::Page { .. } => page,
        Message::Fetch { .. } => fetch,
        Message::Claim { .. } => claim,
        Message::Return { .. } => returning,
    };
    match subject(message) {
        Some(id) => format!("{path}/{id}"),
        None => path.into(),
    }
}

/// The one book that a message is about.
pub(crate) fn subject(message: &Message) -> Option<BookId> {
    match message {
        Message::Get { id, .. } | Message::Check { id, .. } => Some(*id),
        Message::Update { books, .. } if books.len() == 1 => Some(books[0].id),
        Message::Confirm { versions } if versions.len() == 1 => Some(versions[0].0),
        _ => None,
    }
}

/// The body of a message.
pub(crate) fn body(message: &Message) -> Vec<u8> {
    serde_json::to_vec(message).expect("our own messages are JSON")
}

/// Decodes a message from the kind and perhaps the id in its path, and its body.
///
/// Fails with 400 when the body is not JSON, with 404 when the kind or the id is none, and with 422
/// when the body is not such a message or is about another book than the path.
pub(crate) fn decode(kind: &str, id: Option<&str>, body: &[u8]) -> Result<Message> {
    let message = match kind {
        "heartbeat" => parse(body).map(|said: Heartbeat| {
            let known_listers = said.known_listers;
            let peer = said.standing.map(|standing| PeerHeartbeat {
                standing,
                known_listers,
            });
            let from = said.from;
            Message::Heartbeat { from, peer }
        }),
        "get" => parse(body).map(|get: Get| Message::Get {
            id: get.id,
            requesters: get.requesters,
            best: get.best,
        }),
        "check" => parse(body).map(|Check { id, version }| Message::Check { id, version }),
        "update" => parse(body).map(|Update { books, sender }| Message::Update { books, sender }),
        "confirm" => parse(body).map(|Versions { versions }| Message::Confirm { versions }),
        "page" => parse(body).map(|page: Page| Message::Page {
            after: page.after,
            limit: page.limit,
            standing: page.standing,
        }),
        "fetch" => parse(body).map(|Fetch { ids }| Message::Fetch { ids }),
        "claim" => {
            parse(body).map(|Claim { versions, sender }| Message::Claim { versions, sender })
        }
        "return" => parse(body).map(|asked: Return| Message::Return {
            sender: asked.sender,
            begins: asked.begins,
            left_out: asked.left_out,
            has: asked.has,
        }),
        _ => Err(Error::NoSuchPath),
    }?;
    let Some(id) = id else { return Ok(message) };
    let id = BookId::parse(id).ok_or(Error::NotFound)?;
    if subject(&message) == Some(id) {
        Ok(message)
    } else {
        let reason = "The path and the body are about different books";
        Err(Error::Invalid(reason.into()))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            Error::Invalid(format!("No such message: {error}"))
        } else {
            Error::BadRequest(format!("The body is not JSON: {error}"))
        }
    })
}

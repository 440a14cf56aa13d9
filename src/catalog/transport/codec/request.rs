//! A message as a request.

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::catalog::replication::messages::Message;
use crate::model::book::BookId;
use crate::model::error::{Error, Result};

/// What stands before the kind of a message in its path.
const PREFIX: &str = "/rep/";

/// Decodes the body of one kind of message.
type Decode = fn(&[u8]) -> Result<Message>;

/// The path of each kind of message, without the id of a book, and how its body is decoded.
const KINDS: [(&str, Decode); 12] = [
    ("/rep/heartbeat", |body| parse(body).map(Message::Heartbeat)),
    ("/rep/get", |body| parse(body).map(Message::Get)),
    ("/rep/check", |body| parse(body).map(Message::Check)),
    ("/rep/update", |body| parse(body).map(Message::Update)),
    ("/rep/confirm", |body| parse(body).map(Message::Confirm)),
    ("/rep/page", |body| parse(body).map(Message::Page)),
    ("/rep/fetch", |body| parse(body).map(Message::Fetch)),
    ("/rep/claim", |body| parse(body).map(Message::Claim)),
    ("/rep/return", |body| parse(body).map(Message::Return)),
    ("/rep/dropped", |body| parse(body).map(Message::Dropped)),
    ("/rep/ledger", |body| parse(body).map(Message::Ledger)),
    ("/rep/keys", |body| parse(body).map(Message::Keys)),
];

fn kind(name: &str) -> Option<(&'static str, Decode)> {
    KINDS
        .into_iter()
        .find(|(path, _)| &path[PREFIX.len()..] == name)
}

/// The path of this kind of message, without the id of a book. `None`: there is no such kind.
pub(crate) fn path_of_kind(name: &str) -> Option<&'static str> {
    kind(name).map(|(path, _)| path)
}

/// The path that a message is put to.
pub(crate) fn path(message: &Message) -> String {
    let path = match message {
        Message::Heartbeat(_) => "/rep/heartbeat",
        Message::Get(_) => "/rep/get",
        Message::Check(_) => "/rep/check",
        Message::Update(_) => "/rep/update",
        Message::Confirm(_) => "/rep/confirm",
        Message::Page(_) => "/rep/page",
        Message::Fetch(_) => "/rep/fetch",
        Message::Claim(_) => "/rep/claim",
        Message::Return(_) => "/rep/return",
        Message::Dropped(_) => "/rep/dropped",
        Message::Ledger(_) => "/rep/ledger",
        Message::Keys(_) => "/rep/keys",
    };
    match subject(message) {
        Some(id) => format!("{path}/{id}"),
        None => path.into(),
    }
}

/// The one book that a message is about.
pub(crate) fn subject(message: &Message) -> Option<BookId> {
    match message {
        Message::Get(get) => Some(get.id),
        Message::Check(check) => Some(check.id),
        Message::Update(update) if update.books.len() == 1 => Some(update.books[0].id),
        Message::Confirm(confirm) if confirm.versions.len() == 1 => Some(confirm.versions[0].0),
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
pub(crate) fn decode(name: &str, id: Option<&str>, body: &[u8]) -> Result<Message> {
    let (_, decode) = kind(name).ok_or(Error::NoSuchPath)?;
    let message = decode(body)?;
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
    // What is no such message may be no JSON further on.
    let syntax = || serde_json::from_slice::<IgnoredAny>(body).err();
    serde_json::from_slice(body).map_err(|error| match syntax() {
        None => Error::Invalid(format!("No such message: {error}")),
        Some(error) => Error::BadRequest(format!("The body is not JSON: {error}")),
    })
}

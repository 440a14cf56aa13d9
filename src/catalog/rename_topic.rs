//! `PUT /topic/<topic>`: another name for a topic, in all its books.
//!
//! Each book is changed by itself, many in one message, so another client may see some books of the
//! old topic and some of the new one meanwhile. A request that failed in the middle is sent again:
//! it goes on with the books that are left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::Catalog;
use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::write::Update;
use crate::http::{Request, Response};
use crate::model::book::{Book, BookId, Change};
use crate::model::error::{Error, Result};
use crate::model::validation;

/// Books that are changed together.
const BATCH_BOOKS: usize = 256;

/// How often the books are gone through: those that others change at the same time are left.
const PASSES_MAX: usize = 8;

/// No batch begins later. A million books take longer: then the client is told to send it again.
const RENAMING_MAX: Duration = Duration::from_secs(60);

pub(super) fn rename(catalog: &Catalog, topic: &str, request: &Request) -> Result<Response> {
    let name = validation::parse_topic(&request.body)?;
    let until = Instant::now() + RENAMING_MAX;
    let mut renamed = 0;
    for _ in 0..PASSES_MAX {
        catalog.store.refresh_index()?;
        let (mut after, mut any) = (None, false);
        loop {
            let books = catalog.store.of_topic(topic, after, BATCH_BOOKS);
            let Some(last) = books.last() else { break };
            if until <= Instant::now() {
                return Err(unfinished());
            }
            (after, any) = (Some(last.id), true);
            // A topic that has this name already is looked for, and left as it is.
            if *name != *topic {
                renamed += rename_all(catalog, &books, &name)?;
            } else {
                renamed += books.len();
            }
        }
        if !any && renamed == 0 {
            return Err(Error::NotFound);
        }
        if !any || *name == *topic {
            return Ok(Response::json(200, &serde_json::json!({"books": renamed})));
        }
    }
    Err(unfinished())
}

/// Returns how many were changed. Others were changed by somebody else just now.
fn rename_all(catalog: &Catalog, books: &[Arc<Book>], name: &Arc<str>) -> Result<usize> {
    let updates: Vec<_> = books.iter().map(|book| update(book, name)).collect();
    let outcomes = catalog.store.batch_write(&updates);
    let mut renamed = 0;
    for ((id, update), mut outcome) in updates.iter().zip(outcomes) {
        catalog.metrics.observe(update, &outcome);
        if let Err(first) = &outcome {
            let again = catalog.change(*id, update);
            // If nobody knows what came of the first one, it may be what refuses the second.
            if again.is_ok() || !first.indefinite() {
                outcome = again;
            }
        }
        match outcome {
            Ok(_) => renamed += 1,
            Err(Error::Changed | Error::OutOfDate | Error::NotFound) => {}
            // Others of its books have the new name already.
            Err(error) if !error.indefinite() => {
                return Err(Error::TimedOut(error.message().into()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(renamed)
}

fn update(book: &Book, name: &Arc<str>) -> (BookId, Update) {
    let change = Change {
        topic: Some(name.clone()),
        ..Change::default()
    };
    let update = Update {
        change,
        if_match: Some(IfMatch::OneOf(vec![book.version])),
        ..Update::default()
    };
    (book.id, update)
}

fn unfinished() -> Error {
    Error::TimedOut("Not all books have the new topic yet: send this again".into())
}

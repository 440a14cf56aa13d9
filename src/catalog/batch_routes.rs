//! Requests of order servers that concern several books at once: `PUT /batch/query` and
//! `PUT /batch/update`.
//!
//! Each entry has an answer of its own, with the status and the body that it would have alone. No
//! entry waits for anything that concerns only itself: an entry that would have to is answered 503,
//! and the caller sends it alone. So sixty buyers of sixty books cost a few requests, a few
//! messages between catalogs and a few commits.

use serde::Serialize;
use serde_json::Value;

use crate::catalog::Catalog;
use crate::catalog::if_match::IfMatch;
use crate::catalog::replication::Read;
use crate::catalog::replication::write::{Update, Updated};
use crate::catalog::responses::{self, CurrentValues};
use crate::http::{Request, Response};
use crate::model::book::{BookId, Change, Offer};
use crate::model::error::{Error, Result};
use crate::model::number;
use crate::model::validation::{self, BatchUpdate};

/// The answer to one entry.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Item {
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        etag: Option<String>,
        /// Of the orders that the entry named, those that are applied already.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        applied: Vec<String>,
        /// The orders that were sold for their keys.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sold_as: Vec<String>,
        /// Those whose id or key was used for another book or number of copies.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        differing: Vec<String>,
        /// Those that are closed, as all are that were issued up to `forgotten`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        closed: Vec<String>,
        #[serde(skip_serializing_if = "number::is_zero")]
        forgotten: u64,
        body: ItemBody,
    },
    Updated {
        status: u16,
        /// Of a book with copies left.
        #[serde(skip_serializing_if = "Option::is_none")]
        etag: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
        body: CurrentValues<'a>,
    },
    Failed(Value),
}

#[derive(Serialize)]
#[serde(untagged)]
enum ItemBody {
    Offer(Offer),
    /// Of a book that was removed.
    Gone(Value),
}

/// Reads several books.
pub(super) fn query(catalog: &Catalog, request: &Request) -> Result<Response> {
    let queries = validation::parse_batch_queries(&request.body)?;
    let _copies = catalog.copies_in_trace(queries.iter().map(|query| query.id));
    let mut entries = Vec::with_capacity(queries.len());
    catalog.store.read_batch(&queries, &mut |read| {
        entries.push(match read.unwrap_or_else(|| Err(send_alone())) {
            Ok(read) => item_entry(&read),
            Err(error) => Entry::Failed(responses::error_entry(&error)),
        });
    });
    Ok(Response::json(200, &entries))
}

/// Sells copies of several books.
pub(super) fn update(catalog: &Catalog, request: &Request) -> Result<Response> {
    let parsed = validation::parse_batch_updates(&request.body)?;
    let outcomes = run_valid(parsed.into_iter().map(to_update), |updates| {
        let _copies = catalog.copies_in_trace(updates.iter().map(|(id, _)| *id));
        let outcomes = catalog.store.batch_write(updates);
        for ((_, update), outcome) in updates.iter().zip(&outcomes) {
            catalog.metrics.observe(update, outcome);
        }
        outcomes
    });
    let entries = outcomes.iter().map(|outcome| match outcome {
        Ok(updated) => updated_entry(updated),
        Err(error) => Entry::Failed(responses::error_entry(error)),
    });
    Ok(Response::json(200, &entries.collect::<Vec<Entry>>()))
}

/// Runs the valid entries of a batch together, and puts their outcomes in their places among the
/// errors of the others.
pub(super) fn run_valid<T, U>(
    parsed: impl Iterator<Item = Result<T>>,
    run: impl FnOnce(&[T]) -> Vec<Result<U>>,
) -> Vec<Result<U>> {
    let mut valid = Vec::new();
    let places: Vec<Result<()>> = parsed
        .map(|entry| entry.map(|entry| valid.push(entry)))
        .collect();
    let mut outcomes = run(&valid).into_iter();
    let mut next = || outcomes.next().expect("one outcome for each valid entry");
    let merged = places.into_iter().map(|place| place.and_then(|()| next()));
    merged.collect()
}

fn item_entry(read: &Read) -> Entry<'static> {
    let (status, etag, body) = if read.book.removed {
        let error: Value = responses::error_body(&Error::NotFound);
        (404, None, ItemBody::Gone(error))
    } else {
        let etag = Some(responses::etag(&read.book));
        (200, etag, ItemBody::Offer(read.book.offer()))
    };
    Entry::Item {
        status,
        etag,
        applied: responses::ids(&read.applied),
        sold_as: responses::sold_as(&read.sold_as),
        differing: responses::ids(&read.differing),
        closed: responses::ids(&read.closed),
        forgotten: read.book.applied_orders.catch_up_to(),
        body,
    }
}

fn updated_entry(updated: &Updated) -> Entry<'_> {
    Entry::Updated {
        status: 200,
        etag: (0 < updated.book.quantity).then(|| responses::etag(&updated.book)),
        replayed: updated.replayed,
        body: responses::current_values(&updated.book),
    }
}

fn to_update(entry: BatchUpdate) -> Result<(BookId, Update)> {
    let change = Change {
        quantity: entry.quantity,
        ..Change::default()
    };
    let if_match = entry.if_match.as_deref().map(IfMatch::parse).transpose()?;
    let update = Update::sale(change, if_match, entry.not_restocked_since, entry.orders)?;
    Ok((entry.id, update))
}

fn send_alone() -> Error {
    Error::Busy("This book needs read repair first: ask for it alone".into())
}

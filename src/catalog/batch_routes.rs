//! What order servers ask about several books at once: `PUT /batch/query` and `PUT /batch/update`.
//!
//! Each entry is answered by itself, with the status and the body that it would have alone, and
//! none waits for something of its own: what would have to is answered 503, to be asked for alone.
//! So sixty buyers of sixty books cost a few requests, a few messages between catalogs and a few
//! saves.

use serde::Serialize;
use serde_json::Value;

use super::Catalog;
use super::if_match::IfMatch;
use crate::catalog::replication::Read;
use crate::catalog::replication::write::Update;
use crate::catalog::responses::{self, Values};
use crate::http::{Request, Response};
use crate::model::book::{BookId, Change, Offer};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;
use crate::model::validation::{self, BatchUpdate};

/// The answer to one entry.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Item {
        status: u16,
        etag: String,
        /// Of the orders that were shown, those that have their copies already.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        applied: Vec<String>,
        body: Offer,
    },
    Updated {
        status: u16,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
        body: Values<'a>,
    },
    Failed(Value),
}

/// The books as they are, for customers who want copies.
pub fn query(catalog: &Catalog, request: &Request) -> Result<Response> {
    let queries = validation::parse_batch_queries(&request.body)?;
    let reads: Vec<_> = queries
        .iter()
        .map(|query| {
            let read = catalog.replica.try_read(query.id, &query.orders);
            read.unwrap_or_else(|| Err(unsettled()))
        })
        .collect();
    let line = |read: &Result<Read>| match read {
        Ok(read) => Line::Item {
            status: 200,
            etag: responses::etag(&read.book),
            applied: read.applied.iter().map(OrderId::to_string).collect(),
            body: read.book.offer(),
        },
        Err(error) => Line::Failed(responses::error_line(error)),
    };
    let lines: Vec<Line> = reads.iter().map(line).collect();
    Ok(Response::json(200, &lines))
}

/// Sells copies of several books.
pub fn update(catalog: &Catalog, request: &Request) -> Result<Response> {
    let judged: Vec<Result<(BookId, Update)>> = validation::parse_batch_updates(&request.body)?
        .into_iter()
        .map(sale)
        .collect();
    let fine: Vec<_> = judged.iter().flatten().cloned().collect();
    let outcomes = catalog.replica.batch_write(&fine);
    for ((_, update), outcome) in fine.iter().zip(&outcomes) {
        catalog.tally.write(update, outcome);
    }
    let mut outcomes = outcomes.iter();
    let line = |judged: &Result<_>| {
        let outcome = match judged {
            Ok(_) => outcomes.next().expect("an outcome for each").as_ref(),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(updated) => Line::Updated {
                status: 200,
                replayed: updated.replayed,
                body: responses::values(&updated.book),
            },
            Err(error) => Line::Failed(responses::error_line(error)),
        }
    };
    let lines: Vec<Line> = judged.iter().map(line).collect();
    Ok(Response::json(200, &lines))
}

fn sale(sale: BatchUpdate) -> Result<(BookId, Update)> {
    let change = Change {
        quantity: Some(sale.quantity),
        ..Change::default()
    };
    let update = Update {
        change,
        if_match: Some(IfMatch::parse(&sale.if_match)?),
        orders: sale.orders,
        all_or_none: true,
    };
    Ok((sale.id, update))
}

fn unsettled() -> Error {
    Error::Busy("This book must be settled first: ask for it alone".into())
}

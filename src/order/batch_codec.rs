//! What is said to the catalog about several books at once: `PUT /batch/query` and `PUT
//! /batch/update`.

use serde::{Deserialize, Serialize};

use crate::http::client::Answer;
use crate::model::book::BookId;
use crate::model::order::Order;
use crate::order::catalog_client::{Read, ReadRequest, Words, Write, WriteRequest};

#[derive(Serialize)]
struct Query {
    id: BookId,
    orders: Vec<String>,
}

#[derive(Serialize)]
struct Sale<'a> {
    id: BookId,
    if_match: &'a str,
    quantity: u32,
    orders: Vec<String>,
}

/// One entry of an answer.
#[derive(Deserialize)]
struct Line {
    status: u16,
    etag: Option<String>,
    #[serde(default)]
    applied: Vec<String>,
    #[serde(default)]
    replayed: bool,
    body: Words,
}

pub fn texts(orders: &[Order]) -> Vec<String> {
    orders.iter().map(Order::to_string).collect()
}

/// The body that asks for all of these.
pub fn queries(looks: &[ReadRequest]) -> Vec<u8> {
    let query = |look: &ReadRequest| Query {
        id: look.id,
        orders: texts(&look.orders),
    };
    let queries: Vec<Query> = looks.iter().map(query).collect();
    serde_json::to_vec(&queries).expect("our own values are JSON")
}

/// The body that updates all of these.
pub fn sales(takes: &[WriteRequest]) -> Vec<u8> {
    let sales: Vec<Sale> = takes
        .iter()
        .map(|take| Sale {
            id: take.id,
            if_match: &take.version,
            quantity: take.quantity,
            orders: texts(&take.orders),
        })
        .collect();
    serde_json::to_vec(&sales).expect("our own values are JSON")
}

/// What each of so many reads came to. `None`: the catalog wants to be asked for this book alone,
/// or it does not know such requests.
pub fn reads(answer: &Answer, count: usize) -> Vec<Option<Read>> {
    let read = |line: Line| {
        let settled = line.status < 500;
        settled.then(|| Read::of(line.status, line.etag, &line.applied, &line.body))
    };
    match answer.list::<Line>(count) {
        Some(lines) => lines.into_iter().map(read).collect(),
        None => vec![None; count],
    }
}

/// What each of so many updates came to. `None`: certainly nothing.
pub fn writes(answer: &Answer, count: usize) -> Vec<Option<Write>> {
    let write = |status, replayed, words: &Words| match status {
        503 => None,
        _ => Some(Write::of(status, replayed, words)),
    };
    match answer.list::<Line>(count) {
        Some(lines) => lines
            .iter()
            .map(|line| write(line.status, line.replayed, &line.body))
            .collect(),
        // An answer that makes no sense says nothing of what was done.
        None if answer.status == 200 => vec![Some(Write::unanswered(false)); count],
        None if answer.status < 500 => vec![None; count],
        None => vec![write(answer.status, false, &Words::default()); count],
    }
}

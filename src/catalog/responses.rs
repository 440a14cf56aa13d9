//! The responses of a catalog: their bodies and headers. Long ones are in `listing`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::catalog::replication::Read;
use crate::catalog::replication::write::Updated;
use crate::http::{Method, Response};
use crate::model::book::{Book, BookId};
use crate::model::error::Error;
use crate::model::order::OrderId;

/// A line of `/dump/`, and the answer to `/add`.
#[derive(Serialize)]
pub(super) struct WholeBook<'a> {
    id: BookId,
    price: f64,
    quantity: u32,
    sequence_number: u64,
    title: &'a str,
    topic: &'a str,
}

/// The answer to an update.
#[derive(Serialize)]
pub(super) struct CurrentValues<'a> {
    price: f64,
    quantity: u32,
    title: &'a str,
    topic: &'a str,
}

pub(super) fn whole_book(book: &Book) -> WholeBook<'_> {
    WholeBook {
        id: book.id,
        price: book.price,
        quantity: book.quantity,
        sequence_number: book.version.number,
        title: &book.title,
        topic: &book.topic,
    }
}

pub(super) fn current_values(book: &Book) -> CurrentValues<'_> {
    CurrentValues {
        price: book.price,
        quantity: book.quantity,
        title: &book.title,
        topic: &book.topic,
    }
}

pub(super) fn etag(book: &Book) -> String {
    format!("\"{}\"", book.version)
}

/// The answer to a look-up, 404 if the book was removed: what a buyer needs to know, the version,
/// and which of the orders that the request named are applied already, for another number of
/// copies, or closed.
pub(super) fn item(read: &Read) -> Response {
    let mut response = if read.book.removed {
        Response::from(Error::NotFound)
    } else {
        Response::json(200, &read.book.offer()).with("ETag", etag(&read.book))
    };
    if !read.applied.is_empty() {
        response = response
            .with("Idempotent-Replayed", "true")
            .with("Bazar-Applied", ids(&read.applied).join(", "));
    }
    if !read.sold_as.is_empty() {
        response = response.with("Bazar-Sold-As", sold_as(&read.sold_as).join(", "));
    }
    if !read.differing.is_empty() {
        response = response.with("Bazar-Differing", ids(&read.differing).join(", "));
    }
    if !read.closed.is_empty() {
        let forgotten = read.book.applied_orders.catch_up_to();
        let closed = format!("{}; forgotten={forgotten}", ids(&read.closed).join(", "));
        response = response.with("Bazar-Closed", closed);
    }
    response
}

pub(super) fn ids(orders: &[OrderId]) -> Vec<String> {
    orders.iter().map(OrderId::to_string).collect()
}

/// Each as `<order>=<order that was sold for its key>`.
pub(super) fn sold_as(orders: &[(OrderId, OrderId)]) -> Vec<String> {
    let pair = |(order, sold): &(OrderId, OrderId)| format!("{order}={sold}");
    orders.iter().map(pair).collect()
}

pub(super) fn updated(updated: &Updated) -> Response {
    let Updated { book, replayed } = updated;
    let response = Response::json(200, &current_values(book)).with("ETag", etag(book));
    if *replayed {
        response.with("Idempotent-Replayed", "true")
    } else {
        response
    }
}

pub(super) fn added(book: &Book) -> Response {
    Response::json(201, &whole_book(book)).with("Location", format!("/query/item/{}", book.id))
}

/// An error as one entry of a batch.
pub(super) fn error_entry(error: &Error) -> Value {
    json!({"status": error.status(), "body": error_body(error)})
}

pub(super) fn error_body(error: &Error) -> Value {
    serde_json::from_slice(&error.body()).expect("our own errors are JSON")
}

/// The answer to a request that failed. A 5xx to a write says whether the write may have happened.
pub(super) fn failed(error: Error, method: Method) -> Response {
    let unknown = error.indefinite();
    let response = Response::from(error);
    match method {
        Method::Put | Method::Post | Method::Delete | Method::Patch => {
            response.with_outcome(unknown)
        }
        _ => response,
    }
}

//! Clients' JSON bodies: each becomes a value, or is refused with 400 if it is not JSON, and with
//! 422 if it is valid JSON that violates the schema.
//!
//! A refusal says which field, what it was, and what it may be. Nothing is guessed: `"5"` and `5.0`
//! are no quantities. A field that was given twice is refused, where most JSON readers take one of
//! the two. `null` is the same as a missing field.
//!
//! This file has the bodies; `fields.rs` has the fields of all of them; `json.rs` reads JSON, and
//! `exact.rs` refuses numbers that it would change.

mod exact;
mod fields;
mod json;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::model::book::{Book, BookId, Change, Version};
use crate::model::error::Result;
use crate::model::order::Order;
use crate::model::trace::Trace;
use fields::Fields;
use json::Json;

/// The most books in one `POST /add`.
pub(crate) const NEW_BOOKS_MAX: usize = 1000;

/// The most orders in one `PUT /update`.
pub(crate) const ORDERS_MAX: usize = 256;

/// The most entries in one `PUT /batch/…`.
pub(crate) const BATCH_ENTRIES_MAX: usize = 256;

/// A book that is to be added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NewBook {
    /// `None`: the catalog chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<BookId>,
    pub(crate) title: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) quantity: u32,
    pub(crate) price: f64,
}

impl NewBook {
    /// The first copy of it.
    pub(crate) fn first_copy(&self, id: BookId, version: Version) -> Book {
        Book {
            id,
            title: self.title.clone(),
            topic: self.topic.clone(),
            quantity: self.quantity,
            price: self.price,
            version,
            removed: false,
            applied_orders: Default::default(),
            restocked_at: None,
            account: Default::default(),
        }
    }

    /// What makes it of a book with its id that was removed. The new one knows the orders of the
    /// former one.
    pub(crate) fn change_of_removed(&self) -> Change {
        Change {
            quantity: Some(self.quantity),
            added: None,
            price: Some(self.price),
            title: Some(self.title.clone()),
            topic: Some(self.topic.clone()),
            removed: Some(false),
        }
    }
}

/// The body of `POST /add`. One book and a list of books are answered in different forms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NewBooks {
    One(NewBook),
    /// Each is valid or refused by itself.
    Many(Vec<Result<NewBook>>),
}

/// An entry of `PUT /batch/query`: a book, and the orders of which the answer tells whether they
/// were applied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchQuery {
    pub(crate) id: BookId,
    pub(crate) orders: Vec<Order>,
}

/// An entry of `PUT /batch/update`: path, `If-Match` and body of a `PUT /update/<id>` that sells, or
/// a sale of a book that was not read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchUpdate {
    pub(crate) id: BookId,
    pub(crate) if_match: Option<String>,
    pub(crate) quantity: Option<u32>,
    pub(crate) not_restocked_since: Option<u64>,
    pub(crate) orders: Vec<Order>,
}

/// An entry of `PUT /batch/buy`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct BatchBuy {
    pub(crate) id: BookId,
    #[serde(serialize_with = "text")]
    pub(crate) order: Order,
    /// The client's request.
    #[serde(flatten)]
    pub(crate) trace: Trace,
}

fn text<S: Serializer>(order: &Order, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(order)
}

/// Reads the body of `PUT /update`: the change, and the orders that it applies. An empty body
/// changes nothing.
///
/// Fails with `BadRequest` or `Invalid`. Whether the orders fit to the quantity and to `If-Match`
/// is checked elsewhere.
pub(crate) fn parse_change(body: &[u8]) -> Result<(Change, Option<Vec<Order>>)> {
    if body.is_empty() {
        return Ok((Change::default(), None));
    }
    let known = ["quantity", "price", "title", "topic", "orders"];
    let mut fields = Fields::new(json::read(body)?, &known)?;
    let change = Change {
        quantity: fields.optional("quantity", fields::quantity)?,
        ..other_changes(&mut fields)?
    };
    Ok((change, fields.optional("orders", fields::distinct_orders)?))
}

/// Reads the body of `PATCH /update`: as that of `PUT`, but a quantity may be a difference, and
/// there are no orders. Fails with `BadRequest` or `Invalid`.
pub(crate) fn parse_patch(body: &[u8]) -> Result<Change> {
    let known = ["quantity", "price", "title", "topic"];
    let mut fields = Fields::new(json::read(body)?, &known)?;
    let quantity = fields.optional("quantity", |name, value| match value {
        Json::Whole(_) => fields::quantity(name, value).map(|number| (Some(number), None)),
        value => fields::difference(name, value).map(|added| (None, Some(added))),
    })?;
    let (quantity, added) = quantity.unwrap_or_default();
    Ok(Change {
        quantity,
        added,
        ..other_changes(&mut fields)?
    })
}

/// All that is no quantity.
fn other_changes(fields: &mut Fields) -> Result<Change> {
    Ok(Change {
        quantity: None,
        added: None,
        price: fields.optional("price", fields::price)?,
        title: fields.optional("title", fields::text)?,
        topic: fields.optional("topic", fields::text)?,
        removed: None,
    })
}

/// Reads the body of `PUT /batch/query`. Fails with `BadRequest` or `Invalid`.
pub(crate) fn parse_batch_queries(body: &[u8]) -> Result<Vec<BatchQuery>> {
    parse_entries(body, &["id", "orders"], |fields| {
        Ok(BatchQuery {
            id: fields.required("id", fields::id)?,
            orders: fields.required("orders", fields::orders)?,
        })
    })
}

/// Reads the body of `PUT /batch/update`. Fails with `BadRequest` or `Invalid`. Whether `if_match`
/// names a version, and does not go with `not_restocked_since`, is checked elsewhere.
pub(crate) fn parse_batch_updates(body: &[u8]) -> Result<Vec<BatchUpdate>> {
    let known = [
        "id",
        "if_match",
        "quantity",
        "not_restocked_since",
        "orders",
    ];
    parse_entries(body, &known, |fields| {
        let not_restocked_since = fields.optional("not_restocked_since", fields::version_number)?;
        let (if_match, quantity) = match not_restocked_since {
            Some(_) => (
                fields.optional("if_match", fields::if_match)?,
                fields.optional("quantity", fields::quantity)?,
            ),
            None => (
                Some(fields.required("if_match", fields::if_match)?),
                Some(fields.required("quantity", fields::quantity)?),
            ),
        };
        Ok(BatchUpdate {
            id: fields.required("id", fields::id)?,
            if_match,
            quantity,
            not_restocked_since,
            orders: fields.required("orders", fields::distinct_orders)?,
        })
    })
}

/// Reads the body of `PUT /batch/buy`. Fails with `BadRequest` or `Invalid`.
pub(crate) fn parse_batch_buys(body: &[u8]) -> Result<Vec<BatchBuy>> {
    let known = ["id", "order", "request", "traceparent"];
    parse_entries(body, &known, |fields| {
        Ok(BatchBuy {
            id: fields.required("id", fields::id)?,
            order: fields.required("order", fields::order)?,
            trace: Trace {
                id: fields.required("request", fields::text)?,
                parent: fields.optional("traceparent", fields::traceparent)?,
            },
        })
    })
}

/// Reads the body of `PUT /topic`: the new name. Fails with `BadRequest` or `Invalid`.
pub(crate) fn parse_topic(body: &[u8]) -> Result<Arc<str>> {
    let mut fields = Fields::new(json::read(body)?, &["topic"])?;
    fields.required("topic", fields::text)
}

/// Reads the body of `PUT /buy`: how many copies. Fails with `BadRequest` or `Invalid`.
pub(crate) fn parse_buy(body: &[u8]) -> Result<u32> {
    let mut fields = Fields::new(json::read(body)?, &["quantity"])?;
    let copies = fields.optional("quantity", fields::copies)?;
    Ok(copies.unwrap_or(1))
}

fn parse_entries<T>(
    body: &[u8],
    known: &[&str],
    entry: fn(&mut Fields) -> Result<T>,
) -> Result<Vec<T>> {
    let list = fields::list("The body", json::read(body)?, BATCH_ENTRIES_MAX, "entries")?;
    list.into_iter()
        .map(|value| entry(&mut Fields::new(value, known)?))
        .collect()
}

/// Reads the body of `POST /add`: one book, or a list of up to [`NEW_BOOKS_MAX`].
///
/// Fails with `BadRequest` or `Invalid`. In a list, only the invalid books fail.
pub(crate) fn parse_new_books(body: &[u8]) -> Result<NewBooks> {
    match json::read(body)? {
        Json::List(list) if NEW_BOOKS_MAX < list.len() => {
            let may = format!("a list of up to {NEW_BOOKS_MAX} books");
            Err(fields::invalid("The body", &Json::List(list), &may))
        }
        Json::List(list) => Ok(NewBooks::Many(list.into_iter().map(new_book).collect())),
        one => new_book(one).map(NewBooks::One),
    }
}

fn new_book(book: Json) -> Result<NewBook> {
    let known = ["id", "title", "topic", "quantity", "price"];
    let mut fields = Fields::new(book, &known)?;
    Ok(NewBook {
        id: fields.optional("id", fields::id)?,
        title: fields.required("title", fields::text)?,
        topic: fields.required("topic", fields::text)?,
        quantity: fields.required("quantity", fields::quantity)?,
        price: fields.required("price", fields::price)?,
    })
}

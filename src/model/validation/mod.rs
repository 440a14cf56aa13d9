//! Customers' JSON bodies become values, or are refused: 400 when they are no JSON, 422 when they
//! are JSON that cannot be.
//!
//! A refusal says which field, what it was, and what it may be. Nothing is guessed: `"5"` and `5.0`
//! are no quantities, and a field given twice is not decided for one of the two, as most JSON
//! readers do. `null` is as good as missing.

pub mod json;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::model::book::{BOOK_ID_MAX, BookId, Change, QUANTITY_MAX, TEXT_CHARS_MAX};
use crate::model::error::{Error, Result};
use crate::model::order::Order;
use json::{Json, shown};

/// More books in one `POST /add` are refused.
pub const NEW_BOOKS_MAX: usize = 1000;

/// More orders in one `PUT /update` are refused.
pub const ORDERS_MAX: usize = 256;

/// More entries in one `PUT /batch/…` are refused.
pub const BATCH_ENTRIES_MAX: usize = 256;

/// A book that is to be added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewBook {
    /// `None`: the catalog chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<BookId>,
    pub title: Arc<str>,
    pub topic: Arc<str>,
    pub quantity: u32,
    pub price: f64,
}

/// The body of `POST /add`, in the form in which it is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum NewBooks {
    One(NewBook),
    /// Each judged by itself.
    Many(Vec<Result<NewBook>>),
}

/// Reads the body of `PUT /update`: what is to change, and whose copies it takes. No body changes
/// nothing.
///
/// Fails with `BadRequest` or `Invalid`. Whether `orders` fit to the quantity and to `If-Match` is
/// not judged here.
pub fn parse_change(body: &[u8]) -> Result<(Change, Option<Vec<Order>>)> {
    if body.is_empty() {
        return Ok((Change::default(), None));
    }
    let known = ["quantity", "price", "title", "topic", "orders"];
    let mut fields = Fields::new(json::read(body)?, &known)?;
    let change = Change {
        quantity: fields.take("quantity").map(quantity).transpose()?,
        price: fields.take("price").map(price).transpose()?,
        title: fields.take("title").map(text("title")).transpose()?,
        topic: fields.take("topic").map(text("topic")).transpose()?,
    };
    let orders = fields.take("orders").map(orders).transpose()?;
    Ok((change, orders))
}

/// One entry of `PUT /batch/query`: a book, and the orders that are shown with it.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchQuery {
    pub id: BookId,
    pub orders: Vec<Order>,
}

/// One entry of `PUT /batch/update`: what stands in path, `If-Match` and body of a `PUT
/// /update/<id>` that sells.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchUpdate {
    pub id: BookId,
    pub if_match: String,
    pub quantity: u32,
    pub orders: Vec<Order>,
}

/// One entry of `PUT /batch/buy`: a customer who wants a copy.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchBuy {
    pub id: BookId,
    pub order: Order,
    /// The id of the customer's request.
    pub request: Arc<str>,
}

/// Reads the body of `PUT /batch/buy`: a list of up to [`BATCH_ENTRIES_MAX`] customers.
///
/// Fails with `BadRequest` or `Invalid`.
pub fn parse_batch_buys(body: &[u8]) -> Result<Vec<BatchBuy>> {
    let wanted = |value| {
        let mut fields = Fields::new(value, &["id", "order", "request"])?;
        Ok(BatchBuy {
            id: id(fields.need("id"))?,
            order: order("order", &fields.need("order"))?,
            request: text("request")(fields.need("request"))?,
        })
    };
    entries(body)?.into_iter().map(wanted).collect()
}

/// Reads the body of `PUT /batch/query`: a list of up to [`BATCH_ENTRIES_MAX`] books with their orders.
///
/// Fails with `BadRequest` or `Invalid`.
pub fn parse_batch_queries(body: &[u8]) -> Result<Vec<BatchQuery>> {
    let query = |value| {
        let mut fields = Fields::new(value, &["id", "orders"])?;
        Ok(BatchQuery {
            id: id(fields.need("id"))?,
            orders: listed(fields.need("orders"))?,
        })
    };
    entries(body)?.into_iter().map(query).collect()
}

/// Reads the body of `PUT /batch/update`: a list of up to [`BATCH_ENTRIES_MAX`] sales.
///
/// Fails with `BadRequest` or `Invalid`. Whether `if_match` names a version is not judged here.
pub fn parse_batch_updates(body: &[u8]) -> Result<Vec<BatchUpdate>> {
    let sale = |value| {
        let mut fields = Fields::new(value, &["id", "if_match", "quantity", "orders"])?;
        Ok(BatchUpdate {
            id: id(fields.need("id"))?,
            if_match: if_match(fields.need("if_match"))?,
            quantity: quantity(fields.need("quantity"))?,
            orders: orders(fields.need("orders"))?,
        })
    };
    entries(body)?.into_iter().map(sale).collect()
}

fn entries(body: &[u8]) -> Result<Vec<Json>> {
    match json::read(body)? {
        Json::List(list) if (1..=BATCH_ENTRIES_MAX).contains(&list.len()) => Ok(list),
        other => {
            let may = format!("a list of 1 to {BATCH_ENTRIES_MAX} entries");
            Err(wrong("The body", &other, &may))
        }
    }
}

/// Reads the body of `POST /add`: one book, or a list of up to [`NEW_BOOKS_MAX`].
///
/// Fails with `BadRequest` or `Invalid`; in a list, only those books fail that are wrong.
pub fn parse_new_books(body: &[u8]) -> Result<NewBooks> {
    match json::read(body)? {
        Json::List(list) if NEW_BOOKS_MAX < list.len() => {
            let may = format!("a list of up to {NEW_BOOKS_MAX} books");
            Err(wrong("The body", &Json::List(list), &may))
        }
        Json::List(list) => Ok(NewBooks::Many(list.into_iter().map(judge).collect())),
        one => judge(one).map(NewBooks::One),
    }
}

/// Reads one book, as it stands in a line of an import.
pub fn parse_new_book(text: &[u8]) -> Result<NewBook> {
    judge(json::read(text)?)
}

fn judge(book: Json) -> Result<NewBook> {
    let known = ["id", "title", "topic", "quantity", "price"];
    let mut fields = Fields::new(book, &known)?;
    Ok(NewBook {
        id: fields.take("id").map(id).transpose()?,
        title: text("title")(fields.need("title"))?,
        topic: text("topic")(fields.need("topic"))?,
        quantity: quantity(fields.need("quantity"))?,
        price: price(fields.need("price"))?,
    })
}

/// The fields of an object, each known and given once.
struct Fields(Vec<(String, Json)>);

impl Fields {
    fn new(value: Json, known: &[&str]) -> Result<Fields> {
        let Json::Object(fields) = value else {
            let may = format!("an object with any of {}", known.join(", "));
            return Err(wrong("The body", &value, &may));
        };
        let mut seen = HashSet::new();
        for (name, _) in &fields {
            let quoted = || shown(&Json::Text(name.clone()));
            if !known.contains(&name.as_str()) {
                let may = known.join(", ");
                return Err(Error::Invalid(format!(
                    "{} is not a field; it may be {may}",
                    quoted()
                )));
            }
            if !seen.insert(name) {
                return Err(Error::Invalid(format!(
                    "{} was given twice; it may be given once",
                    quoted()
                )));
            }
        }
        Ok(Fields(fields))
    }

    /// `None`: missing or null.
    fn take(&mut self, name: &str) -> Option<Json> {
        let value = self.need(name);
        (value != Json::Null).then_some(value)
    }

    /// Null, which is refused then, when it is missing.
    fn need(&mut self, name: &str) -> Json {
        let at = self.0.iter().position(|(known, _)| known == name);
        at.map_or(Json::Null, |at| self.0.swap_remove(at).1)
    }
}

fn wrong(field: &str, was: &Json, may: &str) -> Error {
    let was = match was {
        Json::Null => "missing".to_string(),
        was => shown(was),
    };
    Error::Invalid(format!("{field} was {was}; it may be {may}"))
}

fn quantity(value: Json) -> Result<u32> {
    let whole = match value {
        Json::Whole(number) => u32::try_from(number).ok(),
        _ => None,
    };
    let may = format!("a whole number from 0 to {QUANTITY_MAX}");
    whole
        .filter(|number| *number <= QUANTITY_MAX)
        .ok_or_else(|| wrong("quantity", &value, &may))
}

fn price(value: Json) -> Result<f64> {
    let number = match value {
        Json::Whole(number) => number as f64,
        // Zero has one sign: 0 and -0.0 would be two spellings of one price.
        Json::Float(number) if 0.0 <= number => number + 0.0,
        _ => return Err(wrong("price", &value, "a number from 0 on")),
    };
    assert!(number.is_finite() && number.is_sign_positive());
    Ok(number)
}

fn text(field: &'static str) -> impl Fn(Json) -> Result<Arc<str>> {
    move |value| match &value {
        Json::Text(text) if (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) => {
            Ok(text.as_str().into())
        }
        _ => {
            let may = format!("a text of 1 to {TEXT_CHARS_MAX} characters");
            Err(wrong(field, &value, &may))
        }
    }
}

fn id(value: Json) -> Result<BookId> {
    match value {
        Json::Whole(number @ 1..=BOOK_ID_MAX) => Ok(BookId(number)),
        _ => {
            let may = format!("a whole number from 1 to {BOOK_ID_MAX}");
            Err(wrong("id", &value, &may))
        }
    }
}

fn if_match(value: Json) -> Result<String> {
    match value {
        Json::Text(text) => Ok(text),
        other => Err(wrong("if_match", &other, r#"a text such as "\"3-12345\"""#)),
    }
}

/// AppliedOrders that are to be shown. Some may be the same: two clicks with one key ask at once.
fn listed(value: Json) -> Result<Vec<Order>> {
    let list = match value {
        Json::List(list) if (1..=ORDERS_MAX).contains(&list.len()) => list,
        _ => {
            let may = format!("a list of 1 to {ORDERS_MAX} orders");
            return Err(wrong("orders", &value, &may));
        }
    };
    list.iter()
        .map(|entry| order("An entry of orders", entry))
        .collect()
}

/// AppliedOrders that take a copy each.
fn orders(value: Json) -> Result<Vec<Order>> {
    let orders = listed(value)?;
    // One order takes one copy: twice in a list it would take two.
    let ids: HashSet<_> = orders.iter().map(|order| order.id).collect();
    let keys: Vec<_> = orders
        .iter()
        .filter_map(|order| order.key.as_ref())
        .collect();
    if ids.len() < orders.len() || keys.iter().collect::<HashSet<_>>().len() < keys.len() {
        let what = "orders had one order twice; each may be there once";
        return Err(Error::Invalid(what.into()));
    }
    Ok(orders)
}

fn order(name: &str, value: &Json) -> Result<Order> {
    let parsed = match value {
        Json::Text(text) => Order::parse_with_key(text),
        _ => None,
    };
    let may = "a text such as \"7.5; open=3\" or \"7.5; open=3; key=abc\"";
    parsed.ok_or_else(|| wrong(name, value, may))
}

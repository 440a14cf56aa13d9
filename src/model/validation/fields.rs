//! The fields of clients' JSON objects. Each function here reads one kind of field, and fails with
//! `Invalid`, which names the field.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::book::{BOOK_ID_MAX, BookId, QUANTITY_MAX, TEXT_CHARS_MAX};
use crate::model::error::{Error, Result};
use crate::model::number::EXACT_MAX;
use crate::model::order::{ORDER_COPIES_MAX, Order};
use crate::model::trace::is_traceparent;
use crate::model::validation::ORDERS_MAX;
use crate::model::validation::json::{Json, excerpt};

/// Prices are kept exactly: so large a number has 13 digits, and a float holds 15.
const PRICE_MAX: f64 = 1e9;

/// Digits behind the point of a price.
const PRICE_DECIMALS_MAX: usize = 3;

/// Reads the value of a field, whose name is for the refusal.
type Parse<T> = fn(&str, Json) -> Result<T>;

/// The fields of an object, each known and given once.
pub(super) struct Fields(Vec<(String, Json)>);

impl Fields {
    pub(super) fn new(value: Json, known: &[&str]) -> Result<Fields> {
        let Json::Object(fields) = value else {
            let may = format!("an object with any of {}", known.join(", "));
            return Err(invalid("The body", &value, &may));
        };
        for (i, (name, _)) in fields.iter().enumerate() {
            let what = if !known.contains(&name.as_str()) {
                format!("is not a field; it may be {}", known.join(", "))
            } else if fields[..i].iter().any(|(earlier, _)| earlier == name) {
                "was given twice; it may be given once".to_string()
            } else {
                continue;
            };
            let name = excerpt(&Json::Text(name.clone()));
            return Err(Error::Invalid(format!("{name} {what}")));
        }
        Ok(Fields(fields))
    }

    /// `None`: the field is missing or null.
    pub(super) fn optional<T>(&mut self, name: &str, parse: Parse<T>) -> Result<Option<T>> {
        match self.take(name) {
            Json::Null => Ok(None),
            value => parse(name, value).map(Some),
        }
    }

    pub(super) fn required<T>(&mut self, name: &str, parse: Parse<T>) -> Result<T> {
        parse(name, self.take(name))
    }

    /// A field that is missing is null, which every parser refuses.
    fn take(&mut self, name: &str) -> Json {
        let at = self.0.iter().position(|(known, _)| known == name);
        at.map_or(Json::Null, |at| self.0.swap_remove(at).1)
    }
}

/// The refusal of a value, with what the field `may` be instead.
pub(super) fn invalid(name: &str, was: &Json, may: &str) -> Error {
    let was = match was {
        Json::Null => "missing".to_string(),
        was => excerpt(was),
    };
    Error::Invalid(format!("{name} was {was}; it may be {may}"))
}

pub(super) fn quantity(name: &str, value: Json) -> Result<u32> {
    whole(name, &value, 0, u64::from(QUANTITY_MAX)).map(|number| number as u32)
}

pub(super) fn version_number(name: &str, value: Json) -> Result<u64> {
    whole(name, &value, 0, EXACT_MAX)
}

/// What one order takes.
pub(super) fn copies(name: &str, value: Json) -> Result<u32> {
    whole(name, &value, 1, u64::from(ORDER_COPIES_MAX)).map(|number| number as u32)
}

/// `{"add":20}`: a difference; `{"add":-2}` takes copies away.
pub(super) fn difference(name: &str, value: Json) -> Result<i64> {
    let may =
        format!(r#"a whole number, or {{"add":n}} with n from -{QUANTITY_MAX} to {QUANTITY_MAX}"#);
    let added = match &value {
        Json::Object(fields) => match fields.as_slice() {
            [(add, Json::Whole(number))] if add == "add" => i64::try_from(*number).ok(),
            [(add, Json::Negative(number))] if add == "add" => Some(*number),
            _ => None,
        },
        _ => None,
    };
    let fits = |added: &i64| added.unsigned_abs() <= u64::from(QUANTITY_MAX);
    added
        .filter(fits)
        .ok_or_else(|| invalid(name, &value, &may))
}

pub(super) fn id(name: &str, value: Json) -> Result<BookId> {
    whole(name, &value, 1, BOOK_ID_MAX).map(BookId)
}

fn whole(name: &str, value: &Json, from: u64, to: u64) -> Result<u64> {
    match value {
        Json::Whole(number) if (from..=to).contains(number) => Ok(*number),
        _ => {
            let may = format!("a whole number from {from} to {to}");
            Err(invalid(name, value, &may))
        }
    }
}

pub(super) fn price(name: &str, value: Json) -> Result<f64> {
    let number = match value {
        Json::Whole(number) => number as f64,
        // Zero has one sign: 0 and -0.0 would be two spellings of one price.
        Json::Float(number) => number + 0.0,
        _ => f64::NAN,
    };
    let text = number.to_string();
    let decimals = text
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    if (0.0..=PRICE_MAX).contains(&number) && decimals <= PRICE_DECIMALS_MAX {
        assert!(number.is_sign_positive());
        return Ok(number);
    }
    let may = format!(
        "a number from 0 on, up to {PRICE_MAX}, with at most {PRICE_DECIMALS_MAX} decimals"
    );
    Err(invalid(name, &value, &may))
}

pub(super) fn text(name: &str, value: Json) -> Result<Arc<str>> {
    let fits = |text: &str| {
        (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().all(is_invisible)
    };
    match value {
        Json::Text(text) if fits(&text) => Ok(text.into()),
        _ => {
            let may = format!("a text of 1 to {TEXT_CHARS_MAX} characters, not all of them blank");
            Err(invalid(name, &value, &may))
        }
    }
}

pub(super) fn traceparent(name: &str, value: Json) -> Result<Arc<str>> {
    match value {
        Json::Text(text) if is_traceparent(&text) => Ok(text.into()),
        _ => Err(invalid(name, &value, "one of the version 00 of W3C")),
    }
}

/// Whether nobody sees this character: blanks, control characters, and those that only join,
/// divide or turn others.
fn is_invisible(char: char) -> bool {
    char.is_whitespace()
        || char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

pub(super) fn if_match(name: &str, value: Json) -> Result<String> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err(invalid(name, &value, r#"a text such as "\"3-12345\"""#)),
    }
}

pub(super) fn order(name: &str, value: Json) -> Result<Order> {
    let order = match &value {
        Json::Text(text) => Order::parse_with_key(text),
        _ => None,
    };
    let may = r#"a text such as "7.5; open=3" or "7.5; open=3; key=abc""#;
    order.ok_or_else(|| invalid(name, &value, may))
}

/// A list of 1 to `max` entries, which a refusal calls `what`.
pub(super) fn list(name: &str, value: Json, max: usize, what: &str) -> Result<Vec<Json>> {
    match value {
        Json::List(list) if (1..=max).contains(&list.len()) => Ok(list),
        _ => Err(invalid(
            name,
            &value,
            &format!("a list of 1 to {max} {what}"),
        )),
    }
}

/// Orders that are only looked up. One may be there twice: two buys with one key are asked for at
/// the same time.
pub(super) fn orders(name: &str, value: Json) -> Result<Vec<Order>> {
    let list = list(name, value, ORDERS_MAX, "orders")?.into_iter();
    list.map(|entry| order("An entry of orders", entry))
        .collect()
}

/// Orders that take a copy each. One that is there twice would take two.
pub(super) fn distinct_orders(name: &str, value: Json) -> Result<Vec<Order>> {
    let orders = orders(name, value)?;
    let ids: HashSet<_> = orders.iter().map(|order| order.id).collect();
    let mut keys = HashSet::new();
    let keys_differ = orders
        .iter()
        .filter_map(|order| order.key.as_ref())
        .all(|key| keys.insert(key));
    if ids.len() < orders.len() || !keys_differ {
        let text = "orders had one order twice; each may be there once";
        return Err(Error::Invalid(text.into()));
    }
    Ok(orders)
}

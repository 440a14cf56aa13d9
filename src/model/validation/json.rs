//! JSON values. Unlike `serde_json::Value` they keep a field that was given twice, and `5.0` is as
//! whole as `5`, as in JSON Schema.

use std::{fmt, result};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::model::error::{Error, Result};
use crate::model::number::EXACT_MAX;
use crate::model::validation::exact;

/// The longest excerpt of a value in a message.
const EXCERPT_CHARS_MAX: usize = 60;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Whole(u64),
    /// A negative whole number.
    Negative(i64),
    /// Not whole, or beyond 2^53 and written with a point or an exponent, or too large for the others.
    Float(f64),
    Text(String),
    List(Vec<Json>),
    /// In the order in which they were given; twice if given twice.
    Object(Vec<(String, Json)>),
}

/// Reads one JSON value.
///
/// Fails with `BadRequest`, which says what is wrong and where; also for numbers that no float can
/// hold (`1e400`), and for more than 128 levels of brackets, which would exhaust the stack.
/// Fails with `Invalid` at a number that would become another one.
pub(super) fn read(text: &[u8]) -> Result<Json> {
    let value = serde_json::from_slice(text)
        .map_err(|error| Error::BadRequest(format!("The body is not JSON: {error}")))?;
    exact::check(text)?;
    Ok(value)
}

/// The value as JSON, cut short.
pub(super) fn excerpt(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() <= EXCERPT_CHARS_MAX {
        return text;
    }
    text.chars().take(EXCERPT_CHARS_MAX).chain(['…']).collect()
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(flag) => flag.fmt(f),
            Json::Whole(number) => number.fmt(f),
            Json::Negative(number) => number.fmt(f),
            Json::Float(number) => write!(f, "{number:?}"),
            Json::Text(text) => serde_json::Value::from(text.as_str()).fmt(f),
            Json::List(list) => write!(f, "a list of {}", list.len()),
            Json::Object(fields) => write!(f, "an object of {} fields", fields.len()),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> result::Result<Json, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> result::Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> result::Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> result::Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> result::Result<Json, E> {
        Ok(Json::Negative(number))
    }

    fn visit_f64<E>(self, number: f64) -> result::Result<Json, E> {
        if number.fract() != 0.0 || (EXACT_MAX as f64) < number.abs() {
            return Ok(Json::Float(number));
        }
        let is_negative = number < 0.0;
        Ok(if is_negative {
            Json::Negative(number as i64)
        } else {
            Json::Whole(number as u64)
        })
    }

    fn visit_str<E>(self, text: &str) -> result::Result<Json, E> {
        Ok(Json::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> result::Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> result::Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

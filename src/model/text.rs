//! Values that stand as a text in JSON, such as `"3-12345"`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads a value from its text, of which no copy is made: a message has many.
///
/// Fails with what was `expected` when `parse` returns `None`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text {
        expected,
        parse,
        value: PhantomData,
    })
}

struct Text<F, T> {
    expected: &'static str,
    parse: F,
    value: PhantomData<T>,
}

impl<T, F: Fn(&str) -> Option<T>> Visitor<'_> for Text<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let parsed = (self.parse)(text);
        parsed.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

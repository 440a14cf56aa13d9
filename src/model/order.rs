//! Order ids, and an order as it travels between servers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{number, text};

/// The most copies that one order may take.
pub(crate) const ORDER_COPIES_MAX: u32 = 1000;

/// An `Idempotency-Key` has 1 to this many visible ASCII characters.
pub(crate) const KEY_CHARS_MAX: usize = 255;

/// The id of an order: the start number of the server that issued it, and that server's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OrderId {
    pub(crate) start: u64,
    pub(crate) count: u64,
}

impl OrderId {
    /// Reads `<start>.<count>`.
    pub(crate) fn parse(text: &str) -> Option<OrderId> {
        let (start, count) = text.split_once('.')?;
        Some(OrderId {
            start: number::parse_exact(start)?,
            count: number::parse_exact(count)?,
        })
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.start, self.count)
    }
}

impl Serialize for OrderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OrderId, D::Error> {
        text::deserialize(deserializer, "an order id such as \"7.5\"", OrderId::parse)
    }
}

/// One order of one book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    /// The lowest count that the issuer has not answered yet. It never sends a lower one again.
    pub(crate) open: u64,
    /// When it was issued, in ms since 1970 by the issuer's clock; 0: not known. It never decreases
    /// from one order of an issuer to the next.
    pub(crate) at: u64,
    /// How many copies it takes, all or none: 1 to [`ORDER_COPIES_MAX`]. 0: it is an operator's
    /// change.
    pub(crate) copies: u32,
    /// The client's own `Idempotency-Key`.
    pub(crate) key: Option<Arc<str>>,
}

impl Order {
    /// Reads `<start>.<count>; open=<count>`, perhaps with `; at=<ms>` and `; copies=<n>` behind
    /// it: the header `Bazar-Order`; without a key.
    pub(crate) fn parse(text: &str) -> Option<Order> {
        let mut parts = text.split(';').map(str::trim);
        let id = OrderId::parse(parts.next()?)?;
        let open = number::parse_digits(parts.next()?.strip_prefix("open=")?)?;
        let mut parts = parts.peekable();
        let mut optional = |name| parts.next_if(|part: &&str| part.starts_with(name));
        let at = optional("at=").map_or(Some(0), |part| number::parse_exact(&part[3..]))?;
        let copies = optional("copies=").map_or(Some(1), |part| number::parse_exact(&part[7..]))?;
        let copies = u32::try_from(copies).ok().filter(is_buyable)?;
        let valid = open <= id.count && parts.next().is_none();
        valid.then_some(Order {
            id,
            open,
            at,
            copies,
            key: None,
        })
    }

    /// As [`Order::parse`], with or without `; key=<key>` at its end: an entry of `orders` in an
    /// update's body.
    pub(crate) fn parse_with_key(text: &str) -> Option<Order> {
        let Some((order, key)) = text.split_once("; key=") else {
            return Order::parse(text);
        };
        let mut order = Order::parse(order).filter(|_| is_key(key))?;
        order.key = Some(key.into());
        Some(order)
    }

    /// The header `Bazar-Order`.
    pub(crate) fn header(&self) -> String {
        let Order { id, open, at, .. } = self;
        let mut header = match at {
            0 => format!("{id}; open={open}"),
            at => format!("{id}; open={open}; at={at}"),
        };
        if self.copies != 1 {
            header += &format!("; copies={}", self.copies);
        }
        header
    }
}

impl fmt::Display for Order {
    /// As [`Order::parse_with_key`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.header())?;
        let key = self.key.as_ref();
        key.map_or(Ok(()), |key| write!(f, "; key={key}"))
    }
}

/// Whether one order may take so many copies.
fn is_buyable(copies: &u32) -> bool {
    (1..=ORDER_COPIES_MAX).contains(copies)
}

/// Whether this may be a key: 1 to [`KEY_CHARS_MAX`] visible ASCII characters.
fn is_key(text: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Reads an `Idempotency-Key`. In double quotes, with a backslash before each `"` and `\` in it
/// (RFC 8941, "Strings"), it is the same key as without.
pub(crate) fn parse_key(text: &str) -> Option<Arc<str>> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = match quoted {
        Some(inner) => unescape(inner)?,
        None => text.to_string(),
    };
    is_key(&key).then(|| key.into())
}

/// A key as [`parse_key`] reads it. In quotes only if it would lose its own: servers of an older
/// version may not know them.
pub(crate) fn write_key(key: &str) -> Cow<'_, str> {
    if !key.starts_with('"') {
        return key.into();
    }
    let escaped = key.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{escaped}\"").into()
}

/// What stands between quotes. `None`: a backslash or a quote is where none may be.
fn unescape(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(next) = chars.next() {
        plain.push(match next {
            '\\' => chars.next().filter(|next| matches!(next, '"' | '\\'))?,
            '"' => return None,
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse_key(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn a_key_in_quotes_is_the_same_key() {
        check("abc", Some("abc"));
        check(r#""abc""#, Some("abc"));
        check(r#""a\"b\\c""#, Some(r#"a"b\c"#));
        check(r#"a"b"#, Some(r#"a"b"#));
        for text in [
            "", r#""""#, "a b", r#""a b""#, r#""a"b""#, r#""a\b""#, r#""a\""#, "ä",
        ] {
            check(text, None);
        }
        check(&"k".repeat(KEY_CHARS_MAX), Some(&"k".repeat(KEY_CHARS_MAX)));
        check(&"k".repeat(KEY_CHARS_MAX + 1), None);
    }

    #[test]
    fn a_key_is_read_as_it_was_before_it_was_written() {
        let visible: Vec<char> = ('!'..='~').collect();
        let pairs = |a: char| visible.iter().map(move |b| format!("{a}{b}"));
        let mut keys: Vec<String> = visible.iter().copied().flat_map(pairs).collect();
        keys.extend(keys.clone().iter().map(|key| format!("\"{key}\"")));
        keys.extend(visible.iter().map(char::to_string));
        keys.extend(visible.iter().map(|c| c.to_string().repeat(KEY_CHARS_MAX)));
        keys.push(visible.iter().collect());
        for key in keys {
            check(&write_key(&key), Some(&key));
        }
    }
}

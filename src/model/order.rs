//! Order ids, and an order as it travels between servers.

use std::fmt;
use std::sync::Arc;

use super::number;

/// An `Idempotency-Key` has 1 to this many visible ASCII characters.
pub const KEY_CHARS_MAX: usize = 64;

/// The name of an order: who saw it first, and its place in that server's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId {
    pub start: u64,
    pub count: u64,
}

impl OrderId {
    /// Reads `<start>.<count>`.
    pub fn parse(text: &str) -> Option<OrderId> {
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

/// One order as it travels: its id, the lowest count that its giver still waits for, and the
/// customer's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub open: u64,
    pub key: Option<Arc<str>>,
}

impl Order {
    /// Reads `<start>.<count>; open=<count>`, the header `Bazar-Order`; without a key.
    pub fn parse(text: &str) -> Option<Order> {
        let (id, open) = text.split_once(';')?;
        let open = number::parse_digits(open.trim().strip_prefix("open=")?)?;
        let id = OrderId::parse(id.trim())?;
        (open <= id.count).then_some(Order {
            id,
            open,
            key: None,
        })
    }

    /// Reads `<start>.<count>; open=<count>` or `…; key=<key>` at its end, as an entry of an
    /// update's `orders`.
    pub fn parse_with_key(text: &str) -> Option<Order> {
        let Some((order, key)) = text.split_once("; key=") else {
            return Order::parse(text);
        };
        is_key(key).then_some(())?;
        Order::parse(order).map(|order| Order {
            key: Some(key.into()),
            ..order
        })
    }

    /// The header `Bazar-Order`.
    pub fn header(&self) -> String {
        format!("{}; open={}", self.id, self.open)
    }
}

impl fmt::Display for Order {
    /// As [`Order::parse_with_key`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; open={}", self.id, self.open)?;
        self.key
            .as_ref()
            .map_or(Ok(()), |key| write!(f, "; key={key}"))
    }
}

/// Whether this may be an `Idempotency-Key`: 1 to [`KEY_CHARS_MAX`] visible ASCII characters.
pub fn is_key(text: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

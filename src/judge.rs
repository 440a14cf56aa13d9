//! Customers' JSON bodies become values, or are refused with what is wrong.

use std::sync::Arc;

use crate::book::BookId;

/// A book that is to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewBook {
    /// `None`: the catalog gives it one.
    pub id: Option<BookId>,
    pub title: Arc<str>,
    pub topic: Arc<str>,
    pub quantity: u32,
    pub price: f64,
}

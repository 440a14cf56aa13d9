//! What a catalog tells the front-ends to forget: one type for both ends of
//! `DELETE /invalidate/…`.

use std::sync::Arc;

use crate::model::book::BookId;

/// What a front-end must forget before a change of a book may be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Invalidation {
    Item(BookId),
    EveryItem,
    /// Searches whose answer has a book of exactly this topic.
    Topic(Arc<str>),
    EverySearch,
}

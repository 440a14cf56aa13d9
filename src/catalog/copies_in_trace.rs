//! What a trace says of a request at a catalog: which books, at which version, and in which state
//! the copies here were before and after.

use crate::catalog::Catalog;
use crate::catalog::replication::messages::Message;
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::{BookId, Version};
use crate::runtime::span;

/// A span names no more books.
const BOOKS_MAX: usize = 8;

/// Copies that a traced request is about. What became of them is said when this is dropped.
pub(super) struct CopiesInTrace<'a> {
    catalog: &'a Catalog,
    ids: Vec<BookId>,
    before: Vec<(Option<Version>, CopyState)>,
}

impl Catalog {
    /// `None`: the request is not traced.
    pub(super) fn copies_in_trace(
        &self,
        ids: impl IntoIterator<Item = BookId>,
    ) -> Option<CopiesInTrace<'_>> {
        span::current()?;
        let ids: Vec<BookId> = ids.into_iter().take(BOOKS_MAX).collect();
        Some(CopiesInTrace {
            catalog: self,
            before: self.store.copies(&ids),
            ids,
        })
    }
}

impl Drop for CopiesInTrace<'_> {
    fn drop(&mut self) {
        let after = self.catalog.store.copies(&self.ids);
        span::set("book", || joined(self.ids.iter().map(BookId::to_string)));
        let versions = |copies: &[(Option<Version>, CopyState)]| {
            joined(copies.iter().map(|(version, _)| {
                version.map_or_else(|| "none".into(), |version| version.to_string())
            }))
        };
        let states = |copies: &[(Option<Version>, CopyState)]| {
            joined(copies.iter().map(|(_, state)| state.word().to_string()))
        };
        if after != self.before {
            span::set("version_before", || versions(&self.before));
            span::set("state_before", || states(&self.before));
        }
        span::set("version", || versions(&after));
        span::set("state", || states(&after));
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

/// The books that a message is about.
pub(super) fn subjects(message: &Message) -> Vec<BookId> {
    match message {
        Message::Get(get) => vec![get.id],
        Message::Check(check) => vec![check.id],
        Message::Update(update) => update.books.iter().map(|book| book.id).collect(),
        Message::Confirm(confirm) => confirm.versions.iter().map(|(id, _)| *id).collect(),
        Message::Claim(claim) => claim.versions.iter().map(|(id, _)| *id).collect(),
        _ => Vec::new(),
    }
}

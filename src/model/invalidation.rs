//! What a front-end must drop from its caches, and how that is a path: `DELETE /invalidate/…`.
//!
//! Catalogs send it before a change becomes visible; front-ends obey it. Percent-encoding belongs
//! to HTTP, so `path` is given the encoder, and `parse` takes decoded segments.

use std::fmt::Write;
use std::sync::Arc;

use crate::model::book::BookId;
use crate::model::error::{Error, Result};

/// What a front-end must drop from its caches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Invalidation {
    /// The lookup of one book: `/invalidate/item/<id>`.
    Item(BookId),
    /// Every lookup: `/invalidate/item/`.
    AllItems,
    /// Searches whose answer has a book of exactly this topic: `/invalidate/topic/<topic>`.
    Topic(Arc<str>),
    /// Every search: `/invalidate/topic/`.
    AllTopics,
}

/// The path for one invalidation, or for several of single items: `/invalidate/item/3,7`.
pub(crate) fn path<'a>(
    invalidations: impl IntoIterator<Item = &'a Invalidation>,
    encode: fn(&str) -> String,
) -> String {
    let mut invalidations = invalidations.into_iter();
    let mut path = match invalidations.next().expect("a path says something") {
        Invalidation::Item(id) => format!("/invalidate/item/{id}"),
        Invalidation::AllItems => "/invalidate/item/".into(),
        Invalidation::Topic(topic) => format!("/invalidate/topic/{}", encode(topic)),
        Invalidation::AllTopics => "/invalidate/topic/".into(),
    };
    for other in invalidations {
        let Invalidation::Item(id) = other else {
            unreachable!("only single items share a path");
        };
        write!(path, ",{id}").expect("a string takes everything");
    }
    path
}

/// Reads the path's two segments after `invalidate`; `kind` is `item` or `topic`.
///
/// Fails with [`Error::IdNotANumber`].
pub(crate) fn parse(kind: &str, what: &str) -> Result<Vec<Invalidation>> {
    let item = |id| BookId::parse(id).map(Invalidation::Item);
    match (kind, what) {
        ("item", "") => Ok(vec![Invalidation::AllItems]),
        ("item", ids) => {
            let items: Option<_> = ids.split(',').map(item).collect();
            items.ok_or(Error::IdNotANumber)
        }
        (_, "") => Ok(vec![Invalidation::AllTopics]),
        (_, topic) => Ok(vec![Invalidation::Topic(topic.into())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path_of: &str, invalidations: &[Invalidation]) {
        assert_eq!(path(invalidations, str::to_uppercase), path_of);
        let mut segments = path_of.split('/').skip(2);
        let (kind, what) = (segments.next().unwrap(), segments.next().unwrap());
        assert_eq!(parse(kind, what), Ok(invalidations.to_vec()));
    }

    #[test]
    fn a_path_reads_as_what_it_was_made_of() {
        check("/invalidate/item/", &[Invalidation::AllItems]);
        check("/invalidate/item/7", &[Invalidation::Item(BookId(7))]);
        let two = [3, 7].map(|id| Invalidation::Item(BookId(id)));
        check("/invalidate/item/3,7", &two);
        check("/invalidate/topic/", &[Invalidation::AllTopics]);
        check(
            "/invalidate/topic/A B",
            &[Invalidation::Topic("A B".into())],
        );
        assert_eq!(parse("item", "3,x"), Err(Error::IdNotANumber));
    }
}

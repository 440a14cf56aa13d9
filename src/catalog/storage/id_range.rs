//! Which books stand in one file, and what that file is called.

use crate::model::book::{BOOK_ID_MAX, BookId};

/// A file holds the books of this many ids.
const IDS_PER_FILE: u64 = 100;

/// The ids whose books are in one file, by the number of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IdRange(u64);

impl IdRange {
    pub(super) fn of(id: BookId) -> IdRange {
        IdRange(id.0 / IDS_PER_FILE)
    }

    pub(super) fn first(self) -> BookId {
        BookId(self.0 * IDS_PER_FILE)
    }

    pub(super) fn last(self) -> BookId {
        BookId(self.0 * IDS_PER_FILE + (IDS_PER_FILE - 1))
    }

    /// `books-0000100-0000199.json`: seven digits, so that a list of files is in order up to ten
    /// million books.
    pub(super) fn file_name(self) -> String {
        format!("books-{:07}-{:07}.json", self.first().0, self.last().0)
    }

    /// The range whose file has exactly this name.
    pub(super) fn parse(file_name: &str) -> Option<IdRange> {
        let (first, _) = file_name.strip_prefix("books-")?.split_once('-')?;
        let first = BookId::parse(first).filter(|id| id.0 <= BOOK_ID_MAX)?;
        Some(IdRange::of(first)).filter(|range| range.file_name() == file_name)
    }
}

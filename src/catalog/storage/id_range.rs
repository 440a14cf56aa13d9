//! Which books stand in one file, and what that file is called.

use crate::model::book::{BOOK_ID_MAX, BookId};

/// A file holds the books of this many ids.
///
/// With more, a sale writes more bytes; with fewer, the sales of a batch are in more files. Of 64
/// customers who bought among 1,000 books, 200 served 7 % more than 100 did, and 500 another 9 %;
/// but one customer alone waited 11 % longer with 500 (20 pairs, 2 catalogs on one disk).
pub(super) const IDS_PER_FILE: u64 = 200;

/// So many from [`HIGH_IDS`] on. Some earlier versions had so many everywhere.
const FEWER_IDS_PER_FILE: u64 = 100;

/// A shop of so many books has two sales of a batch in one file so seldom that small files are
/// faster.
const HIGH_IDS: u64 = 10_000;

/// The ids whose books are in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IdRange {
    first: u64,
    ids: u64,
}

impl IdRange {
    pub(super) fn of(id: BookId) -> IdRange {
        let is_high = HIGH_IDS <= id.0;
        let ids = if is_high {
            FEWER_IDS_PER_FILE
        } else {
            IDS_PER_FILE
        };
        IdRange::among(id, ids)
    }

    fn among(id: BookId, ids: u64) -> IdRange {
        let first = id.0 - id.0 % ids;
        IdRange { first, ids }
    }

    pub(super) fn first(self) -> BookId {
        BookId(self.first)
    }

    pub(super) fn last(self) -> BookId {
        BookId(self.first + (self.ids - 1))
    }

    /// The ranges of this version that hold these ids, ascending: those of a file of an earlier one.
    pub(super) fn present(self) -> impl Iterator<Item = IdRange> {
        let (first, last) = (IdRange::of(self.first()), IdRange::of(self.last()));
        [first].into_iter().chain((first != last).then_some(last))
    }

    /// `books-0000200-0000399.json`: seven digits, so that a list of files is in order up to ten
    /// million books.
    pub(super) fn file_name(self) -> String {
        format!("books-{:07}-{:07}.json", self.first().0, self.last().0)
    }

    /// The range whose file has exactly this name.
    pub(super) fn parse(file_name: &str) -> Option<IdRange> {
        IdRange::parse_any(file_name).filter(|range| *range == IdRange::of(range.first()))
    }

    /// As [`IdRange::parse`], of a file of an earlier version.
    pub(super) fn parse_earlier(file_name: &str) -> Option<IdRange> {
        IdRange::parse_any(file_name).filter(|range| *range != IdRange::of(range.first()))
    }

    fn parse_any(file_name: &str) -> Option<IdRange> {
        let (first, _) = file_name.strip_prefix("books-")?.split_once('-')?;
        let first = BookId::parse(first).filter(|id| id.0 <= BOOK_ID_MAX)?;
        let sizes = [IDS_PER_FILE, FEWER_IDS_PER_FILE].into_iter();
        let mut ranges = sizes.map(|ids| IdRange::among(first, ids));
        ranges.find(|range| range.file_name() == file_name)
    }
}

//! Book files of earlier versions, which held the books of more or fewer ids each. Opening writes
//! their books into present ones, and removes them.
//!
//! A present file is put on disk with the books of all its ids before an earlier one is removed.
//! So where both are there, a crash was in between, and what both have is in the present one.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::storage::Reader;
use crate::catalog::storage::data_dir::Contents;
use crate::catalog::storage::group_commit::GroupCommit;
use crate::catalog::storage::id_range::IdRange;
use crate::model::book::{Book, BookId};
use crate::runtime::log;

/// Present files that are written before the next ones are begun.
const FILES_PER_STEP: usize = 64;

/// The earlier files of a folder.
pub(super) struct EarlierFiles {
    files: Vec<IdRange>,
    /// The present files that are still to be written, in ascending order.
    unwritten: BTreeSet<IdRange>,
}

impl EarlierFiles {
    pub(super) fn among(contents: &Contents) -> EarlierFiles {
        let files = contents.earlier.clone();
        let present: BTreeSet<&IdRange> = contents.ranges.iter().collect();
        let needed = files.iter().flat_map(|file| file.present());
        EarlierFiles {
            unwritten: needed.filter(|range| !present.contains(range)).collect(),
            files,
        }
    }

    /// Those whose books are not all in a present file.
    pub(super) fn to_read(&self) -> impl Iterator<Item = IdRange> {
        let is_unwritten = |range| self.unwritten.contains(&range);
        let needed = move |file: &&IdRange| file.present().any(is_unwritten);
        self.files.iter().filter(needed).copied()
    }

    /// Forgets what an earlier file says of a book that a present one has. `books` is all that was
    /// read, the present file's first.
    pub(super) fn forget_read_twice(&self, books: &mut Vec<Book>) {
        if !self.files.is_empty() {
            books.sort_by_key(|book| book.id);
            books.dedup_by_key(|book| book.id);
        }
    }

    /// Writes the present files, and removes the earlier ones. `books` is all that was read, by id.
    ///
    /// Fails with path and reason when one cannot be written or removed.
    pub(super) fn replace(self, files: &Arc<GroupCommit>, books: &[Book]) -> Result<(), String> {
        if self.files.is_empty() {
            return Ok(());
        }
        let unwritten: Vec<IdRange> = self.unwritten.into_iter().collect();
        for ranges in unwritten.chunks(FILES_PER_STEP) {
            write(files, ranges, books)?;
        }
        for file in &self.files {
            files.dir.remove(&files.dir.path_of(*file))?;
        }
        let fields: [log::Field; 2] = [("from", &self.files.len()), ("to", &unwritten.len())];
        log::info("books are in files of other sizes now", &fields);
        Ok(())
    }
}

fn write(files: &Arc<GroupCommit>, ranges: &[IdRange], books: &[Book]) -> Result<(), String> {
    let of = |range: &IdRange| between(books, range.first(), range.last());
    let copies: Vec<Arc<Book>> = ranges.iter().flat_map(of).cloned().map(Arc::new).collect();
    let ids: Vec<BookId> = copies.iter().map(|book| book.id).collect();
    let read: Reader = Arc::new(move |first, last| Ok(between(&copies, first, last).to_vec()));
    files.save(&ids, &read)
}

/// Those with these ids, of some that are ordered by id.
fn between<B: Borrow<Book>>(books: &[B], first: BookId, last: BookId) -> &[B] {
    let from = books.partition_point(|book| book.borrow().id < first);
    let to = books.partition_point(|book| book.borrow().id <= last);
    &books[from..to]
}

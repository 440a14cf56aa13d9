//! Book files of earlier versions, which held the books of fewer ids each. Opening writes their
//! books into present ones, and removes them.
//!
//! A present file is put on disk with the books of all its ids before an earlier one is removed.
//! So where both are there, a crash was in between, and the earlier one says nothing new.

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
        let needed = files.iter().map(|file| IdRange::of(file.first()));
        EarlierFiles {
            unwritten: needed.filter(|range| !present.contains(range)).collect(),
            files,
        }
    }

    /// Those whose books are not in a present file.
    pub(super) fn to_read(&self) -> impl Iterator<Item = IdRange> {
        let needed = |file: &&IdRange| self.unwritten.contains(&IdRange::of(file.first()));
        self.files.iter().filter(needed).copied()
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
        log::info("books are in larger files now", &fields);
        Ok(())
    }
}

fn write(files: &Arc<GroupCommit>, ranges: &[IdRange], books: &[Book]) -> Result<(), String> {
    let of = |range: &IdRange| between(books, range.first(), range.last());
    let copies: Vec<Arc<Book>> = ranges.iter().flat_map(of).cloned().map(Arc::new).collect();
    let ids: Vec<BookId> = copies.iter().map(|book| book.id).collect();
    let read: Reader = Arc::new(move |first, last| between(&copies, first, last).to_vec());
    files.save(&ids, &read)
}

/// Those with these ids, of some that are ordered by id.
fn between<B: Borrow<Book>>(books: &[B], first: BookId, last: BookId) -> &[B] {
    let from = books.partition_point(|book| book.borrow().id < first);
    let to = books.partition_point(|book| book.borrow().id <= last);
    &books[from..to]
}

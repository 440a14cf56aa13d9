//! The books on disk: JSON files of up to 100 books each, whole at every moment, on disk before the
//! answer.
//!
//! The file `books-0000100-0000199.json` holds the books with ids 100 to 199: a JSON array, one
//! book a line, to be read by a person and, while no catalog runs on the folder, changed by one. A
//! small shop has one file, a million books have 10,000. There is no index and no log beside them:
//! memory has all books, and opening reads all files.
//!
//! # Saving
//!
//! A file is replaced, never changed: the new content goes into `<name>.tmp`, then fsync of that,
//! rename, fsync of the folder. Whoever wants files replaced takes part in a *commit* ([`commit`]):
//! one is under way at a time, and replaces all files that were asked for until it began, each
//! once, shared among threads, and of a share in steps: all are written, all are put on disk, all
//! are renamed. Then one fsync of the folder stands for all of them. A file that cannot be replaced
//! fails those who asked for it, stays whole (only where the folder's own fsync fails the new one
//! may be there, whole too), and leaves no temporary file; the next commit tries again.
//!
//! # What a crash can leave, and what opening does with it
//!
//! - `<name>.tmp`, whole or not: nobody was told that it is saved. Removed.
//! - The old file or the new one, when the folder's fsync had not ended: both are whole, nobody was
//!   told. Taken as it is.
//! - `first-stock.unfinished`: it is made before the first file of the first stock and removed
//!   after the last one is on disk. No catalog has run on this folder yet. All book files are
//!   removed, and the first stock is written again.
//! - No folder, or one without book files: the first start.
//!
//! Temporary files are removed only when they are plain files, and only after everything else was
//! found in order: when opening fails on what the files hold, it has changed nothing. Any other
//! file is left alone, with a warning in the log.

pub mod data_dir;
pub mod decode;
pub mod file_image;
pub mod first_stock;
pub mod group_commit;
pub mod recovery;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::model::book::{Book, BookId};

use data_dir::{Folder, Range};
pub use first_stock::FirstStock;
use group_commit::{Files, Tally};

/// How many threads write the first stock.
const THREADS_SAVING: usize = 8;

/// Gives the books with these ids, first to last, as they are in memory, by id.
pub type Reader = Arc<dyn Fn(BookId, BookId) -> Vec<Arc<Book>> + Send + Sync>;

/// A folder of books that no other catalog has open.
pub struct Storage(Arc<Files>);

impl Storage {
    /// Opens the folder, made if it is missing, and gives all its books by id. A folder without
    /// books starts with the first stock, every book at version 0-0. Equal topics are one `Arc`.
    ///
    /// Fails with what is wrong, where (file, line and column), when another catalog has the folder
    /// open, a file cannot be read, or a file holds what no catalog wrote.
    pub fn open(dir: &Path, first_stock: &FirstStock) -> Result<(Storage, Vec<Book>), String> {
        let folder = Folder::open(dir)?;
        let books = recovery::read(&folder, first_stock)?;
        Ok((Storage(Files::new(folder)), books))
    }

    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Puts the files of these books on disk. Returns once a replacement of each of them that began
    /// after this call has ended. `read` may be called by whoever does a replacement, so the caller
    /// may hold no lock that it needs.
    ///
    /// Fails with path and reason when one replacement fails. The others may have been made.
    pub fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String> {
        let mut ranges: Vec<Range> = ids.iter().copied().map(Range::of).collect();
        ranges.sort_unstable();
        ranges.dedup();
        self.0.save(&ranges, read)
    }
}

//! The books on disk: JSON files of up to 200 books each, or 100 from id 10,000 on, complete at every
//! moment, and on disk before the answer.
//!
//! The file `books-0000200-0000399.json` holds the books with ids 200 to 399: a JSON array, one
//! book a line. A person may read it and, while no catalog uses the folder, edit it. A small shop
//! has one file, a million books have 10,000. There is no index and no log beside them: memory has
//! all books, and opening reads all files.
//!
//! In which order to read: this file; `group_commit` (what a save does), `data_dir` (how a file is
//! replaced), `id_range`, `file_image` and `stored_book` (its name and its content); then opening:
//! `recovery`, `decode`, `first_stock`, `earlier_files`; and `ledger_files`.
//!
//! # Saving
//!
//! A file is replaced, never changed: the new content goes into `<name>.tmp`; then fsync of that
//! file, rename, fsync of the folder. A thread that wants files replaced takes part in a *commit*
//! (`group_commit`). One commit runs at a time. It replaces all files that were requested until it
//! began, each once. Several threads share the files; each thread writes all of its share, then
//! puts all of it on disk, then renames all of it. One fsync of the folder covers all renames.
//!
//! # When the disk is full, or fails in another way
//!
//! - A file that cannot be replaced fails the saves that requested it, and no others. The old file
//!   stays complete, and no temporary file is left. (If only the fsync of the folder fails, the new
//!   file may be in its place; it is complete too.) The next save tries again.
//! - What a failed save means for the write behind it (507, not undone) and for the catalog (its
//!   heartbeats say so, and the shop goes on without it, until a trial save succeeds) is in
//!   `src/catalog/replication/PROTOCOL.md`, "When a catalog's disk is full".
//! - `/readyz` answers that a disk that takes writes is missing, and the metric
//!   `bazar_disk_refuses` is 1.
//! - If the folder cannot be opened or read, the process ends with the path and the reason.
//!
//! # What a crash can leave, and what opening does with it
//!
//! - `<name>.tmp`, complete or not: no save of it was acknowledged. Removed.
//! - The old file or the new one, when the fsync of the folder had not ended: both are complete,
//!   and the save was not acknowledged. Read as it is.
//! - `standing.json` without `"whole": true`: the folder is new. It has no books, or not all of
//!   them yet: the first stock, or what the other catalogs have, is still to come.
//! - A file of an earlier version, such as `books-0000200-0000299.json`, beside the present ones
//!   of its ids: the books are in those. Removed.
//! - No folder, or a folder without files: the first start.
//!
//! Temporary files are removed only if they are plain files, and only after all book files were
//! read without an error: an opening that fails because of their content has changed nothing. Any
//! other file is left alone, with a warning in the log.

mod data_dir;
mod decode;
mod earlier_files;
mod file_image;
pub(crate) mod first_stock;
pub(crate) mod group_commit;
mod id_range;
mod ledger_files;
mod plain_file;
mod recovery;
mod stored_book;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::catalog::replication::Opened;
use crate::catalog::replication::left_out::{NotSaved, Record};
use crate::catalog::storage::data_dir::DataDir;
use crate::catalog::storage::first_stock::FirstStock;
use crate::catalog::storage::group_commit::{CommitMetrics, GroupCommit};
use crate::catalog::storage::ledger_files::LedgerFiles;
use crate::model::book::entry::Entry;
use crate::model::book::{Book, BookId};
use crate::runtime::exit::Exit;
use crate::runtime::sync::lock;

pub(crate) use crate::catalog::storage::stored_book::StoredBook;

/// Returns the books with these ids, first to last, as they are in memory, by id. Fails with the
/// reason why they must not be put on disk now.
pub(crate) type Reader =
    Arc<dyn Fn(BookId, BookId) -> Result<Vec<Arc<Book>>, String> + Send + Sync>;

/// A folder of books that no other catalog has open.
pub(crate) struct Storage {
    group_commit: Arc<GroupCommit>,
    /// Locked while entries are put on disk, by one thread at a time.
    ledger: Mutex<LedgerFiles>,
}

impl Storage {
    /// Opens the folder, which is created if it is missing, and returns what it holds, after this
    /// start was counted in it. Equal topics are one `Arc`.
    ///
    /// Fails with [`Exit::Misconfigured`], the reason and its place (file, line and column) when
    /// another catalog has the folder open, a file cannot be read, or a file holds what no catalog
    /// wrote; and with [`Exit::Failed`] when the disk refuses.
    pub(crate) fn open(path: &Path, first_stock: &FirstStock) -> Result<(Storage, Opened), Exit> {
        let dir = DataDir::open(path).map_err(Exit::Misconfigured)?;
        let (ledger, entries) = LedgerFiles::open(&dir).map_err(Exit::Misconfigured)?;
        let (opened, earlier) = recovery::recover(&dir, first_stock)?;
        let group_commit = GroupCommit::new(dir);
        let replaced = earlier.replace(&group_commit, &opened.books);
        replaced.map_err(Exit::Failed)?;
        let storage = Storage {
            group_commit,
            ledger: Mutex::new(ledger),
        };
        Ok((storage, Opened { entries, ..opened }))
    }

    /// Replaces what is kept of the catalog's standing, and returns once it is on disk. Fails with
    /// path and reason.
    pub(crate) fn save_record(&self, record: &Record) -> Result<(), NotSaved> {
        self.group_commit.dir.save_record(record)
    }

    pub(crate) fn metrics(&self) -> &CommitMetrics {
        &self.group_commit.metrics
    }

    /// Puts these books on disk. Returns once a replacement of each of their files that began
    /// after this call has ended. Any thread that takes part in the commit may call `read`, so the
    /// caller may hold no lock that it needs.
    ///
    /// Fails with path and reason when one replacement fails. The others may have been made.
    pub(crate) fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        self.group_commit.save(&ids, read)
    }

    /// Puts these entries of the ledger on disk. Fails with path and reason; then some of them may
    /// be there.
    pub(crate) fn save_entries(&self, entries: &[Arc<Entry>]) -> Result<(), String> {
        lock(&self.ledger).save(&self.group_commit.dir, entries)
    }
}

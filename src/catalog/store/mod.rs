//! The books on disk: JSON files of up to 100 books each, whole at every moment, on disk before the answer.
//!
//! The file `books-0000100-0000199.json` holds the books with ids 100 to 199: a JSON array, one book a line, to be read by
//! a person and, while no catalog runs on the folder, changed by one. A small shop has one file, a million books have
//! 10,000. There is no index and no log beside them: memory has all books, and opening reads all files.
//!
//! # Saving
//!
//! A file is replaced, never changed: the new content goes into `<name>.tmp`, then fsync of that, rename, fsync of the
//! folder. Threads that wait for the same file share one replacement ([`group::Group`]); different files are replaced at
//! once: two right away, and two more for those who have waited 10 ms for their turn. The old file is kept open until its
//! waiters were told ([`folder::Old`]).
//! A replacement that fails fails all who share it, leaves the old file whole (only where the folder's own fsync fails
//! the new one may be there, whole too), and removes its temporary file; the next one tries again.
//!
//! One fsync of the folder is not shared by the replacements of several files: eight threads made 4,260 replacements a
//! second with it and 4,520 without any, since the file system commits them together by itself.
//!
//! # What a crash can leave, and what opening does with it
//!
//! - `<name>.tmp`, whole or not: nobody was told that it is saved. Removed.
//! - The old file or the new one, when the folder's fsync had not ended: both are whole, nobody was told. Taken as it is.
//! - `first-stock.unfinished`: it is made before the first file of the first stock and removed after the last one is on
//!   disk. No catalog has run on this folder yet. All book files are removed, and the first stock is written again.
//! - No folder, or one without book files: the first start.
//!
//! Temporary files are removed only when they are plain files, and only after everything else was found in order: when
//! opening fails on what the files hold, it has changed nothing. Any other file is left alone, with a warning in the log.

mod first_stock;
mod folder;
mod group;
mod opening;
mod page;
mod reading;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::book::{Book, BookId};
use crate::catalog::pool::{Pool, Work};

pub use first_stock::FirstStock;
use folder::{Folder, Range};
use group::Group;
use page::{Page, Pages};
use slots::Slots;

/// How many files are replaced at once for single changes.
const RUNS_MAX: usize = 4;

/// While so many are, the next ones wait, but no longer than [`HOLD_MAX`], and gather changes of their files meanwhile. 64
/// customers all over ten files needed 0.98 replacements a sale in two catalogs without that, 0.71 with two and 0.66 with
/// one at once; in turns they bought 1,447, 1,647 and 1,847 copies a second without and 1,790, 1,763 and 2,027 with one, and
/// 4 % fewer with two than with one. All over 10,000 files there is nothing to gather: 874 and 1,031 with one, 1,001 and
/// 1,035 with two.
const ENOUGH: usize = 2;

/// See [`ENOUGH`].
const HOLD_MAX: Duration = Duration::from_millis(10);

/// A save of more files than this, as when catching up, has nothing to gather: it does not stand in that line.
const BULK: usize = 16;

/// How many threads there are for the files of one save, and for writing the first stock.
const THREADS_SAVING: usize = 8;

/// Gives the books with these ids, first to last, as they are in memory, by id.
pub type Reader = Arc<dyn Fn(BookId, BookId) -> Vec<Arc<Book>> + Send + Sync>;

/// A folder of books that no other catalog has open.
pub struct Store {
    files: Arc<Files>,
    /// Replace what one save asks for beside its first file.
    savers: Pool<Saving>,
}

struct Files {
    folder: Folder,
    /// For each file that was ever replaced. Held for a look only.
    groups: Mutex<HashMap<Range, Arc<Group>>>,
    pages: Pages,
    slots: Slots,
    bulk_slots: Slots,
}

/// One file to be replaced.
struct Saving {
    files: Arc<Files>,
    range: Range,
    bulk: bool,
    read: Reader,
    done: Sender<Result<(), String>>,
}

impl Store {
    /// Opens the folder, made if it is missing, and gives all its books by id. A folder without books starts with the
    /// first stock, every book at version 0-0. Equal topics are one `Arc`.
    ///
    /// Fails with what is wrong, where (file, line and column), when another catalog has the folder open, a file cannot be
    /// read, or a file holds what no catalog wrote.
    pub fn open(dir: &Path, first_stock: &FirstStock) -> Result<(Store, Vec<Book>), String> {
        let folder = Folder::open(dir)?;
        let books = opening::read(&folder, first_stock)?;
        let files = Arc::new(Files {
            folder,
            groups: Mutex::default(),
            pages: Pages::default(),
            slots: Slots::gathering(RUNS_MAX, ENOUGH, HOLD_MAX),
            bulk_slots: Slots::new(THREADS_SAVING),
        });
        let savers = Pool::new("saver".into(), THREADS_SAVING);
        Ok((Store { files, savers }, books))
    }

    /// Puts the files of these books on disk. Returns once a replacement of each of them that began after this call has
    /// ended. `read` is called by whoever does a replacement, so the caller may hold no lock that it needs.
    ///
    /// Fails with path and reason when one replacement fails. The others may have been made.
    pub fn save(&self, ids: &[BookId], read: &Reader) -> Result<(), String> {
        let mut ranges: Vec<Range> = ids.iter().copied().map(Range::of).collect();
        ranges.sort_unstable();
        ranges.dedup();
        let Some((first, others)) = ranges.split_first() else {
            return Ok(());
        };
        let bulk = BULK < ranges.len();
        let (done, outcomes) = channel();
        for range in others {
            self.savers.send(Saving {
                files: self.files.clone(),
                range: *range,
                bulk,
                read: read.clone(),
                done: done.clone(),
            });
        }
        let mine = self.files.replace(*first, bulk, read);
        let of_others = outcomes.iter().take(others.len());
        of_others.fold(mine, Result::and)
    }
}

impl Files {
    fn replace(&self, range: Range, bulk: bool, read: &Reader) -> Result<(), String> {
        let slots = if bulk { &self.bulk_slots } else { &self.slots };
        self.group(range).share(slots, || {
            let books = read(range.first(), range.last());
            let page = Page::of(range, books, &self.pages.take(range));
            let replaced = self.folder.replace(range, &page);
            self.pages.keep(range, page);
            match replaced {
                Ok(old) => (Ok(()), Some(old)),
                Err(why) => (Err(why), None),
            }
        })
    }

    fn group(&self, range: Range) -> Arc<Group> {
        let mut groups = self.groups.lock().expect("nothing panics under this lock");
        groups.entry(range).or_default().clone()
    }
}

impl Work for Saving {
    fn run(batch: Vec<Saving>) {
        for saving in batch {
            let outcome = saving
                .files
                .replace(saving.range, saving.bulk, &saving.read);
            let done = saving.done.clone();
            // Once the folder's owner hears of it the folder may be opened again.
            drop(saving);
            // Nobody listens any more when another thread of this save panicked.
            let _ = done.send(outcome);
        }
    }

    /// Too many wait: whoever wants it does it.
    fn refuse(self) {
        Saving::run(vec![self]);
    }
}

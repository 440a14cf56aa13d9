//! The data folder: what its files are called, and how one of them is replaced whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::catalog::storage::file_image::Page;
use crate::model::book::{BOOK_ID_MAX, BookId};

/// A file holds the books of this many ids.
const BOOKS_MAX: u64 = 100;

/// The ids whose books are in one file, by the number of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range(u64);

impl Range {
    pub fn of(id: BookId) -> Range {
        Range(id.0 / BOOKS_MAX)
    }

    pub fn first(self) -> BookId {
        BookId(self.0 * BOOKS_MAX)
    }

    pub fn last(self) -> BookId {
        BookId(self.0 * BOOKS_MAX + (BOOKS_MAX - 1))
    }

    /// `books-0000100-0000199.json`: seven digits, so that a list of files is in order up to ten
    /// million books.
    pub fn file_name(self) -> String {
        format!("books-{:07}-{:07}.json", self.first().0, self.last().0)
    }

    pub fn temporary_name(self) -> String {
        self.file_name() + TEMPORARY
    }

    /// The range whose file has just this name.
    pub fn parse(file_name: &str) -> Option<Range> {
        let (first, _) = file_name.strip_prefix("books-")?.split_once('-')?;
        let first = BookId::parse(first).filter(|id| id.0 <= BOOK_ID_MAX)?;
        Some(Range::of(first)).filter(|range| range.file_name() == file_name)
    }
}

/// The end of a temporary file's name.
const TEMPORARY: &str = ".tmp";

/// See `first-stock.unfinished` in the module's docs.
const UNFINISHED: &str = "first-stock.unfinished";

/// What the folder holds.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// Of the files of books, in order.
    pub ranges: Vec<Range>,
    pub temporary: Vec<PathBuf>,
    /// Whether the first stock was not written to its end.
    pub unfinished: bool,
    /// What is none of these.
    pub strangers: Vec<PathBuf>,
}

/// A file that has yet to take the place of a range's.
pub struct New {
    range: Range,
    file: File,
}

/// A file that was replaced, if there was one: kept open, so that the system frees its content when
/// this is dropped, and not while it has the folder locked for the rename. Eight threads made 5,400
/// replacements a second instead of 4,100.
pub struct Old(#[expect(dead_code, reason = "for its drop")] Option<File>);

/// A folder, locked against other catalogs while this exists.
pub struct Folder {
    path: PathBuf,
    /// Open for the lock, which ends with the process however that ends, and for fsync.
    handle: File,
    /// Held while a file is made or renamed. The system does that one at a time in a folder anyway,
    /// but whoever waits for it there burns a processor: at the same rate 8 threads took 1.2 ms of
    /// it for a replacement without this lock and 0.8 ms with it, 32 threads 2.0 ms and 0.9 ms
    /// (ext4 without a journal, 2 cores, many files replaced before).
    names: Mutex<()>,
}

impl Folder {
    /// Makes the folder if it is missing and locks it.
    pub fn open(path: &Path) -> Result<Folder, String> {
        let handle = make(path)
            .and_then(|()| File::open(path))
            .map_err(|e| format!("cannot open {}: {e}", path.display()))?;
        let path = path.to_path_buf();
        match handle.try_lock() {
            Ok(()) => Ok(Folder {
                path,
                handle,
                names: Mutex::default(),
            }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "cannot use {}: another catalog uses it",
                path.display()
            )),
            Err(TryLockError::Error(e)) => Err(format!("cannot lock {}: {e}", path.display())),
        }
    }

    pub fn path_of(&self, range: Range) -> PathBuf {
        self.path.join(range.file_name())
    }

    pub fn contents(&self) -> Result<Contents, String> {
        self.list()
            .map_err(|e| format!("cannot list {}: {e}", self.path.display()))
    }

    fn list(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let temporary_of = name.strip_suffix(TEMPORARY).and_then(Range::parse);
            match Range::parse(name) {
                Some(range) => contents.ranges.push(range),
                None if name == UNFINISHED => contents.unfinished = true,
                None if temporary_of.is_some() && entry.file_type()?.is_file() => {
                    contents.temporary.push(entry.path())
                }
                None => contents.strangers.push(entry.path()),
            }
        }
        contents.ranges.sort_unstable();
        Ok(contents)
    }

    /// Replaces a range's file; it is on disk after the next [`Folder::sync`].
    pub fn put(&self, range: Range, page: &Page) -> Result<Old, String> {
        let new = self.write(range, page)?;
        self.name(self.settle(new)?)
    }

    /// Writes what is to replace a range's file.
    pub fn write(&self, range: Range, page: &Page) -> Result<New, String> {
        let new = self.naming(|| File::create(self.temporary(range)));
        let written = new.and_then(|mut file| file.write_all(&page.text).map(|()| file));
        let file = written.map_err(|e| self.give_up(range, e))?;
        Ok(New { range, file })
    }

    /// Puts that on disk.
    pub fn settle(&self, new: New) -> Result<New, String> {
        let settled = new.file.sync_all();
        settled.map_err(|e| self.give_up(new.range, e))?;
        Ok(new)
    }

    /// Gives it the name of the range's file. Gives the old one.
    pub fn name(&self, new: New) -> Result<Old, String> {
        let path = self.path_of(new.range);
        let old = File::open(&path).ok();
        let named = self.naming(|| fs::rename(self.temporary(new.range), path));
        named.map_err(|e| self.give_up(new.range, e))?;
        Ok(Old(old))
    }

    fn temporary(&self, range: Range) -> PathBuf {
        self.path.join(range.temporary_name())
    }

    fn give_up(&self, range: Range, why: io::Error) -> String {
        remove_plain(&self.temporary(range));
        format!("cannot save {}: {why}", self.path_of(range).display())
    }

    fn naming<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.names.lock().expect("nothing panics under this lock");
        work()
    }

    /// Puts on disk what was renamed, made and removed before this call.
    pub fn sync(&self) -> Result<(), String> {
        let failed = |e| format!("cannot save {}: {e}", self.path.display());
        self.handle.sync_all().map_err(failed)
    }

    /// Says, on disk, that the first stock is not whole yet.
    pub fn mark_unfinished(&self) -> Result<(), String> {
        let path = self.path.join(UNFINISHED);
        File::create(&path)
            .and_then(|file| fill(file, b"The first stock is being written here.\n"))
            .map_err(|e| format!("cannot save {}: {e}", path.display()))?;
        self.sync()
    }

    /// Puts the first stock's files on disk, and then says that it is whole.
    pub fn mark_finished(&self) -> Result<(), String> {
        self.sync()?;
        self.remove(&self.path.join(UNFINISHED))?;
        self.sync()
    }

    pub fn remove(&self, path: &Path) -> Result<(), String> {
        fs::remove_file(path).map_err(|e| format!("cannot remove {}: {e}", path.display()))
    }
}

/// Makes a folder and puts it on disk.
fn make(path: &Path) -> io::Result<()> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made = path.ancestors().take_while(missing).count();
    fs::create_dir_all(path)?;
    let whole = path.canonicalize()?;
    for parent in whole.ancestors().skip(1).take(made) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Writes an empty file; its content is on disk when this returns.
fn fill(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

/// Removes a temporary file. Should that fail too, opening does it. What is not a plain file was
/// not made here.
fn remove_plain(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        let _ = fs::remove_file(path);
    }
}

/// Does the work for each item, several at once, this thread among them. After a failure no further
/// item is begun; that failure comes back.
pub fn in_parallel<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let failed = || next.store(items.len(), Ordering::Relaxed);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item).inspect_err(|_| failed())?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len()))
            .map(|_| scope.spawn(run))
            .collect();
        let mine = run();
        let theirs = others
            .into_iter()
            .map(|other| other.join().expect("a save that panics is a bug"));
        theirs.fold(mine, Result::and)
    })
}

//! Opening a data folder: reading its files after a clean stop or a crash.

use std::fmt::Display;
use std::path::Path;
use std::thread;

use crate::catalog::replication::Opened;
use crate::catalog::replication::left_out::Record;
use crate::catalog::storage::data_dir::{Contents, DataDir};
use crate::catalog::storage::decode::{TopicInterner, decode_books};
use crate::catalog::storage::earlier_files::EarlierFiles;
use crate::catalog::storage::first_stock::FirstStock;
use crate::catalog::storage::id_range::{IDS_PER_FILE, IdRange};
use crate::catalog::storage::plain_file;
use crate::catalog::storage::stored_book::StoredBook;
use crate::model::book::{Book, STAMP_MAX};
use crate::runtime::exit::Exit;
use crate::runtime::log;

/// More threads than this do not read faster: one thread joins what they read.
const READERS_MAX: usize = 8;

/// What a folder holds. Counts this start, on disk, and removes what a crash left behind.
///
/// Fails with [`Exit::Misconfigured`] when something cannot be read, and with [`Exit::Failed`] when
/// the disk refuses: it may take the next start.
pub(super) fn recover(
    dir: &DataDir,
    first_stock: &FirstStock,
) -> Result<(Opened, EarlierFiles), Exit> {
    let contents = dir.contents().map_err(Exit::Misconfigured)?;
    let (mut opened, earlier) = read(dir, &contents, first_stock).map_err(Exit::Misconfigured)?;
    opened.record.begin_start(fastrand::u64(1..=STAMP_MAX));
    let counted = dir.save_record(&opened.record);
    counted.map_err(|error| Exit::Failed(error.why))?;
    for path in contents.temporary.iter().chain(&contents.unfinished) {
        dir.remove(path).map_err(Exit::Failed)?;
    }
    for path in &contents.foreign {
        log::warn("ignored in the data folder", &[("path", &path.display())]);
    }
    Ok((opened, earlier))
}

fn read(
    dir: &DataDir,
    contents: &Contents,
    first_stock: &FirstStock,
) -> Result<(Opened, EarlierFiles), String> {
    let earlier = EarlierFiles::among(contents);
    let ranges = contents.ranges.iter().copied().chain(earlier.to_read());
    let ranges: Vec<IdRange> = ranges.collect();
    let mut books = read_all(dir, &ranges)?;
    earlier.forget_read_twice(&mut books);
    let record = match &contents.record {
        Some(path) => read_record(path)?,
        // A new folder, or one of an earlier version, which is whole.
        None => Record {
            whole: !ranges.is_empty() && contents.unfinished.is_none(),
            ..Record::default()
        },
    };
    let first_stock = if record.whole {
        None
    } else {
        Some(first_stock.read()?)
    };
    let opened = Opened {
        books,
        entries: Vec::new(),
        record,
        first_stock,
        go_on_without: Vec::new(),
    };
    Ok((opened, earlier))
}

fn read_record(path: &Path) -> Result<Record, String> {
    let json = plain_file::read(path)?;
    let cannot = |why: &dyn Display| format!("cannot use {}: {why}", path.display());
    let record: Record = serde_json::from_slice(&json).map_err(|e| cannot(&e))?;
    match record.ids_per_file {
        0 | IDS_PER_FILE => Ok(record),
        ids => Err(cannot(&format!("another version puts {ids} ids in a file"))),
    }
}

fn read_all(dir: &DataDir, ranges: &[IdRange]) -> Result<Vec<Book>, String> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(READERS_MAX));
    let topics = TopicInterner::default();
    let read = |ranges: &[IdRange]| read_files(dir, ranges, topics.for_other_thread());
    let mut parts = in_parallel(threads, ranges, read)?.into_iter();
    let mut books = parts.next().unwrap_or_default();
    parts.for_each(|mut part| books.append(&mut part));
    Ok(books)
}

fn read_files(
    dir: &DataDir,
    ranges: &[IdRange],
    mut topics: TopicInterner,
) -> Result<Vec<Book>, String> {
    let mut books = Vec::new();
    for range in ranges {
        let path = dir.path_of(*range);
        let text = plain_file::read(&path)?;
        let from = books.len();
        let ids = range.first()..=range.last();
        decode_books::<StoredBook>(&text, ids, &mut topics, &mut books)
            .map_err(|why| format!("cannot use {}: {why}", path.display()))?;
        // A person may have moved lines.
        books[from..].sort_unstable_by_key(|book| book.id);
    }
    Ok(books)
}

/// Divides the items among threads, this one included, in stretches of neighbours. Returns what
/// `work` returned for each stretch, in order, or the first error.
fn in_parallel<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&[T]) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let work = &work;
    let mut stretches = items.chunks((items.len().div_ceil(threads)).max(1));
    let own = stretches.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = stretches
            .map(|stretch| scope.spawn(move || work(stretch)))
            .collect();
        let own = work(own);
        let others = others
            .into_iter()
            .map(|other| other.join().expect("a panic here is a bug"));
        [own].into_iter().chain(others).collect()
    })
}

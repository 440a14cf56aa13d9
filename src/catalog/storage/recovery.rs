//! Opening a data folder: reading its files after a clean stop or a crash, or writing the first
//! stock.

use std::fs;
use std::sync::Arc;
use std::thread;

use crate::catalog::storage::data_dir::{Contents, DataDir};
use crate::catalog::storage::decode::{TopicInterner, decode_books};
use crate::catalog::storage::file_image::FileImage;
use crate::catalog::storage::first_stock::FirstStock;
use crate::catalog::storage::id_range::IdRange;
use crate::model::book::{Book, BookId};
use crate::runtime::log;

/// How many threads write the first stock.
const WRITERS_MAX: usize = 8;

/// More threads than this do not read faster: one thread joins what they read.
const READERS_MAX: usize = 8;

/// The books of a folder, by id. Removes what a crash left behind, and writes the first stock at
/// the first start.
pub(super) fn recover(dir: &DataDir, first_stock: &FirstStock) -> Result<Vec<Book>, String> {
    let contents = dir.contents()?;
    let books = if contents.unfinished || contents.ranges.is_empty() {
        write_first_stock(dir, &contents, first_stock)?
    } else {
        read_all(dir, &contents.ranges)?
    };
    for path in &contents.temporary {
        dir.remove(path)?;
    }
    for path in &contents.foreign {
        log::warn("ignored in the data folder", &[("path", &path.display())]);
    }
    Ok(books)
}

/// Writes the first stock, marked as unfinished until all of it is on disk.
fn write_first_stock(
    dir: &DataDir,
    contents: &Contents,
    first_stock: &FirstStock,
) -> Result<Vec<Book>, String> {
    let books = first_stock.read()?;
    dir.mark_unfinished()?;
    for range in &contents.ranges {
        dir.remove(&dir.path_of(*range))?;
    }
    let same_file = |a: &Book, b: &Book| IdRange::of(a.id) == IdRange::of(b.id);
    let mut files: Vec<&[Book]> = books.chunk_by(same_file).collect();
    if files.is_empty() {
        // Without any file the next start would be a first one.
        files.push(&[]);
    }
    in_parallel(WRITERS_MAX, &files, |files| {
        for books in files {
            let range = IdRange::of(books.first().map_or(BookId(0), |book| book.id));
            let copies = books.iter().cloned().map(Arc::new).collect();
            let image = FileImage::render(range, copies, &FileImage::default());
            dir.replace(range, &image)?;
        }
        Ok(())
    })?;
    dir.mark_finished()?;
    Ok(books)
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
        let text = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let from = books.len();
        let ids = range.first()..=range.last();
        decode_books::<Book>(&text, ids, &mut topics, &mut books)
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
    let mut stretches = items.chunks(items.len().div_ceil(threads));
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

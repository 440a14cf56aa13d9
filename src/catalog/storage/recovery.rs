//! Opening a folder: reading what is there, or writing the first stock.

use std::fs;
use std::sync::Arc;
use std::thread;

use crate::model::book::{Book, BookId};
use crate::runtime::log;

use super::THREADS_SAVING;
use crate::catalog::storage::data_dir::{Contents, Folder, Range, in_parallel};
use crate::catalog::storage::decode::{self, Topics};
use crate::catalog::storage::file_image::Page;
use crate::catalog::storage::first_stock::FirstStock;

/// More threads than this do not read faster: taking the pieces together is one thread's work.
const THREADS_READING_MAX: usize = 8;

/// The books of a folder, by id. Puts the folder in order after a crash, and writes the first stock
/// at the first start.
pub fn read(folder: &Folder, first_stock: &FirstStock) -> Result<Vec<Book>, String> {
    let contents = folder.contents()?;
    let books = if contents.unfinished || contents.ranges.is_empty() {
        begin(folder, &contents, first_stock)?
    } else {
        read_all(folder, &contents.ranges)?
    };
    for path in &contents.temporary {
        folder.remove(path)?;
    }
    for path in &contents.strangers {
        log::warn("ignored in the data folder", &[("path", &path.display())]);
    }
    Ok(books)
}

/// Writes the first stock, such that a crash on the way is known at the next start.
fn begin(
    folder: &Folder,
    contents: &Contents,
    first_stock: &FirstStock,
) -> Result<Vec<Book>, String> {
    let books = first_stock.read()?;
    folder.mark_unfinished()?;
    for range in &contents.ranges {
        folder.remove(&folder.path_of(*range))?;
    }
    let same_file = |a: &Book, b: &Book| Range::of(a.id) == Range::of(b.id);
    let files: Vec<&[Book]> = books.chunk_by(same_file).collect();
    in_parallel(THREADS_SAVING, &files, |books| {
        let range = Range::of(books[0].id);
        folder.put(range, &first_page(range, books)).map(drop)
    })?;
    if books.is_empty() {
        // Without any file the next start would be a first one.
        let range = Range::of(BookId(0));
        folder.put(range, &first_page(range, &books))?;
    }
    folder.mark_finished()?;
    Ok(books)
}

fn first_page(range: Range, books: &[Book]) -> Page {
    let copies = books.iter().cloned().map(Arc::new).collect();
    Page::of(range, copies, &Page::default())
}

/// Each thread reads its own stretch of the files, so that the pieces are in order.
fn read_all(folder: &Folder, ranges: &[Range]) -> Result<Vec<Book>, String> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_READING_MAX));
    let topics = Topics::default();
    let mut stretches = ranges.chunks(ranges.len().div_ceil(threads));
    thread::scope(|scope| {
        let mine = stretches.next().unwrap_or_default();
        let others: Vec<_> = stretches
            .map(|ranges| {
                let topics = topics.another();
                scope.spawn(|| read_stretch(folder, ranges, topics))
            })
            .collect();
        let mut books = read_stretch(folder, mine, topics.another())?;
        for other in others {
            books.append(&mut other.join().expect("reading does not panic")?);
        }
        Ok(books)
    })
}

fn read_stretch(
    folder: &Folder,
    ranges: &[Range],
    mut topics: Topics,
) -> Result<Vec<Book>, String> {
    let mut books = Vec::new();
    for range in ranges {
        let path = folder.path_of(*range);
        let text = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let from = books.len();
        let ids = range.first()..=range.last();
        decode::parse::<Book>(&text, ids, &mut topics, &mut books)
            .map_err(|what| format!("cannot use {}: {what}", path.display()))?;
        // A person may have moved lines.
        books[from..].sort_unstable_by_key(|book| book.id);
    }
    Ok(books)
}

//! The storage as a catalog sees it, on real files.

mod doors;
mod earlier_files;
mod recovery;
mod saving;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use super::*;

/// A data folder, removed at the end of a test that did not fail.
struct TestDir(PathBuf);

impl TestDir {
    fn new() -> TestDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "bazar-storage-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, SeqCst)
        );
        TestDir(std::env::temp_dir().join(name))
    }

    /// With this text in its first file.
    fn with(text: &str) -> TestDir {
        let dir = TestDir::new();
        fs::create_dir(&dir.0).unwrap();
        fs::write(dir.file(), text).unwrap();
        dir
    }

    fn file(&self) -> PathBuf {
        self.0.join("books-0000000-0000199.json")
    }

    fn temporary(&self) -> PathBuf {
        self.0.join("books-0000000-0000199.json.tmp")
    }

    fn open(&self) -> Result<(Storage, Opened), String> {
        Storage::open(&self.0, &FirstStock::BuiltIn).map_err(|exit| exit.to_string())
    }

    fn books(&self) -> Vec<Book> {
        self.open().unwrap().1.books
    }

    /// As a catalog without peers does at its first start.
    fn stock(&self) -> Vec<Book> {
        let (storage, opened) = self.open().unwrap();
        let books = opened.first_stock.unwrap();
        let all: Vec<Arc<Book>> = books.iter().cloned().map(Arc::new).collect();
        let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
        let read: Reader = Arc::new(move |first, last| {
            let within = |book: &&Arc<Book>| first <= book.id && book.id <= last;
            Ok(all.iter().filter(within).cloned().collect())
        });
        storage.save(&ids, &read).unwrap();
        let record = Record {
            whole: true,
            ..opened.record
        };
        storage.save_record(&record).unwrap();
        books
    }

    /// The names of the files.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if !thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

const FIRST: &str = "books-0000000-0000199.json";

const RECORD: &str = "standing.json";

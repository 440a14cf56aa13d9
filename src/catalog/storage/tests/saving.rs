//! Saving: an acknowledged save is in the files, whatever else happens.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::thread;

use super::*;

/// The books in memory, as the shelf has them.
#[derive(Clone)]
struct Books(Arc<Mutex<Vec<Arc<Book>>>>);

impl Books {
    fn of(books: Vec<Book>) -> Books {
        Books(Arc::new(Mutex::new(
            books.into_iter().map(Arc::new).collect(),
        )))
    }

    /// This many books like the first of the built-in stock.
    fn many(count: u64) -> Books {
        let book = FirstStock::BuiltIn.read().unwrap().remove(0);
        let with_id = |id| Book {
            id: BookId(id),
            ..book.clone()
        };
        Books::of((0..count).map(with_id).collect())
    }

    fn read(&self, first: BookId, last: BookId) -> Vec<Arc<Book>> {
        let books = self.0.lock().unwrap();
        let inside = books
            .iter()
            .filter(|book| first <= book.id && book.id <= last);
        inside.cloned().collect()
    }

    /// Takes one copy. Returns how many are left.
    fn sell(&self, id: BookId) -> u32 {
        let mut books = self.0.lock().unwrap();
        let book = books.iter_mut().find(|book| book.id == id).unwrap();
        let book = Arc::make_mut(book);
        book.quantity -= 1;
        book.version.number += 1;
        book.quantity
    }

    fn save(&self, storage: &Storage, ids: &[u64]) -> Result<(), String> {
        let ids: Vec<BookId> = ids.iter().copied().map(BookId).collect();
        let books = self.clone();
        let read: Reader = Arc::new(move |first, last| Ok(books.read(first, last)));
        storage.save(&ids, &read)
    }

    fn all(&self) -> Vec<Book> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|book| (**book).clone())
            .collect()
    }
}

/// The quantity of a book as it stands in a file now.
fn on_disk(path: &Path, id: u64) -> u32 {
    let books: Vec<Book> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    books
        .iter()
        .find(|book| book.id == BookId(id))
        .unwrap()
        .quantity
}

#[test]
fn saved_books_are_there_after_a_restart() {
    let dir = TestDir::new();
    let books = dir.stock();
    let (storage, _) = dir.open().unwrap();
    let books = Books::of(books);
    assert_eq!(books.sell(BookId(2)), 4);
    books.save(&storage, &[2]).unwrap();
    drop(storage);
    assert_eq!(dir.books(), books.all());
}

#[test]
fn many_books_are_in_files_of_two_hundred() {
    let dir = TestDir::new();
    let (storage, _) = dir.open().unwrap();
    let books = Books::many(1050);
    let ids: Vec<u64> = (0..1050).collect();
    books.save(&storage, &ids).unwrap();
    drop(storage);
    assert_eq!(dir.names().len(), 7);
    assert_eq!(dir.names()[5], "books-0001000-0001199.json");
    assert_eq!(dir.books(), books.all());
}

#[test]
fn every_acknowledged_save_is_in_the_file() {
    let dir = TestDir::new();
    let (storage, _) = dir.open().unwrap();
    let books = Books::many(600);
    books
        .0
        .lock()
        .unwrap()
        .iter_mut()
        .for_each(|book| Arc::make_mut(book).quantity = 1000);
    books.save(&storage, &[0, 200, 400]).unwrap();
    let names = dir.names().into_iter().filter(|name| name != RECORD);
    let files: Vec<_> = names.map(|name| dir.0.join(name)).collect();
    let work = |thread: u64| {
        for turn in 0..20 {
            let id = (thread * 7 + turn * 101) % 600;
            let left = books.sell(BookId(id));
            books.save(&storage, &[id]).unwrap();
            assert!(on_disk(&files[id as usize / 200], id) <= left);
        }
    };
    thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || work(thread));
        }
    });
    drop(storage);
    assert_eq!(dir.books(), books.all());
    assert_eq!(dir.names().len(), 4);
}

#[test]
fn saves_that_wait_for_a_commit_share_the_next_one() {
    let dir = TestDir::new();
    let (storage, _) = dir.open().unwrap();
    let books = Books::many(600);
    let (go, may_go) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let gate = Mutex::new((begun, may_go));
    let slow_books = books.clone();
    let slowly: Reader = Arc::new(move |first, last| {
        let gate = gate.lock().unwrap();
        gate.0.send(()).unwrap();
        gate.1.recv().unwrap();
        Ok(slow_books.read(first, last))
    });
    thread::scope(|scope| {
        let slow = scope.spawn(|| storage.save(&[BookId(5)], &slowly));
        has_begun.recv().unwrap();
        let (storage, books) = (&storage, &books);
        let waiting: Vec<_> = (0..12)
            .map(|n| scope.spawn(move || books.save(storage, &[n * 50])))
            .collect();
        storage.group_commit.await_waiting(12);
        go.send(()).unwrap();
        slow.join().unwrap().unwrap();
        for one in waiting {
            one.join().unwrap().unwrap();
        }
    });
    let made = storage.metrics();
    let made = (made.commits.get(), made.files_replaced.get());
    assert_eq!(made, (2, 4), "the first file twice, the others once");
    drop(storage);
    assert_eq!(dir.books(), books.all());
}

#[test]
fn a_failing_disk_loses_nothing_and_works_again() {
    let dir = TestDir::new();
    let books = dir.stock();
    let (storage, _) = dir.open().unwrap();
    let before = fs::read(dir.file()).unwrap();
    let books = Books::of(books);
    books.sell(BookId(1));
    let refused = || books.save(&storage, &[1]).unwrap_err();
    symlink("/dev/full", dir.temporary()).unwrap();
    let full = format!(
        "cannot save {}: No space left on device",
        dir.file().display()
    );
    assert!(refused().starts_with(&full), "{}", refused());
    fs::remove_file(dir.temporary()).unwrap();
    fs::create_dir(dir.temporary()).unwrap();
    assert!(refused().contains("Is a directory"), "{}", refused());
    assert_eq!(fs::read(dir.file()).unwrap(), before);
    fs::remove_dir(dir.temporary()).unwrap();
    books.save(&storage, &[1]).unwrap();
    assert_eq!(on_disk(&dir.file(), 1), 9);
}

#[test]
fn a_failed_save_leaves_no_temporary_file() {
    let dir = TestDir::new();
    let books = dir.stock();
    let (storage, _) = dir.open().unwrap();
    fs::remove_file(dir.file()).unwrap();
    fs::create_dir(dir.file()).unwrap();
    Books::of(books).save(&storage, &[1]).unwrap_err();
    assert_eq!(dir.names(), [FIRST, RECORD]);
}

#[test]
fn one_of_several_files_that_cannot_be_saved_fails_the_save() {
    let dir = TestDir::new();
    let (storage, _) = dir.open().unwrap();
    symlink("/dev/full", dir.0.join("books-0000200-0000399.json.tmp")).unwrap();
    let refused = Books::many(600).save(&storage, &[1, 201, 401]).unwrap_err();
    assert!(refused.contains("books-0000200-0000399.json"), "{refused}");
}

#[test]
fn a_file_that_cannot_be_saved_does_not_fail_saves_of_other_files() {
    let dir = TestDir::new();
    let (storage, _) = dir.open().unwrap();
    let books = Books::many(400);
    symlink("/dev/full", dir.temporary()).unwrap();
    thread::scope(|scope| {
        let (books, storage) = (&books, &storage);
        let save = |id| books.save(storage, &[id]).is_err();
        let saves: Vec<_> = (0..16)
            .map(|n| scope.spawn(move || (n, save(n % 2 * 200))))
            .collect();
        for save in saves {
            let (n, failed) = save.join().unwrap();
            assert_eq!(failed, n % 2 == 0);
        }
    });
}

//! The store as a catalog sees it, on real files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::thread;

use super::*;
use crate::book::{QUANTITY_MAX, Version};

/// A data folder, removed at the end of a test that did not fail.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "bazar-store-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, SeqCst)
        );
        Place(std::env::temp_dir().join(name))
    }

    /// With that text in its first file.
    fn with(text: &str) -> Place {
        let place = Place::new();
        fs::create_dir(&place.0).unwrap();
        fs::write(place.file(), text).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.0.join("books-0000000-0000099.json")
    }

    fn temporary(&self) -> PathBuf {
        self.0.join("books-0000000-0000099.json.tmp")
    }

    fn open(&self) -> Result<(Store, Vec<Book>), String> {
        Store::open(&self.0, &FirstStock::BuiltIn)
    }

    fn books(&self) -> Vec<Book> {
        self.open().unwrap().1
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

impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

const FIRST: &str = "books-0000000-0000099.json";

/// The books in memory, as the shelf has them.
struct Memory(Mutex<Vec<Arc<Book>>>);

impl Memory {
    fn of(books: Vec<Book>) -> Memory {
        Memory(Mutex::new(books.into_iter().map(Arc::new).collect()))
    }

    /// So many books of the built-in kind.
    fn many(count: u64) -> Memory {
        let book = FirstStock::BuiltIn.read().unwrap().remove(0);
        let with_id = |id| Book {
            id: BookId(id),
            ..book.clone()
        };
        Memory::of((0..count).map(with_id).collect())
    }

    fn read(&self, first: BookId, last: BookId) -> Vec<Arc<Book>> {
        let books = self.0.lock().unwrap();
        let inside = books
            .iter()
            .filter(|book| first <= book.id && book.id <= last);
        inside.cloned().collect()
    }

    /// Takes one copy and gives what is left.
    fn sell(&self, id: BookId) -> u32 {
        let mut books = self.0.lock().unwrap();
        let book = books.iter_mut().find(|book| book.id == id).unwrap();
        let book = Arc::make_mut(book);
        book.quantity -= 1;
        book.version.number += 1;
        book.quantity
    }

    fn save(&self, store: &Store, ids: &[u64]) -> Result<(), String> {
        let ids: Vec<BookId> = ids.iter().copied().map(BookId).collect();
        store.save(&ids, &|first, last| self.read(first, last))
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

/// The quantity of a book as a file has it now.
fn on_disk(path: &Path, id: u64) -> u32 {
    let books: Vec<Book> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    books
        .iter()
        .find(|book| book.id == BookId(id))
        .unwrap()
        .quantity
}

#[test]
fn a_new_folder_has_the_first_stock_one_book_a_line() {
    let place = Place::new();
    let books = place.books();
    assert_eq!(books.len(), 7);
    assert!(books.iter().all(|book| book.version == Version::FIRST));
    assert_eq!(place.names(), [FIRST]);
    assert_eq!(fs::read_to_string(place.file()).unwrap().lines().count(), 9);
    assert_eq!(place.books(), books);
}

#[test]
fn equal_topics_are_one_in_memory() {
    let place = Place::new();
    drop(place.open());
    let books = place.books();
    assert!(Arc::ptr_eq(&books[0].topic, &books[1].topic));
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let place = Place::new();
    let (store, books) = place.open().unwrap();
    let memory = Memory::of(books);
    assert_eq!(memory.sell(BookId(2)), 4);
    memory.save(&store, &[2]).unwrap();
    drop(store);
    assert_eq!(place.books(), memory.all());
}

#[test]
fn many_books_are_in_files_of_a_hundred() {
    let place = Place::new();
    let (store, _) = place.open().unwrap();
    let memory = Memory::many(1050);
    let ids: Vec<u64> = (0..1050).collect();
    memory.save(&store, &ids).unwrap();
    drop(store);
    assert_eq!(place.names().len(), 11);
    assert_eq!(place.names()[10], "books-0001000-0001099.json");
    assert_eq!(place.books(), memory.all());
}

#[test]
fn every_save_that_was_acknowledged_is_in_the_file() {
    let place = Place::new();
    let (store, _) = place.open().unwrap();
    let memory = Memory::many(300);
    memory
        .0
        .lock()
        .unwrap()
        .iter_mut()
        .for_each(|book| Arc::make_mut(book).quantity = 1000);
    memory.save(&store, &[0, 100, 200]).unwrap();
    let files: Vec<_> = place
        .names()
        .iter()
        .map(|name| place.0.join(name))
        .collect();
    let work = |thread: u64| {
        for turn in 0..20 {
            let id = (thread * 7 + turn * 101) % 300;
            let left = memory.sell(BookId(id));
            memory.save(&store, &[id]).unwrap();
            assert!(on_disk(&files[id as usize / 100], id) <= left);
        }
    };
    thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || work(thread));
        }
    });
    drop(store);
    assert_eq!(place.books(), memory.all());
    assert_eq!(place.names().len(), 3);
}

#[test]
fn a_file_that_waits_does_not_hold_up_another() {
    let place = Place::new();
    let (store, _) = place.open().unwrap();
    let memory = Memory::many(200);
    let (go, may_go) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let gate = Mutex::new((begun, may_go));
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            store.save(&[BookId(5)], &|first, last| {
                let gate = gate.lock().unwrap();
                gate.0.send(()).unwrap();
                gate.1.recv().unwrap();
                memory.read(first, last)
            })
        });
        has_begun.recv().unwrap();
        memory.save(&store, &[105]).unwrap();
        go.send(()).unwrap();
        slow.join().unwrap().unwrap();
    });
}

#[test]
fn a_disk_that_refuses_loses_nothing_and_works_again() {
    let place = Place::new();
    let (store, books) = place.open().unwrap();
    let before = fs::read(place.file()).unwrap();
    let memory = Memory::of(books);
    memory.sell(BookId(1));
    let refused = || memory.save(&store, &[1]).unwrap_err();
    symlink("/dev/full", place.temporary()).unwrap();
    let full = format!(
        "cannot save {}: No space left on device",
        place.file().display()
    );
    assert!(refused().starts_with(&full), "{}", refused());
    fs::remove_file(place.temporary()).unwrap();
    fs::create_dir(place.temporary()).unwrap();
    assert!(refused().contains("Is a directory"), "{}", refused());
    assert_eq!(fs::read(place.file()).unwrap(), before);
    fs::remove_dir(place.temporary()).unwrap();
    memory.save(&store, &[1]).unwrap();
    assert_eq!(on_disk(&place.file(), 1), 9);
}

#[test]
fn a_save_that_failed_leaves_no_temporary_file() {
    let place = Place::new();
    let (store, books) = place.open().unwrap();
    fs::remove_file(place.file()).unwrap();
    fs::create_dir(place.file()).unwrap();
    Memory::of(books).save(&store, &[1]).unwrap_err();
    assert_eq!(place.names(), [FIRST]);
}

#[test]
fn one_of_several_files_that_cannot_be_saved_fails_the_save() {
    let place = Place::new();
    let (store, _) = place.open().unwrap();
    symlink("/dev/full", place.0.join("books-0000100-0000199.json.tmp")).unwrap();
    let refused = Memory::many(300).save(&store, &[1, 101, 201]).unwrap_err();
    assert!(refused.contains("books-0000100-0000199.json"), "{refused}");
}

#[test]
fn a_second_catalog_is_refused_until_the_first_is_gone() {
    let place = Place::new();
    let first = place.open().unwrap();
    let refused = place.open().err().unwrap();
    assert!(refused.ends_with("another catalog uses it"), "{refused}");
    drop(first);
    assert_eq!(place.books().len(), 7);
}

#[test]
fn an_unfinished_temporary_file_is_removed_and_strangers_stay() {
    let place = Place::new();
    drop(place.open());
    fs::write(place.temporary(), "[{\"id\":1").unwrap();
    for stranger in [
        "notes.txt",
        "books-5-7.json",
        "books-0000001-0000100.json.tmp",
    ] {
        fs::write(place.0.join(stranger), "mine").unwrap();
    }
    assert_eq!(place.books().len(), 7);
    assert!(!place.temporary().exists());
    assert_eq!(place.names().len(), 4);
}

#[test]
fn a_first_start_that_was_cut_off_begins_again() {
    let place = Place::with("[]");
    fs::write(place.0.join("books-0000300-0000399.json"), "[]").unwrap();
    fs::write(place.0.join("first-stock.unfinished"), "").unwrap();
    assert_eq!(place.books().len(), 7);
    assert_eq!(place.names(), [FIRST]);
}

#[test]
fn a_shop_that_began_empty_stays_empty() {
    let (place, stock) = (Place::new(), Place::with("[]"));
    let empty = FirstStock::File(stock.file());
    assert_eq!(Store::open(&place.0, &empty).unwrap().1, []);
    assert_eq!(place.books(), []);
}

/// A book's line, with one part of it replaced.
fn line(id: u64, part: &str, by: &str) -> String {
    let line = format!(
        r#"{{"id":{id},"title":"A {{[\"","topic":"B","quantity":5,"price":1.5,"version":"0-0"}}"#
    );
    assert!(line.contains(part));
    line.replace(part, by)
}

/// Opening a folder with that text as its first file fails there, says why, and changes nothing.
#[track_caller]
fn check(text: &str, at: &str, why: &str) {
    let place = Place::with(text);
    fs::write(place.temporary(), "left over").unwrap();
    let said = place.open().err().unwrap_or("nothing".into());
    let begin = format!("cannot use {}: ", place.file().display());
    assert!(said.starts_with(&begin), "{said}");
    assert!(said.ends_with(&format!(" at line {at}")), "{said}");
    assert!(said.contains(why), "{said}");
    assert_eq!(fs::read_to_string(place.file()).unwrap(), text);
    assert_eq!(place.names().len(), 2);
}

#[test]
fn a_bad_file_is_named_with_line_and_column() {
    let second =
        |part: &str, by: &str| format!("[\n{},\n  {}\n]\n", line(1, "", ""), line(7, part, by));
    check("", "1 column 0", "EOF");
    check("{}", "1 column 0", "expected a sequence");
    check("[\n]\n]", "3 column 1", "trailing");
    check(
        &second("\"id\":7", "\"id\":100"),
        "3 column 3",
        "book 100 is not one of 0 to 99",
    );
    check(
        &second("\"id\":7", "\"id\":1"),
        "3 column 3",
        "book 1 is there already",
    );
    check(&second(":5", ":-5"), "3 column 52", "`-5`");
    check(&second(":5", ":5.0"), "3 column 53", "5.0");
    check(
        &second(":5", ":1000000001"),
        "3 column 3",
        "book 7 has a quantity that is too large",
    );
    check(&second("1.5", "-1"), "3 column 3", "book 7 has a price");
    check(&second("\"B\"", "\"\""), "3 column 3", "book 7 has a topic");
    check(
        &second("\"A {[\\\"\"", &format!("{:?}", "x".repeat(201))),
        "3 column 3",
        "has a title",
    );
    check(&second("0-0", "0"), "3 column 77", "version");
    check(
        &second(",\"price\":1.5", ""),
        "3 column 68",
        "missing field `price`",
    );
}

#[test]
fn the_largest_values_are_fine() {
    let text = line(99, ":5", &format!(":{QUANTITY_MAX}"));
    let place = Place::with(&format!("[{text}]"));
    assert_eq!(place.books()[0].quantity, QUANTITY_MAX);
}

#[test]
fn lines_that_a_person_moved_are_read_in_order() {
    let place = Place::with(&format!("[{},{}]", line(9, "", ""), line(4, "", "")));
    let ids: Vec<BookId> = place.books().iter().map(|book| book.id).collect();
    assert_eq!(ids, [BookId(4), BookId(9)]);
}

#[test]
fn a_bad_first_stock_is_named_and_begins_nothing() {
    let (place, stock) = (Place::new(), Place::with("[\n{\"id\":1}\n]"));
    let open = |path| {
        Store::open(&place.0, &FirstStock::File(path))
            .err()
            .unwrap()
    };
    let said = open(stock.file());
    let begin = format!("cannot use {}: missing field", stock.file().display());
    assert!(
        said.starts_with(&begin) && said.contains("line 2"),
        "{said}"
    );
    assert!(open(stock.temporary()).contains("cannot read"));
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn the_file_of_the_largest_id_has_a_name_that_is_read_again() {
    for id in [0, 99, 100, 12_345_678, crate::book::BOOK_ID_MAX] {
        let range = Range::of(BookId(id));
        assert!(range.first().0 <= id && id <= range.last().0);
        assert_eq!(Range::parse(&range.file_name()), Some(range));
    }
}

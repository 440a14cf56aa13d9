//! Saving: what was acknowledged is in the files, whatever else happens.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::thread;

use super::*;

/// The books in memory, as the shelf has them.
#[derive(Clone)]
struct Memory(Arc<Mutex<Vec<Arc<Book>>>>);

impl Memory {
    fn of(books: Vec<Book>) -> Memory {
        Memory(Arc::new(Mutex::new(
            books.into_iter().map(Arc::new).collect(),
        )))
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

    fn save(&self, store: &Storage, ids: &[u64]) -> Result<(), String> {
        let ids: Vec<BookId> = ids.iter().copied().map(BookId).collect();
        let memory = self.clone();
        let read: Reader = Arc::new(move |first, last| memory.read(first, last));
        store.save(&ids, &read)
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
fn those_who_wait_for_a_commit_share_the_next_one() {
    let place = Place::new();
    let (store, _) = place.open().unwrap();
    let memory = Memory::many(300);
    let (go, may_go) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let gate = Mutex::new((begun, may_go));
    let slow_memory = memory.clone();
    let slowly: Reader = Arc::new(move |first, last| {
        let gate = gate.lock().unwrap();
        gate.0.send(()).unwrap();
        gate.1.recv().unwrap();
        slow_memory.read(first, last)
    });
    let reads: Arc<Mutex<BTreeMap<u64, usize>>> = Arc::default();
    let (counted, counting_memory) = (reads.clone(), memory.clone());
    let counting: Reader = Arc::new(move |first, last| {
        *counted.lock().unwrap().entry(first.0).or_default() += 1;
        counting_memory.read(first, last)
    });
    thread::scope(|scope| {
        let slow = scope.spawn(|| store.save(&[BookId(5)], &slowly));
        has_begun.recv().unwrap();
        let (store, counting) = (&store, &counting);
        let waiting: Vec<_> = (0..12)
            .map(|n| scope.spawn(move || store.save(&[BookId(n * 25)], counting)))
            .collect();
        store.0.wait_for_company(12);
        go.send(()).unwrap();
        slow.join().unwrap().unwrap();
        for one in waiting {
            one.join().unwrap().unwrap();
        }
    });
    let once_each = BTreeMap::from([(0, 1), (100, 1), (200, 1)]);
    assert_eq!(*reads.lock().unwrap(), once_each);
    drop(store);
    assert_eq!(place.books(), memory.all());
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
fn a_file_that_cannot_be_saved_does_not_fail_who_asked_for_another() {
    let place = Place::new();
    let (store, _) = place.open().unwrap();
    let memory = Memory::many(200);
    symlink("/dev/full", place.temporary()).unwrap();
    thread::scope(|scope| {
        let (memory, store) = (&memory, &store);
        let save = |id| memory.save(store, &[id]).is_err();
        let saves: Vec<_> = (0..16)
            .map(|n| scope.spawn(move || (n, save(n % 2 * 100))))
            .collect();
        for save in saves {
            let (n, failed) = save.join().unwrap();
            assert_eq!(failed, n % 2 == 0);
        }
    });
}

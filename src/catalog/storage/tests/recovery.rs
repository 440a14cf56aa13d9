//! Opening: every state that a crash, or a person, can leave.

use super::*;
use crate::model::book::{QUANTITY_MAX, Version};

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
    for unknown_peer in [
        "notes.txt",
        "books-5-7.json",
        "books-0000001-0000100.json.tmp",
    ] {
        fs::write(place.0.join(unknown_peer), "mine").unwrap();
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
    assert_eq!(Storage::open(&place.0, &empty).unwrap().1, []);
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
        Storage::open(&place.0, &FirstStock::File(path))
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
    for id in [0, 99, 100, 12_345_678, crate::model::book::BOOK_ID_MAX] {
        let range = Range::of(BookId(id));
        assert!(range.first().0 <= id && id <= range.last().0);
        assert_eq!(Range::parse(&range.file_name()), Some(range));
    }
}

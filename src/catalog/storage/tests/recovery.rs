//! Opening: every state that a crash or a person can leave.

use super::*;
use crate::catalog::storage::id_range::IdRange;
use crate::model::book::{QUANTITY_MAX, Version};
use crate::model::order::{Order, OrderId};

#[test]
fn a_new_folder_has_a_first_stock_to_open_with_and_is_not_whole() {
    let dir = TestDir::new();
    let opened = dir.open().unwrap().1;
    assert_eq!((opened.books.len(), opened.record.whole), (0, false));
    let stock = opened.first_stock.unwrap();
    assert_eq!(stock.len(), 7);
    assert!(stock.iter().all(|book| book.version == Version::FIRST));
    assert_eq!(dir.names(), [RECORD]);
}

#[test]
fn the_first_stock_is_one_book_a_line() {
    let dir = TestDir::new();
    let books = dir.stock();
    assert_eq!(dir.names(), [FIRST, RECORD]);
    assert_eq!(fs::read_to_string(dir.file()).unwrap().lines().count(), 9);
    assert_eq!(dir.books(), books);
}

#[test]
fn every_start_is_counted_and_a_stocked_folder_stays_whole() {
    let dir = TestDir::new();
    dir.stock();
    for starts in [2, 3] {
        let record = dir.open().unwrap().1.record;
        assert_eq!((record.starts, record.whole), (starts, true));
    }
}

#[test]
fn a_folder_of_an_earlier_version_is_whole() {
    let dir = TestDir::with("[]");
    let opened = dir.open().unwrap().1;
    assert!(opened.record.whole && opened.first_stock.is_none());
}

#[test]
fn equal_topics_are_one_arc() {
    let dir = TestDir::new();
    dir.stock();
    let books = dir.books();
    assert!(Arc::ptr_eq(&books[0].topic, &books[1].topic));
}

#[test]
fn a_second_catalog_is_refused_until_the_first_has_ended() {
    let dir = TestDir::new();
    let first = dir.open().unwrap();
    let refused = dir.open().err().unwrap();
    assert!(refused.ends_with("another catalog uses it"), "{refused}");
    drop(first);
    assert!(dir.open().is_ok());
}

#[test]
fn an_unfinished_temporary_file_is_removed_and_foreign_files_stay() {
    let dir = TestDir::new();
    dir.stock();
    fs::write(dir.temporary(), "[{\"id\":1").unwrap();
    for foreign in [
        "notes.txt",
        "books-5-7.json",
        "books-0000001-0000200.json.tmp",
    ] {
        fs::write(dir.0.join(foreign), "mine").unwrap();
    }
    assert_eq!(dir.books().len(), 7);
    assert!(!dir.temporary().exists());
    assert_eq!(dir.names().len(), 5);
}

#[test]
fn an_interrupted_first_start_is_not_whole() {
    let dir = TestDir::with("[]");
    fs::write(dir.0.join("first-stock.unfinished"), "").unwrap();
    for _ in 0..2 {
        let opened = dir.open().unwrap().1;
        assert!(!opened.record.whole && opened.first_stock.is_some());
    }
    assert_eq!(dir.names(), [FIRST, RECORD]);
}

#[test]
fn a_record_that_no_catalog_wrote_is_refused() {
    let dir = TestDir::with("[]");
    for text in [
        "",
        "{}",
        r#"{"starts":1,"whole":true,"left_out":[],"more":1}"#,
    ] {
        fs::write(dir.0.join(RECORD), text).unwrap();
        let error = dir.open().err().unwrap();
        assert!(error.contains(RECORD), "{error}");
    }
}

/// A book's line, with one part of it replaced.
fn line(id: u64, part: &str, by: &str) -> String {
    let line = format!(
        r#"{{"id":{id},"title":"A {{[\"","topic":"B","quantity":5,"price":1.5,"version":"0-0"}}"#
    );
    assert!(line.contains(part));
    line.replace(part, by)
}

/// Opening a folder with this text as its first file fails, names place and reason, and changes
/// nothing.
#[track_caller]
fn check(text: &str, at: &str, why: &str) {
    let dir = TestDir::with(text);
    fs::write(dir.temporary(), "left over").unwrap();
    let error = dir.open().err().unwrap_or("nothing".into());
    let begin = format!("cannot use {}: ", dir.file().display());
    assert!(error.starts_with(&begin), "{error}");
    assert!(error.ends_with(&format!(" at line {at}")), "{error}");
    assert!(error.contains(why), "{error}");
    assert_eq!(fs::read_to_string(dir.file()).unwrap(), text);
    assert_eq!(dir.names().len(), 2);
}

#[test]
fn a_bad_file_is_named_with_line_and_column() {
    let second =
        |part: &str, by: &str| format!("[\n{},\n  {}\n]\n", line(1, "", ""), line(7, part, by));
    check("", "1 column 0", "EOF");
    check("{}", "1 column 0", "expected a sequence");
    check("[\n]\n]", "3 column 1", "trailing");
    check(
        &second("\"id\":7", "\"id\":200"),
        "3 column 3",
        "book 200 is not one of 0 to 199",
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
    let text = line(199, ":5", &format!(":{QUANTITY_MAX}"));
    let dir = TestDir::with(&format!("[{text}]"));
    assert_eq!(dir.books()[0].quantity, QUANTITY_MAX);
}

#[test]
fn an_unknown_field_is_refused_with_file_book_and_field() {
    let dir = TestDir::with(
        r#"[
{"id":1,"title":"{","topic":"T","quantity":4,"price":1.5,"version":"6-77"},
{"id":2,"title":"B","topic":"T","quantity":9,"price":2.0,"version":"0-0","quantitiy":3}
]"#,
    );
    let refused = dir.open().err().unwrap();
    for word in [
        "books-0000000-0000199.json",
        "book 2",
        "`quantitiy`",
        "line 3",
    ] {
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn an_unknown_field_of_the_record_is_refused() {
    let dir = TestDir::with("[]");
    let record = r#"{"starts":1,"whole":true,"left_out":[],"left_in":[]}"#;
    fs::write(dir.0.join(RECORD), record).unwrap();
    let refused = dir.open().err().unwrap();
    assert!(
        refused.contains(RECORD) && refused.contains("`left_in`"),
        "{refused}"
    );
}

/// A file as catalogs wrote it when the fields of a book still had other names. Only the line
/// breaks within the first book are new.
const FORMER_FIELD_NAMES: &str = r#"[
{"id":1,"title":"A","topic":"T","quantity":4,"price":1.5,"version":"6-77",
 "came_true":true,"apart":"5-66",
 "orders":{"starts":[{"start":8,"open":2,"applied":[3]}],"keys":["k"]}},
{"id":2,"title":"B","topic":"T","quantity":9,"price":2.0,"version":"0-0"}
]
"#;

#[test]
fn a_folder_with_the_former_field_names_opens() {
    let dir = TestDir::with(FORMER_FIELD_NAMES);
    let books = dir.books();
    let [first, second] = books.as_slice() else {
        panic!("{books:?}")
    };
    let (id, key) = (OrderId { start: 8, count: 3 }, None);
    let order = Order {
        id,
        open: 2,
        at: 0,
        copies: 1,
        key,
    };
    assert!(first.applied_orders.contains_id(&order));
    assert!(second.applied_orders.is_empty());
}

#[test]
fn books_of_a_reordered_file_are_read_in_order() {
    let dir = TestDir::with(&format!("[{},{}]", line(9, "", ""), line(4, "", "")));
    let ids: Vec<BookId> = dir.books().iter().map(|book| book.id).collect();
    assert_eq!(ids, [BookId(4), BookId(9)]);
}

#[test]
fn a_bad_first_stock_is_named_and_nothing_is_written() {
    let (dir, stock) = (TestDir::new(), TestDir::with("[\n{\"id\":1}\n]"));
    let open = |path| {
        let opened = Storage::open(&dir.0, &FirstStock::File(path));
        opened.err().unwrap().to_string()
    };
    let error = open(stock.file());
    let begin = format!("cannot use {}: missing field", stock.file().display());
    assert!(
        error.starts_with(&begin) && error.contains("line 2"),
        "{error}"
    );
    assert!(open(stock.temporary()).contains("cannot read"));
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn every_file_name_is_parsed_to_its_range() {
    for id in [0, 199, 200, 12_345_678, crate::model::book::BOOK_ID_MAX] {
        let range = IdRange::of(BookId(id));
        assert!(range.first().0 <= id && id <= range.last().0);
        assert_eq!(IdRange::parse(&range.file_name()), Some(range));
    }
}

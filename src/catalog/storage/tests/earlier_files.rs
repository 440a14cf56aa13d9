//! Folders of earlier versions, whose files held the books of a hundred ids, or of two hundred.

use super::*;

const EARLIER: [&str; 4] = [
    "books-0000000-0000099.json",
    "books-0000100-0000199.json",
    "books-0000300-0000399.json",
    "books-0001000-0001099.json",
];

const PRESENT: [&str; 3] = [
    "books-0000000-0000199.json",
    "books-0000200-0000399.json",
    "books-0001000-0001199.json",
];

const RECORD_THEN: &str = r#"{"starts":3,"whole":true,"left_out":[]}"#;

/// Its only book.
fn text_of(id: u64, quantity: u64) -> String {
    format!(
        r#"[{{"id":{id},"title":"A","topic":"B","quantity":{quantity},"price":1,"version":"0-0"}}]"#
    )
}

fn earlier_folder() -> TestDir {
    let dir = TestDir::new();
    fs::create_dir(&dir.0).unwrap();
    fs::write(dir.0.join(RECORD), RECORD_THEN).unwrap();
    for (name, id) in EARLIER.iter().zip([7, 107, 307, 1007]) {
        fs::write(dir.0.join(name), text_of(id, 5)).unwrap();
    }
    dir
}

fn ids_and_quantities(dir: &TestDir) -> Vec<(u64, u32)> {
    let of = |book: &Book| (book.id.0, book.quantity);
    dir.books().iter().map(of).collect()
}

const ALL: [(u64, u32); 4] = [(7, 5), (107, 5), (307, 5), (1007, 5)];

#[test]
fn a_folder_of_smaller_files_opens_and_has_larger_ones_then() {
    let dir = earlier_folder();
    fs::write(dir.0.join(format!("{}.tmp", EARLIER[0])), "[{").unwrap();
    for _ in 0..2 {
        assert_eq!(ids_and_quantities(&dir), ALL);
        assert_eq!(dir.names(), [PRESENT.as_slice(), &[RECORD]].concat());
    }
}

#[test]
fn what_a_crash_left_of_the_smaller_files_is_not_read_again() {
    let dir = earlier_folder();
    dir.books();
    // The book was sold since. These are files whose removal was not on disk yet.
    fs::write(dir.0.join(PRESENT[0]), text_of(7, 4)).unwrap();
    fs::write(dir.0.join(EARLIER[0]), text_of(7, 5)).unwrap();
    fs::write(dir.0.join(EARLIER[1]), text_of(107, 5)).unwrap();
    assert_eq!(ids_and_quantities(&dir), [(7, 4), (307, 5), (1007, 5)]);
    assert_eq!(dir.names(), [PRESENT.as_slice(), &[RECORD]].concat());
}

#[test]
fn a_crash_between_the_larger_files_loses_nothing() {
    let dir = earlier_folder();
    let [first, second] = [7, 107].map(|id| text_of(id, 5));
    let larger = format!("{},{}", first.trim_end_matches(']'), &second[1..]);
    fs::write(dir.0.join(PRESENT[0]), larger).unwrap();
    assert_eq!(ids_and_quantities(&dir), ALL);
    assert_eq!(dir.names(), [PRESENT.as_slice(), &[RECORD]].concat());
}

#[test]
fn a_folder_whose_larger_files_cannot_be_written_stays_as_it_is() {
    let dir = earlier_folder();
    let full = dir.0.join(format!("{}.tmp", PRESENT[1]));
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let refused = dir.open().err().unwrap();
    assert!(refused.contains(PRESENT[1]), "{refused}");
    assert!(EARLIER.iter().all(|name| dir.0.join(name).exists()));
    fs::remove_file(full).unwrap();
    assert_eq!(ids_and_quantities(&dir), ALL);
}

#[test]
fn a_folder_with_other_files_than_this_version_finds_is_refused() {
    let dir = earlier_folder();
    dir.books();
    let record = fs::read_to_string(dir.0.join(RECORD)).unwrap();
    assert!(record.contains("\"ids_per_file\": 200"), "{record}");
    let record = record.replace("200", "500");
    fs::write(dir.0.join(RECORD), record).unwrap();
    let refused = dir.open().err().unwrap();
    assert!(refused.contains("500 ids in a file"), "{refused}");
    assert_eq!(dir.names(), [PRESENT.as_slice(), &[RECORD]].concat());
}

const LARGER: [&str; 2] = ["books-0010000-0010199.json", "books-0012000-0012199.json"];

const HALVES: [&str; 3] = [
    "books-0010000-0010099.json",
    "books-0010100-0010199.json",
    "books-0012000-0012099.json",
];

/// A folder of high ids.
fn folder_of_larger_files() -> TestDir {
    let dir = TestDir::new();
    fs::create_dir(&dir.0).unwrap();
    fs::write(dir.0.join(RECORD), RECORD_THEN).unwrap();
    let two = [text_of(10_007, 5), text_of(10_107, 5)].concat();
    fs::write(dir.0.join(LARGER[0]), two.replace("][", ",")).unwrap();
    fs::write(dir.0.join(LARGER[1]), text_of(12_007, 5)).unwrap();
    dir
}

#[test]
fn larger_files_of_high_ids_are_divided_and_those_of_low_ids_stay() {
    let dir = folder_of_larger_files();
    fs::write(dir.0.join(PRESENT[2]), text_of(1007, 5)).unwrap();
    for _ in 0..2 {
        let all = [(1007, 5), (10_007, 5), (10_107, 5), (12_007, 5)];
        assert_eq!(ids_and_quantities(&dir), all);
        assert_eq!(dir.names(), [&PRESENT[2..], &HALVES, &[RECORD]].concat());
    }
}

/// One of them, which were sold from since, was there before.
#[test]
fn a_crash_between_the_parts_of_a_larger_file_loses_nothing() {
    for (there, id) in [(0, 10_007), (1, 10_107)] {
        let dir = folder_of_larger_files();
        fs::write(dir.0.join(HALVES[there]), text_of(id, 4)).unwrap();
        let mut all = [(10_007, 5), (10_107, 5), (12_007, 5)];
        all[there].1 = 4;
        assert_eq!(ids_and_quantities(&dir), all);
        assert_eq!(dir.names(), [HALVES.as_slice(), &[RECORD]].concat());
    }
}

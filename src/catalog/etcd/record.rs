//! A book in etcd: its key, and its value, the JSON that stands in data files too.
//!
//! The version of a book is the revision of its last change and the stamp of that change. The
//! number that the value holds is not used.

use std::sync::Arc;

use crate::catalog::etcd::wire::KeyValue;
use crate::model::book::{Book, BookId};

/// The key of the book with this id. Keys sort as ids do.
pub(super) fn key(id: BookId) -> String {
    format!("bazar/book/{:020}", id.0)
}

/// No book has a lower key.
pub(super) const FIRST: &str = "bazar/book/";

/// The key after those of all books.
pub(super) const END: &str = "bazar/book0";

/// The id of a key, if it is a book's.
pub(super) fn id(key: &[u8]) -> Option<BookId> {
    let digits = key.strip_prefix(b"bazar/book/")?;
    BookId::parse(str::from_utf8(digits).ok()?)
}

pub(super) fn encode(book: &Book) -> Vec<u8> {
    serde_json::to_vec(book).expect("a book is JSON")
}

/// Fails with what is wrong with a value that no catalog wrote.
pub(super) fn decode(kv: &KeyValue) -> Result<Arc<Book>, String> {
    let name = || String::from_utf8_lossy(&kv.key).into_owned();
    let decoded = serde_json::from_slice(&kv.value);
    let mut book: Book = decoded.map_err(|error| format!("{} holds no book: {error}", name()))?;
    if id(&kv.key) != Some(book.id) {
        return Err(format!("{} holds book {}", name(), book.id));
    }
    if let Some(defect) = book.defect() {
        return Err(format!("{} holds a book with {defect}", name()));
    }
    book.version.number = kv.mod_revision;
    Ok(Arc::new(book))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::book::{BOOK_ID_MAX, Version};

    fn book(id: u64) -> Book {
        let json = format!(
            r#"{{"id":{id},"title":"t","topic":"T","quantity":3,"price":1.5,"version":"4-77"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn stored(key: String, book: &Book) -> KeyValue {
        KeyValue {
            key: key.into_bytes(),
            value: encode(book),
            mod_revision: 12,
        }
    }

    #[test]
    fn a_book_comes_back_with_the_revision_as_its_number() {
        let read = decode(&stored(key(BookId(7)), &book(7))).unwrap();
        let version = Version {
            number: 12,
            stamp: 77,
        };
        assert_eq!((read.id, read.version), (BookId(7), version));
    }

    #[test]
    fn keys_sort_as_ids_do() {
        let keys = [0, 9, 10, BOOK_ID_MAX].map(|id| key(BookId(id)));
        assert!(keys.is_sorted() && keys[3].as_str() < END);
        assert_eq!(id(keys[2].as_bytes()), Some(BookId(10)));
        assert_eq!(id(b"bazar/whole"), None);
    }

    #[test]
    fn a_value_that_no_catalog_wrote_is_refused() {
        assert!(decode(&stored(key(BookId(8)), &book(7))).is_err());
        let mut priceless = book(7);
        priceless.price = -1.0;
        assert!(decode(&stored(key(BookId(7)), &priceless)).is_err());
        let nonsense = KeyValue {
            value: b"7".into(),
            ..stored(key(BookId(7)), &book(7))
        };
        assert!(decode(&nonsense).unwrap_err().contains("holds no book"));
    }
}

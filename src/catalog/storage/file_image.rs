//! The content of one file of books: a JSON array, one book a line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::catalog::storage::id_range::IdRange;
use crate::catalog::storage::stored_book::StoredBook;
use crate::model::book::{Book, BookId};
use crate::runtime::sync::lock;

/// Beyond this many images the oldest is dropped. All files of a shop of a few thousand books are
/// among them. In a large shop the same file seldom changes again soon.
const IMAGES_MAX: usize = 32;

/// The content of one file, and where each book stands in it. The lines of books that did not
/// change are copied from the image before, not rendered again.
pub(super) struct FileImage {
    pub(super) text: Vec<u8>,
    /// By id.
    lines: Vec<Line>,
    /// The memory of the text before this one, for the next one.
    spare: Vec<u8>,
}

/// Where the line of a book stands, without what separates it from the others.
#[derive(Clone, Copy)]
struct Line {
    id: BookId,
    start: usize,
    end: usize,
}

impl FileImage {
    /// The image of these books, which are ordered by id.
    pub(super) fn of(copies: &[Arc<Book>]) -> FileImage {
        let empty = FileImage {
            text: Vec::new(),
            lines: Vec::new(),
            spare: Vec::with_capacity(256 * copies.len() + 256),
        };
        empty.with(copies)
    }

    /// The image with these books, which are ordered by id, in place of those of the same ids.
    pub(super) fn with(self, copies: &[Arc<Book>]) -> FileImage {
        let mut next = FileImage {
            text: self.spare,
            lines: Vec::with_capacity(self.lines.len() + copies.len()),
            spare: Vec::new(),
        };
        next.text.clear();
        next.text.push(b'[');
        let mut unchanged = self.lines.as_slice();
        for book in copies {
            let before = unchanged.partition_point(|line| line.id < book.id);
            next.copy(&self.text, &unchanged[..before]);
            let rest = &unchanged[before..];
            let replaces = rest.first().is_some_and(|line| line.id == book.id);
            unchanged = &rest[usize::from(replaces)..];
            next.render(book);
        }
        next.copy(&self.text, unchanged);
        next.text.extend_from_slice(b"\n]\n");
        next.spare = self.text;
        next
    }

    /// Appends these lines of another text, which follow each other there.
    fn copy(&mut self, text: &[u8], lines: &[Line]) {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else {
            return;
        };
        self.separate();
        let (from, to) = (first.start, self.text.len());
        self.text.extend_from_slice(&text[from..last.end]);
        self.lines.extend(lines.iter().map(|line| Line {
            id: line.id,
            start: line.start - from + to,
            end: line.end - from + to,
        }));
    }

    fn render(&mut self, book: &Book) {
        assert!(self.lines.last().is_none_or(|line| line.id < book.id));
        self.separate();
        let start = self.text.len();
        StoredBook::from(book)
            .serialize(&mut serde_json::Serializer::new(&mut self.text))
            .expect("a book is JSON");
        let end = self.text.len();
        let id = book.id;
        self.lines.push(Line { id, start, end });
    }

    fn separate(&mut self) {
        let separator: &[u8] = if self.lines.is_empty() { b"\n" } else { b",\n" };
        self.text.extend_from_slice(separator);
    }
}

/// The images of the files that were replaced last.
#[derive(Default)]
pub(super) struct RecentImages {
    /// Ordered by time of insertion, the newest last. Locked only for a search of the list.
    images: Mutex<VecDeque<(IdRange, FileImage)>>,
}

impl RecentImages {
    /// Removes and returns the image of this file.
    pub(super) fn take(&self, range: IdRange) -> Option<FileImage> {
        let mut images = lock(&self.images);
        let at = images.iter().position(|(of, _)| *of == range)?;
        images.remove(at).map(|(_, image)| image)
    }

    pub(super) fn insert(&self, range: IdRange, image: FileImage) {
        let mut images = lock(&self.images);
        images.push_back((range, image));
        let oldest = (IMAGES_MAX < images.len()).then(|| images.pop_front());
        drop(images);
        drop(oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::storage::decode::{TopicInterner, decode_books};
    use crate::model::applied_orders::AppliedOrders;
    use crate::model::book::Version;

    fn book(id: u64, title: &str) -> Arc<Book> {
        Arc::new(Book {
            id: BookId(id),
            title: title.into(),
            topic: "t".into(),
            quantity: 1,
            price: 1.5,
            version: Version::FIRST,
            removed: false,
            applied_orders: AppliedOrders::default(),
            restocked_at: None,
            account: Default::default(),
        })
    }

    #[test]
    fn an_image_made_from_a_previous_one_equals_one_made_from_scratch() {
        let [a, b, c, d] = [1, 5, 7, 99].map(|id| book(id, &format!("book \"{id}\"")));
        let other = book(5, "another, longer than the one before");
        let changes = [
            vec![],
            vec![b.clone()],
            vec![d.clone()],
            vec![a.clone(), c.clone()],
            vec![other.clone()],
            vec![a, b, c, d],
            vec![other],
        ];
        let mut books: BTreeMap<BookId, Arc<Book>> = BTreeMap::new();
        let mut image = FileImage::of(&[]);
        for changed in changes {
            books.extend(changed.iter().map(|book| (book.id, book.clone())));
            image = image.with(&changed);
            let copies: Vec<Arc<Book>> = books.values().cloned().collect();
            assert_eq!(image.text, FileImage::of(&copies).text);
            let mut read = Vec::new();
            let ids = BookId(0)..=BookId(99);
            let topics = &mut TopicInterner::default();
            decode_books::<StoredBook>(&image.text, ids, topics, &mut read).unwrap();
            assert!(read.iter().eq(copies.iter().map(Arc::as_ref)));
        }
    }

    #[test]
    fn an_unchanged_line_is_not_rendered_again() {
        let mut image = FileImage::of(&[book(1, "a"), book(2, "b")]);
        let first = image.lines[0];
        image.text[first.start..first.end].fill(b'x');
        let text = image.with(&[book(2, "c")]).text;
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("[\nxxxx"), "{text}");
        assert!(text.contains(r#""title":"c""#), "{text}");
    }

    #[test]
    fn the_oldest_image_is_dropped_beyond_the_maximum() {
        let images = RecentImages::default();
        let range = |n: usize| IdRange::of(BookId(200 * n as u64));
        for n in 0..=IMAGES_MAX {
            let first = range(n).first().0;
            images.insert(range(n), FileImage::of(&[book(first, "a")]));
        }
        assert!(images.take(range(0)).is_none());
        assert!(images.take(range(1)).is_some());
        assert!(images.take(range(1)).is_none());
        assert_eq!(images.images.lock().unwrap().len(), IMAGES_MAX - 1);
    }
}

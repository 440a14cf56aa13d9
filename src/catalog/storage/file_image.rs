//! The content of one file of books: a JSON array, one book a line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::catalog::storage::id_range::IdRange;
use crate::model::book::{Book, BookId};
use crate::runtime::sync::lock;

/// Beyond this many images the oldest is dropped. All files of a shop of a few thousand books are
/// among them. In a large shop the same file seldom changes again soon.
const IMAGES_MAX: usize = 32;

/// The content of one file, and where each copy stands in it. The line of an unchanged copy is
/// copied from the previous image, not rendered again.
#[derive(Default)]
pub(super) struct FileImage {
    pub(super) text: Vec<u8>,
    copies: Vec<Arc<Book>>,
    /// Where the line of each copy ends.
    ends: Vec<usize>,
}

impl FileImage {
    /// The image of these books, which are ordered by id. `previous` is an earlier image of the
    /// same file: its line is used for a copy that has the same index in it and is the same `Arc`.
    pub(super) fn render(
        range: IdRange,
        copies: Vec<Arc<Book>>,
        previous: &FileImage,
    ) -> FileImage {
        let capacity = previous.text.len().max(64 + 128 * copies.len()) + 256;
        let mut text = Vec::with_capacity(capacity);
        let mut ends = Vec::with_capacity(copies.len());
        let mut next = range.first();
        text.push(b'[');
        for (at, book) in copies.iter().enumerate() {
            assert!(next <= book.id && book.id <= range.last());
            next = BookId(book.id.0 + 1);
            text.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
            match previous.line(at, book) {
                Some(line) => text.extend_from_slice(line),
                None => book
                    .serialize(&mut serde_json::Serializer::new(&mut text))
                    .expect("a book is JSON"),
            }
            ends.push(text.len());
        }
        text.extend_from_slice(b"\n]\n");
        FileImage { text, copies, ends }
    }

    fn line(&self, at: usize, book: &Arc<Book>) -> Option<&[u8]> {
        self.copies.get(at).filter(|copy| Arc::ptr_eq(copy, book))?;
        // A bracket or a comma, and a line break, stand before each line.
        let before = at.checked_sub(1).map_or(0, |last| self.ends[last]);
        Some(&self.text[before + 2..self.ends[at]])
    }
}

/// The images of the files that were replaced last.
#[derive(Default)]
pub(super) struct RecentImages {
    /// Ordered by time of insertion, the newest last. Locked only for a search of the list.
    images: Mutex<VecDeque<(IdRange, FileImage)>>,
}

impl RecentImages {
    /// Removes and returns the image of this file, or an empty one.
    pub(super) fn take(&self, range: IdRange) -> FileImage {
        let mut images = lock(&self.images);
        let at = images.iter().position(|(of, _)| *of == range);
        let image = at.and_then(|at| images.remove(at));
        image.map(|(_, image)| image).unwrap_or_default()
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
    use super::*;
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
            account: Default::default(),
        })
    }

    fn fresh(copies: &[Arc<Book>]) -> Vec<u8> {
        FileImage::render(
            IdRange::of(BookId(0)),
            copies.to_vec(),
            &FileImage::default(),
        )
        .text
    }

    #[test]
    fn an_image_made_from_a_previous_one_equals_one_made_from_scratch() {
        let range = IdRange::of(BookId(0));
        let [a, b, c, d] = [1, 5, 7, 99].map(|id| book(id, &format!("book \"{id}\"")));
        let other = book(5, "another, longer than the one before");
        let states = [
            vec![],
            vec![b.clone()],
            vec![b.clone(), d.clone()],
            vec![a.clone(), b.clone(), d.clone()],
            vec![a.clone(), other.clone(), d.clone()],
            vec![a.clone(), other.clone(), c, d.clone()],
            vec![a, b],
            vec![],
        ];
        let mut image = FileImage::default();
        for copies in states {
            image = FileImage::render(range, copies.clone(), &image);
            assert_eq!(image.text, fresh(&copies));
            let read: Vec<Book> = serde_json::from_slice(&image.text).unwrap();
            assert!(read.iter().eq(copies.iter().map(Arc::as_ref)));
        }
    }

    #[test]
    fn an_unchanged_line_is_not_rendered_again() {
        let (a, b) = (book(1, "a"), book(2, "b"));
        let range = IdRange::of(BookId(0));
        let mut previous =
            FileImage::render(range, vec![a.clone(), b.clone()], &FileImage::default());
        previous.text[2..previous.ends[0]].fill(b'x');
        let text = FileImage::render(range, vec![a, book(2, "c")], &previous).text;
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("[\nxxxx"), "{text}");
        assert!(text.contains(r#""title":"c""#), "{text}");
    }

    #[test]
    fn the_oldest_image_is_dropped_beyond_the_maximum() {
        let images = RecentImages::default();
        let range = |n: usize| IdRange::of(BookId(100 * n as u64));
        for n in 0..=IMAGES_MAX {
            let first = range(n).first().0;
            images.insert(
                range(n),
                FileImage::render(range(n), vec![book(first, "a")], &FileImage::default()),
            );
        }
        assert!(images.take(range(0)).text.is_empty());
        assert!(!images.take(range(1)).text.is_empty());
        assert!(images.take(range(1)).text.is_empty());
        assert_eq!(images.images.lock().unwrap().len(), IMAGES_MAX - 1);
    }
}

//! What a file of books holds: a JSON array, one book a line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::catalog::storage::data_dir::Range;
use crate::model::book::{Book, BookId};

/// So many pages are kept. A shop of a few thousand books has all of its files among them; in a
/// large one a file seldom comes again soon.
const KEPT_MAX: usize = 32;

/// The content of one file, and where in it each copy stands: what has not changed is not rendered
/// again.
#[derive(Default)]
pub struct Page {
    pub text: Vec<u8>,
    copies: Vec<Arc<Book>>,
    /// Where each copy's line ends.
    ends: Vec<usize>,
}

impl Page {
    /// The page of these books, by id. `before` is an earlier page of the same file: a copy that
    /// stands at the same place of it, and is the very same in memory, has the same line.
    pub fn of(range: Range, copies: Vec<Arc<Book>>, before: &Page) -> Page {
        let mut text = Vec::with_capacity(before.text.len().max(64 + 128 * copies.len()) + 256);
        let mut ends = Vec::with_capacity(copies.len());
        let mut next = range.first();
        text.push(b'[');
        for (at, book) in copies.iter().enumerate() {
            assert!(next <= book.id && book.id <= range.last());
            next = BookId(book.id.0 + 1);
            text.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
            match before.line(at, book) {
                Some(line) => text.extend_from_slice(line),
                None => book
                    .serialize(&mut serde_json::Serializer::new(&mut text))
                    .expect("a book is JSON"),
            }
            ends.push(text.len());
        }
        text.extend_from_slice(b"\n]\n");
        Page { text, copies, ends }
    }

    fn line(&self, at: usize, book: &Arc<Book>) -> Option<&[u8]> {
        self.copies.get(at).filter(|copy| Arc::ptr_eq(copy, book))?;
        // Before each line stand a bracket or a comma, and a line break.
        let before = at.checked_sub(1).map_or(0, |last| self.ends[last]);
        Some(&self.text[before + 2..self.ends[at]])
    }
}

/// The pages of the files that were replaced last.
#[derive(Default)]
pub struct Pages {
    /// The newest stands last. Held for a look only.
    kept: Mutex<VecDeque<(Range, Page)>>,
}

impl Pages {
    /// Takes the page of this file out, or an empty one.
    pub fn take(&self, range: Range) -> Page {
        let mut kept = self.kept.lock().expect(NEVER_POISONED);
        let at = kept.iter().position(|(of, _)| *of == range);
        let page = at.and_then(|at| kept.remove(at));
        page.map(|(_, page)| page).unwrap_or_default()
    }

    pub fn keep(&self, range: Range, page: Page) {
        let mut kept = self.kept.lock().expect(NEVER_POISONED);
        kept.push_back((range, page));
        let oldest = (KEPT_MAX < kept.len()).then(|| kept.pop_front());
        drop(kept);
        drop(oldest);
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

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
            committed: false,
            diverged_at: None,
            applied_orders: AppliedOrders::default(),
        })
    }

    fn fresh(copies: &[Arc<Book>]) -> Vec<u8> {
        Page::of(Range::of(BookId(0)), copies.to_vec(), &Page::default()).text
    }

    #[test]
    fn a_page_made_from_another_is_as_one_made_anew() {
        let range = Range::of(BookId(0));
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
        let mut page = Page::default();
        for copies in states {
            page = Page::of(range, copies.clone(), &page);
            assert_eq!(page.text, fresh(&copies));
            let read: Vec<Book> = serde_json::from_slice(&page.text).unwrap();
            assert!(read.iter().eq(copies.iter().map(Arc::as_ref)));
        }
    }

    #[test]
    fn what_has_not_changed_is_not_rendered_again() {
        let (a, b) = (book(1, "a"), book(2, "b"));
        let range = Range::of(BookId(0));
        let mut before = Page::of(range, vec![a.clone(), b.clone()], &Page::default());
        before.text[2..before.ends[0]].fill(b'x');
        let text = Page::of(range, vec![a, book(2, "c")], &before).text;
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("[\nxxxx"), "{text}");
        assert!(text.contains(r#""title":"c""#), "{text}");
    }

    #[test]
    fn pages_are_kept_up_to_a_number() {
        let pages = Pages::default();
        let range = |n: usize| Range::of(BookId(100 * n as u64));
        for n in 0..=KEPT_MAX {
            let first = range(n).first().0;
            pages.keep(
                range(n),
                Page::of(range(n), vec![book(first, "a")], &Page::default()),
            );
        }
        assert!(pages.take(range(0)).text.is_empty());
        assert!(!pages.take(range(1)).text.is_empty());
        assert!(pages.take(range(1)).text.is_empty());
        assert_eq!(pages.kept.lock().unwrap().len(), KEPT_MAX - 1);
    }
}

//! Searching titles. There is no index: all titles of a million books would need more memory than
//! the books. They are looked through page by page, some 100 ns each.

use std::iter;
use std::sync::Arc;

use crate::model::book::{Book, BookId};
use crate::model::fold::{contains, fold};

/// Titles that are compared at a time.
const TITLES_PER_PAGE: usize = 1000;

/// The books whose titles contain the text, by id: those after `after`, at most `limit`, page by
/// page. `read` reads so many books after one, and may lock the shelf for that.
pub(crate) fn pages(
    text: &str,
    mut after: Option<BookId>,
    limit: usize,
    read: impl Fn(Option<BookId>, usize) -> Vec<Arc<Book>>,
) -> impl Iterator<Item = Vec<Arc<Book>>> {
    let folded = fold(text);
    let (mut left, mut is_over) = (limit, false);
    iter::from_fn(move || {
        if is_over || left == 0 {
            return None;
        }
        let books = read(after, TITLES_PER_PAGE);
        is_over = books.len() < TITLES_PER_PAGE;
        after = books.last().map(|book| book.id);
        let has_text = |book: &Arc<Book>| contains(&fold(&book.title), &folded);
        let page: Vec<_> = books.into_iter().filter(has_text).take(left).collect();
        left -= page.len();
        Some(page)
    })
}

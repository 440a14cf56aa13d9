//! Lists of books, which may be long: `/dump/`, `/query/topic/<text>` and `/titles/<text>`.
//!
//! A long list is made page by page while it is sent. So the store's lock is held for one page
//! only, and memory holds one page only. Books that change meanwhile are in it as they are when
//! their page is made.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::catalog::responses;
use crate::catalog::store::Store;
use crate::http::{Body, Request, Response, next_page, query_number};
use crate::model::book::{Book, BookId};
use crate::model::error::Result;

/// The books of one page.
const PAGE_BOOKS: usize = 1000;

/// A search of at most this many pages is complete before it is sent, so that it is known whether
/// front-ends may cache it. A longer one is sent page by page, and never cached.
const BUFFERED_PAGES_MAX: usize = 8;

/// Every book, by id; with `?limit=n&after=<id>` a part of them.
pub(super) fn dump(catalog: &Catalog, request: &Request) -> Result<Response> {
    let (mut left, after) = part(request)?;
    catalog.store.refresh()?;
    let store = catalog.store.clone();
    let next_page = move |last: Option<BookId>| {
        let books = store.books_after(last.or(after), PAGE_BOOKS.min(left));
        left -= books.len();
        books
    };
    Ok(stream(next_page, |book, json| {
        write(json, &responses::whole_book(book));
    }))
}

/// How many books are wanted, and after which id.
fn part(request: &Request) -> Result<(usize, Option<BookId>)> {
    let query = request.query.as_deref();
    let limit = query_number(query, "limit")?.map_or(usize::MAX, |n| n as usize);
    Ok((limit, query_number(query, "after")?.map(BookId)))
}

/// Finds books: the first so many after the given one whose topics, or titles, contain a text, and
/// whether that may be cached.
type Find = fn(&dyn Store, &str, Option<BookId>, usize) -> (Vec<Arc<Book>>, bool);

/// The books of matching topics, by id; with `?limit=n&after=<id>` a part of them.
pub(super) fn topics(catalog: &Catalog, text: &str, request: &Request) -> Result<Response> {
    let find: Find = |store, text, after, limit| store.search(text, after, limit);
    search(catalog, find, text, request)
}

/// The books with matching titles, likewise.
pub(super) fn titles(catalog: &Catalog, text: &str, request: &Request) -> Result<Response> {
    let find: Find = |store, text, after, limit| store.search_titles(text, after, limit);
    search(catalog, find, text, request)
}

fn search(catalog: &Catalog, find: Find, text: &str, request: &Request) -> Result<Response> {
    let (limit, after) = part(request)?;
    catalog.store.refresh_index()?;
    let entry = |book: &Book, json: &mut Vec<u8>| write(json, &book.search_result());
    let mut books = Vec::new();
    let mut cacheable = true;
    let mut last = after;
    for _ in 0..BUFFERED_PAGES_MAX {
        let page_limit = PAGE_BOOKS.min(limit - books.len());
        let (page, page_cacheable) = find(&*catalog.store, text, last, page_limit);
        cacheable &= page_cacheable;
        last = page.last().map(|book| book.id);
        let is_last = page.len() < PAGE_BOOKS;
        books.extend(page);
        if is_last || books.len() == limit {
            let mut body = json_page(&books, true, entry);
            body.push(b']');
            let mut response = Response::bytes(200, body);
            let last = last.map(|id| id.0);
            if let Some(next) = next_page(limit as u64, books.len(), last) {
                response = response.with("Link", next);
            }
            return Ok(if cacheable {
                response
            } else {
                no_store(response)
            });
        }
    }
    let (store, text) = (catalog.store.clone(), text.to_string());
    let mut left = limit;
    let next_page = move |last: Option<BookId>| {
        let (books, _) = find(&*store, &text, last.or(after), PAGE_BOOKS.min(left));
        left -= books.len();
        books
    };
    Ok(no_store(stream(next_page, entry)))
}

fn no_store(response: Response) -> Response {
    response.with("Cache-Control", "no-store")
}

/// A JSON list that is made while it is sent. `next_page` returns the books after the given one; a
/// page that is not full is the last one. `entry` appends one book.
fn stream(
    mut next_page: impl FnMut(Option<BookId>) -> Vec<Arc<Book>> + Send + 'static,
    entry: fn(&Book, &mut Vec<u8>),
) -> Response {
    let (mut last, mut is_first, mut ended) = (None, true, false);
    let pieces = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let books = next_page(last);
        last = books.last().map(|book| book.id);
        ended = books.len() < PAGE_BOOKS;
        let mut piece = json_page(&books, is_first, entry);
        is_first = false;
        if ended {
            piece.push(b']');
        }
        Some(piece)
    });
    Response {
        body: Body::Pieces(Box::new(pieces)),
        ..Response::empty(200)
    }
}

/// One page as a part of a JSON list that has yet to be closed.
fn json_page(books: &[Arc<Book>], is_first: bool, entry: fn(&Book, &mut Vec<u8>)) -> Vec<u8> {
    let mut json = Vec::with_capacity(128 * books.len() + 2);
    for (index, book) in books.iter().enumerate() {
        json.push(if is_first && index == 0 { b'[' } else { b',' });
        entry(book, &mut json);
    }
    if is_first && books.is_empty() {
        json.push(b'[');
    }
    json
}

fn write(json: &mut Vec<u8>, entry: &impl serde::Serialize) {
    serde_json::to_writer(json, entry).expect("a book is JSON");
}

//! What a catalog answers: the bodies of SYSTEM.md, and how long ones are made.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::Catalog;
use crate::catalog::replication::Read;
use crate::catalog::replication::write::Updated;
use crate::http::{Body, Method, Request, Response};
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};
use crate::model::order::OrderId;

/// Long answers are made of pieces of so many books, so that neither the shelf's lock is held for
/// long nor the memory needed that the whole would take.
const PIECE_BOOKS: usize = 1000;

/// A search answered in so many pieces or fewer is made whole, and may be kept by front-ends.
const WHOLE_PIECES_MAX: usize = 8;

/// A line of `/dump/`, and the whole book for whoever added it.
#[derive(Serialize)]
pub struct Whole<'a> {
    id: BookId,
    price: f64,
    quantity: u32,
    sequence_number: u64,
    title: &'a str,
    topic: &'a str,
}

/// The answer to an update.
#[derive(Serialize)]
pub struct Values<'a> {
    price: f64,
    quantity: u32,
    title: &'a str,
    topic: &'a str,
}

pub fn whole(book: &Book) -> Whole<'_> {
    Whole {
        id: book.id,
        price: book.price,
        quantity: book.quantity,
        sequence_number: book.version.number,
        title: &book.title,
        topic: &book.topic,
    }
}

pub fn values(book: &Book) -> Values<'_> {
    Values {
        price: book.price,
        quantity: book.quantity,
        title: &book.title,
        topic: &book.topic,
    }
}

pub fn etag(book: &Book) -> String {
    format!("\"{}\"", book.version)
}

/// A book for whoever may buy it, with its version, and which of the orders that were shown have
/// their copies.
pub fn item(read: &Read) -> Response {
    let Read { book, applied } = read;
    let response = Response::json(200, &book.offer()).with("ETag", etag(book));
    if applied.is_empty() {
        return response;
    }
    let applied: Vec<String> = applied.iter().map(OrderId::to_string).collect();
    response
        .with("Idempotent-Replayed", "true")
        .with("Bazar-Applied", applied.join(", "))
}

pub fn updated(updated: &Updated) -> Response {
    let Updated { book, replayed } = updated;
    let response = Response::json(200, &values(book)).with("ETag", etag(book));
    if *replayed {
        response.with("Idempotent-Replayed", "true")
    } else {
        response
    }
}

pub fn added(book: &Book) -> Response {
    Response::json(201, &whole(book)).with("Location", format!("/query/item/{}", book.id))
}

/// One line of the answer to a list of additions.
pub fn error_line(error: &Error) -> Value {
    let body: Value = serde_json::from_slice(&error.body()).expect("our own errors are JSON");
    json!({"status": error.status(), "body": body})
}

/// An error's answer. After a failure of ours, whoever wrote is told whether it may have happened.
pub fn failure(error: Error, method: Method) -> Response {
    let wrote = matches!(method, Method::Put | Method::Post | Method::Delete);
    let tell = wrote && 500 <= error.status();
    let outcome = if error.indefinite() {
        "unknown"
    } else {
        "none"
    };
    let response = Response::from(error);
    if tell {
        response.with("Bazar-Outcome", outcome)
    } else {
        response
    }
}

/// Every book, by id.
pub fn dump(catalog: &Catalog) -> Response {
    let replica = catalog.replica.clone();
    let page = move |after| replica.books_after(after, PIECE_BOOKS);
    let line = |book: &Arc<Book>| serde_json::to_vec(&whole(book)).expect("a book is JSON");
    long(Pieces::new(page, line))
}

/// `GET /query/topic/<text>`, beyond the documented interface with `?limit=n&after=<id>` for long
/// answers.
pub fn search(catalog: &Catalog, text: &str, request: &Request) -> Result<Response> {
    let after = number(request, "after")?.map(BookId);
    let limit = number(request, "limit")?.map_or(usize::MAX, |n| n as usize);
    let line =
        |book: &Arc<Book>| serde_json::to_vec(&book.search_result()).expect("a book is JSON");
    let mut books = Vec::new();
    let mut keep = true;
    let mut last = after;
    // What is short is made whole, so that one can tell whether it may be kept.
    for _ in 0..WHOLE_PIECES_MAX {
        let wanted = PIECE_BOOKS.min(limit - books.len());
        let (found, settled) = catalog.replica.search(text, last, wanted);
        keep &= settled;
        last = found.last().map(|book| book.id);
        let more = found.len() == PIECE_BOOKS;
        books.extend(found);
        if !more || books.len() == limit {
            let mut pages = vec![books].into_iter();
            let pieces = Pieces::new(move |_| pages.next().unwrap_or_default(), line).once();
            let body = pieces.flatten().collect();
            let response = Response::bytes(200, body);
            return Ok(if keep { response } else { unkept(response) });
        }
    }
    let (replica, text) = (catalog.replica.clone(), text.to_string());
    let mut left = limit;
    let page = move |last: Option<BookId>| {
        let books = replica
            .search(&text, last.or(after), PIECE_BOOKS.min(left))
            .0;
        left -= books.len();
        books
    };
    Ok(unkept(long(Pieces::new(page, line))))
}

fn unkept(response: Response) -> Response {
    response.with("Cache-Control", "no-store")
}

fn number(request: &Request, name: &str) -> Result<Option<u64>> {
    let Some(text) = request.query(name) else {
        return Ok(None);
    };
    let number = BookId::parse(&text).map(|id| Some(id.0));
    number.ok_or_else(|| Error::BadRequest(format!("{name} must be a number")))
}

fn long(pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Response {
    Response {
        status: 200,
        headers: Vec::new(),
        body: Body::Pieces(Box::new(pieces)),
    }
}

/// A JSON list, piece by piece: each page's books as lines of it.
struct Pieces<P, L> {
    page: P,
    line: L,
    last: Option<BookId>,
    begun: bool,
    ended: bool,
    once: bool,
}

impl<P, L> Pieces<P, L>
where
    P: FnMut(Option<BookId>) -> Vec<Arc<Book>>,
    L: Fn(&Arc<Book>) -> Vec<u8>,
{
    fn new(page: P, line: L) -> Pieces<P, L> {
        Pieces {
            page,
            line,
            last: None,
            begun: false,
            ended: false,
            once: false,
        }
    }

    /// The first page is all.
    fn once(self) -> Pieces<P, L> {
        Pieces { once: true, ..self }
    }
}

impl<P, L> Iterator for Pieces<P, L>
where
    P: FnMut(Option<BookId>) -> Vec<Arc<Book>>,
    L: Fn(&Arc<Book>) -> Vec<u8>,
{
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let books = (self.page)(self.last);
        self.last = books.last().map(|book| book.id);
        self.ended = self.once || books.len() < PIECE_BOOKS;
        let mut piece = Vec::with_capacity(128 * books.len() + 2);
        for book in &books {
            piece.push(if std::mem::replace(&mut self.begun, true) {
                b','
            } else {
                b'['
            });
            piece.extend((self.line)(book));
        }
        if !self.begun {
            piece.push(b'[');
        }
        if self.ended {
            piece.push(b']');
        }
        Some(piece)
    }
}

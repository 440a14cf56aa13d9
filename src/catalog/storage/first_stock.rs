//! What a shop has in stock when it opens for the first time.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::catalog::storage::decode::{TopicInterner, decode_books};
use crate::catalog::storage::plain_file;
use crate::model::applied_orders::AppliedOrders;
use crate::model::book::{BOOK_ID_MAX, Book, BookId, Version};

/// Where the first stock is: a JSON array of `{"id","title","topic","quantity","price"}`. It is
/// read only at the first start on a data folder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FirstStock {
    /// A copy of `data/books.json`.
    BuiltIn,
    File(PathBuf),
}

const BUILT_IN: &[u8] = include_bytes!("../../../data/books.json");

/// A book as it is written in a first stock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StockedBook {
    id: BookId,
    title: Arc<str>,
    topic: Arc<str>,
    quantity: u32,
    price: f64,
}

impl From<StockedBook> for Book {
    fn from(book: StockedBook) -> Book {
        Book {
            id: book.id,
            title: book.title,
            topic: book.topic,
            quantity: book.quantity,
            price: book.price,
            version: Version::FIRST,
            removed: false,
            applied_orders: AppliedOrders::default(),
            restocked_at: None,
            account: Default::default(),
        }
    }
}

impl FirstStock {
    /// The books, by id. Fails with the file, and the line and column of the error in it.
    pub(crate) fn read(&self) -> Result<Vec<Book>, String> {
        let (name, text) = match self {
            FirstStock::BuiltIn => ("the built-in first stock".into(), BUILT_IN.to_vec()),
            FirstStock::File(path) => {
                let name = path.display().to_string();
                let text = plain_file::read(path)?;
                (name, text)
            }
        };
        let mut books = Vec::new();
        let ids = BookId(0)..=BookId(BOOK_ID_MAX);
        let topics = &mut TopicInterner::default();
        decode_books::<StockedBook>(&text, ids, topics, &mut books)
            .map_err(|why| format!("cannot use {name}: {why}"))?;
        books.sort_unstable_by_key(|book| book.id);
        Ok(books)
    }
}

//! Decoding a file of books, which a person may have edited: errors name line and column.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use crate::model::book::{Book, BookId};
use crate::runtime::sync::lock;

/// Interns topics: a million books have perhaps a thousand topics.
#[derive(Default)]
pub(super) struct TopicInterner {
    /// Shared by all threads; locked only for a topic that is new to this one.
    shared: Arc<Mutex<HashSet<Arc<str>>>>,
    own: HashSet<Arc<str>>,
}

impl TopicInterner {
    /// An interner for another thread, which gives the same `Arc` for equal topics.
    pub(super) fn for_other_thread(&self) -> TopicInterner {
        TopicInterner {
            shared: self.shared.clone(),
            own: HashSet::new(),
        }
    }

    fn intern(&mut self, topic: &Arc<str>) -> Arc<str> {
        if let Some(interned) = self.own.get(topic) {
            return interned.clone();
        }
        let mut shared = lock(&self.shared);
        let interned = shared.get(topic).unwrap_or(topic).clone();
        shared.insert(interned.clone());
        self.own.insert(interned.clone());
        interned
    }
}

/// Appends the books of a JSON array, in any order. Fails with the reason and its line and column
/// when the text does not parse, an id is repeated or not one of `ids`, or a book has a flaw.
pub(super) fn decode_books<T: DeserializeOwned + Into<Book>>(
    text: &[u8],
    ids: RangeInclusive<BookId>,
    topics: &mut TopicInterner,
    books: &mut Vec<Book>,
) -> Result<(), String> {
    let decoded: Vec<T> = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mut seen = HashSet::with_capacity(decoded.len());
    books.reserve(decoded.len());
    for (index, book) in decoded.into_iter().enumerate() {
        let mut book = book.into();
        let flaw = if !ids.contains(&book.id) {
            Some(format!("is not one of {} to {}", ids.start(), ids.end()))
        } else if !seen.insert(book.id) {
            Some("is there already".to_string())
        } else {
            book.defect().map(|flaw| format!("has {flaw}"))
        };
        if let Some(flaw) = flaw {
            let (line, column) = line_and_column(text, element_start(text, index));
            let id = book.id;
            return Err(format!("book {id} {flaw} at line {line} column {column}"));
        }
        book.topic = topics.intern(&book.topic);
        books.push(book);
    }
    Ok(())
}

/// Line and column, both from 1, of an offset into the text.
fn line_and_column(text: &[u8], at: usize) -> (usize, usize) {
    let line = text[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let previous_end = text[..at].iter().rposition(|b| *b == b'\n');
    (line, at - previous_end.map_or(0, |end| end + 1) + 1)
}

/// Where an element of a valid JSON array of objects begins.
fn element_start(text: &[u8], index: usize) -> usize {
    let (mut depth, mut in_string, mut escaped, mut left) = (0, false, false, index);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' if depth == 1 && left == 0 => return at,
            b'[' | b'{' => {
                left -= usize::from(depth == 1);
                depth += 1;
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

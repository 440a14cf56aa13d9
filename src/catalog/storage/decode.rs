//! Decoding a file of books, which a person may have edited: errors name line and column.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde_json::Value;

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
    let decoded: Vec<T> = serde_json::from_slice(text).map_err(|e| explain(text, &e))?;
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
            let (line, column) = line_and_column(text, element_starts(text)[index]);
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

/// Where the elements of a JSON array of objects begin; of those before an error, if there is one.
fn element_starts(text: &[u8]) -> Vec<usize> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let mut starts = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                if depth == 1 {
                    starts.push(at);
                }
                depth += 1;
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    starts
}

/// What is wrong with a text of books that does not decode, and in which book.
fn explain(text: &[u8], error: &serde_json::Error) -> String {
    let place = (error.line(), error.column());
    let starts = element_starts(text);
    let before = starts.partition_point(|start| line_and_column(text, *start) <= place);
    let json = before.checked_sub(1).map(|last| &text[starts[last]..]);
    let mut values =
        json.map(|json| serde_json::Deserializer::from_slice(json).into_iter::<Value>());
    let book = values.as_mut().and_then(Iterator::next);
    let text = error.to_string();
    match (book, text.split_once(" at line ")) {
        (Some(Ok(book)), Some((why, place))) if book["id"].is_u64() => {
            format!("{why} in book {} at line {place}", book["id"])
        }
        _ => text,
    }
}

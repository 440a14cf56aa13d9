//! Reading a file of books, and judging what a person may have made of it.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use crate::model::book::{Book, BookId};

/// Makes equal topics one `Arc`: a million books have perhaps a thousand topics.
#[derive(Default)]
pub struct Topics {
    /// Everybody's; locked only for topics that this thread has not met.
    all: Arc<Mutex<HashSet<Arc<str>>>>,
    met: HashSet<Arc<str>>,
}

impl Topics {
    /// For another thread.
    pub fn another(&self) -> Topics {
        Topics {
            all: self.all.clone(),
            met: HashSet::new(),
        }
    }

    fn one(&mut self, topic: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.met.get(topic) {
            return known.clone();
        }
        let mut all = self.all.lock().expect("nothing panics under this lock");
        let known = all.get(topic).unwrap_or(topic).clone();
        all.insert(known.clone());
        self.met.insert(known.clone());
        known
    }
}

/// Adds the books of a JSON array, in any order. Fails with what is wrong and its line and column,
/// when the text does not parse, an id is there twice or not one of `ids`, or a book cannot be.
pub fn parse<T: DeserializeOwned + Into<Book>>(
    text: &[u8],
    ids: RangeInclusive<BookId>,
    topics: &mut Topics,
    books: &mut Vec<Book>,
) -> Result<(), String> {
    let found: Vec<T> = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mut seen = HashSet::with_capacity(found.len());
    books.reserve(found.len());
    for (index, book) in found.into_iter().enumerate() {
        let mut book = book.into();
        let flaw = if !ids.contains(&book.id) {
            Some(outside(&ids))
        } else if !seen.insert(book.id) {
            Some("is there already".to_string())
        } else {
            book.flaw().map(|flaw| format!("has {flaw}"))
        };
        if let Some(flaw) = flaw {
            let (line, column) = place(text, index);
            return Err(format!(
                "book {} {flaw} at line {line} column {column}",
                book.id
            ));
        }
        book.topic = topics.one(&book.topic);
        books.push(book);
    }
    Ok(())
}

fn outside(ids: &RangeInclusive<BookId>) -> String {
    format!("is not one of {} to {}", ids.start(), ids.end())
}

/// Line and column, from 1, of an element of a JSON array that did parse.
fn place(text: &[u8], index: usize) -> (usize, usize) {
    let at = start(text, index);
    let line = text[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let line_start = text[..at].iter().rposition(|b| *b == b'\n');
    (line, at - line_start.map_or(0, |end| end + 1) + 1)
}

/// Where an element begins, which is an object.
fn start(text: &[u8], index: usize) -> usize {
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

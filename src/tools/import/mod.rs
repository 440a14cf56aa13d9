//! `bazar import`: adds the books of a file to a running shop.
//!
//! `book_reader` splits the file into books while it reads. Many books go in one request, and
//! while one request is answered the next is under way (`sender`). The catalog validates the
//! books; one that it refuses is reported with its line. Memory holds a few batches, however long
//! the file is.
//!
//! # Once and not twice
//!
//! **Books with ids** may be sent again, by this import or by a later one: an id that belongs to a
//! book of the same title is *there already*. (Quantity and price may have changed since, by sales
//! and updates, and stay as they are. With another title the book is refused as bad.) So a request
//! that failed is retried for `sender::RETRY_MAX`, and after an interruption the same import is
//! simply run again. Two requests are under way at a time.
//!
//! **Books without ids** get theirs from the catalog, so a retry would add them twice. Only a
//! request that certainly did nothing is retried. When the outcome of a request is unknown, the
//! import ends and names its lines; all books before them are in the shop, and `--from-line`
//! continues after them. For that, one request goes after the other.
//!
//! The first book decides which of the two a file is; a book of the other kind is a bad one.

mod book_reader;
mod progress;
mod sender;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::mem::take;
use std::path::Path;

use serde_json::Value;

use crate::config::import::ImportSettings;
use crate::tools::patient_client;
use book_reader::{BOOK_BYTES_MAX, BookReader, RawBook};
use progress::Progress;
use sender::{Book, Sender};

/// Runs an import to its end and returns the summary. Reports bad books on stderr.
///
/// Fails with what stopped it, what is in the shop by then, and how to continue.
pub fn run(settings: &ImportSettings) -> Result<String, String> {
    let client = patient_client(settings.token.as_deref());
    let (file, size) = open(&settings.file)?;
    let stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    let progress = Progress::new(size, settings.skip_bad, Box::new(stderr), is_terminal);
    let call = |method, path: &str, body: Option<&[u8]>| {
        client.call(method, &format!("{}{path}", settings.catalog), &[], body)
    };
    let (call, progress) = (&call, &progress);
    import(file, settings, &Sender { call, progress })
}

/// The file and its size. `-` is standard input, whose size is unknown.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), String> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |e| format!("cannot read {}: {e}", path.display());
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let size = found.is_file().then_some(found.len());
    Ok((Box::new(file), size))
}

/// Reads the file into batches until its end, or until the sender stops.
fn import(file: impl Read, settings: &ImportSettings, sender: &Sender) -> Result<String, String> {
    let mut reader = BookReader::new(file);
    sender.run(|send| {
        let mut batch = Vec::new();
        let mut with_ids = None;
        while !sender.progress.is_stopped() {
            // After an error the books before it are sent all the same.
            let Some(raw) = reader.next_book().inspect_err(|_| send(take(&mut batch)))? else {
                break;
            };
            if settings.from_line <= raw.line {
                let line = raw.line;
                match parse(raw, &mut with_ids) {
                    Ok(book) => batch.push(book),
                    Err(why) => sender.progress.report_bad(line, &why),
                }
            }
            if settings.batch <= batch.len() {
                send(take(&mut batch));
            }
        }
        send(batch);
        Ok(())
    })
}

/// Fails when the text is not a JSON object, or not of the file's kind. The catalog validates the
/// rest.
fn parse(raw: RawBook, with_ids: &mut Option<bool>) -> Result<Book, String> {
    if BOOK_BYTES_MAX < raw.text.len() {
        return Err(format!("a book has at most {BOOK_BYTES_MAX} bytes"));
    }
    let fields: Value = serde_json::from_slice(&raw.text).map_err(|e| e.to_string())?;
    if !fields.is_object() {
        return Err("a book is a JSON object".into());
    }
    let book = Book { raw, fields };
    if book.has_id() != *with_ids.get_or_insert(book.has_id()) {
        return Err("either all books have an id, or none".into());
    }
    Ok(book)
}

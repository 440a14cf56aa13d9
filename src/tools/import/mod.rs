//! `bazar import`: adds the books of a file to a running shop.
//!
//! `book_reader` splits the file into books while it reads; of a table, `table` makes each record a
//! book. Many books go in one request, and
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
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::mem::take;
use std::path::Path;

use serde_json::Value;

use crate::config::import::ImportSettings;
use crate::model::error::Result as Checked;
use crate::model::validation::{NewBook, NewBooks, parse_new_books};
use crate::tools::patient_client;
use book_reader::{BOOK_BYTES_MAX, BookReader, RawBook};
use progress::{Progress, Skipped};
use sender::{Book, Sender};
use table::Table;

/// Runs an import to its end and returns the summary. Reports bad books on stderr.
///
/// Fails with what stopped it, what is in the shop by then, and how to continue.
pub fn run(settings: &ImportSettings) -> Result<String, String> {
    let (file, size) = open(&settings.file)?;
    let skipped = settings
        .skip_bad
        .as_deref()
        .map(Skipped::create)
        .transpose()?;
    let stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    let only_checks = settings.catalog.is_none();
    let progress = Progress::new(size, skipped, only_checks, Box::new(stderr), is_terminal);
    let Some(catalog) = &settings.catalog else {
        return check(file, settings, &progress);
    };
    let client = patient_client(settings.token.as_deref());
    let call = |method, path: &str, body: Option<&[u8]>| {
        client.call(method, &format!("{catalog}{path}"), &[], body)
    };
    let sender = Sender {
        call: &call,
        progress: &progress,
        update: settings.update,
    };
    import(file, settings, &sender)
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
    sender.run(|send| {
        let mut batch = Vec::new();
        let ended = read_books(file, settings, sender.progress, |book| {
            batch.push(book);
            if settings.batch <= batch.len() {
                send(take(&mut batch));
            }
        });
        // After an error the books before it are sent all the same.
        send(batch);
        ended
    })
}

/// Checks every book as a catalog would, and that no id is there twice. Sends nothing.
fn check(
    file: impl Read,
    settings: &ImportSettings,
    progress: &Progress,
) -> Result<String, String> {
    let mut ids = HashSet::new();
    let ended = read_books(file, settings, progress, |book| {
        match validated(&book) {
            Err(error) => progress.report_bad(&book.raw, error.message()),
            Ok(NewBook { id: Some(id), .. }) if !ids.insert(id) => {
                progress.report_bad(&book.raw, &format!("id {id} is there twice"));
            }
            Ok(_) => progress.count_fine(),
        }
        progress.draw(book.raw.end);
    });
    progress.checked(ended)
}

/// What the catalog will make of a book.
fn validated(book: &Book) -> Checked<NewBook> {
    match parse_new_books(&book.json())? {
        NewBooks::One(book) => Ok(book),
        NewBooks::Many(_) => unreachable!("a book is an object"),
    }
}

/// Passes each book of the file on, and reports the bad ones. Fails when the file cannot be read
/// on.
fn read_books(
    file: impl Read,
    settings: &ImportSettings,
    progress: &Progress,
    mut found: impl FnMut(Book),
) -> Result<(), String> {
    let mut reader = BookReader::new(file);
    let table = read_header(&mut reader, settings, progress)?;
    let mut with_ids = None;
    while !progress.is_stopped() {
        let Some(raw) = reader.next_book()? else {
            break;
        };
        if raw.line < settings.from_line {
            continue;
        }
        match parse(&raw, table.as_ref(), &mut with_ids) {
            Ok(fields) => found(Book {
                raw,
                fields,
                is_json: table.is_none(),
            }),
            Err(why) => progress.report_bad(&raw, &why),
        }
    }
    Ok(())
}

/// The header, if the file is a table.
fn read_header(
    reader: &mut BookReader<impl Read>,
    settings: &ImportSettings,
    progress: &Progress,
) -> Result<Option<Table>, String> {
    let Some(header) = reader.header()? else {
        if settings.columns.is_empty() {
            return Ok(None);
        }
        return Err("--columns is for tables, and this file is JSON".into());
    };
    let table = Table::new(&header.text, &settings.columns)
        .map_err(|why| format!("line {}: {why}", header.line))?;
    reader.set_separator(table.separator());
    progress.note_header(&header);
    Ok(Some(table))
}

/// Fails when the text is no book of this table, or no JSON object, or not of the file's kind. The
/// catalog validates the rest.
fn parse(
    raw: &RawBook,
    table: Option<&Table>,
    with_ids: &mut Option<bool>,
) -> Result<Value, String> {
    if BOOK_BYTES_MAX < raw.text.len() {
        return Err(format!("a book has at most {BOOK_BYTES_MAX} bytes"));
    }
    let fields = match table {
        Some(table) => table.book(&raw.text)?,
        None => serde_json::from_slice(&raw.text).map_err(|e| e.to_string())?,
    };
    if !fields.is_object() {
        return Err("a book is a JSON object".into());
    }
    let has_id = !fields["id"].is_null();
    if has_id != *with_ids.get_or_insert(has_id) {
        return Err("either all books have an id, or none".into());
    }
    Ok(fields)
}

//! `bazar import`: adds the books of a file to a running shop.
//!
//! The file is read as a stream ([`source`]), many books go in one request, and while one request
//! is answered the next is under way ([`sending`]). The catalog judges the books; what it refuses
//! is told by the line. Memory holds a few batches however long the file is.
//!
//! # Once and not twice
//!
//! **Books with ids** may be sent again, by this import or by the next: an id that is in use by a
//! book of the same title is *there already*. (Quantity and price may have changed since, by sales
//! and updates; they are left alone. With another title the book is refused as bad.) So a request
//! that failed is repeated for [`sending::TRYING_MAX`], and after a break the same import is simply
//! run again. Two requests are under way at once.
//!
//! **Books without ids** get theirs from the catalog, so a repetition would add them twice. Only
//! what certainly did not happen is repeated. When nobody can tell whether a request came true, the
//! import ends and names its lines; all before are in the shop, and `--from-line` goes on behind.
//! For that the requests go one after the other.
//!
//! The first book decides which of both a file is; a book of the other kind is a bad one.

pub mod progress;
pub mod sending;
pub mod source;
pub mod tally;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::config::Limits;
use crate::config::import::ImportSettings;
use crate::http::client::Client;

use progress::Progress;
use sending::{Batch, Offered, Sending};
use source::{BOOK_BYTES_MAX, Piece, Source};

/// Patient: a catalog answers when a thousand books are on every disk.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    whole: Duration::from_secs(60),
};

/// Runs an import to its end and gives the summary. Bad books go to stderr as they are met.
///
/// Fails with what stopped it, what is in the shop by then, and how to go on.
pub fn run(settings: &ImportSettings) -> Result<String, String> {
    let client = Client::new(LIMITS, settings.token.as_deref());
    let (file, size) = open(&settings.file)?;
    let progress = Progress::new(size, Box::new(io::stderr()), io::stderr().is_terminal());
    let call = |method, path: &str, body: Option<&[u8]>| {
        client.call(method, &format!("{}{path}", settings.catalog), &[], body)
    };
    let sending = Sending::new(&call, &progress, settings.skip_bad);
    import(file, settings, &sending)
}

/// The file and its size. `-` is standard input, of a size that nobody knows.
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

/// Reads the file into batches until its end, or until sending was stopped.
fn import(file: impl Read, settings: &ImportSettings, sending: &Sending) -> Result<String, String> {
    let mut source = Source::new(file);
    sending.run(|deliver| {
        let mut batch = Batch::default();
        let mut with_ids = None;
        while !sending.is_stopped() {
            let Some(piece) = source.next().inspect_err(|_| deliver(batch.take()))? else {
                break;
            };
            if settings.from_line <= piece.line {
                let line = piece.line;
                match judge(piece, &mut with_ids) {
                    Ok(book) => batch.books.push(book),
                    Err(why) => sending.refuse(line, &why),
                }
            }
            if settings.batch <= batch.books.len() {
                deliver(batch.take());
            }
        }
        deliver(batch);
        Ok(())
    })
}

/// Whether the piece is JSON and of the file's kind. What else a book may be, the catalog knows.
fn judge(piece: Piece, with_ids: &mut Option<bool>) -> Result<Offered, String> {
    if BOOK_BYTES_MAX < piece.text.len() {
        return Err(format!("a book has at most {BOOK_BYTES_MAX} bytes"));
    }
    let value: Value = serde_json::from_slice(&piece.text).map_err(|e| e.to_string())?;
    let fields = value.as_object().ok_or("a book is a JSON object")?;
    let id = fields.get("id").filter(|id| !id.is_null());
    let with_id = id.is_some();
    if with_id != *with_ids.get_or_insert(with_id) {
        return Err("either all books have an id, or none".into());
    }
    let title = fields.get("title").and_then(Value::as_str);
    Ok(Offered {
        with_id,
        id: id.and_then(Value::as_u64),
        title: title.unwrap_or_default().into(),
        piece,
    })
}

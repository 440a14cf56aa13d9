//! `bazar migrate`: takes the books of a shop that does not run from a data folder into etcd, or
//! from etcd into a data folder, with the orders that they know.
//!
//! Nothing is overwritten: the folder must be new, and etcd must have no key of a shop. A migration
//! that was cut short leaves a store that no catalog opens as whole, and that a second migration
//! refuses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::catalog::etcd::gateway::Gateway;
use crate::catalog::etcd::opening::WHOLE;
use crate::catalog::etcd::reader::Reader;
use crate::catalog::etcd::{record, wire};
use crate::catalog::replication::left_out::Record;
use crate::catalog::storage::first_stock::FirstStock;
use crate::catalog::storage::{Reader as BookReader, Storage};
use crate::config::migrate::{MigrateSettings, Place};
use crate::model::book::{Book, BookId};

/// Books that are read or written in one request.
const BOOKS_PER_REQUEST: usize = 100;

/// A request has no more bytes of books, before they are encoded: etcd takes 1.5 MiB.
const BYTES_MAX: usize = 800 << 10;

/// Books that are saved together: a hundred files.
const BOOKS_PER_SAVE: usize = 10_000;

/// Migrates, and returns what was done, for people.
///
/// Fails with one line that says why nothing was migrated, or how far it came.
pub(in crate::catalog) fn run(settings: &MigrateSettings) -> Result<String, String> {
    let gateway = Arc::new(Gateway::new(&settings.etcd, settings.limits));
    let reader = Reader::new(gateway.clone());
    let books = match &settings.from {
        Place::Folder(path) => read_folder(path)?,
        Place::Etcd => read_etcd(&reader)?,
    };
    match &settings.to {
        Place::Folder(path) => write_folder(path, &books)?,
        Place::Etcd => write_etcd(&gateway, &reader, &books)?,
    }
    let removed = books.iter().filter(|book| book.removed).count();
    let (count, to) = (books.len() - removed, &settings.to);
    Ok(format!(
        "{count} books are in {to}, and what is left of {removed} that were removed"
    ))
}

fn read_folder(path: &Path) -> Result<Vec<Arc<Book>>, String> {
    if !path.is_dir() {
        return Err(format!("{} is no folder", path.display()));
    }
    let (_storage, opened) = Storage::open(path, &FirstStock::BuiltIn)?;
    if !opened.record.whole {
        return Err(format!(
            "{} is new: no catalog has served from it",
            path.display()
        ));
    }
    Ok(opened.books.into_iter().map(Arc::new).collect())
}

fn read_etcd(reader: &Reader) -> Result<Vec<Arc<Book>>, String> {
    let whole = reader
        .read(vec![WHOLE.into()])
        .map_err(|error| error.message().to_string())?;
    if whole[0].is_none() {
        return Err("etcd has no shop, or not all of one: bazar/whole is missing".into());
    }
    let (mut books, mut first) = (Vec::new(), record::FIRST.to_string());
    loop {
        let page = reader.read_between(&first, record::END, BOOKS_PER_REQUEST, 0);
        let (kvs, more, _) = page.map_err(|error| error.message().to_string())?;
        for kv in &kvs {
            books.push(record::decode(kv)?);
        }
        match kvs.last().filter(|_| more) {
            Some(last) => first = format!("{}\0", String::from_utf8_lossy(&last.key)),
            None => return Ok(books),
        }
    }
}

fn write_folder(path: &Path, books: &[Arc<Book>]) -> Result<(), String> {
    let is_free = match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !path.exists(),
    };
    if !is_free {
        return Err(format!(
            "{} is there already, and is not overwritten",
            path.display()
        ));
    }
    let (storage, opened) = Storage::open(path, &FirstStock::BuiltIn)?;
    let all: Arc<BTreeMap<BookId, Arc<Book>>> =
        Arc::new(books.iter().map(|book| (book.id, book.clone())).collect());
    let read: BookReader = Arc::new(move |first, last| {
        all.range(first..=last)
            .map(|(_, book)| book.clone())
            .collect()
    });
    let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
    for some in ids.chunks(BOOKS_PER_SAVE) {
        storage.save(some, &read)?;
    }
    storage.save_record(&Record {
        whole: true,
        ..opened.record
    })
}

fn write_etcd(gateway: &Gateway, reader: &Reader, books: &[Arc<Book>]) -> Result<(), String> {
    let said = |error: crate::model::error::Error| error.message().to_string();
    let (kvs, ..) = reader
        .read_between(wire::ROOT, wire::ROOT_END, 1, 0)
        .map_err(said)?;
    if let Some(kv) = kvs.first() {
        let key = String::from_utf8_lossy(&kv.key);
        return Err(format!(
            "etcd has the key {key} of a shop already, and is not overwritten: \
             etcdctl del --prefix {} removes that shop",
            wire::ROOT
        ));
    }
    let mut rest = books;
    while !rest.is_empty() {
        let (puts, others) = next_puts(rest);
        let put = gateway.txn::<IgnoredAny>(&wire::txn(&puts), gateway.deadline());
        put.map_err(|error| {
            let done = books.len() - rest.len();
            format!("after {done} books: {}", error.message())
        })?;
        rest = others;
    }
    let whole = wire::txn(&[wire::put(WHOLE, b"")]);
    let put = gateway.txn::<IgnoredAny>(&whole, gateway.deadline());
    put.map(drop).map_err(said)
}

/// The puts of as many books as one request takes, and the books that are left.
fn next_puts(books: &[Arc<Book>]) -> (Vec<Value>, &[Arc<Book>]) {
    let (mut puts, mut bytes) = (Vec::new(), 0);
    for book in books.iter().take(BOOKS_PER_REQUEST) {
        let json = record::encode(book);
        bytes += json.len();
        if !puts.is_empty() && BYTES_MAX < bytes {
            break;
        }
        puts.push(wire::put(&record::key(book.id), &json));
    }
    let count = puts.len();
    (puts, &books[count..])
}

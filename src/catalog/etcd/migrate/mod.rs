//! `bazar migrate`: takes the books of a shop that does not run from a data folder into etcd, or
//! from etcd into a data folder, with the ledger of what was sold.
//!
//! Nothing is overwritten: the folder must be new, and etcd must have no key of a shop. A migration
//! that was cut short leaves a store that no catalog opens as whole, and that a second migration
//! refuses.

mod ledger;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::catalog::etcd::gateway::Gateway;
use crate::catalog::etcd::migrate::ledger::Puts;
use crate::catalog::etcd::opening::WHOLE;
use crate::catalog::etcd::reader::Reader;
use crate::catalog::etcd::wire::{KeyValue, Operation, Txn};
use crate::catalog::etcd::{ledger_keys, record, wire};
use crate::catalog::replication::Opened;
use crate::catalog::replication::left_out::Record;
use crate::catalog::storage::first_stock::FirstStock;
use crate::catalog::storage::{Reader as BookReader, Storage};
use crate::config::migrate::{MigrateSettings, Place};
use crate::model::book::entry::Entry;
use crate::model::book::{Book, BookId};

/// Keys that are read or written in one request.
const KEYS_PER_REQUEST: usize = 100;

/// A request has no more bytes, before they are encoded: etcd takes 1.5 MiB.
const BYTES_MAX: usize = 800 << 10;

/// Books that are saved together: fifty files.
const BOOKS_PER_SAVE: usize = 10_000;

/// Entries that are saved together: one file or two.
const ENTRIES_PER_SAVE: usize = 1000;

/// A shop on its way.
struct Moved {
    books: Vec<Arc<Book>>,
    /// By time.
    entries: Vec<Arc<Entry>>,
}

/// Migrates, and returns what was done, for people.
///
/// Fails with one line that says why nothing was migrated, or how far it came.
pub(in crate::catalog) fn run(settings: &MigrateSettings) -> Result<String, String> {
    let gateway = Arc::new(Gateway::new(&settings.etcd, settings.limits));
    let reader = Reader::new(gateway.clone());
    let moved = match &settings.from {
        Place::Folder(path) => read_folder(path)?,
        Place::Etcd => read_etcd(&reader)?,
    };
    match &settings.to {
        Place::Folder(path) => write_folder(path, &moved)?,
        Place::Etcd => write_etcd(&gateway, &reader, &moved)?,
    }
    let Moved { books, entries } = &moved;
    let removed = books.iter().filter(|book| book.removed).count();
    let (count, to) = (books.len() - removed, &settings.to);
    Ok(format!(
        "{count} books are in {to}, what is left of {removed} that were removed, and {} entries of \
         the ledger",
        entries.len()
    ))
}

fn open(path: &Path) -> Result<(Storage, Opened), String> {
    Storage::open(path, &FirstStock::BuiltIn).map_err(|exit| exit.to_string())
}

fn read_folder(path: &Path) -> Result<Moved, String> {
    if !path.is_dir() {
        return Err(format!("{} is no folder", path.display()));
    }
    let (_storage, opened) = open(path)?;
    if !opened.record.whole {
        return Err(format!(
            "{} is new: no catalog has served from it",
            path.display()
        ));
    }
    let books: Vec<Arc<Book>> = opened.books.into_iter().map(Arc::new).collect();
    let entries = ledger::all(opened.entries, &books);
    Ok(Moved { books, entries })
}

fn read_etcd(reader: &Reader) -> Result<Moved, String> {
    let whole = reader
        .read(vec![WHOLE.into()])
        .map_err(|error| error.message().to_string())?;
    if whole[0].is_none() {
        return Err("etcd has no shop, or not all of one: bazar/whole is missing".into());
    }
    Ok(Moved {
        books: read_all(reader, record::FIRST, record::END, record::decode)?,
        entries: read_all(
            reader,
            ledger_keys::FIRST,
            ledger_keys::END,
            ledger_keys::decode_entry,
        )?,
    })
}

/// What stands at the keys from `first` to `end`.
fn read_all<T>(
    reader: &Reader,
    first: &str,
    end: &str,
    decode: impl Fn(&KeyValue) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let (mut all, mut first) = (Vec::new(), first.to_string());
    loop {
        let page = reader.read_between(&first, end, KEYS_PER_REQUEST, 0);
        let (kvs, more, _) = page.map_err(|error| error.message().to_string())?;
        for kv in &kvs {
            all.push(decode(kv)?);
        }
        match kvs.last().filter(|_| more) {
            Some(last) => first = format!("{}\0", String::from_utf8_lossy(&last.key)),
            None => return Ok(all),
        }
    }
}

fn write_folder(path: &Path, moved: &Moved) -> Result<(), String> {
    let Moved { books, entries } = moved;
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
    let (storage, opened) = open(path)?;
    let all: Arc<BTreeMap<BookId, Arc<Book>>> =
        Arc::new(books.iter().map(|book| (book.id, book.clone())).collect());
    let read: BookReader = Arc::new(move |first, last| {
        let books = all.range(first..=last);
        Ok(books.map(|(_, book)| book.clone()).collect())
    });
    let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
    for some in ids.chunks(BOOKS_PER_SAVE) {
        storage.save(some, &read)?;
    }
    for some in entries.chunks(ENTRIES_PER_SAVE) {
        storage.save_entries(some)?;
    }
    storage.save_record(&Record {
        whole: true,
        ..opened.record
    })?;
    Ok(())
}

fn write_etcd(gateway: &Gateway, reader: &Reader, moved: &Moved) -> Result<(), String> {
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
    let books = moved.books.iter().map(|book| ledger::book(book));
    let entries = ledger::entries(&moved.entries, &moved.books);
    let all: Vec<Puts> = books.chain(entries).collect();
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let (puts, others) = next_puts(rest);
        put_all(gateway, puts).map_err(|error| {
            let done = all.len() - rest.len();
            format!("after {done} books and entries: {error}")
        })?;
        rest = others;
    }
    put_all(gateway, vec![wire::put(WHOLE, b"")])
}

fn put_all(gateway: &Gateway, puts: Vec<Operation>) -> Result<(), String> {
    // What is long is put by txns in the txn: etcd counts their operations one by one.
    let together = puts.chunks(KEYS_PER_REQUEST);
    let together = together.map(|some| Operation::Txn(Txn::of(some.to_vec())));
    let txn = Txn::of(together.collect());
    let put = gateway.txn::<IgnoredAny>(&txn, gateway.deadline());
    put.map(drop).map_err(|error| error.message().to_string())
}

/// As many of these as one request takes, and those that are left.
fn next_puts(all: &[Puts]) -> (Vec<Operation>, &[Puts]) {
    let (mut puts, mut bytes, mut count) = (Vec::new(), 0, 0);
    for one in all {
        let size = |(key, value): &(String, Vec<u8>)| key.len() + value.len();
        bytes += one.iter().map(size).sum::<usize>();
        let is_full = KEYS_PER_REQUEST < puts.len() + one.len() || BYTES_MAX < bytes;
        if !puts.is_empty() && is_full {
            break;
        }
        puts.extend(one.iter().map(|(key, value)| wire::put(key, value)));
        count += 1;
    }
    (puts, &all[count..])
}

//! The ledger on its way from a folder to etcd.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::catalog::etcd::ledger_keys::{
    self, KeyUse, Places, apart_key, cancels, entry_key, key_key,
};
use crate::catalog::etcd::record;
use crate::model::audit::history;
use crate::model::book::entry::{Account, Entry, EntryKey};
use crate::model::book::{Book, BookId, STAMP_MAX, Version};
use crate::model::order::OrderId;
use crate::model::order_ids::unix_ms;

/// Keys and values that are put together.
pub(super) type Puts = Vec<(String, Vec<u8>)>;

/// All that the folder knows of what was sold: its ledger, and what is in the books' records only.
pub(super) fn all(saved: Vec<Entry>, books: &[Arc<Book>]) -> Vec<Arc<Entry>> {
    let recent = books
        .iter()
        .flat_map(|book| book.account.entries().cloned());
    let all = saved.into_iter().map(Arc::new).chain(recent);
    let all: BTreeMap<EntryKey, Arc<Entry>> = all.map(|entry| (entry.key(), entry)).collect();
    all.into_values().collect()
}

/// What is put for a book.
///
/// Its version becomes a revision of etcd. So one more entry, which changes nothing, leads from
/// that to the version that the book had in the folder.
pub(super) fn book(book: &Book) -> Puts {
    let key = record::key(book.id);
    if book.account.is_empty() {
        return vec![(key, record::encode(book))];
    }
    let mut moved = book.clone();
    moved.version.stamp = fastrand::u64(1..=STAMP_MAX);
    moved.account = Account::kept_elsewhere();
    let entry = Entry {
        at: unix_ms(),
        book: book.id,
        version: Version {
            number: 0,
            ..moved.version
        },
        base: book.version.stamp,
        base_number: Some(book.version.number),
        title: book.title.clone(),
        price: book.price,
        from: book.quantity,
        to: book.quantity,
        opens: None,
        orders: Box::default(),
        cancels: None,
        key: None,
    };
    let name = ledger_keys::name(&entry.key());
    vec![
        (key, record::encode(&moved)),
        (entry_key(&name), ledger_keys::encode(&entry)),
    ]
}

/// What is put for the entries, by time.
pub(super) fn entries(entries: &[Arc<Entry>], books: &[Arc<Book>]) -> Vec<Puts> {
    let own = in_history(entries, books);
    let is_own = |entry: &Entry| own.contains(&(entry.book, entry.version));
    let owned = entries.iter().filter(|entry| is_own(entry));
    let owned: HashSet<OrderId> = owned
        .flat_map(|entry| &entry.orders)
        .map(|sale| sale.order)
        .collect();
    let (mut seen, mut places) = (HashSet::<String>::new(), Places::new());
    let puts = entries.iter().map(|entry| {
        let name = ledger_keys::name(&entry.key());
        let mut puts = vec![(entry_key(&name), ledger_keys::encode(entry.as_ref()))];
        for sale in &entry.orders {
            if is_own(entry) {
                ledger_keys::add_place(&mut places, sale.order, &name);
            } else if !owned.contains(&sale.order) {
                ledger_keys::add_place(&mut places, sale.order, &name);
                puts.push((apart_key(sale.order), Vec::new()));
            }
        }
        puts.extend(of_keys(entry, &name));
        // A key is good for its first use. An order may be in two entries of the other side.
        puts.retain(|(key, _)| seen.insert(key.clone()));
        puts
    });
    let puts: Vec<Puts> = puts.collect();
    let places = ledger_keys::place_puts(&places, 0);
    let places = places.into_iter().map(|put| vec![put]);
    puts.into_iter().chain(places).collect()
}

/// What is put for the keys of an entry.
fn of_keys(entry: &Entry, name: &str) -> Puts {
    let keys = entry.keys().cloned().chain(entry.cancels.map(cancels));
    let put = |key: Arc<str>| {
        let used = KeyUse {
            book: entry.book,
            copies: entry.copies_for(&key).unwrap_or(0),
            order: entry.order_for(&key),
            entry: name.into(),
        };
        (key_key(&key), ledger_keys::encode(&used))
    };
    keys.map(put).collect()
}

/// The entries that the books' quantities follow from. The others are of the other side of a cut.
fn in_history(entries: &[Arc<Entry>], books: &[Arc<Book>]) -> HashSet<(BookId, Version)> {
    let by_version = entries
        .iter()
        .map(|entry| ((entry.book, entry.version), entry));
    let by_version: HashMap<(BookId, Version), &Arc<Entry>> = by_version.collect();
    let own = books.iter().flat_map(|book| {
        let entry_of = |version| by_version.get(&(book.id, version)).copied();
        let (history, _) = history(book.version, entry_of);
        history.into_iter().map(|entry| (entry.book, entry.version))
    });
    own.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::etcd::wire::KeyValue;

    /// An entry of book 2, made at its number.
    fn entry(number: u64, stamp: u64, base: u64, sales: &str) -> Arc<Entry> {
        let opens = if number == 1 {
            r#""opens":"stock","#
        } else {
            ""
        };
        let json = format!(
            r#"{{"at":{number},"book":2,"version":"{number}-{stamp}","base":{base},"title":"T",
            "price":1.5,"from":9,"to":8,{opens}"sales":{sales}}}"#
        );
        Arc::new(serde_json::from_str(&json).unwrap())
    }

    fn sold_book() -> Arc<Book> {
        let json = r#"{"id":2,"title":"t","topic":"T","quantity":7,"price":1.5,"version":"2-5",
            "account":[]}"#;
        Arc::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn what_the_other_side_of_a_cut_sold_is_told_from_what_the_stock_knows() {
        let own = [
            entry(1, 4, 0, r#"["7.1; key=k"]"#),
            entry(2, 5, 4, r#"["7.2"]"#),
        ];
        let other = entry(2, 6, 4, r#"["8.1; key=k", "7.2"]"#);
        let all = [own.to_vec(), vec![other]].concat();
        let puts = entries(&all, &[sold_book()]).concat();
        let keys: Vec<&str> = puts.iter().map(|(key, _)| key.as_str()).collect();
        let count = |wanted: &str| keys.iter().filter(|key| **key == wanted).count();
        assert_eq!(count("bazar/key/k"), 1, "{keys:?}");
        let found = |start, count| {
            let order = OrderId { start, count };
            let place = format!("{}{:016}", ledger_keys::place(order), 0);
            let (key, value) = puts.iter().find(|(key, _)| *key == place).unwrap();
            let (key, value) = (key.clone().into_bytes(), value.clone());
            let kv = KeyValue {
                key,
                value,
                mod_revision: 1,
            };
            ledger_keys::decode_place(&kv, order).unwrap().unwrap()
        };
        let name = |entry: &Arc<Entry>| ledger_keys::name(&entry.key());
        assert_eq!((found(7, 2), found(8, 1)), (name(&all[1]), name(&all[2])));
        let apart = keys.iter().filter(|key| key.starts_with("bazar/apart/"));
        assert_eq!(apart.collect::<Vec<_>>(), [&"bazar/apart/8.1"]);
    }

    #[test]
    fn an_entry_leads_from_the_revision_of_etcd_to_the_version_in_the_folder() {
        let puts = book(&sold_book());
        let [(_, moved), (_, bridge)] = puts.try_into().unwrap();
        let moved: Book = serde_json::from_slice(&moved).unwrap();
        let bridge: Entry = serde_json::from_slice(&bridge).unwrap();
        assert_eq!(bridge.base_version(), sold_book().version);
        assert_eq!(bridge.version.stamp, moved.version.stamp);
        assert_eq!(
            (bridge.version.number, moved.account.is_empty()),
            (0, false)
        );
    }
}

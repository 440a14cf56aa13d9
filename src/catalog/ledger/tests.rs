//! The ledger as a set, its digests, and its orders.

use super::*;
use crate::model::book::entry::Sale;
use crate::model::book::{BookId, Version};

fn entry(at: u64, number: u64) -> Arc<Entry> {
    let order = OrderId {
        start: 1,
        count: number,
    };
    Arc::new(Entry {
        at,
        book: BookId(2),
        version: Version {
            number,
            stamp: number,
        },
        base: number - 1,
        base_number: None,
        title: "T".into(),
        price: 1.5,
        from: 9,
        to: 8,
        opens: None,
        orders: Box::new([Sale {
            order,
            copies: 1,
            key: None,
        }]),
        cancels: None,
        key: None,
    })
}

#[test]
fn two_ledgers_that_differ_in_one_entry_find_it_by_day_bucket_and_key() {
    let day = 24 * 60 * 60 * 1000;
    let (mut a, mut b) = (Ledger::default(), Ledger::default());
    for at in [5, day, day + 20_000, day + 20_001, 2 * day] {
        a.add(&entry(at, at));
        if at != day + 20_001 {
            assert!(b.add(&entry(at, at)) && !b.add(&entry(at, at)));
        }
    }
    let all = u64::MAX;
    let differing = |ours: Digests, theirs: Digests| -> Vec<u64> {
        let differs = |(at, digest): &(&u64, &Digest)| ours.get(at) != Some(digest);
        theirs.iter().filter(differs).map(|(at, _)| *at).collect()
    };
    assert_eq!(differing(b.days(all), a.days(all)), [1]);
    assert_eq!(differing(b.days(8640 + 2), a.days(8640 + 2)), [0; 0]);
    let buckets = differing(b.buckets(1, all), a.buckets(1, all));
    assert_eq!(buckets, [8640 + 2]);
    let keys = a.keys(buckets[0], None, 10);
    assert_eq!(keys.len(), 2);
    assert_eq!(a.keys(buckets[0], Some(keys[0]), 10), keys[1..]);
    b.add(&a.entries(&keys[1..])[0]);
    assert_eq!(b.days(all), a.days(all));
}

#[test]
fn an_order_is_found_with_what_took_it_back() {
    let mut ledger = Ledger::new(vec![Entry::clone(&entry(5, 3))]);
    let order = OrderId { start: 1, count: 3 };
    let (sale, cancellation) = ledger.order(order).unwrap();
    assert_eq!((sale.version.number, cancellation), (3, None));
    let back = Arc::new(Entry {
        orders: Box::default(),
        cancels: Some(order),
        ..Entry::clone(&entry(9, 4))
    });
    ledger.add(&back);
    assert_eq!(ledger.order(order).unwrap().1, Some(back.clone()));
    assert!(ledger.is_saved(&sale.key()) && !ledger.is_saved(&back.key()));
    ledger.mark_saved(&ledger.unsaved(5));
    assert!(ledger.is_saved(&back.key()));
}

#[test]
fn a_ledger_that_was_in_files_is_the_one_that_grew() {
    let keyed = |at: u64, number: u64, key: &str| {
        let mut entry = Entry::clone(&entry(at, number));
        entry.orders[0].key = Some(key.into());
        entry
    };
    let mut back = keyed(8, 4, "b");
    back.cancels = Some(OrderId { start: 1, count: 2 });
    // One is in two files.
    let in_files = [
        keyed(5, 1, "a"),
        back,
        keyed(6, 2, "a"),
        keyed(7, 3, "b"),
        keyed(6, 2, "a"),
    ];
    let mut grown = Ledger::default();
    let mut by_time = in_files.clone();
    by_time.sort_by_key(Entry::key);
    for entry in by_time {
        grown.add(&Arc::new(entry));
    }
    let read = Ledger::new(in_files.to_vec());
    let entries = |ledger: &Ledger| ledger.after(0, None).cloned().collect::<Vec<_>>();
    assert_eq!(entries(&read), entries(&grown));
    assert_eq!(read.days(u64::MAX), grown.days(u64::MAX));
    assert_eq!(read.buckets(0, u64::MAX), grown.buckets(0, u64::MAX));
    for count in 1..=4 {
        let order = OrderId { start: 1, count };
        assert_eq!(read.order(order), grown.order(order));
    }
    let numbers = ["a", "b"].map(|key| read.with_key(key).unwrap().version.number);
    assert_eq!(numbers, [1, 3], "the first one of a key");
    let titles = entries(&read);
    assert!(Arc::ptr_eq(&titles[0].title, &titles[3].title));
    assert_eq!((read.unsaved_len(), grown.unsaved_len()), (0, 4));
}

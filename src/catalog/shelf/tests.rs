//! States, commitment and persistence of copies on the shelf.

use super::*;

fn book(id: u64, number: u64) -> Arc<Book> {
    Arc::new(Book {
        id: BookId(id),
        title: "T".into(),
        topic: "t".into(),
        quantity: 1,
        price: 1.0,
        version: Version {
            number,
            stamp: number,
        },
        committed: false,
        diverged_at: None,
        applied_orders: Default::default(),
    })
}

#[test]
fn emptying_the_valid_list_makes_every_copy_unknown() {
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Valid);
    shelf.put(book(2, 1), CopyState::Tentative);
    assert_eq!(
        shelf.state_counts(),
        StateCounts {
            valid: 1,
            tentative: 1,
            unknown: 0
        }
    );
    shelf.clear();
    assert_eq!(
        shelf.state_counts(),
        StateCounts {
            valid: 0,
            tentative: 0,
            unknown: 2
        }
    );
    assert_eq!(shelf.state(BookId(1)), CopyState::Unknown);
}

#[test]
fn a_committed_version_stays_committed() {
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Valid);
    shelf.clear();
    assert!(shelf.book(BookId(1)).unwrap().committed);
    shelf.put(book(1, 2), CopyState::Tentative);
    assert!(!shelf.book(BookId(1)).unwrap().committed);
}

#[test]
fn only_the_saved_version_is_on_disk() {
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Tentative);
    shelf.put(book(1, 2), CopyState::Tentative);
    shelf.mark_saved(BookId(1), book(1, 1).version);
    assert!(!shelf.on_disk(BookId(1), book(1, 2).version));
    shelf.mark_saved(BookId(1), book(1, 2).version);
    assert!(shelf.on_disk(BookId(1), book(1, 2).version));
}

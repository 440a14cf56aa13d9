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
        removed: false,
        applied_orders: Default::default(),
        restocked_at: None,
        account: Default::default(),
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
fn what_was_answered_from_an_older_copy_may_be_cached_until_the_new_one_is_valid() {
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Valid);
    shelf.put(book(1, 2), CopyState::Unknown);
    assert!(shelf.may_be_cached(BookId(1)));
    shelf.set_state(BookId(1), CopyState::Valid);
    assert!(!shelf.may_be_cached(BookId(1)));
}

#[test]
fn what_changes_is_owed_until_just_that_version_is_acknowledged() {
    let (peer, id) = (0, BookId(1));
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Valid);
    shelf.begin_owing(peer);
    assert_eq!(shelf.owed(peer).unwrap().len(), 0);
    shelf.put(book(1, 2), CopyState::Tentative);
    shelf.put(book(1, 3), CopyState::Tentative);
    shelf.note_acknowledged(peer, id, book(1, 2).version);
    assert_eq!(shelf.owed(peer).unwrap()[&id], returning::Owed::Earlier);
    shelf.note_acknowledged(peer, id, book(1, 3).version);
    assert_eq!(shelf.owed(peer).unwrap().len(), 0);
}

#[test]
fn a_copy_is_own_until_it_is_taken_from_a_catalog_that_serves() {
    let id = BookId(1);
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Valid);
    assert!(shelf.is_own(id));
    shelf.mark_taken(id);
    assert!(!shelf.is_own(id));
    shelf.put(book(1, 2), CopyState::Tentative);
    assert!(shelf.is_own(id));
    shelf.mark_taken(id);
    shelf.mark_all_own();
    assert!(shelf.is_own(id));
}

#[test]
fn only_the_saved_copy_is_on_disk() {
    let mut shelf = Shelf::default();
    let placed = |shelf: &Shelf, id| shelf.placed(BookId(id)).unwrap();
    shelf.put(book(1, 1), CopyState::Tentative);
    let first = placed(&shelf, 1);
    shelf.put(book(1, 2), CopyState::Tentative);
    shelf.mark_saved(BookId(1), first);
    assert!(!shelf.on_disk(BookId(1), book(1, 2).version) && !shelf.is_all_on_disk());
    for _ in 0..2 {
        shelf.mark_saved(BookId(1), placed(&shelf, 1));
        assert!(shelf.on_disk(BookId(1), book(1, 2).version) && shelf.is_all_on_disk());
    }
    shelf.put(book(1, 3), CopyState::Valid);
    shelf.put(book(2, 1), CopyState::Valid);
    shelf.mark_saved(BookId(1), placed(&shelf, 1));
    assert!(!shelf.is_all_on_disk());
    shelf.mark_saved(BookId(2), placed(&shelf, 2));
    assert!(shelf.is_all_on_disk());
}

#[test]
fn a_version_that_was_replaced_and_came_again_is_not_on_disk() {
    let mut shelf = Shelf::default();
    shelf.put(book(1, 1), CopyState::Tentative);
    let before = shelf.placed(BookId(1)).unwrap();
    shelf.put(book(1, 2), CopyState::Tentative);
    shelf.put(book(1, 1), CopyState::Tentative);
    shelf.mark_saved(BookId(1), before);
    assert!(!shelf.on_disk(BookId(1), book(1, 1).version));
}

#[test]
fn after_the_highest_id_a_book_without_an_id_gets_the_highest_free_one() {
    let mut shelf = Shelf::default();
    assert_eq!(shelf.next_id(), BookId(1));
    shelf.put(book(7, 1), CopyState::Valid);
    assert_eq!(shelf.next_id(), BookId(8));
    for expected in [BOOK_ID_MAX - 1, BOOK_ID_MAX - 2] {
        shelf.put(book(BOOK_ID_MAX, 1), CopyState::Valid);
        assert_eq!(shelf.next_id(), BookId(expected));
        shelf.put(book(expected, 1), CopyState::Valid);
    }
}

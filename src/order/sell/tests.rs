//! Selling from a book in memory whose catalog fails as the test says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::model::error::{Error, OTHER_PURCHASE};
use crate::model::order::OrderId;
use crate::model::validation::BatchBuy;
use crate::order::catalog_client::{Condition, ReadRequest, WriteRequest};
use crate::order::queue::{BUY_RETRY_MAX, BuyOutcome};
use crate::order::sell::fake::{BOOK, Fake, Fault, Record};

const PURCHASED: Option<BuyResult> = Some(Ok(purchased(false)));
const REPLAYED: Option<BuyResult> = Some(Ok(purchased(true)));

const fn purchased(replayed: bool) -> BuyOutcome {
    BuyOutcome::Purchased {
        replayed,
        sold_as: None,
    }
}
const OUT_OF_STOCK: Option<BuyResult> = Some(Ok(BuyOutcome::OutOfStock));

fn seller(quantity: u32, faults: impl IntoIterator<Item = Fault>) -> Seller<Fake> {
    let book = Record {
        quantity,
        ..Record::default()
    };
    Seller::new(Fake {
        book: Mutex::new(book),
        faults: Mutex::new(faults.into_iter().collect()),
    })
}

/// As [`seller`], of a book that has been heard of.
fn seller_of_known(quantity: u32, faults: impl IntoIterator<Item = Fault>) -> Seller<Fake> {
    let seller = seller(quantity, faults);
    seller.heard.hear(BOOK, Some(0));
    seller
}

fn order(count: u64) -> Order {
    Order {
        id: OrderId { start: 7, count },
        open: 0,
        at: 0,
        copies: 1,
        key: None,
    }
}

fn keyed(count: u64, key: &str) -> Order {
    Order {
        key: Some(key.into()),
        ..order(count)
    }
}

fn several(count: u64, copies: u32) -> Order {
    Order {
        copies,
        ..order(count)
    }
}

/// The outcomes of these buys of one queue: the first leads, and after each leader the next, until
/// all are done.
fn serve(seller: &Seller<Fake>, orders: &[Order]) -> Vec<Option<BuyResult>> {
    let waiters = enqueue(seller, orders, Instant::now());
    for waiter in &waiters {
        if waiter.outcome().is_none() {
            let _ = seller.lead(BOOK, waiter);
        }
    }
    assert!(seller.queues.waiting() == 0);
    waiters.iter().map(|waiter| waiter.outcome()).collect()
}

fn enqueue(seller: &Seller<Fake>, orders: &[Order], now: Instant) -> Vec<Arc<Waiter>> {
    let waiter = |order: &Order| Arc::new(Waiter::new(order.clone(), "r".into(), now));
    let waiters: Vec<_> = orders.iter().map(waiter).collect();
    for (i, waiter) in waiters.iter().enumerate() {
        assert_eq!(seller.queues.join(BOOK, waiter), i == 0);
    }
    waiters
}

#[track_caller]
fn check(seller: &Seller<Fake>, quantity: u32, reads: &[usize], writes: &[usize]) {
    let book = seller.catalog.book.lock().unwrap();
    assert_eq!((&book.reads[..], &book.writes[..]), (reads, writes));
    assert_eq!(book.quantity, quantity);
}

fn orders_upto(n: u64) -> Vec<Order> {
    (0..n).map(order).collect()
}

#[test]
fn a_queue_is_served_by_one_read_and_one_update() {
    let seller = seller(9, []);
    assert_eq!(serve(&seller, &orders_upto(5)), vec![PURCHASED; 5]);
    check(&seller, 4, &[5], &[5]);
}

#[test]
fn the_last_in_the_queue_are_out_of_stock() {
    let seller = seller(2, []);
    let outcomes = serve(&seller, &orders_upto(4));
    assert_eq!(outcomes, [PURCHASED, PURCHASED, OUT_OF_STOCK, OUT_OF_STOCK]);
    check(&seller, 0, &[4], &[2]);
}

#[test]
fn who_wants_more_than_is_left_does_not_keep_the_next_one_from_it() {
    let seller = seller(5, []);
    let wishes = [
        several(1, 3),
        several(2, 3),
        several(3, 6),
        several(4, 2),
        order(5),
    ];
    assert_eq!(
        serve(&seller, &wishes),
        [
            PURCHASED,
            OUT_OF_STOCK,
            OUT_OF_STOCK,
            PURCHASED,
            OUT_OF_STOCK
        ]
    );
    check(&seller, 0, &[5], &[2]);
}

#[test]
fn who_came_too_late_for_several_copies_gets_them_when_the_sale_before_fails() {
    let seller = seller(6, [Fault::Conflict]);
    let wishes = [several(1, 3), several(2, 3)];
    assert_eq!(serve(&seller, &wishes), [PURCHASED, OUT_OF_STOCK]);
    check(&seller, 2, &[2, 2], &[2, 1]);
}

#[test]
fn an_order_or_a_key_that_comes_back_for_another_number_of_copies_is_refused() {
    let seller = seller(9, []);
    let keyed_two = Order {
        copies: 2,
        ..keyed(1, "k")
    };
    let refused = Some(Err(Error::Invalid(OTHER_PURCHASE.into())));
    let clicks = [keyed_two.clone(), keyed(2, "k"), several(3, 2)];
    let outcomes = serve(&seller, &clicks);
    assert_eq!(outcomes, [PURCHASED, refused.clone(), PURCHASED]);
    let one = order(3);
    assert_eq!(serve(&seller, &[one]), vec![refused.clone()]);
    assert_eq!(serve(&seller, &[keyed_two]), [REPLAYED]);
    assert_eq!(seller.catalog.book.lock().unwrap().quantity, 5);
    let late = WriteOutcome::Differing(vec![order(4).id]);
    *seller.catalog.faults.lock().unwrap() = [Fault::Answer(late)].into();
    assert_eq!(serve(&seller, &[order(4), order(5)]), [refused, PURCHASED]);
}

#[test]
fn a_key_that_is_in_use_is_refused_unless_an_update_with_it_may_have_happened() {
    let in_use = || Fault::Answer(WriteOutcome::KeysInUse(vec![order(1).id]));
    let refused = Some(Err(Error::KeyInUse(vec![order(1).id])));
    let seller = seller(9, [in_use()]);
    let clicks = [order(1), order(2)];
    assert_eq!(serve(&seller, &clicks), [refused, PURCHASED]);
    assert_eq!(seller.catalog.book.lock().unwrap().quantity, 8);
    *seller.catalog.faults.lock().unwrap() = [Fault::Lost { happened: false }, in_use()].into();
    let outcome = serve(&seller, &[order(1)]).remove(0);
    assert!(
        matches!(outcome, Some(Err(Error::TimedOut(_)))),
        "{outcome:?}"
    );
}

#[test]
fn a_long_queue_is_served_in_batches() {
    let seller = seller(100, []);
    assert_eq!(serve(&seller, &orders_upto(70)), vec![PURCHASED; 70]);
    check(&seller, 30, &[64], &[64, 6]);
}

#[test]
fn a_retry_by_the_buyer_of_the_last_copy_is_purchased() {
    let seller = seller(1, []);
    assert_eq!(serve(&seller, &[order(1)]), [PURCHASED]);
    assert_eq!(
        serve(&seller, &[order(1), order(2)]),
        [REPLAYED, OUT_OF_STOCK]
    );
    check(&seller, 0, &[1, 2], &[1]);
}

#[test]
fn one_key_takes_one_copy_even_from_two_clicks_at_once() {
    let seller = seller(5, []);
    let clicks = [keyed(1, "k"), keyed(2, "k"), order(3)];
    assert_eq!(serve(&seller, &clicks), [PURCHASED, REPLAYED, PURCHASED]);
    assert_eq!(seller.catalog.book.lock().unwrap().quantity, 3);
    assert_eq!(serve(&seller, &[keyed(4, "k")]), [REPLAYED]);
}

#[test]
fn the_others_go_on_when_some_were_served_or_closed_meanwhile() {
    let served = Fault::Answer(WriteOutcome::Applied(vec![order(1).id]));
    let closed = Fault::Answer(WriteOutcome::Closed {
        orders: vec![order(2).id],
        forgotten: 9,
    });
    let seller = seller(9, [served, closed]);
    let outcomes = serve(&seller, &[order(1), order(2), order(3)]);
    let gone = Some(Err(Error::Closed {
        orders: vec![order(2).id],
        forgotten: 9,
    }));
    assert_eq!(outcomes, [REPLAYED, gone, PURCHASED]);
}

#[test]
fn after_a_conflict_a_round_begins_again_with_the_read() {
    let seller = seller(3, [Fault::Conflict, Fault::Conflict]);
    assert_eq!(
        serve(&seller, &[order(1), order(2)]),
        [PURCHASED, OUT_OF_STOCK]
    );
    check(&seller, 0, &[2, 2, 2], &[2, 2, 1]);
}

#[test]
fn a_lost_answer_sells_one_copy_whether_it_happened_or_not() {
    for (happened, expected) in [(true, REPLAYED), (false, PURCHASED)] {
        let seller = seller(1, [Fault::Lost { happened }]);
        assert_eq!(serve(&seller, &[order(1)]), [expected]);
        assert_eq!(seller.catalog.book.lock().unwrap().quantity, 0);
    }
}

/// How a buy fails whose time is up, after this happened to it.
fn expired(happened: impl FnOnce(&Waiter)) -> Error {
    let seller = seller(9, []);
    let long_ago = Instant::now() - BUY_RETRY_MAX;
    let waiters = enqueue(&seller, &[order(1)], long_ago);
    happened(&waiters[0]);
    let outcome = seller.lead(BOOK, &waiters[0]);
    check(&seller, 9, &[], &[]);
    outcome.unwrap_err()
}

fn at(version: &str) -> Condition {
    let version = version.into();
    Condition::Version { version, left: 8 }
}

#[test]
fn after_three_seconds_a_buy_fails_with_as_much_as_is_known() {
    assert!(matches!(expired(|_| ()), Error::Busy(_)));
    let unknown = expired(|waiter| waiter.update_unknown(&at("5")));
    assert!(matches!(unknown, Error::TimedOut(_)));
    let overtaken = expired(|waiter| {
        waiter.update_unknown(&at("5"));
        waiter.saw("6", 9);
    });
    assert!(matches!(overtaken, Error::Busy(_)));
    let unreachable = Error::Unreachable("u".into());
    assert_eq!(
        expired(|c| c.not_served(Some(unreachable.clone()))),
        unreachable
    );
}

#[test]
fn a_catalog_that_dies_after_a_lost_update_leaves_the_outcome_unknown() {
    let gone = WriteOutcome::Refused(Error::Unreachable("gone".into()));
    let seller = seller(9, [Fault::Lost { happened: false }, Fault::Answer(gone)]);
    let unknown = Some(Err(Error::TimedOut("gone".into())));
    assert_eq!(serve(&seller, &[order(1)]), [unknown]);
}

#[test]
fn a_full_disk_is_no_sale_and_is_told_at_once() {
    let full = Error::DiskRefuses("full".into());
    let seller = seller(9, [Fault::Answer(WriteOutcome::Refused(full.clone()))]);
    assert_eq!(serve(&seller, &[order(1)]), [Some(Err(full))]);
    check(&seller, 9, &[1], &[1]);
}

#[test]
fn after_a_leaders_panic_the_queue_goes_on() {
    let seller = seller(9, [Fault::Panic]);
    let waiters = enqueue(&seller, &[order(1), order(2)], Instant::now());
    let died = catch_unwind(AssertUnwindSafe(|| seller.lead(BOOK, &waiters[0])));
    assert!(died.is_err());
    assert!(matches!(
        seller.queues.wait(BOOK, &waiters[1]),
        Signal::Lead
    ));
    assert_eq!(Some(seller.lead(BOOK, &waiters[1])), PURCHASED);
    assert!(seller.queues.waiting() == 0);
}

#[test]
fn after_a_sale_that_left_copies_the_next_one_needs_no_read() {
    let seller = seller(6, []);
    for count in 1..=2 {
        assert_eq!(serve(&seller, &[order(count)]), [PURCHASED]);
    }
    assert_eq!(serve(&seller, &[order(3), order(4)]), [PURCHASED; 2]);
    assert_eq!(serve(&seller, &[several(5, 2)]), [PURCHASED]);
    check(&seller, 0, &[1], &[1, 1, 2, 1]);
    assert_eq!(serve(&seller, &[order(6)]), [OUT_OF_STOCK]);
    check(&seller, 0, &[1, 1], &[1, 1, 2, 1]);
}

#[test]
fn who_is_not_served_without_a_read_is_answered_after_one() {
    let seller = seller_of_known(3, []);
    assert_eq!(serve(&seller, &[several(1, 4)]), [OUT_OF_STOCK]);
    check(&seller, 3, &[1], &[1]);
    let seller = seller_of_known(9, [Fault::Answer(WriteOutcome::Conflict)]);
    let orders = [keyed(1, "k"), keyed(2, "k")];
    assert_eq!(serve(&seller, &orders), [PURCHASED, REPLAYED]);
    check(&seller, 8, &[2, 1], &[1, 1, 1]);
}

#[test]
fn a_lost_update_without_a_read_sells_one_copy_whether_it_happened_or_not() {
    for (happened, expected) in [(true, REPLAYED), (false, PURCHASED)] {
        let seller = seller_of_known(5, [Fault::Lost { happened }]);
        assert_eq!(serve(&seller, &[order(1)]), [expected]);
        assert_eq!(seller.catalog.book.lock().unwrap().quantity, 4);
    }
}

#[test]
fn after_a_lost_update_without_a_read_out_of_stock_is_told_once_there_are_too_few_copies() {
    let seller = seller_of_known(5, [Fault::Lost { happened: false }]);
    let waiters = enqueue(&seller, &[several(1, 2)], Instant::now());
    seller.round(BOOK, &waiters);
    waiters[0].saw("0", 2);
    assert!(waiters[0].is_unknown());
    seller.catalog.book.lock().unwrap().quantity = 1;
    assert_eq!(Some(seller.lead(BOOK, &waiters[0])), OUT_OF_STOCK);
    assert!(!waiters[0].is_unknown());
}

/// A catalog whose reads of one book wait for the test.
struct Gate {
    began: Mutex<Sender<()>>,
    open: Mutex<Receiver<()>>,
    fake: Fake,
}

impl Catalog for Gate {
    fn read(&self, read: &ReadRequest) -> ReadOutcome {
        if read.id == BOOK {
            self.began.lock().unwrap().send(()).unwrap();
            self.open.lock().unwrap().recv().unwrap();
        }
        self.fake.read(read)
    }

    fn write(&self, write: &WriteRequest) -> WriteOutcome {
        self.fake.write(write)
    }

    fn read_batch(&self, reads: &[ReadRequest]) -> Vec<Option<ReadOutcome>> {
        self.fake.read_batch(reads)
    }

    fn write_batch(&self, writes: &[WriteRequest]) -> Vec<Option<WriteOutcome>> {
        self.fake.write_batch(writes)
    }
}

#[test]
fn buys_that_come_during_a_round_are_served_by_the_next_and_other_books_do_not_wait() {
    let (began, when_begun) = channel();
    let (open, opened) = channel();
    let gate = Gate {
        began: Mutex::new(began),
        open: Mutex::new(opened),
        fake: seller(9, []).catalog,
    };
    let seller = Seller::new(gate);
    let buy = |count| seller.buy(BOOK, order(count), "r".into());
    thread::scope(|scope| {
        let first = scope.spawn(move || buy(0));
        when_begun.recv().unwrap();
        let later: Vec<_> = (1..=5)
            .map(|count| scope.spawn(move || buy(count)))
            .collect();
        assert_eq!(
            seller.buy(BookId(3), order(9), "r".into()),
            Err(Error::NoSuchBook)
        );
        while seller.queues.waiting() < 6 {
            thread::yield_now();
        }
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(Some(first.join().unwrap()), PURCHASED);
        for waiter in later {
            assert_eq!(Some(waiter.join().unwrap()), PURCHASED);
        }
    });
    let book = seller.catalog.fake.book.lock().unwrap();
    assert_eq!((&book.writes[..], book.quantity), (&[1, 5][..], 3));
}

/// The outcome of each buy of a batch. `None`: it must come alone.
fn batch_sell(seller: &Seller<Fake>, buys: &[(BookId, Order)]) -> Vec<Option<BuyResult>> {
    let buy = |(id, order): &(BookId, Order)| BatchBuy {
        id: *id,
        order: order.clone(),
        trace: "r".into(),
    };
    let buys: Vec<_> = buys.iter().map(buy).collect();
    seller.batch_sell(&buys, Instant::now())
}

fn of_book(orders: Vec<Order>) -> Vec<(BookId, Order)> {
    orders.into_iter().map(|order| (BOOK, order)).collect()
}

#[test]
fn a_batch_is_served_by_one_read_and_one_update_of_each_book() {
    let seller = seller(3, []);
    let mut buys = of_book(orders_upto(4));
    buys.insert(1, (BookId(3), order(9)));
    let missing = Some(Err(Error::NoSuchBook));
    assert_eq!(
        batch_sell(&seller, &buys),
        [PURCHASED, missing, PURCHASED, PURCHASED, OUT_OF_STOCK]
    );
    check(&seller, 0, &[4], &[3]);
    assert_eq!(batch_sell(&seller, &buys[..1]), [REPLAYED]);
}

#[test]
fn a_batch_reads_only_what_was_not_heard_of() {
    let seller = seller_of_known(4, []);
    assert_eq!(
        batch_sell(&seller, &of_book(orders_upto(3))),
        [PURCHASED; 3]
    );
    check(&seller, 1, &[], &[3]);
    let batch = of_book(vec![order(7), order(8)]);
    assert_eq!(batch_sell(&seller, &batch), [PURCHASED, OUT_OF_STOCK]);
    check(&seller, 0, &[2], &[3, 2, 1]);
}

#[test]
fn a_batch_without_a_read_that_is_refused_is_read_then() {
    let seller = seller_of_known(2, []);
    let sold = [PURCHASED, PURCHASED, OUT_OF_STOCK];
    assert_eq!(batch_sell(&seller, &of_book(orders_upto(3))), sold);
    check(&seller, 0, &[3], &[3, 2]);
}

#[test]
fn a_batch_mixes_numbers_of_copies() {
    let seller = seller(4, []);
    let buys = of_book(vec![several(1, 3), several(2, 2), order(3)]);
    let outcomes = batch_sell(&seller, &buys);
    assert_eq!(outcomes, [PURCHASED, OUT_OF_STOCK, PURCHASED]);
    check(&seller, 0, &[3], &[2]);
}

#[test]
fn a_batch_that_conflicts_begins_again_with_the_read() {
    let seller = seller(5, [Fault::Conflict, Fault::Conflict]);
    let outcomes = batch_sell(&seller, &of_book(orders_upto(4)));
    assert_eq!(outcomes, [PURCHASED, PURCHASED, PURCHASED, OUT_OF_STOCK]);
    check(&seller, 0, &[4, 4, 4], &[4, 4, 3]);
}

#[test]
fn a_buy_that_is_served_is_not_retried_with_the_rest_of_its_batch() {
    let seller = seller(5, []);
    assert_eq!(serve(&seller, &[order(1)]), [PURCHASED]);
    seller.heard.hear(BOOK, None);
    *seller.catalog.faults.lock().unwrap() = [Fault::Conflict].into();
    let outcomes = batch_sell(&seller, &of_book(vec![order(1), order(2)]));
    assert_eq!(outcomes, [REPLAYED, PURCHASED]);
    check(&seller, 2, &[1, 2, 1], &[1, 1, 1]);
}

#[test]
fn a_batch_that_conflicts_again_and_again_must_come_alone() {
    let conflicts = (0..10).map(|_| Fault::Conflict);
    let seller = seller(90, conflicts);
    assert_eq!(batch_sell(&seller, &of_book(orders_upto(2))), [None, None]);
    check(&seller, 82, &[2; 8], &[2; 8]);
}

#[test]
fn a_second_click_with_the_same_key_must_come_alone() {
    let seller = seller(5, []);
    let clicks = of_book(vec![keyed(1, "k"), keyed(2, "k")]);
    assert_eq!(batch_sell(&seller, &clicks), [PURCHASED, None]);
    assert_eq!(serve(&seller, &[keyed(2, "k")]), [REPLAYED]);
    check(&seller, 4, &[2, 1], &[1, 1]);
}

#[test]
fn no_round_begins_for_a_batch_whose_time_is_up() {
    let seller = seller(5, []);
    let buy = BatchBuy {
        id: BOOK,
        order: order(1),
        trace: "r".into(),
    };
    let long_ago = Instant::now() - BUY_RETRY_MAX;
    assert_eq!(seller.batch_sell(&[buy], long_ago), [None]);
    check(&seller, 5, &[], &[]);
}

#[test]
fn a_batch_whose_update_was_lost_is_not_told_that_nothing_happened() {
    let seller = seller(5, [Fault::Lost { happened: true }]);
    let lost = Some(Err(Error::TimedOut("lost".into())));
    assert_eq!(batch_sell(&seller, &of_book(vec![order(1)])), [lost]);
    assert_eq!(serve(&seller, &[order(1)]), [REPLAYED]);
}

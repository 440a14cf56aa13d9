//! Selling from a book in memory whose catalog fails as the test says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::order::batch_sell::Buyer;
use crate::order::queue::TRYING_MAX;
use crate::order::sell::fake::{BOOK, Fake, Record, Trouble};

const PURCHASED: Option<Result<Sold>> = Some(Ok(Sold::Purchased { replayed: false }));
const REPLAYED: Option<Result<Sold>> = Some(Ok(Sold::Purchased { replayed: true }));
const OUT_OF_STOCK: Option<Result<Sold>> = Some(Ok(Sold::OutOfStock));

fn seller(quantity: u32, troubles: impl IntoIterator<Item = Trouble>) -> Seller<Fake> {
    let book = Record {
        quantity,
        ..Record::default()
    };
    Seller::new(Fake {
        book: Mutex::new(book),
        troubles: Mutex::new(troubles.into_iter().collect()),
    })
}

fn order(count: u64) -> Order {
    Order {
        id: OrderId { start: 7, count },
        open: 0,
        key: None,
    }
}

fn keyed(count: u64, key: &str) -> Order {
    Order {
        key: Some(key.into()),
        ..order(count)
    }
}

/// These customers stand in line, the first of them leads, and after each leader the next until all
/// are served.
fn serve(seller: &Seller<Fake>, orders: &[Order]) -> Vec<Option<Result<Sold>>> {
    let customers = line_up(seller, orders, Instant::now());
    for customer in &customers {
        if customer.outcome().is_none() {
            let _ = seller.lead(BOOK, customer);
        }
    }
    assert!(seller.lines.is_empty());
    customers
        .iter()
        .map(|customer| customer.outcome())
        .collect()
}

fn line_up(seller: &Seller<Fake>, orders: &[Order], now: Instant) -> Vec<Arc<Customer>> {
    let customer = |order: &Order| Arc::new(Customer::new(order.clone(), "r".into(), now));
    let customers: Vec<_> = orders.iter().map(customer).collect();
    for (i, customer) in customers.iter().enumerate() {
        assert_eq!(seller.lines.join(BOOK, customer), i == 0);
    }
    customers
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
fn a_line_is_served_by_one_read_and_one_update() {
    let seller = seller(9, []);
    assert_eq!(serve(&seller, &orders_upto(5)), vec![PURCHASED; 5]);
    check(&seller, 4, &[5], &[5]);
}

#[test]
fn who_came_last_hears_out_of_stock() {
    let seller = seller(2, []);
    let outcomes = serve(&seller, &orders_upto(4));
    assert_eq!(outcomes, [PURCHASED, PURCHASED, OUT_OF_STOCK, OUT_OF_STOCK]);
    check(&seller, 0, &[4], &[2]);
}

#[test]
fn a_long_line_is_served_in_batches() {
    let seller = seller(100, []);
    assert_eq!(serve(&seller, &orders_upto(70)), vec![PURCHASED; 70]);
    check(&seller, 30, &[64, 6], &[64, 6]);
}

#[test]
fn the_buyer_of_the_last_copy_who_asks_again_has_purchased_it() {
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
    let served = Trouble::Answer(Write::Applied(vec![order(1).id]));
    let closed = Trouble::Answer(Write::Closed(vec![order(2).id]));
    let seller = seller(9, [served, closed]);
    let outcomes = serve(&seller, &[order(1), order(2), order(3)]);
    let gone = Some(Err(Error::Closed(vec![order(2).id])));
    assert_eq!(outcomes, [REPLAYED, gone, PURCHASED]);
}

#[test]
fn who_was_outrun_begins_again_with_the_read() {
    let seller = seller(3, [Trouble::Outrun, Trouble::Outrun]);
    assert_eq!(
        serve(&seller, &[order(1), order(2)]),
        [PURCHASED, OUT_OF_STOCK]
    );
    check(&seller, 0, &[2, 2, 2], &[2, 2, 1]);
}

#[test]
fn a_lost_answer_sells_one_copy_whether_it_happened_or_not() {
    for (happened, expected) in [(true, REPLAYED), (false, PURCHASED)] {
        let seller = seller(1, [Trouble::Lost { happened }]);
        assert_eq!(serve(&seller, &[order(1)]), [expected]);
        assert_eq!(seller.catalog.book.lock().unwrap().quantity, 0);
    }
}

/// What a customer hears whose time is up, after this happened to its order.
fn expired(happened: impl FnOnce(&Customer)) -> Error {
    let seller = seller(9, []);
    let long_ago = Instant::now() - TRYING_MAX;
    let customers = line_up(&seller, &[order(1)], long_ago);
    happened(&customers[0]);
    let outcome = seller.lead(BOOK, &customers[0]);
    check(&seller, 9, &[], &[]);
    outcome.unwrap_err()
}

#[test]
fn after_three_seconds_the_customer_is_told_as_much_as_is_known() {
    assert!(matches!(expired(|_| ()), Error::Busy(_)));
    let unsettled = expired(|customer| customer.unsettle("5"));
    assert!(matches!(unsettled, Error::TimedOut(_)));
    let overtaken = expired(|customer| {
        customer.unsettle("5");
        customer.seen("6");
    });
    assert!(matches!(overtaken, Error::Busy(_)));
    let unreachable = Error::Unreachable("u".into());
    assert_eq!(
        expired(|c| c.trouble(Some(unreachable.clone()))),
        unreachable
    );
}

#[test]
fn a_catalog_that_dies_after_a_lost_update_leaves_the_outcome_unknown() {
    let gone = Write::Refused(Error::Unreachable("gone".into()));
    let seller = seller(
        9,
        [Trouble::Lost { happened: false }, Trouble::Answer(gone)],
    );
    let unknown = Some(Err(Error::TimedOut("gone".into())));
    assert_eq!(serve(&seller, &[order(1)]), [unknown]);
}

#[test]
fn a_full_disk_is_no_sale_and_is_told_at_once() {
    let full = Error::DiskRefuses("full".into());
    let seller = seller(9, [Trouble::Answer(Write::Refused(full.clone()))]);
    assert_eq!(serve(&seller, &[order(1)]), [Some(Err(full))]);
    check(&seller, 9, &[1], &[1]);
}

#[test]
fn a_leader_who_panics_leaves_a_line_that_goes_on() {
    let seller = seller(9, [Trouble::Panic]);
    let customers = line_up(&seller, &[order(1), order(2)], Instant::now());
    let died = catch_unwind(AssertUnwindSafe(|| seller.lead(BOOK, &customers[0])));
    assert!(died.is_err());
    assert!(matches!(seller.lines.wait(BOOK, &customers[1]), Call::Lead));
    assert_eq!(Some(seller.lead(BOOK, &customers[1])), PURCHASED);
    assert!(seller.lines.is_empty());
}

/// A catalog whose reads of one book wait for the test.
struct Gate {
    began: Mutex<Sender<()>>,
    open: Mutex<Receiver<()>>,
    fake: Fake,
}

impl Catalog for Gate {
    fn read(&self, look: &ReadRequest) -> Read {
        if look.id == BOOK {
            self.began.lock().unwrap().send(()).unwrap();
            self.open.lock().unwrap().recv().unwrap();
        }
        self.fake.read(look)
    }

    fn write(&self, take: &WriteRequest) -> Write {
        self.fake.write(take)
    }

    fn read_together(&self, looks: &[ReadRequest]) -> Vec<Option<Read>> {
        self.fake.read_together(looks)
    }

    fn write_together(&self, takes: &[WriteRequest]) -> Vec<Option<Write>> {
        self.fake.write_together(takes)
    }
}

#[test]
fn who_comes_while_others_are_served_is_next_and_other_books_do_not_wait() {
    let (began, when_begun) = channel();
    let (open, opened) = channel();
    let seller = Seller::new(Gate {
        began: Mutex::new(began),
        open: Mutex::new(opened),
        fake: seller(9, []).catalog,
    });
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
        while seller.lines.len() < 6 {
            thread::yield_now();
        }
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(Some(first.join().unwrap()), PURCHASED);
        for customer in later {
            assert_eq!(Some(customer.join().unwrap()), PURCHASED);
        }
    });
    let book = seller.catalog.fake.book.lock().unwrap();
    assert_eq!((&book.writes[..], book.quantity), (&[1, 5][..], 3));
}

/// What each of a crowd hears. `None`: to come alone.
fn crowd(seller: &Seller<Fake>, buyers: &[(BookId, Order)]) -> Vec<Option<Result<Sold>>> {
    let buyer = |(id, order): &(BookId, Order)| Buyer {
        id: *id,
        order: order.clone(),
        request: "r".into(),
    };
    seller.batch_sell(&buyers.iter().map(buyer).collect::<Vec<_>>())
}

fn of_book(orders: Vec<Order>) -> Vec<(BookId, Order)> {
    orders.into_iter().map(|order| (BOOK, order)).collect()
}

#[test]
fn a_crowd_is_served_by_one_read_and_one_update_of_each_book() {
    let seller = seller(3, []);
    let mut buyers = of_book(orders_upto(4));
    buyers.insert(1, (BookId(3), order(9)));
    let missing = Some(Err(Error::NoSuchBook));
    assert_eq!(
        crowd(&seller, &buyers),
        [PURCHASED, missing, PURCHASED, PURCHASED, OUT_OF_STOCK]
    );
    check(&seller, 0, &[4], &[3]);
    assert_eq!(crowd(&seller, &buyers[..1]), [REPLAYED]);
}

#[test]
fn a_crowd_that_was_outrun_begins_again_with_the_read() {
    let seller = seller(5, [Trouble::Outrun, Trouble::Outrun]);
    let outcomes = crowd(&seller, &of_book(orders_upto(4)));
    assert_eq!(outcomes, [PURCHASED, PURCHASED, PURCHASED, OUT_OF_STOCK]);
    check(&seller, 0, &[4, 4, 4], &[4, 4, 3]);
}

#[test]
fn who_is_served_already_is_not_tried_again_with_the_rest_of_the_crowd() {
    let seller = seller(5, []);
    assert_eq!(serve(&seller, &[order(1)]), [PURCHASED]);
    *seller.catalog.troubles.lock().unwrap() = [Trouble::Outrun].into();
    let outcomes = crowd(&seller, &of_book(vec![order(1), order(2)]));
    assert_eq!(outcomes, [REPLAYED, PURCHASED]);
    check(&seller, 2, &[1, 2, 1], &[1, 1, 1]);
}

#[test]
fn a_crowd_that_is_outrun_again_and_again_comes_alone() {
    let outrun = (0..10).map(|_| Trouble::Outrun);
    let seller = seller(90, outrun);
    assert_eq!(crowd(&seller, &of_book(orders_upto(2))), [None, None]);
    check(&seller, 82, &[2; 8], &[2; 8]);
}

#[test]
fn a_second_click_with_the_same_key_comes_again_alone() {
    let seller = seller(5, []);
    let clicks = of_book(vec![keyed(1, "k"), keyed(2, "k")]);
    assert_eq!(crowd(&seller, &clicks), [PURCHASED, None]);
    assert_eq!(serve(&seller, &[keyed(2, "k")]), [REPLAYED]);
    check(&seller, 4, &[2, 1], &[1]);
}

#[test]
fn nothing_more_is_begun_for_a_crowd_whose_time_is_up() {
    let seller = seller(5, []);
    let buyer = Buyer {
        id: BOOK,
        order: order(1),
        request: "r".into(),
    };
    let long_ago = Instant::now() - TRYING_MAX;
    assert_eq!(seller.sell_since(long_ago, &[buyer]), [None]);
    check(&seller, 5, &[], &[]);
}

#[test]
fn a_crowd_whose_update_got_lost_is_not_told_that_nothing_happened() {
    let seller = seller(5, [Trouble::Lost { happened: true }]);
    let lost = Some(Err(Error::TimedOut("lost".into())));
    assert_eq!(crowd(&seller, &of_book(vec![order(1)])), [lost]);
    assert_eq!(serve(&seller, &[order(1)]), [REPLAYED]);
}

//! Whatever is let in is loaded again: by `/add`, by an update, from a first stock, from a peer.
//!
//! `SEED=7 cargo test --lib doors` runs what that seed gave before.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::model::applied_orders::AppliedOrders;
use crate::model::book::{BOOK_ID_MAX, QUANTITY_MAX, TEXT_CHARS_MAX, Version};
use crate::model::number::EXACT_MAX;
use crate::model::validation::{
    NewBook, NewBooks, parse_batch_updates, parse_change, parse_new_books,
};

const BOOKS: usize = 600;

/// Characters that JSON, UTF-16, or a person takes for something special.
const CHARS: [char; 16] = [
    'a',
    '"',
    '\\',
    '/',
    '\0',
    '\n',
    '\u{7f}',
    '\u{2028}',
    'é',
    '\u{301}',
    '\u{fffd}',
    '\u{ffff}',
    '\u{10ffff}',
    '😀',
    '{',
    ']',
];

/// Prices that clients may write.
const PRICES: [&str; 8] = [
    "0",
    "-0.0",
    "0.001",
    "12.10",
    "0.1e1",
    "1e9",
    "999999999.999",
    "1000000000",
];

#[track_caller]
fn check(door: impl Fn(&mut Rng, BookId) -> Book) {
    let seed =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let rng = &mut Rng::with_seed(seed);
    let mut books = BTreeMap::new();
    while books.len() < BOOKS {
        let id = id(rng);
        books.insert(id, Arc::new(door(rng, id)));
    }
    let dir = TestDir::new();
    let ids: Vec<BookId> = books.keys().copied().collect();
    let all = books.clone();
    let read: Reader = Arc::new(move |first, last| {
        let books = all.range(first..=last);
        Ok(books.map(|(_, book)| book.clone()).collect())
    });
    dir.open().unwrap().0.save(&ids, &read).unwrap();
    for (loaded, saved) in dir.books().iter().zip(books.values()) {
        assert_eq!(loaded, &**saved);
        assert_eq!(loaded.price.to_bits(), saved.price.to_bits());
    }
    assert_eq!(dir.books().len(), books.len());
}

fn id(rng: &mut Rng) -> BookId {
    BookId(match rng.u8(..4) {
        0 => 1 + rng.u64(..3),
        1 => BOOK_ID_MAX - rng.u64(..200),
        2 => 1 + rng.u64(..1000),
        _ => rng.u64(1..=BOOK_ID_MAX),
    })
}

/// A text as JSON, some of its characters escaped.
fn text(rng: &mut Rng) -> String {
    let chars = *rng.choice(&[1, 2, TEXT_CHARS_MAX]).unwrap();
    // One character is seen: a text of blanks is refused.
    let mut json = String::from("\"é");
    for _ in 1..chars {
        let char = match rng.bool() {
            true => *rng.choice(&CHARS).unwrap(),
            false => rng.char(..),
        };
        if rng.bool() {
            char.encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| json += &format!("\\u{unit:04x}"));
        } else {
            let quoted = serde_json::to_string(&char).unwrap();
            json += &quoted[1..quoted.len() - 1];
        }
    }
    json + "\""
}

fn price(rng: &mut Rng) -> String {
    if rng.bool() {
        return rng.choice(&PRICES).unwrap().to_string();
    }
    let thousandths = rng.u64(..1_000_000_000_000);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// What a data folder of an earlier version may hold.
fn any_price(rng: &mut Rng) -> f64 {
    f64::from_bits(rng.u64(..f64::INFINITY.to_bits()))
}

fn quantity(rng: &mut Rng) -> u32 {
    *rng.choice(&[0, 1, QUANTITY_MAX - 1, QUANTITY_MAX]).unwrap()
}

/// A new book as clients write it.
fn body(rng: &mut Rng, id: BookId) -> String {
    let (title, topic, price, quantity) = (text(rng), text(rng), price(rng), quantity(rng));
    format!(
        r#"{{"id":{id},"title":{title},"topic":{topic},"quantity":{quantity},"price":{price}}}"#
    )
}

fn added(new: &NewBook) -> Book {
    Book {
        id: new.id.unwrap(),
        title: new.title.clone(),
        topic: new.topic.clone(),
        quantity: new.quantity,
        price: new.price,
        version: Version {
            number: 1,
            stamp: EXACT_MAX,
        },
        removed: false,
        applied_orders: AppliedOrders::default(),
        restocked_at: None,
        account: Default::default(),
    }
}

fn one(rng: &mut Rng, id: BookId) -> Book {
    match parse_new_books(body(rng, id).as_bytes()).unwrap() {
        NewBooks::One(new) => added(&new),
        NewBooks::Many(_) => unreachable!("it is one"),
    }
}

#[test]
fn an_added_book_is_loaded_again() {
    check(one);
}

#[test]
fn a_book_of_a_list_is_loaded_again() {
    check(
        |rng, id| match parse_new_books(format!("[{}]", body(rng, id)).as_bytes()).unwrap() {
            NewBooks::Many(list) => added(list[0].as_ref().unwrap()),
            NewBooks::One(_) => unreachable!("it is a list"),
        },
    );
}

/// An order as servers write it in a body.
fn order(rng: &mut Rng) -> Value {
    let [start, count, at] = [(); 3].map(|()| *rng.choice(&[0, 1, EXACT_MAX]).unwrap());
    if at == 0 {
        return json!(format!("{start}.{count}; open=0"));
    }
    let key: String = (0..rng.usize(1..=64))
        .map(|_| rng.u8(b'!'..=b'~') as char)
        .collect();
    let open = rng.u64(..=count);
    json!(format!("{start}.{count}; open={open}; at={at}; key={key}"))
}

#[test]
fn an_updated_book_is_loaded_again() {
    check(|rng, id| {
        let (title, topic, price) = (text(rng), text(rng), price(rng));
        let order = order(rng);
        let body =
            format!(r#"{{"title":{title},"topic":{topic},"price":{price},"orders":[{order}]}}"#);
        let (change, orders) = parse_change(body.as_bytes()).unwrap();
        let mut book = one(rng, id);
        (book.title, book.topic) = (change.title.unwrap(), change.topic.unwrap());
        book.price = change.price.unwrap();
        book.applied_orders.set_created(EXACT_MAX);
        book.applied_orders.apply(&orders.unwrap());
        book.version.number = EXACT_MAX;
        book
    });
}

#[test]
fn a_book_that_was_sold_in_a_batch_is_loaded_again() {
    check(|rng, id| {
        let (order, quantity) = (order(rng), quantity(rng));
        let version = format!("\"{EXACT_MAX}-{EXACT_MAX}\"");
        let entry = json!({"id": id, "if_match": version, "quantity": quantity, "orders": [order]});
        let body = json!([entry]).to_string();
        let update = parse_batch_updates(body.as_bytes()).unwrap().remove(0);
        let mut book = one(rng, update.id);
        book.quantity = update.quantity.unwrap();
        book.applied_orders.apply(&update.orders);
        book
    });
}

#[test]
fn a_peers_book_is_loaded_again() {
    check(|rng, id| {
        let mut book: Book =
            serde_json::from_slice(&serde_json::to_vec(&one(rng, id)).unwrap()).unwrap();
        book.price = if rng.bool() { -0.0 } else { any_price(rng) };
        let book: Book = serde_json::from_slice(&serde_json::to_vec(&book).unwrap()).unwrap();
        assert_eq!(book.defect(), None);
        book
    });
}

#[test]
fn a_first_stock_is_loaded_again() {
    let dir = TestDir::new();
    fs::create_dir(&dir.0).unwrap();
    let path = dir.0.join("stock.json");
    check(|rng, id| {
        fs::write(&path, format!("[{}]", body(rng, id))).unwrap();
        FirstStock::File(path.clone()).read().unwrap().remove(0)
    });
    fs::write(&path, format!("[{}]", body(&mut Rng::new(), BookId(0)))).unwrap();
    assert_eq!(FirstStock::File(path).read().unwrap()[0].id, BookId(0));
}

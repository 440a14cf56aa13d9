//! Books that are created: every catalog has them, searches find them, and an id is given once.
//! Long responses.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

#[test]
fn each_book_of_a_list_has_a_status_of_its_own() {
    let shop = Shop::started(ShopOptions::own());
    let body = json!([
        {"title": "A", "topic": "New", "quantity": 1, "price": 2.0},
        {"title": "B", "topic": "New", "quantity": 1, "price": 2.0, "id": 3},
        {"title": "C", "topic": "New", "quantity": -1, "price": 2.0},
        {"title": "D", "topic": "New", "quantity": 1, "price": 2.0, "id": 9},
        {"title": "E", "topic": "New", "quantity": 1, "price": 2.0, "id": 9},
    ]);
    let response = create(shop.catalog(2), &body);
    let statuses: Vec<&Value> = lines(&response)
        .iter()
        .map(|line| &line["status"])
        .collect();
    assert_eq!(statuses, [201, 409, 422, 201, 409]);
    assert_eq!(
        response[0]["body"],
        json!({"id": 8, "price": 2.0, "quantity": 1, "sequence_number": 1, "title": "A", "topic": "New"})
    );
    let message = response[2]["body"]["message"].as_str().unwrap();
    assert!(message.contains("quantity"), "{message}");
    assert_eq!(response[3]["body"]["title"], "D");
}

#[test]
fn what_is_let_in_at_the_limits_is_there_after_a_restart() {
    let shop = Shop::started(ShopOptions::default());
    let titles = [
        "\"\\\u{0}\n".to_string(),
        "\u{10ffff}".repeat(200),
        "é\u{301}".repeat(100),
    ];
    let prices = ["0.3", "1e9", "0.001", "-0.0", "999999999.999"];
    let ids = ["null", "1000000", "9007199254740991", "null", "null"];
    let books = ids.iter().zip(prices).enumerate().map(|(n, (id, price))| {
        let title = json!(titles[n % 3]);
        format!(
            r#"{{"id":{id},"title":{title},"topic":"T","quantity":1000000000,"price":{price}}}"#
        )
    });
    let books: Vec<String> = books.collect();
    let add = |body: &str| shop.catalog(1).call("POST", "/add", &[], body);
    assert_eq!(add(&books[2]).status, 201);
    let list = add(&format!(
        "[{},{},{},{}]",
        books[0], books[1], books[3], books[4]
    ));
    let statuses: Vec<Value> = lines(&list.json())
        .iter()
        .map(|line| line["status"].clone())
        .collect();
    assert_eq!(statuses, [201, 201, 201, 201]);
    let change = r#"{"price":0.1e-2,"title":"\ud83d\ude00"}"#;
    assert_eq!(
        shop.catalog(2)
            .put("/update/9007199254740991", change)
            .status,
        200
    );
    let before = shop.catalog(1).dump();
    assert_eq!(before.len(), 12);
    for catalog in shop.catalogs() {
        catalog.kill();
    }
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    assert_eq!(
        [shop.catalog(1).dump(), shop.catalog(2).dump()],
        [before.clone(), before]
    );
}

#[test]
fn a_list_of_more_than_a_thousand_books_is_refused_whole() {
    let shop = Shop::started(ShopOptions::default());
    let body = Value::Array(vec![book("A"); 1001]);
    let response = shop.catalog(1).call("POST", "/add", &[], &body.to_string());
    assert_eq!(response.status, 422, "{response:?}");
    assert!(response.body.contains("1000"), "{response:?}");
    assert_eq!(shop.catalog(1).dump().len(), 7);
}

#[test]
fn the_next_search_finds_a_new_book() {
    let shop = Shop::started(ShopOptions {
        front_ends: 2,
        ..ShopOptions::default()
    });
    let found = |front_end: usize| {
        let response = shop.front_end_number(front_end).get("/search/new");
        lines(&response.json()).len()
    };
    for added in 0..5 {
        // Twice: the second response comes from the cache.
        assert_eq!([1, 2, 1, 2].map(found), [added; 4]);
        let response =
            shop.catalog(1 + added % 2)
                .call("POST", "/add", &[], &book("A").to_string());
        assert_eq!(response.status, 201, "{response:?}");
    }
}

#[test]
fn a_new_book_is_sold() {
    let shop = Shop::started(ShopOptions::default());
    create(shop.catalog(2), &json!([book("A")]));
    assert!(shop.buy(8).is_purchase());
    assert_eq!(shop.quantity(8), 0);
    assert!(!shop.buy(8).is_purchase());
}

#[test]
fn two_catalogs_that_create_books_at_once_never_give_one_id_twice() {
    const EACH: usize = 60;
    let shop = Shop::started(ShopOptions::default());
    let add = |n: usize| {
        let some = |_| {
            let response = create(shop.catalog(n), &json!([book("A"), book("B"), book("C")]));
            lines(&response).to_vec()
        };
        (0..EACH / 3).flat_map(some).collect::<Vec<Value>>()
    };
    let added: Vec<Value> = thread::scope(|scope| {
        let adds = [1, 2].map(|n| scope.spawn(move || add(n)));
        adds.into_iter()
            .flat_map(|add| add.join().unwrap())
            .collect()
    });
    let given = added.iter().filter(|line| line["status"] == 201);
    let given: Vec<u64> = given
        .map(|line| line["body"]["id"].as_u64().unwrap())
        .collect();
    let different: BTreeSet<u64> = given.iter().copied().collect();
    assert_eq!(given.len(), 2 * EACH, "{added:?}");
    assert_eq!(different.len(), 2 * EACH);
    for catalog in shop.catalogs() {
        let ids = catalog.dump();
        let ids: BTreeSet<u64> = ids.iter().map(id).filter(|id| 7 < *id).collect();
        assert_eq!(ids, different, "{}", catalog.name);
    }
}

#[test]
fn a_long_response_is_whole_and_comes_in_pages_too() {
    const BOOKS: usize = 9500;
    let shop = Shop::started(ShopOptions::default());
    let title = "A title that makes a long answer longer. ".repeat(3);
    for _ in 0..BOOKS / 500 {
        create(shop.catalog(1), &Value::Array(vec![book(&title); 500]));
    }
    let whole = shop.front_end().get("/search/new").json();
    assert_eq!(lines(&whole).len(), BOOKS);
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let after = paged.last().map_or(0, id);
        let page = shop
            .front_end()
            .get(&format!("/search/new?limit=1000&after={after}"));
        let page = page.json();
        if lines(&page).is_empty() {
            break;
        }
        assert!(lines(&page).len() <= 1000);
        paged.extend(lines(&page).iter().cloned());
    }
    assert_eq!(Value::Array(paged), whole);
}

#[test]
fn pages_are_cached_each_for_itself_and_a_long_response_is_not_cached() {
    let shop = Shop::started(ShopOptions::default());
    let title = "A title that makes a long answer longer. ".repeat(4);
    for _ in 0..12 {
        create(shop.catalog(1), &Value::Array(vec![book(&title); 500]));
    }
    let status = |path: &str| {
        let response = shop.front_end().get(path);
        (
            response.header("Cache-Status").to_string(),
            response.body.len(),
        )
    };
    let (first, second) = ("/search/new?limit=2", "/search/new?limit=3");
    let miss = "bazar; fwd=miss";
    assert_eq!([first, second].map(|path| status(path).0), [miss, miss]);
    assert_eq!(status(first).0, "bazar; hit");
    assert!(status(first).1 < status(second).1);
    let (_, bytes) = status("/search/new");
    assert!(1 << 20 < bytes, "{bytes}");
    assert_ne!(status("/search/new").0, "bazar; hit");
}

fn book(title: &str) -> Value {
    json!({"title": title, "topic": "New", "quantity": 1, "price": 2.0})
}

/// The response to a list of books.
#[track_caller]
fn create(catalog: &Server, body: &Value) -> Value {
    let response = catalog.call("POST", "/add", &[], &body.to_string());
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

#[track_caller]
fn lines(response: &Value) -> &Vec<Value> {
    response.as_array().unwrap_or_else(|| panic!("{response}"))
}

fn id(line: &Value) -> u64 {
    line["id"].as_u64().unwrap()
}

#[test]
fn a_shop_whose_highest_id_is_taken_creates_another_book_and_starts_again() {
    let shop = Shop::started(ShopOptions::own());
    let mut last = book("last");
    last["id"] = json!((1_u64 << 53) - 1);
    let next = create(shop.catalog(1), &json!([last, book("next")]));
    assert_eq!(next[1]["body"]["id"], json!((1_u64 << 53) - 2), "{next}");

    shop.catalogs().iter().for_each(Server::kill);
    shop.catalogs().iter().for_each(Server::launch);
    shop.catalogs().iter().for_each(Server::await_ready);
    for catalog in shop.catalogs() {
        assert_eq!(catalog.dump().len(), 9);
    }
}

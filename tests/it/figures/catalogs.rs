//! Catalogs whose copies are unknown, or outdated. Here that lasts a moment only: catalogs compare
//! their copies as soon as they serve. So these scenes do not let them: the question for a page
//! breaks when its sender serves already, and so does a claim of all copies.

use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::figures::{PRICE, WRITE, check, traced, traced_at, two_catalogs};
use crate::harness::http;
use crate::harness::process::eventually;
use crate::harness::proxy::Action;
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

/// A hop asks a peer by chance. So there are several books, all alike, to ask for until the first
/// hop is that of the figure.
const BOOKS: std::ops::RangeInclusive<u64> = 1..=9;

/// Three catalogs with books that are all alike, of which none runs yet.
fn three_catalogs(environment: Vec<(&'static str, String)>) -> Shop {
    let shop = Shop::new(ShopOptions {
        catalogs: 3,
        orders: 0,
        front_ends: 0,
        proxies: Proxies::BetweenCatalogs,
        environment,
        ..ShopOptions::default()
    });
    let book = |id: u64| {
        json!({"id": id, "title": "RPCs for Dummies", "topic": "Distributed Systems",
            "quantity": 5, "price": 50.0})
    };
    // One more, to see who writes.
    let books: Vec<Value> = BOOKS.chain([BOOKS.end() + 1]).map(book).collect();
    for n in 1..=3 {
        shop.write_books(n, books.clone());
    }
    shop
}

/// From now on no copy becomes valid because catalogs compare all of them.
fn keep_copies_unknown(shop: &Shop) {
    for catalog in shop.catalogs() {
        let proxy = shop.proxy(&catalog.name);
        proxy.break_those("PUT /rep/page", r#""serving":true"#);
        proxy.break_those("PUT /rep/claim", "");
    }
}

#[track_caller]
fn await_unknown_copies(catalog: &Server) {
    eventually("it serves, and has not caught up", || {
        let missing = &catalog.get("/readyz").json()["missing"];
        *missing == json!(["catching up with the other catalogs"])
    });
}

/// Three catalogs that serve, all copies unknown.
fn cold_start() -> Shop {
    let shop = three_catalogs(Vec::new());
    keep_copies_unknown(&shop);
    for catalog in shop.catalogs() {
        shop.proxy(&catalog.name).cut();
    }
    for catalog in shop.catalogs() {
        shop.launch(catalog);
    }
    shop.catalogs().iter().for_each(await_unknown_copies);
    shop
}

/// Draws pictures, of one book after the other, until a hop went from catalog 1 to 2 first.
fn with_hop_to_2(shop: &Shop, draw: impl Fn(u64) -> String) -> String {
    let mut picture = String::new();
    for book in BOOKS {
        picture = as_of_book_2(&draw(book), book);
        let hop = format!("PUT /rep/get/{book}");
        let messages = shop.trace.messages();
        let first = messages.iter().find(|message| message.line == hop);
        if first.is_some_and(|first| first.to == "catalog2") {
            break;
        }
    }
    picture
}

fn as_of_book_2(picture: &str, book: u64) -> String {
    let picture = picture.replace(&format!("/{book}"), "/2");
    picture.replace(&format!("book {book}"), "book 2")
}

/// Whether this request was sent to this server, and has an answer if it `is_answered`.
fn was_sent(shop: &Shop, to: &str, line: &str, is_answered: bool) -> bool {
    let messages = shop.trace.messages();
    messages.iter().any(|message| {
        message.to == to && message.line == line && (message.status != 0 || !is_answered)
    })
}

/// The picture of a request to catalog 1. Confirms are held until it is answered: which of the two
/// comes first is chance otherwise.
fn confirmed_last(shop: &Shop, method: &str, path: &str, options: &[&str]) -> String {
    let line = format!("{method} {path}");
    for catalog in shop.catalogs() {
        let (trace, line) = (shop.trace.clone(), line.clone());
        shop.proxy(&catalog.name).set_rule(move |request| {
            if request.starts_with("PUT /rep/confirm/") {
                eventually("the client is answered", || {
                    let messages = trace.messages();
                    let mut ours = messages.iter().filter(|message| message.line == line);
                    ours.any(|message| message.status != 0)
                });
            }
            Action::Forward
        });
    }
    let arguments = [options, &[method, path]].concat();
    traced_at(&shop.proxy("catalog1").address, &arguments)
}

/// Catalog 3 writes, and its updates are lost. Returns once its copy is there, tentatively.
fn lose_a_write(shop: &Shop, book: u64) -> JoinHandle<()> {
    let update = format!("PUT /rep/update/{book}");
    for name in ["catalog1", "catalog2"] {
        let lost = update.clone();
        shop.proxy(name).set_rule(move |request| {
            if request == lost {
                Action::BlackHole
            } else {
                Action::Forward
            }
        });
    }
    let (address, path) = (shop.catalog(3).address.clone(), format!("/update/{book}"));
    let writer = thread::spawn(move || {
        // It fails when the shop ends, or is answered before.
        let _ = http::call(&address, "PUT", &path, &[], PRICE);
    });
    for name in ["catalog1", "catalog2"] {
        eventually("the update was sent", || {
            was_sent(shop, name, &update, false)
        });
    }
    writer
}

#[test]
fn a_read_at_a_cold_start_hops_to_the_last_catalog_and_is_claimed_there() {
    check(|| {
        let shop = cold_start();
        let read = |book| confirmed_last(&shop, "GET", &format!("/query/item/{book}"), &[]);
        vec![("read_cold_start", with_hop_to_2(&shop, read))]
    });
}

#[test]
fn a_write_of_an_unknown_copy_asks_all_catalogs_first() {
    check(|| {
        let shop = cold_start();
        let write = confirmed_last(&shop, "PUT", "/update/2", &["--body", PRICE]);
        vec![("write_unknown", write)]
    });
}

#[test]
fn a_write_on_an_outdated_copy_is_refused_and_takes_the_newer_one() {
    check(|| {
        let shop = cold_start();
        let writer = lose_a_write(&shop, 2);
        let options = ["--body", r#"{"price":40}"#];
        let write = confirmed_last(&shop, "PUT", "/update/2", &options);
        drop(shop);
        writer.join().unwrap();
        vec![("write_outdated", write)]
    });
}

#[test]
fn a_read_at_a_catalog_that_missed_a_write_finishes_it() {
    check(|| {
        let shop = cold_start();
        let writers = std::cell::RefCell::new(Vec::new());
        let read = |book| {
            writers.borrow_mut().push(lose_a_write(&shop, book));
            confirmed_last(&shop, "GET", &format!("/query/item/{book}"), &[])
        };
        let picture = with_hop_to_2(&shop, read);
        drop(shop);
        for writer in writers.into_inner() {
            writer.join().unwrap();
        }
        vec![("read_missed_write", picture)]
    });
}

/// Changes every book once.
fn write_all(catalog: &Server) {
    let spare = format!("/update/{}", BOOKS.end() + 1);
    eventually("it goes on without those that are gone", || {
        catalog.put(&spare, PRICE).status == 200
    });
    for book in BOOKS {
        assert_eq!(catalog.put(&format!("/update/{book}"), PRICE).status, 200);
    }
}

/// Catalog 1 has gone first, catalog 3 last, and each went on alone meanwhile.
#[test]
fn after_a_total_failure_the_last_to_go_is_waited_for_and_has_the_newest_copy() {
    check(|| {
        // Nobody waits longer than 2.5 s for the lost one.
        let times = [("HEARTBEAT_TIMEOUT_MS", "1000"), ("LEASE_MS", "1500")];
        let shop = three_catalogs(times.map(|(name, ms)| (name, ms.into())).into());
        shop.start();
        shop.kill(shop.catalog(1));
        write_all(shop.catalog(2));
        shop.kill(shop.catalog(2));
        write_all(shop.catalog(3));
        shop.kill(shop.catalog(3));
        keep_copies_unknown(&shop);
        for n in [1, 2] {
            shop.launch(shop.catalog(n));
        }
        let waits = traced(shop.catalog(1), &["GET", "/query/item/2"]);
        let waits = shop.catalogs().iter().fold(waits, |text, catalog| {
            text.replace(&shop.proxy(&catalog.name).address, &catalog.name)
        });
        shop.launch(shop.catalog(3));
        for n in [1, 2] {
            await_unknown_copies(shop.catalog(n));
        }
        let read = |book| confirmed_last(&shop, "GET", &format!("/query/item/{book}"), &[]);
        vec![
            ("total_failure_waits", waits),
            ("total_failure_read", with_hop_to_2(&shop, read)),
        ]
    });
}

#[test]
fn a_write_reaches_no_catalog_that_is_left_out() {
    check(|| {
        let shop = two_catalogs();
        assert_eq!(shop.catalog(1).put("/update/2", PRICE).status, 200);
        shop.catalog(2).kill();
        eventually("catalog 1 serves alone", || {
            !shop.catalog(1).counts_peers_as_live()
                && shop.catalog(1).put("/update/3", r#"{"price":20}"#).status == 200
        });
        vec![("write_alone", traced(shop.catalog(1), &WRITE))]
    });
}

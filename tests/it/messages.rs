//! Which messages the servers send each other, in which order, and no more: the figures 6 to 12 of
//! the original design, and the cost of a write. (Figures 1 to 5, between catalogs alone, are in
//! the simulation.)

use std::time::{Duration, Instant};

use crate::harness::http::{self, Response};
use crate::harness::process::eventually;
use crate::harness::proxy::{Action, Message};
use crate::harness::shop::{Proxies, Shop, ShopOptions};

/// If nothing is sent for this long, nothing more comes of what was done.
const QUIET: Duration = Duration::from_millis(400);

fn shop(catalogs: usize, orders: usize, front_ends: usize) -> Shop {
    Shop::started(ShopOptions {
        catalogs,
        orders,
        front_ends,
        // Every lookup goes to a catalog, and nobody is asked because another one is slow.
        environment: vec![
            ("LOOKUP_CACHE_SIZE", "0".into()),
            ("HEDGE_AFTER_MS", "60000".into()),
        ],
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    })
}

/// The messages that `act` causes: receiver, method and path, status.
fn sent(shop: &Shop, mut act: impl FnMut()) -> Vec<String> {
    quiet(shop);
    let before = shop.trace.messages().len();
    act();
    quiet(shop);
    let messages = shop.trace.messages().split_off(before);
    messages.iter().map(show).collect()
}

fn show(message: &Message) -> String {
    let Message { to, line, status } = message;
    format!("{to} {line} {status}")
}

fn quiet(shop: &Shop) {
    let mut since = (Instant::now(), shop.trace.messages());
    eventually("nothing more is sent", || {
        let now = shop.trace.messages();
        if now != since.1 {
            since = (Instant::now(), now);
        }
        QUIET <= since.0.elapsed()
    });
}

/// Without the messages between catalogs and the invalidations.
fn of_buys(messages: Vec<String>) -> Vec<String> {
    let inner = |message: &String| message.contains("/rep/") || message.contains("/invalidate/");
    messages.into_iter().filter(|m| !inner(m)).collect()
}

#[track_caller]
fn check_buy(response: &Response, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.body.contains(words), "{response:?}");
}

#[test]
fn a_read_of_a_valid_book_sends_no_message_to_a_peer() {
    let shop = shop(3, 1, 1);
    let messages = sent(&shop, || {
        for catalog in shop.catalogs() {
            assert_eq!(catalog.get("/query/item/2").status, 200);
            assert_eq!(catalog.get("/query/topic/t").status, 200);
        }
    });
    assert_eq!(messages, [""; 0]);
}

/// A write at catalog 1 sends its messages in three steps: the front-ends forget the old copy once
/// every replica has the new one, and before any replica may show it.
#[track_caller]
fn check_messages_of_a_write(shop: &Shop, change: &str) {
    let messages = sent(shop, || {
        assert_eq!(shop.catalog(1).put("/update/2", change).status, 200);
    });
    let in_order = |step: &[String]| {
        let mut step = step.to_vec();
        step.sort();
        step
    };
    let steps: Vec<Vec<String>> = messages.chunks(2).map(in_order).collect();
    let expected = [
        [
            "catalog2 PUT /rep/update/2 200",
            "catalog3 PUT /rep/update/2 200",
        ],
        [
            "front-end1 DELETE /invalidate/item/2 204",
            "front-end2 DELETE /invalidate/item/2 204",
        ],
        [
            "catalog2 PUT /rep/confirm/2 200",
            "catalog3 PUT /rep/confirm/2 200",
        ],
    ];
    assert_eq!(steps, expected, "{change}");
}

#[test]
fn a_write_sends_two_messages_to_each_catalog_and_one_to_each_front_end() {
    let shop = shop(3, 1, 2);
    for change in [r#"{"quantity":50}"#, r#"{"price":9.5}"#] {
        check_messages_of_a_write(&shop, change);
    }
}

#[test]
fn a_message_that_is_sent_again_after_a_failure_is_no_second_message() {
    let shop = shop(3, 1, 2);
    for (server, line) in [
        ("catalog2", "PUT /rep/update/2"),
        ("front-end1", "DELETE /invalidate/item/2"),
    ] {
        for action in [Action::CloseBeforeRequest, Action::CloseBeforeResponse] {
            shop.proxy(server).once(line, action);
            let price = fastrand::u32(1..1_000_000);
            check_messages_of_a_write(&shop, &format!(r#"{{"price":{price}}}"#));
        }
    }
}

#[test]
fn figure_6_an_order_reads_and_writes_back() {
    let shop = shop(2, 1, 1);
    let messages = sent(&shop, || {
        check_buy(&shop.order(1).put("/buy/2", ""), 200, "purchased");
    });
    assert_eq!(
        messages,
        [
            "catalog1 GET /query/item/2 200",
            "catalog1 PUT /update/2 200",
            "catalog2 PUT /rep/update/2 200",
            "front-end1 DELETE /invalidate/item/2 204",
            "catalog2 PUT /rep/confirm/2 200",
        ]
    );
}

#[test]
fn figure_7_an_order_whose_book_is_outdated_reads_again() {
    let shop = shop(2, 1, 1);
    // Between read and write the other catalog changes the book.
    let other = shop.catalog(2).address.clone();
    shop.proxy("catalog1").first("PUT /update/2", move || {
        let response = http::call(&other, "PUT", "/update/2", &[], r#"{"price":9.5}"#);
        assert_eq!(response.unwrap().status, 200);
        Action::Forward
    });
    let messages = sent(&shop, || {
        check_buy(&shop.order(1).put("/buy/2", ""), 200, "purchased");
    });
    assert_eq!(
        of_buys(messages),
        [
            "catalog1 GET /query/item/2 200",
            "catalog1 PUT /update/2 412",
            "catalog1 GET /query/item/2 200",
            "catalog1 PUT /update/2 200",
        ]
    );
    assert_eq!(shop.quantity(2), 4);
}

#[test]
fn figure_8_an_order_whose_catalog_is_unreachable_says_so() {
    let shop = shop(1, 1, 1);
    shop.catalog(1).kill();
    shop.proxy("catalog1").cut();
    let response = shop.order(1).put("/buy/2", "");
    check_buy(&response, 504, "Could not connect to the catalog server");
    assert_eq!(response.header("Bazar-Outcome"), "none");
}

#[test]
fn figure_9_servers_are_taken_in_turn() {
    let shop = shop(2, 2, 1);
    let first = sent(&shop, || assert_eq!(shop.quantity(2), 5));
    let second = sent(&shop, || assert_eq!(shop.quantity(2), 5));
    let asked = |n| vec![format!("catalog{n} GET /query/item/2 200")];
    let turns = [first, second];
    assert!(
        turns == [asked(1), asked(2)] || turns == [asked(2), asked(1)],
        "{turns:?}"
    );
    let buy = || drop(shop.buy(2));
    let orders = [sent(&shop, buy), sent(&shop, buy)].map(|messages| {
        let mut orders = messages.into_iter().filter(|m| m.starts_with("order"));
        (orders.next().unwrap(), orders.next())
    });
    let asked = |n| (format!("order{n} PUT /buy/2 200"), None);
    assert!(
        orders == [asked(1), asked(2)] || orders == [asked(2), asked(1)],
        "{orders:?}"
    );
}

/// The servers of one kind that were sent `line` for one request, in order, each with the status of
/// its response.
fn tried(shop: &Shop, line: &str, act: impl FnMut()) -> Vec<String> {
    let messages = sent(shop, act).into_iter();
    messages
        .filter(|message| message.contains(line))
        .map(|message| message.replace(line, "").replace("  ", " "))
        .collect()
}

#[test]
fn figure_10_when_some_are_down_the_next_is_tried() {
    let shop = shop(1, 3, 1);
    // It is ready, so it is tried, but it never answers a buy.
    shop.proxy("order2").set_rule(|line| match line {
        "PUT /buy/4" => Action::CloseBeforeRequest,
        _ => Action::Forward,
    });
    let round: Vec<Vec<String>> = (0..3)
        .map(|_| {
            tried(&shop, "PUT /buy/4", || {
                check_buy(&shop.buy(4), 200, "purchased")
            })
        })
        .collect();
    let [one, two, three] = ["order1 200", "order2 0", "order3 200"];
    // The buy whose turn is at the server that is down goes to the next one, whose turn has passed
    // then.
    let mut all = round.concat();
    let turn = all.iter().position(|server| server == two).unwrap();
    assert_eq!(
        round.iter().filter(|tries| tries.len() == 2).count(),
        1,
        "{round:?}"
    );
    all.rotate_left(turn);
    assert_eq!(&all[..2], [two, three], "{round:?}");
    assert!(
        all[2..]
            .iter()
            .all(|server| server == one || server == three),
        "{round:?}"
    );
}

#[test]
fn figure_11_an_order_server_without_its_catalog_counts_as_down() {
    let shop = shop(2, 2, 1);
    // Order server 2 is ready, until it asks its catalog for the book.
    shop.proxy("catalog2").set_rule(|line| match line {
        "GET /query/item/4" => Action::CloseBeforeRequest,
        _ => Action::Forward,
    });
    let rounds: Vec<Vec<String>> = (0..2)
        .map(|_| {
            tried(&shop, "PUT /buy/4", || {
                check_buy(&shop.buy(4), 200, "purchased")
            })
        })
        .collect();
    let expected = ["order2 504", "order1 200"];
    assert!(rounds.iter().any(|tries| tries == &expected), "{rounds:?}");
    assert_eq!(shop.catalog(1).get("/query/item/4").json()["quantity"], 23);
}

#[test]
fn figure_12_when_all_are_down_each_is_tried_once() {
    let shop = shop(3, 3, 1);
    for n in 1..=3 {
        for name in [format!("catalog{n}"), format!("order{n}")] {
            shop.proxy(&name).set_rule(|line| match line {
                "PUT /buy/4" | "GET /query/item/4" => Action::CloseBeforeRequest,
                _ => Action::Forward,
            });
        }
    }
    let mut orders = tried(&shop, "PUT /buy/4", || {
        let response = shop.buy(4);
        check_buy(&response, 504, "Could not connect to a server to buy");
    });
    orders.sort();
    assert_eq!(orders, ["order1 0", "order2 0", "order3 0"]);
    let mut catalogs = tried(&shop, "GET /query/item/4", || {
        let response = shop.front_end().get("/lookup/4");
        check_buy(&response, 504, "Could not connect to a server to lookup");
    });
    catalogs.sort();
    assert_eq!(catalogs, ["catalog1 0", "catalog2 0", "catalog3 0"]);
}

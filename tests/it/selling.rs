//! Many customers, few copies: every copy is sold once, whatever fails in the middle of a sale, and
//! everybody hears the truth.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::http::{self, Response};
use crate::harness::process::{self, DEADLINE, eventually};
use crate::harness::proxy::Action;
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

const CUSTOMERS: usize = 64;
const COPIES: usize = 50;

/// How often `CUSTOMERS` fight for `COPIES`.
const ROUNDS: usize = 20;

fn stock_up(shop: &Shop, copies: usize) {
    let body = json!({ "quantity": copies }).to_string();
    // A test machine's disk may be busy for longer than a catalog waits.
    eventually("the copies are there", || {
        shop.catalog(1).put("/update/2", &body).status == 200
    });
}

/// What every replica says that is left of book 2.
#[track_caller]
fn left(shop: &Shop) -> Vec<u64> {
    let quantity = |catalog: &Server| {
        let response = catalog.get("/query/item/2");
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["quantity"].as_u64().unwrap()
    };
    shop.catalogs().iter().map(quantity).collect()
}

fn bought(response: &Response) -> bool {
    response.status == 200 && response.json()["success"] == true
}

/// All customers buy at once, each at the address that it is told, and each once. Returns what they
/// heard.
fn rush(customer: impl Fn(usize) -> Response + Sync) -> Vec<Response> {
    thread::scope(|scope| {
        let customer = &customer;
        let customers: Vec<_> = (0..CUSTOMERS)
            .map(|n| scope.spawn(move || customer(n)))
            .collect();
        customers.into_iter().map(|c| c.join().unwrap()).collect()
    })
}

/// Exactly so many bought, and the others heard that it is out of stock.
#[track_caller]
fn check_answers(responses: &[Response], purchased: usize) {
    let odd: Vec<_> = responses.iter().filter(|a| a.status != 200).collect();
    assert!(odd.is_empty(), "{} odd ones: {:?}", odd.len(), odd[0]);
    assert_eq!(responses.iter().filter(|a| bought(a)).count(), purchased);
}

#[test]
fn sixty_four_customers_buy_exactly_the_fifty_copies_there_are() {
    let shop = Shop::started(ShopOptions::default());
    for round in 0..ROUNDS {
        stock_up(&shop, COPIES);
        let responses = rush(|n| match round % 2 {
            0 => shop.order(1 + n % 2).put("/buy/2", ""),
            _ => shop.buy(2),
        });
        check_answers(&responses, COPIES);
        assert_eq!(left(&shop), [0, 0], "round {round}");
    }
}

/// Buys until somebody can tell, with the same key each time. Returns the response, and how often it
/// was asked.
fn insist(address: &str, key: &str) -> (Response, usize) {
    let deadline = Instant::now() + DEADLINE;
    let mut tries = 0;
    loop {
        tries += 1;
        let headers = [("Idempotency-Key", key)];
        if let Ok(response) = http::call(address, "PUT", "/buy/2", &headers, "") {
            if response.status == 200 {
                return (response, tries);
            }
            // Whoever cannot tell says so.
            assert!(matches!(response.status, 503 | 504), "{response:?}");
            let outcome = response.header("Bazar-Outcome");
            assert!(matches!(outcome, "none" | "unknown"), "{response:?}");
        }
        assert!(
            Instant::now() < deadline,
            "nobody can tell what became of {key}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Two catalogs, of which catalog `victim` is killed when the first request that begins with `when`
/// is on its way to catalog `to`; then it is started again. Meanwhile all customers buy.
#[track_caller]
fn check_a_death(victim: usize, to: &str, when: &'static str) {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    stock_up(&shop, COPIES);
    let (id, (dead, died)) = (shop.catalog(victim).id(), channel());
    shop.proxy(to).first(when, move || {
        process::signal("KILL", id);
        dead.send(()).unwrap();
        Action::Forward
    });
    let shop = &shop;
    let responses = thread::scope(|scope| {
        scope.spawn(move || {
            died.recv_timeout(DEADLINE).expect("it comes to the moment");
            shop.catalog(victim).kill();
            shop.catalog(victim).start();
        });
        rush(|n| {
            let key = format!("customer-{n}");
            let address = match n % 2 {
                0 => &shop.front_end().address,
                _ => &shop.order(1 + n / 2 % 2).address,
            };
            insist(address, &key).0
        })
    });
    check_answers(&responses, COPIES);
    assert_eq!(left(shop), [0, 0]);
}

#[test]
fn a_copy_is_sold_once_though_the_other_catalog_dies_in_the_middle_of_the_sale() {
    check_a_death(2, "catalog2", "PUT /rep/update/");
}

#[test]
fn a_copy_is_sold_once_though_the_selling_catalog_dies_before_the_others_know() {
    check_a_death(1, "catalog1", "PUT /update/");
}

#[test]
fn a_copy_is_sold_once_though_the_selling_catalog_dies_before_its_answer() {
    check_a_death(1, "catalog2", "PUT /rep/update/");
}

#[test]
fn a_copy_is_sold_once_though_the_selling_catalog_dies_before_it_confirms() {
    check_a_death(1, "catalog2", "PUT /rep/confirm/");
}

/// A shop with one copy of book 2, whose front-end waits a second for a buy.
fn last_copy() -> Shop {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        environment: vec![("TIMEOUT_MS", "1000".into())],
        ..ShopOptions::default()
    });
    stock_up(&shop, 1);
    shop
}

#[test]
fn whoever_bought_the_last_copy_without_hearing_so_hears_it_when_trying_again() {
    let shop = last_copy();
    for name in ["order1", "order2"] {
        shop.proxy(name).every(Action::HoldResponse);
    }
    let key = [("Idempotency-Key", "mine")];
    let first = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert_eq!(
        (first.status, first.header("Bazar-Outcome")),
        (504, "unknown")
    );
    assert_eq!(left(&shop), [0, 0]);
    for name in ["order1", "order2"] {
        shop.proxy(name).every(Action::Forward);
    }
    let again = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert!(bought(&again), "{again:?}");
    assert_eq!(again.header("Idempotent-Replayed"), "true");
    let other = shop.front_end().call("PUT", "/buy/2", &[], "");
    assert!(other.status == 200 && !bought(&other), "{other:?}");
}

#[test]
fn the_last_copy_is_sold_though_the_answer_of_the_catalog_is_lost() {
    for action in [Action::CloseBeforeResponse, Action::HoldResponse] {
        let shop = last_copy();
        shop.proxy("catalog1").once("PUT /update/2", action);
        let response = shop.order(1).put("/buy/2", "");
        assert!(bought(&response), "{action:?}: {response:?}");
        assert_eq!(left(&shop), [0, 0]);
    }
}

/// Tells when order server 1 was stopped: at the moment when its catalog got its update of book 2.
fn stop_in_the_middle(shop: &Shop) -> Receiver<()> {
    let (id, (stopped, when)) = (shop.order(1).id(), channel());
    shop.proxy("catalog1").first("PUT /update/2", move || {
        process::signal("STOP", id);
        stopped.send(()).unwrap();
        Action::Forward
    });
    when
}

/// Buys at `address` while order server 1 is stopped for 3 s in the middle of it.
#[track_caller]
fn check_a_stop(shop: &Shop, address: &str) {
    stock_up(shop, 5);
    let stopped = stop_in_the_middle(shop);
    thread::scope(|scope| {
        scope.spawn(move || {
            stopped.recv_timeout(DEADLINE).expect("it is stopped");
            thread::sleep(Duration::from_secs(3));
            shop.order(1).cont();
        });
        let response = http::call(address, "PUT", "/buy/2", &[], "").unwrap();
        assert!(bought(&response), "{response:?}");
    });
    shop.order(1).await_ready();
    assert_eq!(left(shop), [4, 4]);
    // Nothing comes of the stopped one's purchase later on: another sale takes one more copy.
    assert!(bought(&shop.order(1).put("/buy/2", "")));
    assert_eq!(left(shop), [3, 3]);
}

#[test]
fn an_order_server_that_stops_for_three_seconds_sells_one_copy() {
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    check_a_stop(&shop, &shop.order(1).address);
}

#[test]
fn the_other_order_server_finishes_for_one_that_stops() {
    let shop = Shop::started(ShopOptions {
        orders: 2,
        proxies: Proxies::Everywhere,
        environment: vec![("TIMEOUT_MS", "1000".into())],
        ..ShopOptions::default()
    });
    // So that the next turn is order server 1's.
    eventually("the last sale was by order server 2", || {
        assert!(shop.buy(4).status == 200);
        let sold = shop.trace.messages().into_iter().rev();
        let last = sold
            .into_iter()
            .find(|message| message.line == "PUT /buy/4");
        last.unwrap().to == "order2"
    });
    check_a_stop(&shop, &shop.front_end().address);
}

#[test]
fn a_key_buys_one_copy_however_often_it_is_used() {
    let shop = Shop::started(ShopOptions::default());
    let buy = |server: &Server| server.call("PUT", "/buy/2", &[("Idempotency-Key", "k-1")], "");
    let first = buy(shop.front_end());
    assert!(bought(&first) && first.header("Idempotent-Replayed").is_empty());
    for server in [
        shop.front_end(),
        shop.order(1),
        shop.order(2),
        shop.front_end(),
    ] {
        let again = buy(server);
        assert!(bought(&again), "{again:?}");
        assert_eq!(again.header("Idempotent-Replayed"), "true");
    }
    assert_eq!(left(&shop), [4, 4]);
}

#[test]
fn a_key_that_many_use_at_once_buys_one_copy() {
    let shop = Shop::started(ShopOptions::default());
    let responses = rush(|n| {
        let server = [shop.front_end(), shop.order(1), shop.order(2)][n % 3];
        server.call("PUT", "/buy/2", &[("Idempotency-Key", "k-1")], "")
    });
    check_answers(&responses, CUSTOMERS);
    let replayed = |response: &&Response| response.header("Idempotent-Replayed") == "true";
    assert_eq!(responses.iter().filter(replayed).count(), CUSTOMERS - 1);
    assert_eq!(left(&shop), [4, 4]);
}

#[test]
fn a_key_that_is_none_is_refused() {
    let shop = Shop::started(ShopOptions::default());
    let long = "k".repeat(65);
    for server in [shop.front_end(), shop.order(1)] {
        for key in ["", "two words", &long] {
            let response = server.call("PUT", "/buy/2", &[("Idempotency-Key", key)], "");
            assert_eq!(
                response.status, 400,
                "{key:?} at {}: {response:?}",
                server.name
            );
        }
        let longest = &long[1..];
        let response = server.call("PUT", "/buy/2", &[("Idempotency-Key", longest)], "");
        assert!(bought(&response), "{response:?}");
    }
    assert_eq!(left(&shop), [4, 4]);
}

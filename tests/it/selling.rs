//! Many customers, few copies: every copy is sold once, whatever fails in the middle of a sale, and
//! everybody hears the truth.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{self, Answer};
use crate::process::{self, DEADLINE, Server, eventually};
use crate::relay::Fate;
use crate::shop::{Relays, Shop, Tiers};

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
        let answer = catalog.get("/query/item/2");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["quantity"].as_u64().unwrap()
    };
    shop.catalogs().iter().map(quantity).collect()
}

fn bought(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["success"] == true
}

/// All customers buy at once, each at the place that it is told, and each once. Returns what they
/// heard.
fn rush(customer: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
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
fn check_answers(answers: &[Answer], purchased: usize) {
    let odd: Vec<_> = answers.iter().filter(|a| a.status != 200).collect();
    assert!(odd.is_empty(), "{} odd ones: {:?}", odd.len(), odd[0]);
    assert_eq!(answers.iter().filter(|a| bought(a)).count(), purchased);
}

#[test]
fn sixty_four_customers_buy_exactly_the_fifty_copies_there_are() {
    let shop = Shop::open(Tiers::default());
    for round in 0..ROUNDS {
        stock_up(&shop, COPIES);
        let answers = rush(|n| match round % 2 {
            0 => shop.order(1 + n % 2).put("/buy/2", ""),
            _ => shop.buy(2),
        });
        check_answers(&answers, COPIES);
        assert_eq!(left(&shop), [0, 0], "round {round}");
    }
}

/// Buys until somebody can tell, with the same key each time. Returns the answer, and how often it
/// was asked.
fn insist(place: &str, key: &str) -> (Answer, usize) {
    let deadline = Instant::now() + DEADLINE;
    let mut tries = 0;
    loop {
        tries += 1;
        let headers = [("Idempotency-Key", key)];
        if let Ok(answer) = http::call(place, "PUT", "/buy/2", &headers, "") {
            if answer.status == 200 {
                return (answer, tries);
            }
            // Whoever cannot tell says so.
            assert!(matches!(answer.status, 503 | 504), "{answer:?}");
            let outcome = answer.header("Bazar-Outcome");
            assert!(matches!(outcome, "none" | "unknown"), "{answer:?}");
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
    let shop = Shop::open(Tiers {
        relays: Relays::Everywhere,
        usual_times: true,
        ..Tiers::default()
    });
    stock_up(&shop, COPIES);
    let (id, (dead, died)) = (shop.catalog(victim).id(), channel());
    shop.relay(to).first(when, move || {
        process::signal("KILL", id);
        dead.send(()).unwrap();
        Fate::Pass
    });
    let shop = &shop;
    let answers = thread::scope(|scope| {
        scope.spawn(move || {
            died.recv_timeout(DEADLINE).expect("it comes to the moment");
            shop.catalog(victim).kill();
            shop.catalog(victim).start();
        });
        rush(|n| {
            let key = format!("customer-{n}");
            let place = match n % 2 {
                0 => &shop.front_end().place,
                _ => &shop.order(1 + n / 2 % 2).place,
            };
            insist(place, &key).0
        })
    });
    check_answers(&answers, COPIES);
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
    let shop = Shop::open(Tiers {
        relays: Relays::Everywhere,
        environment: vec![("TIMEOUT_MS", "1000".into())],
        ..Tiers::default()
    });
    stock_up(&shop, 1);
    shop
}

#[test]
fn whoever_bought_the_last_copy_without_hearing_so_hears_it_when_trying_again() {
    let shop = last_copy();
    for name in ["order1", "order2"] {
        shop.relay(name).every(Fate::Withhold);
    }
    let key = [("Idempotency-Key", "mine")];
    let first = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert_eq!(
        (first.status, first.header("Bazar-Outcome")),
        (504, "unknown")
    );
    assert_eq!(left(&shop), [0, 0]);
    for name in ["order1", "order2"] {
        shop.relay(name).every(Fate::Pass);
    }
    let again = shop.front_end().call("PUT", "/buy/2", &key, "");
    assert!(bought(&again), "{again:?}");
    assert_eq!(again.header("Idempotent-Replayed"), "true");
    let other = shop.front_end().call("PUT", "/buy/2", &[], "");
    assert!(other.status == 200 && !bought(&other), "{other:?}");
}

#[test]
fn the_last_copy_is_sold_though_the_answer_of_the_catalog_is_lost() {
    for fate in [Fate::DropAnswer, Fate::Withhold] {
        let shop = last_copy();
        shop.relay("catalog1").once("PUT /update/2", fate);
        let answer = shop.order(1).put("/buy/2", "");
        assert!(bought(&answer), "{fate:?}: {answer:?}");
        assert_eq!(left(&shop), [0, 0]);
    }
}

/// Tells when order server 1 was stopped: at the moment when its catalog got its update of book 2.
fn stop_in_the_middle(shop: &Shop) -> Receiver<()> {
    let (id, (stopped, when)) = (shop.order(1).id(), channel());
    shop.relay("catalog1").first("PUT /update/2", move || {
        process::signal("STOP", id);
        stopped.send(()).unwrap();
        Fate::Pass
    });
    when
}

/// Buys at `place` while order server 1 is stopped for 3 s in the middle of it.
#[track_caller]
fn check_a_stop(shop: &Shop, place: &str) {
    stock_up(shop, 5);
    let stopped = stop_in_the_middle(shop);
    thread::scope(|scope| {
        scope.spawn(move || {
            stopped.recv_timeout(DEADLINE).expect("it is stopped");
            thread::sleep(Duration::from_secs(3));
            shop.order(1).cont();
        });
        let answer = http::call(place, "PUT", "/buy/2", &[], "").unwrap();
        assert!(bought(&answer), "{answer:?}");
    });
    shop.order(1).await_ready();
    assert_eq!(left(shop), [4, 4]);
    // Nothing comes of the stopped one's purchase later on: another sale takes one more copy.
    assert!(bought(&shop.order(1).put("/buy/2", "")));
    assert_eq!(left(shop), [3, 3]);
}

#[test]
fn an_order_server_that_stops_for_three_seconds_sells_one_copy() {
    let shop = Shop::open(Tiers {
        relays: Relays::Everywhere,
        ..Tiers::default()
    });
    check_a_stop(&shop, &shop.order(1).place);
}

#[test]
fn the_other_order_server_finishes_for_one_that_stops() {
    let shop = Shop::open(Tiers {
        orders: 2,
        relays: Relays::Everywhere,
        environment: vec![("TIMEOUT_MS", "1000".into())],
        ..Tiers::default()
    });
    // So that the next turn is order server 1's.
    eventually("the last sale was by order server 2", || {
        assert!(shop.buy(4).status == 200);
        let sold = shop.tape.messages().into_iter().rev();
        let last = sold
            .into_iter()
            .find(|message| message.line == "PUT /buy/4");
        last.unwrap().to == "order2"
    });
    check_a_stop(&shop, &shop.front_end().place);
}

#[test]
fn a_key_buys_one_copy_however_often_it_is_used() {
    let shop = Shop::open(Tiers::default());
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
    let shop = Shop::open(Tiers::default());
    let answers = rush(|n| {
        let server = [shop.front_end(), shop.order(1), shop.order(2)][n % 3];
        server.call("PUT", "/buy/2", &[("Idempotency-Key", "k-1")], "")
    });
    check_answers(&answers, CUSTOMERS);
    let replayed = |answer: &&Answer| answer.header("Idempotent-Replayed") == "true";
    assert_eq!(answers.iter().filter(replayed).count(), CUSTOMERS - 1);
    assert_eq!(left(&shop), [4, 4]);
}

#[test]
fn a_key_that_is_none_is_refused() {
    let shop = Shop::open(Tiers::default());
    let long = "k".repeat(65);
    for server in [shop.front_end(), shop.order(1)] {
        for key in ["", "two words", &long] {
            let answer = server.call("PUT", "/buy/2", &[("Idempotency-Key", key)], "");
            assert_eq!(answer.status, 400, "{key:?} at {}: {answer:?}", server.name);
        }
        let longest = &long[1..];
        let answer = server.call("PUT", "/buy/2", &[("Idempotency-Key", longest)], "");
        assert!(bought(&answer), "{answer:?}");
    }
    assert_eq!(left(&shop), [4, 4]);
}

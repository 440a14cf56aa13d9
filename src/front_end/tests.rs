//! What a client is answered when the servers behind answer this or that, or not at all.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::front_end::CATALOG;
use crate::front_end::order_reply::BuyAttempt;
use crate::http::server::Service;
use crate::http::{Body, Method, Request, Response, split_path};
use crate::membership::health_check::HealthCheck;
use crate::model::address::Address;
use crate::model::book::BookId;
use crate::model::order::parse_key;
use crate::runtime::metrics::Exposition;

/// What a server behind does with every request.
#[derive(Clone, Copy)]
enum Behind {
    /// Answers so: status, a header, body.
    Says(u16, &'static str, &'static str),
    /// Takes the request and hangs up.
    HangsUp,
    /// Takes the request and never answers.
    Hangs,
    /// Answers with a book, far later than usual.
    Late,
    /// Sells a copy, later than usual.
    SellsLate,
    /// Has no copy left, far later than others are waited for.
    RefusesLate,
    /// Does not know, and says so while others are waited for.
    UnknownLate,
    /// Has no copy left when it is asked first. Sells one after.
    SellsSecond,
    /// Sells for this key only.
    SellsFor(&'static str),
    /// Nothing listens there.
    Refuses,
}
use Behind::{
    Hangs, HangsUp, Late, Refuses, RefusesLate, Says, SellsFor, SellsLate, SellsSecond, UnknownLate,
};

const BOOK: Behind = Says(
    200,
    "ETag: \"1-1\"",
    r#"{"price":1.0,"quantity":4,"title":"t"}"#,
);
const UNKNOWN: Behind = Says(504, "X: y", r#"{"message":"not known"}"#);
const SOLD: &str = r#"{"message":"Book with the specified ID purchased","success":true}"#;
const SELLS: Behind = Says(200, "X: y", SOLD);
const OUT_OF_STOCK: Behind = Says(
    200,
    "X: y",
    r#"{"message":"Book with the specified ID is out of stock","success":false}"#,
);
const BUSY: Behind = Says(503, "Retry-After: 1", r#"{"message":"busy"}"#);
const LOST: Behind = Says(504, "Bazar-Outcome: unknown", r#"{"message":"no answer"}"#);
const CUT_OFF: Behind = Says(504, "Bazar-Outcome: none", r#"{"message":"no catalog"}"#);

fn server(behind: Behind) -> Arc<HealthCheck> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::of("127.0.0.1", listener.local_addr().unwrap().port());
    if !matches!(behind, Refuses) {
        thread::spawn(move || serve(&listener, behind));
    }
    let health_check = HealthCheck::new(address, CATALOG);
    health_check.report(true);
    Arc::new(health_check)
}

fn serve(listener: &TcpListener, behind: Behind) {
    let mut open = Vec::new();
    for (count, connection) in listener.incoming().enumerate() {
        let mut connection = connection.unwrap();
        let mut request = Vec::new();
        let mut piece = [0; 1024];
        while !is_whole(&String::from_utf8_lossy(&request)) {
            let n = connection.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..n]);
        }
        let (late_ms, answers) = match behind {
            Late => (500, BOOK),
            SellsLate => (100, SELLS),
            RefusesLate => (2000, OUT_OF_STOCK),
            UnknownLate => (500, LOST),
            SellsSecond if count == 0 => (0, OUT_OF_STOCK),
            SellsSecond => (0, SELLS),
            SellsFor(key) if key_of(&request).as_deref() == Some(key) => (0, SELLS),
            SellsFor(_) => (0, BUSY),
            _ => (0, behind),
        };
        thread::sleep(Duration::from_millis(late_ms));
        if let Says(status, header, body) = answers {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} S\r\n{header}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            let _ = connection.write_all(answer.as_bytes());
        } else if matches!(behind, Hangs) {
            open.push(connection);
        }
    }
}

/// The key that this request is for, as an order server reads it.
fn key_of(request: &[u8]) -> Option<Arc<str>> {
    let request = String::from_utf8_lossy(request);
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        let is_key = name.eq_ignore_ascii_case("Idempotency-Key");
        is_key.then(|| parse_key(value)).flatten()
    };
    request.lines().find_map(header)
}

/// Whether the head is there, and as much of a body as it announces.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|text| text.lines().next()?.parse().ok());
    length.unwrap_or(0) <= body.len()
}

/// A front-end in front of these servers. It has no lease, so it caches nothing.
fn front_end(catalogs: &[Behind], orders: &[Behind]) -> FrontEnd {
    let in_turn =
        |servers: &[Behind]| RoundRobin::new(servers.iter().map(|b| server(*b)).collect());
    let limits = Limits {
        connect: Duration::from_secs(10),
        whole: Duration::from_secs(20),
    };
    let (origin, timing) = (Instant::now(), Default::default());
    let silent = [Address::of("127.0.0.1", 1)];
    let membership = Membership::new(1, timing, &silent, &[], Time::now(origin));
    FrontEnd {
        cache: Arc::new(LeasedCache::new(origin, membership, 0, 0)),
        catalogs: in_turn(catalogs),
        order_servers: in_turn(orders),
        reads: Client::new(limits, None),
        buys: Client::new(limits, None),
        buy_batcher: batch_buy::batcher(),
        errands: race::errand_pool(),
        buy_hedging: race::buy_hedging(None),
        order_ids: OrderIds::new(),
        earlier_buys: Arc::new(EarlierBuys::new(limits.whole)),
        metrics: Metrics::default(),
        fetch_max: limits.whole,
        read_hedging: read_hedging(None),
    }
}

fn ask(front_end: &FrontEnd, method: Method, path: &str) -> Response {
    ask_with(front_end, method, path, Vec::new())
}

fn buy_with_key(front_end: &FrontEnd, key: &str) -> Response {
    let headers = vec![("idempotency-key".into(), key.into())];
    ask_with(front_end, Method::Put, "/buy/1", headers)
}

fn ask_with(
    front_end: &FrontEnd,
    method: Method,
    path: &str,
    headers: Vec<(String, String)>,
) -> Response {
    front_end.answer(&Request {
        method,
        segments: split_path(path).unwrap(),
        query: None,
        headers,
        body: Vec::new(),
        id: "r".into(),
    })
}

#[track_caller]
fn check(response: &Response, status: u16, expected: &str) {
    let body = match &response.body {
        Body::Bytes(bytes) => bytes.as_slice(),
        Body::Shared(bytes) => bytes,
        _ => panic!("it has a body"),
    };
    let body = std::str::from_utf8(body).unwrap();
    assert!(
        response.status == status && body.contains(expected),
        "{} {body}",
        response.status
    );
}

#[track_caller]
fn check_lookup(catalogs: &[Behind], status: u16, expected: &str) {
    let front_end = front_end(catalogs, &[]);
    check(&ask(&front_end, Method::Get, "/lookup/1"), status, expected);
}

#[track_caller]
fn check_buy(orders: &[Behind], status: u16, expected: &str, outcome: Option<&str>) {
    let front_end = front_end(&[], orders);
    let response = ask(&front_end, Method::Put, "/buy/1");
    check(&response, status, expected);
    let header = response
        .headers
        .iter()
        .find(|(name, _)| *name == "Bazar-Outcome");
    assert_eq!(header.map(|(_, value)| value.as_ref()), outcome);
}

#[test]
fn a_catalogs_5xx_is_passed_on_only_after_the_others_were_asked() {
    check_lookup(&[UNKNOWN, BOOK], 200, "quantity");
    check_lookup(&[UNKNOWN, Refuses], 504, "not known");
    check_lookup(&[Refuses, UNKNOWN], 504, "not known");
}

#[test]
fn a_catalog_that_is_gone_or_talks_nonsense_is_passed_over() {
    check_lookup(
        &[Refuses, HangsUp, Says(200, "X: y", "nonsense"), BOOK],
        200,
        "quantity",
    );
    check_lookup(
        &[Says(404, "X: y", r#"{"message":"Not found"}"#)],
        404,
        "does not exist",
    );
}

#[test]
fn when_no_server_is_left_the_504_says_for_what() {
    check_lookup(
        &[Refuses, Refuses],
        504,
        "Could not connect to a server to lookup",
    );
    let front_end = front_end(&[Refuses], &[]);
    let search = ask(&front_end, Method::Get, "/search/t");
    check(&search, 504, "Could not connect to a server to search");
    check_buy(
        &[Refuses],
        504,
        "Could not connect to a server to buy",
        Some("none"),
    );
}

#[test]
fn an_order_server_without_its_catalog_is_passed_over_but_a_busy_one_is_not() {
    check_buy(&[CUT_OFF, SELLS], 200, SOLD, None);
    check_buy(&[BUSY, SELLS], 503, "busy", Some("none"));
    check_buy(&[CUT_OFF, Refuses], 504, "to buy", Some("none"));
}

#[test]
fn after_a_broken_connection_the_next_sells_or_the_outcome_is_unknown() {
    check_buy(&[HangsUp, SELLS], 200, SOLD, None);
    check_buy(&[HangsUp, Refuses], 504, "to buy", Some("unknown"));
    check_buy(&[HangsUp, BUSY], 503, "busy", Some("unknown"));
}

#[test]
fn a_server_that_failed_is_tried_last_the_next_time() {
    let front_end = front_end(&[Refuses, BOOK], &[]);
    check(&ask(&front_end, Method::Get, "/lookup/1"), 200, "quantity");
    let mut up: Vec<(usize, bool)> = front_end
        .catalogs
        .attempts()
        .map(|(i, server)| (i, server.up()))
        .collect();
    up.sort();
    assert_eq!(up, [(0, false), (1, true)]);
}

/// What two buys of one batch get from this order server: a status, or whether it may have sold a
/// copy.
#[track_caller]
fn check_batch(order: Behind, expected: [std::result::Result<u16, bool>; 2]) {
    check_batch_at(&[order], expected);
}

#[track_caller]
fn check_batch_at(orders: &[Behind], expected: [std::result::Result<u16, bool>; 2]) {
    let front_end = front_end(&[], orders);
    let buy = |id| crate::model::validation::BatchBuy {
        id: BookId(id),
        order: front_end.order_ids.open(None).order.clone(),
        trace: "r".into(),
    };
    let attempts = front_end.buy_batch(vec![buy(1), buy(2)]);
    let outcomes = attempts.into_iter().map(|attempt| match attempt {
        BuyAttempt::Answered(response) | BuyAttempt::OutOfStock(response) => Ok(response.status),
        BuyAttempt::NotSold => Err(false),
        BuyAttempt::Unknown | BuyAttempt::Late => Err(true),
    });
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
}

#[test]
fn each_buy_of_a_batch_gets_its_own_answer() {
    let list = r#"[{"status":200,"body":{"message":"m","success":true}},{"status":404,"body":{"message":"m"}}]"#;
    check_batch(Says(200, "X: y", list), [Ok(200), Ok(404)]);
    let alone = r#"[{"status":503,"body":{}},{"status":507,"headers":{"Bazar-Outcome":"unknown"},"body":{"message":"full"}}]"#;
    check_batch(Says(200, "X: y", alone), [Err(false), Ok(507)]);
    let lost = r#"[{"status":504,"headers":{"Bazar-Outcome":"unknown"},"body":{}},{"status":504,"headers":{"Bazar-Outcome":"none"},"body":{}}]"#;
    check_batch(Says(200, "X: y", lost), [Err(true), Err(false)]);
}

#[test]
fn a_batch_without_an_answer_says_of_each_buy_whether_a_copy_may_be_sold() {
    check_batch(Refuses, [Err(false); 2]);
    check_batch(HangsUp, [Err(true); 2]);
    check_batch(Says(404, "X: y", "{}"), [Err(false); 2]);
    check_batch(Says(500, "X: y", "{}"), [Err(true); 2]);
    check_batch(Says(200, "X: y", "[]"), [Err(true); 2]);
}

#[test]
fn a_catalog_that_hangs_costs_a_read_a_moment() {
    let front_end = front_end(&[Hangs, BOOK], &[]);
    let started = Instant::now();
    let answer = ask(&front_end, Method::Get, "/lookup/2");
    check(&answer, 200, r#""quantity":4"#);
    // The front-end would wait 20 s for it.
    assert!(started.elapsed() < Duration::from_secs(5));
    let hedging = &front_end.read_hedging;
    assert_eq!((hedging.sent.get(), hedging.won.get()), (1, 1));
    assert_eq!(
        front_end.catalogs.up_count(),
        1,
        "the one that hangs is asked last"
    );
}

#[test]
fn a_read_finds_the_catalog_that_is_back_while_the_only_one_that_counts_as_up_hangs() {
    let front_end = front_end(&[Hangs, BOOK], &[]);
    let servers: Vec<_> = front_end.catalogs.attempts().collect();
    servers[1].1.report(false);
    let started = Instant::now();
    let answer = ask(&front_end, Method::Get, "/lookup/2");
    check(&answer, 200, r#""quantity":4"#);
    // The front-end would wait 20 s for the one that hangs.
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Its first order server hangs, and it does not wait long for it; at the second none is left.
fn impatient() -> FrontEnd {
    let mut front_end = front_end(&[], &[Hangs, OUT_OF_STOCK]);
    let short = Limits {
        connect: Duration::from_secs(10),
        whole: Duration::from_millis(300),
    };
    front_end.buys = Client::new(short, None);
    front_end
}

#[test]
fn out_of_stock_is_no_promise_while_an_order_server_that_hangs_may_sell_yet() {
    let front_end = impatient();
    let answer = ask(&front_end, Method::Put, "/buy/1");
    check(&answer, 504, "to buy");
    assert!(
        answer
            .headers
            .contains(&("Bazar-Outcome", "unknown".into()))
    );
    let answer = ask(&front_end, Method::Put, "/buy/1");
    check(&answer, 200, "out of stock");
}

#[test]
fn who_asks_again_with_a_key_is_not_told_out_of_stock_while_the_first_try_may_sell() {
    let front_end = impatient();
    for _ in 0..2 {
        let answer = buy_with_key(&front_end, "k");
        let unknown = ("Bazar-Outcome", "unknown".into());
        assert!(answer.status == 504 && answer.headers.contains(&unknown));
    }
    check(&buy_with_key(&front_end, "other"), 200, "out of stock");
}

#[test]
fn who_asks_again_with_a_key_is_told_out_of_stock_once_the_first_try_has_ended() {
    let front_end = front_end(&[], &[RefusesLate, OUT_OF_STOCK]);
    let answers = || buy_with_key(&front_end, "k");
    check(&answers(), 504, "to buy");
    // Each waits for a moment.
    let last = (0..100).map(|_| answers()).find(|it| it.status == 200);
    check(&last.expect("it ends"), 200, "out of stock");
}

#[test]
fn a_key_that_has_quotes_of_its_own_reaches_an_order_server_with_them() {
    for (written, key) in [("once", "once"), (r#""\"once\"""#, r#""once""#)] {
        let front_end = front_end(&[], &[SellsFor(key)]);
        check(&buy_with_key(&front_end, written), 200, SOLD);
    }
}

#[test]
fn out_of_stock_is_no_promise_after_a_broken_connection() {
    check_buy(&[HangsUp, OUT_OF_STOCK], 504, "to buy", Some("unknown"));
    let front_end = front_end(&[], &[HangsUp, OUT_OF_STOCK]);
    for _ in 0..2 {
        assert_eq!(buy_with_key(&front_end, "k").status, 504);
    }
    check(&buy_with_key(&front_end, "other"), 200, "out of stock");
}

#[test]
fn out_of_stock_is_no_promise_if_it_was_asked_for_before_another_one_said_unknown() {
    let mut front_end = front_end(&[], &[UnknownLate, RefusesLate]);
    front_end.buy_hedging = race::buy_hedging(Some(Duration::ZERO));
    let answer = ask(&front_end, Method::Put, "/buy/1");
    check(&answer, 504, "to buy");
    let unknown = ("Bazar-Outcome", "unknown".into());
    assert!(answer.headers.contains(&unknown));
}

#[test]
fn who_asks_again_with_a_key_asks_once_more_after_the_first_try_has_ended() {
    let front_end = front_end(&[], &[SellsSecond]);
    let first = crate::model::order::Order {
        key: Some("k".into()),
        ..front_end.order_ids.open(None).order.clone()
    };
    let open_buy = front_end.earlier_buys.begin(&first);
    thread::scope(|scope| {
        let again = scope.spawn(|| buy_with_key(&front_end, "k"));
        let begun = Instant::now();
        while front_end.earlier_buys.count("k") < 2 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        drop(open_buy);
        check(&again.join().unwrap(), 200, SOLD);
    });
}

#[test]
fn a_slow_catalog_is_asked_again_when_the_other_one_fails() {
    let front_end = front_end(&[Late, Refuses], &[]);
    let answer = ask(&front_end, Method::Get, "/lookup/2");
    check(&answer, 200, r#""quantity":4"#);
    let hedging = &front_end.read_hedging;
    assert_eq!((hedging.sent.get(), hedging.won.get()), (1, 0));
}

#[test]
fn an_order_server_that_hangs_costs_a_buy_a_moment() {
    let front_end = front_end(&[], &[Hangs, SELLS]);
    let started = Instant::now();
    check(&ask(&front_end, Method::Put, "/buy/1"), 200, SOLD);
    // The front-end would wait 20 s for it.
    assert!(started.elapsed() < Duration::from_secs(5));
    let hedging = &front_end.buy_hedging;
    assert_eq!((hedging.sent.get(), hedging.won.get()), (1, 1));
    assert_eq!(front_end.order_servers.up_count(), 1);
}

#[test]
fn out_of_stock_is_held_back_while_a_slower_order_server_sells() {
    check_buy(&[SellsLate, OUT_OF_STOCK], 200, SOLD, None);
    check_buy(&[OUT_OF_STOCK, SELLS], 200, "out of stock", None);
}

#[test]
fn a_buy_that_is_asked_twice_is_counted_once() {
    let mut front_end = front_end(&[], &[SELLS, SELLS]);
    front_end.buy_hedging = race::buy_hedging(Some(Duration::ZERO));
    for _ in 0..10 {
        check(&ask(&front_end, Method::Put, "/buy/1"), 200, SOLD);
    }
    let mut page = Exposition::default();
    front_end.write_metrics(&mut page);
    let page = page.finish();
    let purchased = r#"bazar_buys_total{outcome="purchased"} 10"#;
    assert!(page.contains(purchased), "{page}");
}

#[test]
fn a_batch_at_an_order_server_that_hangs_is_served_by_the_next() {
    let list = r#"[{"status":200,"body":{"message":"m","success":true}},{"status":200,"body":{"message":"m","success":false}}]"#;
    let sold_out = Says(200, "X: y", list);
    check_batch_at(&[sold_out], [Ok(200), Ok(200)]);
    // The one that hangs may sell the second book yet.
    check_batch_at(&[Hangs, sold_out], [Ok(200), Err(true)]);
}

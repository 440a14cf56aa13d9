//! Random requests, and correct ones with damage, at each kind of server: each is answered, or its
//! connection is closed; an incorrect one is refused and changes nothing.
//!
//! `FUZZ_REQUESTS=10000 cargo test fuzz` sends so many to each; `SEED=…` repeats them.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::Value;

use crate::harness::clients::{number, seeded};
use crate::harness::connection::Connection;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// How many requests each server gets, if the environment says nothing else.
const REQUESTS: u64 = 1000;

/// Correct requests and nearly correct ones. Only the buys change a quantity.
const FOR_CLIENTS: [&str; 10] = [
    "GET /search/distributed HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /search/a%2Fb%C3%BC?limit=3&after=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /lookup/3 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: mine\r\n\r\n",
    "HEAD /lookup/007 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "PUT /buy/4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "PUT /buy/5 HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k-1\r\n\r\n",
    "PUT /buy/6 HTTP/1.1\r\nHost: localhost\r\nBazar-Order: 77.1; open=0\r\nExpect: 100-continue\r\n\r\n",
    "DELETE /invalidate/topic/Graduate%20School HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /dump/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET http://localhost/readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
];

const FOR_CATALOGS: [&str; 12] = [
    "GET /query/item/3 HTTP/1.1\r\nHost: localhost\r\nBazar-Order: 77.1; open=0\r\n\r\n",
    "GET /query/topic/t?limit=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /query/nothing/3 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "PUT /update/4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n{\"price\": 12.5}",
    "PUT /update/5 HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"9-9\"\r\nContent-Length: 17\r\n\r\n{\"quantity\": 5.5}",
    "PUT /update/6 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 34\r\n\r\n{\"title\": \"T\", \"topic\": [\"\\ud800\"]}",
    "POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 27\r\n\r\n{\"title\": \"T\", \"topic\": \"\"}",
    "GET /dump/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "PUT /rep/get/3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 38\r\n\r\n{\"id\":3,\"requesters\":[],\"best\":null}   ",
    "PUT /rep/check/3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n{\"id\":3,\"rank\":[1,false,99]}",
    "PUT /rep/page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n{\"after\":null,\"limit\":10}",
    "PUT /rep/update HTTP/1.1\r\nHost: localhost\r\nContent-Length: 63\r\n\r\n{\"books\":[{\"id\":3,\"title\":\"\",\"topic\":\"\",\"quantity\":-1,\"price\":-1}]}",
];

/// What damage is made of.
const PIECES: [&str; 23] = [
    "\r\n",
    "\r",
    "\n",
    "\0",
    "%",
    "%ff",
    "%00",
    "%2e%2e/",
    "ü",
    "\u{202e}",
    "9999999",
    "99999999999999999999999999",
    "-1",
    "1e400",
    "NaN",
    "{\"a\":",
    "[[[[[[[[",
    "\"\\ud800\"",
    "Content-Length: 5\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: upgrade\r\n",
    " HTTP/1.0",
];

/// A request that most probably is malformed.
fn mutant(rng: &mut Rng, correct: &[&str]) -> Vec<u8> {
    let base = correct[rng.usize(..correct.len())];
    match rng.u32(..100) {
        0..5 => (0..rng.usize(..300)).map(|_| rng.u8(..)).collect(),
        5 => long(rng, base),
        6 => deep(rng, base),
        _ => damaged(rng, base.as_bytes().to_vec()),
    }
}

fn damaged(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.u32(..4) {
        let at = rng.usize(..bytes.len());
        match rng.u32(..5) {
            0 => bytes[at] = rng.u8(..),
            1 if at + 10 < bytes.len() => drop(bytes.drain(at..at + rng.usize(1..10))),
            2 => bytes.truncate(at.max(1)),
            3 => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
            _ => {
                let piece = PIECES[rng.usize(..PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
        }
    }
    bytes
}

/// With a path, a header or many headers beyond all limits.
fn long(rng: &mut Rng, base: &str) -> Vec<u8> {
    let much = match rng.u32(..3) {
        0 => {
            return base
                .replacen(" HTTP", &format!("{} HTTP", "x".repeat(20_000)), 1)
                .into();
        }
        1 => format!("\r\nX: {}\r\n", "y".repeat(50_000)),
        _ => format!("\r\n{}", "X: y\r\n".repeat(500)),
    };
    base.replacen("\r\n", &much, 1).into()
}

/// With JSON as its body that is 10,000 or 100,000 deep.
fn deep(rng: &mut Rng, base: &str) -> Vec<u8> {
    let open = ["[", "{\"a\":"][rng.usize(..2)];
    let body = open.repeat([10_000, 100_000][rng.usize(..2)]);
    let line = base.lines().next().unwrap().replacen("GET", "PUT", 1);
    format!(
        "{line}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// Requests that leak a connection and are never answered: of a newer protocol, or with an absurd
/// length.
fn is_never_answered(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let too_long = |line: &str| {
        let length = line.strip_prefix("content-length");
        length.is_some_and(|length| 6 < length.bytes().filter(u8::is_ascii_digit).count())
    };
    text.contains("http/2.0") || text.contains("http/3.0") || text.split(['\r', '\n']).any(too_long)
}

/// Sends a request and nothing more. Returns the responses' statuses, and the bodies of those below
/// 300.
#[track_caller]
fn send(server: &Server, request: &[u8]) -> (Vec<u16>, Vec<String>) {
    let excerpt = || String::from_utf8_lossy(&request[..request.len().min(500)]).into_owned();
    let mut connection = Connection::open(&server.address);
    // It may be refused while it is being sent.
    let _ = connection.send(request);
    if is_never_answered(request) {
        return (Vec::new(), Vec::new());
    }
    let bytes = connection.finish();
    let bytes = bytes.unwrap_or_else(|_| panic!("{} hangs on {:?}", server.name, excerpt()));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (mut statuses, mut bodies) = (Vec::new(), Vec::new());
    for response in text.split("HTTP/1.1 ").skip(1) {
        let status = response[..3].parse().unwrap();
        assert!(
            status < 500 || [501, 503, 504].contains(&status),
            "{}: {response:?} to {:?}",
            server.name,
            excerpt()
        );
        statuses.push(status);
        if status < 300 {
            bodies.extend(
                response
                    .split_once("\r\n\r\n")
                    .map(|(_, body)| body.to_string()),
            );
        }
    }
    (statuses, bodies)
}

/// Sends many requests, and checks that some were granted and some refused. Returns the bodies of
/// those that were granted.
fn send_all(server: &Server, correct: &[&str], rng: &mut Rng) -> Vec<String> {
    let count = number("FUZZ_REQUESTS").unwrap_or(REQUESTS);
    let (mut statuses, mut bodies) = (BTreeMap::new(), Vec::new());
    for _ in 0..count {
        let (these, granted) = send(server, &mutant(rng, correct));
        these
            .iter()
            .for_each(|status| *statuses.entry(*status).or_insert(0) += 1);
        bodies.extend(granted);
    }
    println!("{}: {statuses:?}", server.name);
    let responses = |range| statuses.range(range).map(|(_, count)| *count).sum::<u64>();
    let (granted, refused) = (responses(200..300), responses(400..500));
    // Of a thousand requests, some hundred are granted, and some hundred refused.
    assert!(
        0 < granted && 0 < refused && count / 2 <= granted + refused,
        "{count} requests, {statuses:?}"
    );
    bodies
}

fn stock(shop: &Shop) -> u64 {
    let quantity = |book: &Value| book["quantity"].as_u64().unwrap();
    shop.catalog(1).dump().iter().map(quantity).sum()
}

/// A shop in which nothing sells out.
fn full_shop() -> Shop {
    let shop = Shop::started(ShopOptions::default());
    (1..=7).for_each(|id| shop.stock_up(id, 1_000_000));
    shop
}

#[track_caller]
fn check_alive(shop: &Shop, ids: &[u32]) {
    let now: Vec<u32> = shop.servers().map(Server::id).collect();
    assert_eq!(now, ids);
    assert!(shop.servers().all(|server| server.exit_code().is_none()));
    for server in shop.servers() {
        assert_eq!(
            server.metric("bazar_http_panics_total"),
            0.0,
            "{}",
            server.name
        );
    }
    assert!(shop.buy(1).is_purchase());
}

#[test]
fn at_front_end_and_order_server_only_correct_purchases_take_copies() {
    let (shop, mut rng) = (full_shop(), seeded().1);
    let ids: Vec<u32> = shop.servers().map(Server::id).collect();
    for server in [shop.front_end(), shop.order(1)] {
        let before = stock(&shop);
        let granted = send_all(server, &FOR_CLIENTS, &mut rng);
        let bought = granted
            .iter()
            .filter(|body| body.contains("purchased"))
            .count() as u64;
        let taken = before - stock(&shop);
        // Those with the same key or order id share a copy.
        assert!(
            0 < taken && taken <= bought,
            "{taken} copies are gone, {bought} buys got one"
        );
    }
    check_alive(&shop, &ids);
}

#[test]
fn at_a_catalog_only_correct_updates_change_a_book() {
    let (shop, mut rng) = (full_shop(), seeded().1);
    let ids: Vec<u32> = shop.servers().map(Server::id).collect();
    let before = shop.catalog(1).dump();
    let granted = send_all(shop.catalog(1), &FOR_CATALOGS, &mut rng);
    let granted: Vec<Value> = granted
        .iter()
        .filter_map(|body| serde_json::from_str(body).ok())
        .collect();
    let was_granted = |book: &Value| {
        let same = |granted: &Value, name| granted[name] == book[name];
        granted.iter().any(|g| {
            ["price", "quantity", "title", "topic"]
                .iter()
                .all(|name| same(g, name))
        })
    };
    let mut changed = shop.catalog(1).dump();
    changed.retain(|book| !before.contains(book));
    assert!(!changed.is_empty(), "no update was granted");
    for book in &changed {
        assert!(was_granted(book), "no response granted {book}");
    }
    check_alive(&shop, &ids);
    shop.lookup(1);
    assert_eq!(shop.catalog(1).dump(), shop.catalog(2).dump());
}

//! The cluster page of `bazar shop`: what it says of the servers, what its buttons do, and who may
//! press them.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::connection::Connection;
use crate::harness::http::{self, Response};
use crate::harness::process::eventually;
use crate::harness::shop::{own_folder, own_host};
use crate::run_sh::Running;

/// A shop with its page.
pub struct Page {
    pub shop: Running,
    pub address: String,
}

impl Page {
    #[track_caller]
    fn open() -> Page {
        Page::open_with(&[])
    }

    #[track_caller]
    pub fn open_with(args: &[&str]) -> Page {
        let shop = Running::start_patient(args);
        let log = shop.log();
        let line = log
            .lines()
            .find_map(|line| line.split_once("its servers at work: http://"));
        let address = line.expect("the page is announced").1.to_string();
        Page { shop, address }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        http::call(&self.address, method, path, headers, "").unwrap()
    }

    #[track_caller]
    pub fn post(&self, path: &str) {
        let response = self.call("POST", path, &[]);
        assert_eq!(response.status, 200, "{path}: {response:?}");
    }

    /// A customer buys a copy at a server, and asks again until it is known that it was sold. With
    /// one key, since a copy may have been sold though the answer was lost.
    #[track_caller]
    fn buy(&self, server: &str, book: u64, key: &str) {
        let path = format!("/request/{server}/PUT/buy/{book}");
        eventually(&format!("{key} has a copy of book {book}"), || {
            let response = self.call("POST", &path, &[("Idempotency-Key", key)]);
            response.json()["body"]["success"] == true
        });
    }

    pub fn state(&self) -> Value {
        self.call("GET", "/state", &[]).json()
    }

    /// The sequence number of book 2 at a catalog, and its stock. `None`: it cannot tell.
    fn book(&self, name: &str) -> Option<(u64, u64)> {
        let server = self.server(name);
        let mut books = server["look"]["books"].as_array()?.iter();
        let book = books.find(|book| book["id"] == 2 && book["state"] == "valid")?;
        let number = book["version"].as_str()?.split('-').next()?.parse().ok()?;
        Some((number, book["quantity"].as_u64()?))
    }

    /// Whether the front-end, or a catalog, says that this server of its peers is live.
    fn sees(&self, name: &str, peer: &str) -> bool {
        let known_as = self.server(peer)["known_as"].clone();
        let metric = format!("bazar_peer_live{{peer={known_as}}}");
        self.server(name)["look"]["metrics"][metric] == 1.0
    }

    fn links(&self) -> Vec<Value> {
        let links = self.state()["links"].clone();
        links.as_array().cloned().unwrap_or_default()
    }

    /// What the page says of a server.
    fn server(&self, name: &str) -> Value {
        let state = self.state();
        let mut servers = state["servers"].as_array().unwrap().iter();
        servers
            .find(|server| server["name"] == name)
            .unwrap()
            .clone()
    }

    #[track_caller]
    fn await_state(&self, name: &str, state: &str) {
        eventually(&format!("{name} is {state}"), || {
            self.server(name)["state"] == state
        });
    }

    /// Waits until every catalog shows this many copies of book 2, all as they must be.
    #[track_caller]
    fn await_copies(&self, copies: u64) {
        let shows = |name: &str| {
            let server = self.server(name);
            let mut books = server["look"]["books"].as_array().unwrap().iter();
            let book = books.find(|book| book["id"] == 2);
            book.is_some_and(|book| book["quantity"] == copies && book["right"] == true)
        };
        eventually("the catalogs show it", || {
            shows("catalog1") && shows("catalog2")
        });
    }
}

#[test]
fn a_killed_server_stays_down_until_it_is_started() {
    let page = Page::open();
    page.post("/restarting/off");
    page.post("/servers/catalog2/kill");
    page.await_state("catalog2", "down");
    assert_eq!(page.server("catalog2")["end"], "signal 9");
    page.post("/servers/catalog2/start");
    page.await_state("catalog2", "up");
    page.post("/servers/order1/stop");
    page.await_state("order1", "stopped");
    page.post("/servers/order1/continue");
    page.await_state("order1", "up");
    let events = page.call("GET", "/events?since=1", &[]).list();
    let texts: Vec<&str> = events
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert!(
        texts.contains(&"catalog2 ended (signal 9); restarting is off"),
        "{texts:?}"
    );
    page.shop.stop();
}

#[test]
fn stock_and_sold_are_start_whoever_buys() {
    let page = Page::open();
    page.await_state("catalog1", "up");
    page.await_copies(5);
    page.post("/request/front-end/PUT/buy/2");
    page.await_copies(4);
    let other = http::call(
        &format!("{}:5002", page.shop.host),
        "PUT",
        "/buy/2",
        &[],
        "",
    );
    assert!(other.unwrap().is_purchase());
    page.await_copies(3);
    page.post("/restock/2?copies=10");
    page.await_copies(13);
    let count = &page.state()["account"]["2"];
    let expected = [
        ("start", 5),
        ("sold", 1),
        ("others", 1),
        ("added", 10),
        ("unknown", 0),
    ];
    for (name, value) in expected {
        assert_eq!(count[name], value, "{count}");
    }
    page.shop.stop();
}

#[test]
fn copies_are_added_while_customers_buy() {
    let page = Page::open();
    page.await_copies(5);
    page.post("/load?customers=8&buys=100");
    for _ in 0..10 {
        page.post("/restock/2?copies=10");
    }
    page.post("/load?customers=0");
    assert!(100 <= page.state()["account"]["2"]["added"].as_u64().unwrap());
    page.shop.stop();
}

#[test]
fn copies_of_a_book_that_is_not_there_are_added_to_none() {
    let page = Page::open();
    page.await_copies(5);
    let answer = page.call("POST", "/restock/99?copies=10", &[]);
    assert_eq!(answer.status, 404, "{answer:?}");
    page.shop.stop();
}

#[test]
fn both_sides_of_a_cut_sell_and_the_logs_say_who_lost() {
    let page = Page::open_with(&["--demo"]);
    page.await_state("catalog1", "up");
    page.await_copies(5);
    page.post("/links/catalog1/catalog2/cut");
    eventually("each takes the other for dead", || {
        !page.sees("catalog1", "catalog2") && !page.sees("catalog2", "catalog1")
    });
    for (order, customer) in [("order1", "one"), ("order2", "two"), ("order2", "three")] {
        page.buy(order, 2, customer);
    }
    eventually("each side has sold its own", || {
        [page.book("catalog1"), page.book("catalog2")] == [Some((1, 4)), Some((2, 3))]
    });
    page.post("/links/catalog2/catalog1/heal");
    eventually("both have the better copy", || {
        [page.book("catalog1"), page.book("catalog2")] == [Some((2, 3)), Some((2, 3))]
    });
    for name in ["catalog1", "catalog2"] {
        eventually("its log says what is lost", || {
            let log = page
                .call("GET", &format!("/servers/{name}/log"), &[])
                .json();
            log.to_string().contains("the other side of a cut")
        });
    }
    page.shop.stop();
}

#[test]
fn every_link_can_be_slow_or_lossy_while_the_shop_sells() {
    let page = Page::open_with(&["--demo"]);
    let names = page.links().into_iter().map(|link| {
        let end = |n: usize| link["ends"][n].as_str().unwrap().to_string();
        (end(0), end(1))
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 7, "{names:?}");
    for command in ["slow", "lose"] {
        for (one, other) in &names {
            page.post(&format!("/links/{one}/{other}/{command}"));
        }
        page.buy("front-end", 3, command);
    }
    page.post("/servers/order1/kill");
    for (one, other) in &names {
        page.post(&format!("/links/{one}/{other}/heal"));
    }
    page.await_state("order1", "up");
    assert!(page.links().iter().all(|link| link["condition"] == "open"));
    page.shop.stop();
}

#[test]
fn without_demo_there_are_no_links_to_cut() {
    let page = Page::open();
    assert_eq!(page.state()["links"], Value::Null);
    let refused = page.call("POST", "/links/catalog1/catalog2/cut", &[]);
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("--demo"), "{refused:?}");
    page.shop.stop();
}

#[test]
fn customers_buy_and_the_curves_show_it() {
    let page = Page::open();
    page.post("/load?customers=4&buys=50");
    eventually("a second with sales", || {
        let state = page.state();
        let seconds = state["load"]["seconds"].as_array().unwrap();
        seconds
            .iter()
            .any(|second| 0 < second["sold"].as_u64().unwrap())
    });
    page.post("/load?customers=0");
    page.shop.stop();
}

#[test]
fn another_sites_page_may_change_nothing_and_read_nothing() {
    let page = Page::open();
    let kill = "/servers/catalog1/kill";
    let own = format!("http://{}", page.address);
    for (headers, expected) in [
        (("Origin", "http://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Origin", own.as_str()), 200),
    ] {
        assert_eq!(
            page.call("POST", kill, &[headers]).status,
            expected,
            "{headers:?}"
        );
    }
    let request = "GET /state HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let mut connection = Connection::open(&page.address);
    connection.send(request).unwrap();
    assert_eq!(connection.response().unwrap().status, 403);
    page.shop.stop();
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_is_small() {
    let page = Page::open();
    for path in [
        "/",
        "/style.css",
        "/script.js",
        "/links.js",
        "/trace.js",
        "/stories.js",
        "/icon.svg",
    ] {
        let response = page.call("GET", path, &[]);
        assert_eq!(response.status, 200, "{path}");
        let policy = response.header("Content-Security-Policy");
        assert!(policy.starts_with("default-src 'self'"), "{path}: {policy}");
        assert!(response.body.len() < 40 * 1024, "{path}");
        let elsewhere = response.body.replace("http://www.w3.org/", "");
        assert!(
            !elsewhere.contains("http://") && !elsewhere.contains("https://"),
            "{path}"
        );
        for inline in ["style=", "onclick=", "<style", "innerHTML"] {
            assert!(!response.body.contains(inline), "{path}: {inline}");
        }
    }
    page.shop.stop();
}

#[test]
fn the_messages_of_a_request_are_recorded_from_the_customer_on() {
    let page = Page::open();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sampled = format!("00-{trace}-00f067aa0ba902b7-01");
    let bought = page.call(
        "POST",
        "/request/front-end/PUT/buy/2",
        &[("traceparent", &sampled)],
    );
    assert_eq!(bought.json()["body"]["success"], true);
    let own = page.call("GET", &format!("/traces/{trace}"), &[]).json();
    let spans = own["spans"].as_array().unwrap();
    let is_sent = |span: &Value| span["kind"] == "client" && span["name"] == "PUT /buy/2";
    assert!(spans.iter().any(is_sent), "{own}");
    let path = format!("/request/front-end/GET/traces/{trace}");
    let front_end = page.call("POST", &path, &[]).json();
    assert!(
        !front_end["body"]["spans"].as_array().unwrap().is_empty(),
        "{front_end}"
    );
    page.shop.stop();
}

#[test]
fn without_its_port_the_page_is_left_out_and_the_shop_opens() {
    let host = own_host();
    let _taken = TcpListener::bind(format!("{host}:5003")).unwrap();
    let shop = Running::start_on(host, own_folder(), &[]);
    let log = shop.log();
    assert!(
        log.contains("no page of its servers") && log.contains("CLUSTER_PORT"),
        "{log}"
    );
    shop.stop();
}

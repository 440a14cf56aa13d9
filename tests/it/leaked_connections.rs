//! Requests that cost the server a connection, a thread and two descriptors each, for good: nothing
//! can be done about that through tiny_http. Others are served all the same; and before the
//! descriptors run out the server leaves, to be started again.

use std::time::Duration;

use crate::harness::connection::Connection;
use crate::harness::process::eventually;
use crate::harness::server::{DESCRIPTORS, Server};
use crate::harness::shop::{Shop, ShopOptions};

const FAR_TOO_LONG: &str =
    "PUT /buy/1 HTTP/1.1\r\nHost: b\r\nContent-Length: 100000000000000\r\n\r\n";
const NEWER: &str = "GET / HTTP/2.0\r\nHost: b\r\n\r\n";

fn shop(environment: &[(&'static str, String)]) -> Shop {
    Shop::started(ShopOptions {
        environment: environment.to_vec(),
        ..ShopOptions::default()
    })
}

/// Sends this so often, each on a connection of its own, which is left at once. Others are served
/// meanwhile.
#[track_caller]
fn check_served_among(server: &Server, request: &str, times: usize, path: &str) {
    for n in 0..times {
        Connection::open(&server.address).send(request).unwrap();
        if n % 20 == 0 {
            assert_eq!(server.get(path).status, 200, "{} after {n}", server.name);
        }
    }
    assert_eq!(
        (server.get(path).status, server.exit_code()),
        (200, None),
        "{}",
        server.name
    );
}

#[test]
fn lengths_beyond_all_measure_harm_nobody_else() {
    let shop = shop(&[]);
    check_served_among(shop.front_end(), FAR_TOO_LONG, 100, "/lookup/1");
    check_served_among(shop.order(1), FAR_TOO_LONG, 100, "/readyz");
    check_served_among(shop.catalog(1), FAR_TOO_LONG, 100, "/query/item/1");
    assert_eq!(shop.quantity(1), 10);
    assert_eq!(shop.buy(1).json()["success"], true);
    assert_eq!(shop.quantity(1), 9);
}

#[test]
fn a_thousand_requests_of_a_newer_protocol_harm_nobody_else() {
    let shop = shop(&[]);
    check_served_among(shop.front_end(), NEWER, 1000, "/lookup/1");
    assert_eq!(shop.buy(1).json()["success"], true);
    assert_eq!(shop.quantity(1), 9);
}

/// Sends this until the server has left, and starts it again as `run.sh` or systemd would.
#[track_caller]
fn wear_out(server: &Server, request: &str) {
    eventually(&format!("{} leaves", server.name), || {
        if let Ok(mut connection) = Connection::try_open(&server.address) {
            connection.patience(Duration::from_secs(1));
            let _ = connection.send(request);
        }
        match server.exit_code() {
            Some(code) => {
                assert_eq!(code, 70, "{}", server.stderr());
                true
            }
            None => false,
        }
    });
    server.start();
}

#[test]
fn a_server_that_is_worn_out_leaves_and_loses_nothing() {
    // Few descriptors, so that a quarter of them is lost soon; short silences, so that it is soon
    // seen that others last.
    let shop = shop(&[(DESCRIPTORS, "160".into()), ("IDLE_MS", "1000".into())]);
    assert_eq!(shop.buy(1).json()["success"], true);
    wear_out(shop.catalog(1), FAR_TOO_LONG);
    wear_out(shop.order(1), FAR_TOO_LONG);
    wear_out(shop.front_end(), FAR_TOO_LONG);
    wear_out(shop.front_end(), NEWER);
    assert_eq!(shop.quantity(1), 9);
    assert_eq!(shop.buy(1).json()["success"], true);
    for catalog in shop.catalogs() {
        assert_eq!(catalog.get("/query/item/1").json()["quantity"], 8);
    }
}

//! Requests each of which leaks a connection, a thread and two descriptors of the server: tiny_http
//! offers no way to end them. Other clients are served all the same; and before the descriptors run
//! out the server exits, to be started again.

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

/// Sends this so often, each time on a connection of its own that is closed at once. Other clients
/// are served meanwhile.
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
fn absurd_content_lengths_harm_no_other_client() {
    let shop = shop(&[]);
    check_served_among(shop.front_end(), FAR_TOO_LONG, 100, "/lookup/1");
    check_served_among(shop.order(1), FAR_TOO_LONG, 100, "/readyz");
    check_served_among(shop.catalog(1), FAR_TOO_LONG, 100, "/query/item/1");
    assert_eq!(shop.quantity(1), 10);
    assert!(shop.buy(1).is_purchase());
    assert_eq!(shop.quantity(1), 9);
}

#[test]
fn a_thousand_requests_of_a_newer_protocol_harm_no_other_client() {
    let shop = shop(&[]);
    check_served_among(shop.front_end(), NEWER, 1000, "/lookup/1");
    assert!(shop.buy(1).is_purchase());
    assert_eq!(shop.quantity(1), 9);
}

/// Sends this until the server has exited, and starts it again as a supervisor would.
#[track_caller]
fn leak_until_exit(server: &Server, request: &str) {
    eventually(&format!("{} exits", server.name), || {
        if let Ok(mut connection) = Connection::try_open(&server.address) {
            connection.set_timeout(Duration::from_secs(1));
            let _ = connection.send(request);
        }
        let code = server.exit_code();
        assert!(
            matches!(code, None | Some(70)),
            "{code:?}: {}",
            server.stderr()
        );
        code.is_some()
    });
    server.start();
}

#[test]
fn a_server_that_leaked_a_quarter_of_its_descriptors_exits_and_loses_nothing() {
    // Few descriptors, so that a quarter of them leaks soon; a short idle time, so that the server
    // soon knows which connections are leaked.
    let shop = shop(&[(DESCRIPTORS, "160".into()), ("IDLE_MS", "1000".into())]);
    assert!(shop.buy(1).is_purchase());
    leak_until_exit(shop.catalog(1), FAR_TOO_LONG);
    leak_until_exit(shop.order(1), FAR_TOO_LONG);
    leak_until_exit(shop.front_end(), FAR_TOO_LONG);
    leak_until_exit(shop.front_end(), NEWER);
    assert_eq!(shop.quantity(1), 9);
    assert!(shop.buy(1).is_purchase());
    assert_eq!(shop.quantities(1), [8, 8]);
}

//! What whoever watches the shop can see: request ids, the log, and whether a server can do its
//! job.

use serde_json::Value;

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// The lines of a server's log with such a message.
#[track_caller]
fn log(server: &Server, message: &str) -> Vec<Value> {
    let stderr = server.stderr();
    let line = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    };
    stderr
        .lines()
        .map(line)
        .filter(|line| line["message"] == message)
        .collect()
}

/// How often the log has a request of this id and route.
fn requests(server: &Server, id: &str, route: &str) -> usize {
    let is_it = |line: &&Value| line["id"] == id && line["route"] == route;
    log(server, "request").iter().filter(is_it).count()
}

#[test]
fn a_request_can_be_followed_through_all_tiers() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::default()
    });
    let follow = |method: &str, path: &str, id: &str| {
        let response = shop
            .front_end()
            .call(method, path, &[("X-Request-Id", id)], "");
        assert_eq!(
            (response.status, response.header("X-Request-Id")),
            (200, id)
        );
    };
    follow("PUT", "/buy/1", "a-buy");
    follow("GET", "/lookup/1", "a-lookup");
    follow("GET", "/search/t", "a-search");
    for (server, id, route) in [
        (shop.front_end(), "a-buy", "/buy/<id>"),
        (shop.order(1), "a-buy", "/buy/<id>"),
        (shop.catalog(1), "a-buy", "/query/item/<id>"),
        (shop.catalog(1), "a-buy", "/update/<id>"),
        (shop.front_end(), "a-lookup", "/lookup/<id>"),
        (shop.catalog(1), "a-lookup", "/query/item/<id>"),
        (shop.catalog(1), "a-search", "/query/topic/<text>"),
    ] {
        assert_eq!(
            requests(server, id, route),
            1,
            "{} {id} {route}",
            server.name
        );
    }
    // What is not sane is not taken over.
    let response = shop
        .front_end()
        .call("GET", "/lookup/1", &[("X-Request-Id", "a \"b\"")], "");
    assert!(
        response
            .header("X-Request-Id")
            .bytes()
            .all(|b| b.is_ascii_hexdigit()),
        "{response:?}"
    );
}

#[test]
fn every_line_of_the_log_is_json_with_the_promised_fields() {
    let shop = Shop::started(ShopOptions::default());
    shop.buy(1);
    shop.front_end().get("/lookup/none");
    for server in shop.servers() {
        let lines = server.stderr();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            for field in ["time", "level", "server", "message"] {
                assert!(line[field].is_string(), "{field} in {line}");
            }
            let time = line["time"].as_str().unwrap();
            assert!(
                time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T",
                "{time}"
            );
        }
        for line in log(server, "request") {
            assert!(line["ms"].is_number() && line["status"].is_u64(), "{line}");
            assert!(
                line["method"].is_string() && line["route"].is_string() && line["id"].is_string()
            );
        }
        assert_eq!(log(server, "started").len(), 1, "{}", server.name);
    }
}

#[test]
fn what_matters_is_logged_even_when_only_warnings_are_wanted() {
    let shop = Shop::started(ShopOptions {
        environment: vec![("LOG", "warn".into())],
        ..ShopOptions::default()
    });
    shop.buy(1);
    shop.catalog(2).kill();
    eventually("the loss is logged", || {
        !log(shop.catalog(1), "peer lost").is_empty()
    });
    let before = log(shop.catalog(1), "peer regained").len();
    shop.catalog(2).start();
    eventually("the return is logged", || {
        before < log(shop.catalog(1), "peer regained").len()
    });
    assert_eq!(log(shop.catalog(2), "started").len(), 2);
    for server in shop.servers() {
        for line in log(server, "request") {
            let slow = 1000.0 < line["ms"].as_f64().unwrap();
            assert!(slow || 500 <= line["status"].as_u64().unwrap(), "{line}");
        }
    }
}

#[test]
fn a_failed_write_says_at_every_tier_whether_it_may_have_happened() {
    let shop = Shop::started(ShopOptions {
        environment: vec![("TIMEOUT_MS", "500".into())],
        ..ShopOptions::default()
    });
    let told = |server: &Server, path: &str, body: &str| {
        let response = server.put(path, body);
        assert_eq!(response.status, 504, "{response:?}");
        response.header("Bazar-Outcome").to_string()
    };
    // A catalog that is stopped, but not yet counted as down, may do it later.
    shop.catalog(2).stop();
    assert_eq!(
        told(shop.catalog(1), "/update/1", r#"{"price": 1}"#),
        "unknown"
    );
    shop.catalog(2).cont();
    shop.catalog(2).await_ready();
    for catalog in shop.catalogs() {
        catalog.kill();
    }
    assert_eq!(told(shop.order(1), "/buy/1", ""), "none");
    assert_eq!(told(shop.front_end(), "/buy/1", ""), "none");
}

#[test]
fn a_server_that_cannot_do_its_job_says_what_is_missing() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::default()
    });
    shop.catalog(1).kill();
    for (server, words) in [(shop.order(1), "catalog"), (shop.front_end(), "a catalog")] {
        eventually("it is not ready", || server.get("/readyz").status == 503);
        let response = server.get("/readyz");
        assert!(
            response.json()["missing"].to_string().contains(words),
            "{response:?}"
        );
        assert_eq!(server.get("/livez").status, 200);
    }
    shop.catalog(1).start();
    shop.order(1).await_ready();
    shop.front_end().await_ready();
}

//! What operators can see: request ids, the log, and whether a server is ready.

use serde_json::Value;

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// How often the log has a request of this id and route.
fn requests(server: &Server, id: &str, route: &str) -> usize {
    let is_it = |line: &&Value| line["id"] == id && line["route"] == route;
    server.log("request").iter().filter(is_it).count()
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
    // A malformed id is replaced.
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
fn a_trace_goes_through_all_tiers() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::default()
    });
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (method, path) in [
        ("PUT", "/buy/1"),
        ("GET", "/lookup/1"),
        ("GET", "/search/t"),
    ] {
        for value in [parent, "malformed"] {
            let headers = [("traceparent", value)];
            assert_eq!(
                shop.front_end().call(method, path, &headers, "").status,
                200
            );
        }
    }
    for (server, route, times) in [
        (shop.front_end(), "/buy/<id>", 1),
        (shop.order(1), "/buy/<id>", 1),
        (shop.catalog(1), "/update/<id>", 1),
        (shop.front_end(), "/lookup/<id>", 1),
        // Once for the look-up, which was cached then, and once for the buy.
        (shop.catalog(1), "/query/item/<id>", 2),
        (shop.catalog(1), "/query/topic/<text>", 1),
    ] {
        let log = server.log("request");
        let traced = log.iter().filter(|line| line["route"] == route);
        // It is sampled, so each server passes on a span of its own, of the same trace.
        let parents = traced.filter_map(|line| line["traceparent"].as_str());
        let traced = parents.filter(|it| it.starts_with(&parent[..36])).count();
        assert_eq!(traced, times, "{} {route}", server.name);
        assert!(log.iter().all(|line| line["traceparent"] != "malformed"));
    }
}

#[test]
fn every_line_of_the_log_is_json_with_time_level_server_and_message() {
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
        for line in server.log("request") {
            assert!(line["ms"].is_number() && line["status"].is_u64(), "{line}");
            assert!(
                line["method"].is_string() && line["route"].is_string() && line["id"].is_string()
            );
        }
        assert_eq!(server.log("started").len(), 1, "{}", server.name);
    }
}

#[test]
fn starts_losses_and_returns_are_logged_even_at_log_level_warn() {
    let shop = Shop::started(ShopOptions {
        environment: vec![("LOG", "warn".into())],
        ..ShopOptions::default()
    });
    shop.buy(1);
    shop.catalog(2).kill();
    eventually("the loss is logged", || {
        !shop.catalog(1).log("peer lost").is_empty()
    });
    let before = shop.catalog(1).log("peer regained").len();
    shop.catalog(2).start();
    eventually("the return is logged", || {
        before < shop.catalog(1).log("peer regained").len()
    });
    assert_eq!(shop.catalog(2).log("started").len(), 2);
    // Requests are logged only if they were slow or failed. Every server had some.
    for server in shop.servers() {
        let ready = r#"bazar_http_requests_total{route="/readyz",status="200"}"#;
        assert!(0.0 < server.metric(ready), "{}", server.name);
        for line in server.log("request") {
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
    let outcome = |server: &Server, path: &str, body: &str| {
        let response = server.put(path, body);
        assert_eq!(response.status, 504, "{response:?}");
        response.header("Bazar-Outcome").to_string()
    };
    // A catalog that is stopped, but not yet counted as down, may do it later.
    shop.catalog(2).stop();
    assert_eq!(
        outcome(shop.catalog(1), "/update/1", r#"{"price": 1}"#),
        "unknown"
    );
    shop.catalog(2).cont();
    shop.catalog(2).await_ready();
    for catalog in shop.catalogs() {
        catalog.kill();
    }
    assert_eq!(outcome(shop.order(1), "/buy/1", ""), "none");
    assert_eq!(outcome(shop.front_end(), "/buy/1", ""), "none");
}

#[test]
fn a_server_that_is_not_ready_says_what_is_missing() {
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

#[test]
fn a_server_of_another_kind_in_a_setting_is_not_ready_and_names_the_setting() {
    let shop = Shop::started(ShopOptions::default());
    let (catalog, order) = (shop.catalog(1).url(), shop.order(1).url());
    shop.order(2).kill();
    shop.order(2).launch_with(&["--catalog-address", &order]);
    shop.front_end().kill();
    let swapped = ["--catalog-addresses", &order, "--order-addresses", &catalog];
    shop.front_end().launch_with(&swapped);
    let no_catalog = |setting| format!("{order} in {setting} is the order server, not catalog");
    let no_order_server = format!("{catalog} in ORDER_ADDRESSES is the catalog server, not order");
    for (server, why) in [
        (shop.order(2), no_catalog("CATALOG_ADDRESS")),
        (shop.front_end(), no_catalog("CATALOG_ADDRESSES")),
        (shop.front_end(), no_order_server),
    ] {
        let response = server.get("/readyz");
        assert_eq!(response.status, 503);
        let missing = response.json()["missing"].to_string();
        assert!(missing.contains(&why), "{missing}");
        assert_eq!(server.log(&why).len(), 1);
    }
}

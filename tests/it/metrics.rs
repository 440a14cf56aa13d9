//! `/metrics`: a page that Prometheus can read, and that shows what happened.

use std::collections::BTreeSet;

use bazar::testing::prometheus_check;

use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// The series of a server's page, which is well-formed.
#[track_caller]
fn series_of(server: &Server) -> Vec<(String, f64)> {
    let response = server.get("/metrics");
    assert_eq!(
        response.header("Content-Type"),
        bazar::runtime::metrics::CONTENT_TYPE
    );
    assert_eq!(
        prometheus_check::check(&response.body),
        Ok(()),
        "{}: {}",
        server.name,
        response.body
    );
    let lines = response.body.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| line.rsplit_once(' ').expect("a series has a value"));
    series
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

/// Fails when there is no such series, or its value does not fit.
#[track_caller]
fn check(server: &Server, series: &str, fits: impl Fn(f64) -> bool) {
    let all = series_of(server);
    let found = all.iter().find(|(name, _)| name == series);
    let (_, value) = found.unwrap_or_else(|| panic!("{} lacks {series}: {all:#?}", server.name));
    assert!(fits(*value), "{}: {series} is {value}", server.name);
}

#[test]
fn metrics_show_what_happened() {
    let shop = Shop::started(ShopOptions::default());
    let key = [("Idempotency-Key", "k")];
    for _ in 0..2 {
        assert_eq!(shop.front_end().call("PUT", "/buy/1", &key, "").status, 200);
    }
    for _ in 0..3 {
        shop.lookup(1);
    }
    shop.front_end().get("/search/t");
    shop.front_end().get("/lookup/99");
    shop.catalog(1).call(
        "PUT",
        "/update/1",
        &[("If-Match", "\"9-9\"")],
        r#"{"price": 1}"#,
    );
    shop.catalog(1).put("/update/1", r#"{"price": 1}"#);

    let front_end = shop.front_end();
    check(front_end, r#"bazar_buys_total{outcome="purchased"}"#, |n| {
        n == 1.0
    });
    check(front_end, r#"bazar_buys_total{outcome="replayed"}"#, |n| {
        n == 1.0
    });
    check(
        front_end,
        r#"bazar_http_requests_total{route="/buy/<id>",status="200"}"#,
        |n| n == 2.0,
    );
    check(
        front_end,
        r#"bazar_http_requests_total{route="/lookup/<id>",status="404"}"#,
        |n| n == 1.0,
    );
    check(
        front_end,
        r#"bazar_http_request_duration_seconds_count{route="/lookup/<id>"}"#,
        |n| n == 4.0,
    );
    check(
        front_end,
        r#"bazar_cache_requests_total{source="hit"}"#,
        |n| n == 2.0,
    );
    check(
        front_end,
        r#"bazar_cache_requests_total{source="miss"}"#,
        |n| 3.0 <= n,
    );
    check(front_end, r#"bazar_invalidations_total{of="item"}"#, |n| {
        2.0 <= n
    });
    check(front_end, "bazar_peers_live", |n| n == 2.0);
    let catalog = shop.catalog(1);
    check(catalog, r#"bazar_updates_total{outcome="changed"}"#, |n| {
        n == 1.0
    });
    check(catalog, r#"bazar_updates_total{outcome="conflict"}"#, |n| {
        n == 1.0
    });
    check(catalog, "bazar_disk_seconds_count", |n| 2.0 <= n);
    check(catalog, r#"bazar_books{state="valid"}"#, |n| n == 7.0);
    check(catalog, "bazar_lease", |n| n == 1.0);
    let live = format!(r#"bazar_peer_live{{peer="{}"}}"#, shop.catalog(2).url());
    check(catalog, &live, |n| n == 1.0);
    for server in shop.servers() {
        check(server, "process_threads", |n| 5.0 < n);
        check(server, "process_open_fds", |n| 5.0 < n);
        check(server, "process_resident_memory_bytes", |n| 1e6 < n);
        check(server, "bazar_http_acceptors_total", |n| 1.0 <= n);
        check(server, "bazar_http_requests_forgotten_total", |n| n == 0.0);
    }
}

#[test]
fn no_request_adds_a_series_of_its_own() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::default()
    });
    let paths = [
        "",
        "lookup/",
        "search/",
        "buy/",
        "query/",
        "query/item/",
        "update/",
        "rep/",
    ];
    for server in shop.servers() {
        for n in 0..20 {
            for path in paths {
                server.get(&format!("/{path}mine{n}"));
                server.put(&format!("/{path}mine{n}"), "");
            }
        }
        let series = series_of(server);
        let mine: Vec<_> = series
            .iter()
            .filter(|(name, _)| name.contains("mine"))
            .collect();
        assert!(mine.is_empty(), "{mine:?}");
        let routes = series
            .iter()
            .filter_map(|(name, _)| name.split("route=\"").nth(1)?.split('"').next());
        let routes: BTreeSet<&str> = routes.collect();
        assert!(routes.len() < 20, "{routes:?}");
    }
}

//! Traces: what each server records of a request that is sampled, and of one that is not.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: (&str, &str) = (
    "traceparent",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
);

/// The spans of [`TRACE`] at a server.
#[track_caller]
fn spans(server: &Server) -> Vec<Value> {
    let answer = server.get(&format!("/traces/{TRACE}")).json();
    answer["spans"].as_array().unwrap().clone()
}

/// A server's span of this name and kind.
#[track_caller]
fn span(server: &Server, kind: &str, name: &str) -> Value {
    let spans = spans(server);
    let found = spans
        .iter()
        .find(|span| span["name"] == name && span["kind"] == kind);
    found
        .unwrap_or_else(|| panic!("{} has no {kind} {name}: {spans:#?}", server.name))
        .clone()
}

#[test]
fn a_sampled_buy_is_recorded_in_every_server_that_it_touches() {
    let shop = Shop::started(ShopOptions {
        orders: 1,
        ..ShopOptions::default()
    });
    let [front_end, order] = [shop.front_end(), shop.order(1)];
    let [catalog, peer] = [shop.catalog(1), shop.catalog(2)];
    assert!(
        front_end
            .call("PUT", "/buy/2", &[SAMPLED], "")
            .is_purchase()
    );
    let entry = span(front_end, "server", "PUT /buy/2");
    assert_eq!(entry["trace"], TRACE);
    assert_eq!(entry["parent"], "00f067aa0ba902b7");
    assert_eq!(entry["attributes"]["status"], "200");
    assert_eq!(entry["attributes"]["book"], "2");
    // Each request is a span of its sender and, below it, one of its receiver.
    let hop = |from: &Server, to: &Server, name: &str| {
        let (sent, received) = (span(from, "client", name), span(to, "server", name));
        assert_eq!(received["parent"], sent["span"], "{name}");
        assert_eq!(sent["attributes"]["peer"], to.url(), "{name}");
        assert!(
            sent["start"].as_u64() <= received["start"].as_u64(),
            "{name}"
        );
        assert!(
            received["start"].as_u64() <= received["end"].as_u64(),
            "{name}"
        );
        received["attributes"].clone()
    };
    assert_eq!(hop(front_end, order, "PUT /buy/2")["outcome"], "sold");
    hop(order, catalog, "GET /query/item/2");
    let written = hop(order, catalog, "PUT /update/2");
    assert_eq!(written["state"], "valid");
    assert!(
        written["version"].as_str().unwrap().starts_with("1-"),
        "{written}"
    );
    let updated = hop(catalog, peer, "PUT /rep/update/2");
    assert_eq!(updated["state"], "tentative");
    assert_eq!(updated["version"], written["version"]);
    hop(catalog, front_end, "DELETE /invalidate/item/2");
    eventually("the peer has confirmed", || {
        spans(peer)
            .iter()
            .any(|span| span["name"] == "PUT /rep/confirm/2")
    });
    assert_eq!(hop(catalog, peer, "PUT /rep/confirm/2")["state"], "valid");
}

#[test]
fn a_cached_look_up_is_traced_and_says_hit_or_miss() {
    let shop = Shop::started(ShopOptions::default());
    let caches = ["miss", "hit"].map(|_| {
        shop.front_end().call("GET", "/lookup/2", &[SAMPLED], "");
        let last = spans(shop.front_end()).pop().unwrap();
        last["attributes"]["cache"].as_str().unwrap().to_string()
    });
    assert_eq!(caches, ["miss", "hit"]);
}

#[test]
fn a_request_that_is_not_sampled_leaves_no_span() {
    let shop = Shop::started(ShopOptions::default());
    let unsampled = (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    );
    let malformed = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-01");
    for headers in [&[][..], &[unsampled], &[malformed]] {
        assert!(
            shop.front_end()
                .call("PUT", "/buy/2", headers, "")
                .is_purchase()
        );
    }
    for server in shop.servers() {
        let answer = server.get("/traces").json();
        assert_eq!(
            (&answer["spans"], &answer["next"]),
            (&Value::Array(vec![]), &0.into())
        );
    }
}

#[test]
fn with_trace_all_every_request_is_traced_by_the_name_that_it_brings() {
    let shop = Shop::started(ShopOptions {
        environment: vec![("TRACE", "all".into())],
        ..ShopOptions::default()
    });
    let request_id = ("X-Request-Id", TRACE);
    shop.front_end().call("GET", "/lookup/2", &[request_id], "");
    span(shop.front_end(), "server", "GET /lookup/2");
    let answer = shop.front_end().get("/traces?since=0").json();
    let names = answer["spans"].as_array().unwrap().iter();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names.filter_map(|span| span["name"].as_str()) {
        *counts.entry(name).or_default() += 1;
    }
    // Not those that servers and monitors send ten times a second.
    assert_eq!(counts.get("GET /lookup/2"), Some(&1), "{counts:?}");
    assert_eq!(counts.get("GET /readyz"), None, "{counts:?}");
    let next = answer["next"].as_u64().unwrap();
    let later = shop
        .front_end()
        .get(&format!("/traces?since={next}"))
        .json();
    assert_eq!(later["spans"].as_array().unwrap().len(), 0, "{later}");
}

#[test]
fn a_message_is_recorded_as_it_was_sent_and_answered_but_for_the_token() {
    let shop = Shop::started(ShopOptions {
        environment: vec![("SERVICE_TOKEN", "the-secret".into())],
        ..ShopOptions::default()
    });
    let order = shop.order(1);
    assert!(order.call("PUT", "/buy/2", &[SAMPLED], "").is_purchase());
    let own = [("Authorization", "Bearer the-secret")];
    let recorded = |server: &Server| {
        let answer = server.call("GET", &format!("/traces/{TRACE}"), &own, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    for server in shop.servers() {
        assert!(!recorded(server).contains("the-secret"), "{}", server.name);
    }
    let answer: Value = serde_json::from_str(&recorded(order)).unwrap();
    let mut spans = answer["spans"].as_array().unwrap().iter();
    let update = spans.find(|span| span["kind"] == "client" && span["name"] == "PUT /update/2");
    let attributes = &update.unwrap()["attributes"];
    for (name, words) in [
        (
            "request",
            [
                "PUT /update/2 HTTP/1.1",
                "If-Match: \"0-0\"",
                "\"quantity\":4",
            ],
        ),
        ("response", ["HTTP/1.1 200", "etag: \"1-", "\"quantity\":4"]),
    ] {
        let text = attributes[name].as_str().unwrap();
        assert!(
            words.iter().all(|word| text.contains(word)),
            "{name}: {text}"
        );
    }
}

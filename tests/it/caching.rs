//! What a front-end caches, in which order, and what an invalidation removes; seen through `/dump/`
//! and `Cache-Status`.

use serde_json::Value;

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

impl Shop {
    /// The ids in a front-end's caches, least recently used first.
    fn cached(&self, cache: &str) -> Vec<Value> {
        let dump = self.front_end().get("/dump/").json();
        let entries = dump[cache].as_array().unwrap().clone();
        entries
            .into_iter()
            .map(|entry| entry["id"].clone())
            .collect()
    }

    fn get_all(&self, paths: &[&str]) {
        for path in paths {
            assert_eq!(self.front_end().get(path).status, 200, "{path}");
        }
    }

    fn cache_status(&self, path: &str) -> String {
        self.front_end()
            .get(path)
            .header("Cache-Status")
            .to_string()
    }
}

const HIT: &str = "bazar; hit";
const MISS: &str = "bazar; fwd=miss";

#[test]
fn the_least_recently_used_lookup_is_evicted() {
    let shop = Shop::started(ShopOptions::default());
    shop.get_all(&["/lookup/1", "/lookup/2", "/lookup/3"]);
    assert_eq!(shop.cached("lookup"), [1, 2, 3]);
    shop.get_all(&["/lookup/1"]);
    assert_eq!(shop.cached("lookup"), [2, 3, 1]);
    shop.get_all(&["/lookup/4"]);
    assert_eq!(shop.cached("lookup"), [3, 1, 4]);
    assert_eq!(shop.front_end().get("/lookup/99").status, 404);
    assert_eq!(shop.cached("lookup"), [3, 1, 4]);
}

#[test]
fn ten_searches_are_cached_whatever_their_case() {
    let shop = Shop::started(ShopOptions::default());
    let texts: Vec<String> = ('a'..='j').map(String::from).collect();
    for text in &texts {
        shop.get_all(&[&format!("/search/{text}")]);
    }
    assert_eq!(shop.cached("search"), texts);
    assert_eq!(shop.cache_status("/search/A"), HIT);
    assert_eq!(shop.cache_status("/search/k"), MISS);
    assert_eq!(
        shop.cached("search"),
        ["c", "d", "e", "f", "g", "h", "i", "j", "a", "k"]
    );
}

#[test]
fn a_dump_shows_answers_and_topics() {
    let shop = Shop::started(ShopOptions::default());
    shop.get_all(&["/search/t", "/lookup/7"]);
    let dump = shop.front_end().get("/dump/").json();
    let lookup = r#"[{"id":7,"price":10.0,"quantity":25,"title":"Spring in the Pioneer Valley"}]"#;
    assert_eq!(
        dump["lookup"],
        serde_json::from_str::<Value>(lookup).unwrap()
    );
    let search = &dump["search"][0];
    assert_eq!(search["id"], "t");
    let topics = [
        "Distributed Systems",
        "Graduate School",
        "University Problems",
    ];
    assert_eq!(search["topics"], Value::from(topics.to_vec()));
    assert_eq!(
        search["search_result"],
        shop.front_end().get("/search/t").json()
    );
}

#[test]
fn an_invalidation_removes_what_it_names() {
    let shop = Shop::started(ShopOptions::default());
    let invalidate =
        |path: &str| assert_eq!(shop.front_end().call("DELETE", path, &[], "").status, 204);
    shop.get_all(&["/lookup/1", "/lookup/2", "/lookup/3"]);
    shop.get_all(&["/search/distributed", "/search/graduate", "/search/t"]);
    invalidate("/invalidate/item/2");
    assert_eq!(shop.cached("lookup"), [1, 3]);
    invalidate("/invalidate/topic/graduate%20school");
    assert_eq!(shop.cached("search"), ["distributed", "graduate", "t"]);
    invalidate("/invalidate/topic/Graduate%20School");
    assert_eq!(shop.cached("search"), ["distributed"]);
    invalidate("/invalidate/topic/");
    invalidate("/invalidate/item/");
    assert_eq!(
        (shop.cached("lookup"), shop.cached("search")),
        (vec![], vec![])
    );
}

#[test]
fn an_update_is_invalidated_in_every_cache_before_it_is_answered() {
    let shop = Shop::started(ShopOptions::default());
    let paths = [
        "/lookup/1",
        "/lookup/2",
        "/search/distributed",
        "/search/graduate",
    ];
    let update = |body: &str| {
        assert_eq!(shop.catalog(1).put("/update/2", body).status, 200);
        // A catalog that waits too long for the confirmation finishes the write itself, and has all
        // searches dropped.
        let is_confirmed = |catalog: &Server| {
            let tentative = catalog.metric(r#"bazar_books{state="tentative"}"#);
            tentative == 0.0
        };
        eventually("it is confirmed", || {
            shop.catalogs().iter().all(is_confirmed)
        });
    };
    let statuses = || paths.map(|path| shop.cache_status(path));

    shop.get_all(&paths);
    assert_eq!(statuses(), [HIT; 4]);
    update(r#"{"price":45}"#);
    assert_eq!(statuses(), [HIT, MISS, HIT, HIT]);
    update(r#"{"title":"RPCs"}"#);
    assert_eq!(statuses(), [HIT, MISS, MISS, HIT]);
    update(r#"{"topic":"Graduate School"}"#);
    assert_eq!(statuses(), [HIT, MISS, MISS, MISS]);
    assert_eq!(shop.front_end().get("/search/graduate").json()[0]["id"], 2);
}

#[test]
fn a_sale_is_seen_through_the_cache() {
    let shop = Shop::started(ShopOptions {
        front_ends: 2,
        ..ShopOptions::default()
    });
    for left in [4, 3] {
        for n in [1, 2] {
            shop.front_end_number(n).get("/lookup/2");
        }
        assert!(shop.buy(2).is_purchase());
        for n in [1, 2] {
            let seen = shop.front_end_number(n).get("/lookup/2").json();
            assert_eq!(seen["quantity"], left, "front-end {n}");
        }
    }
}

#[test]
fn a_cache_of_size_0_caches_nothing() {
    let sizes = ["LOOKUP_CACHE_SIZE", "SEARCH_CACHE_SIZE"];
    let environment = sizes.map(|name| (name, "0".to_string())).to_vec();
    let shop = Shop::started(ShopOptions {
        environment,
        ..ShopOptions::default()
    });
    shop.get_all(&["/lookup/1", "/search/t"]);
    assert_eq!(shop.cache_status("/lookup/1"), MISS);
    assert_eq!(shop.cache_status("/search/t"), MISS);
    assert_eq!(
        (shop.cached("lookup"), shop.cached("search")),
        (vec![], vec![])
    );
}

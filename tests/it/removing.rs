//! Books that are removed, and added again; topics that are renamed; searches by title. Caches and
//! searches never show what is no longer so.

use serde_json::{Value, json};

use crate::harness::http::{self, Response};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

fn remove(catalog: &Server, id: u64) -> u16 {
    catalog
        .call("DELETE", &format!("/book/{id}"), &[], "")
        .status
}

fn ids(response: &Response) -> Vec<u64> {
    let books = response.list().into_iter();
    books.map(|book| book["id"].as_u64().unwrap()).collect()
}

/// No server shows book 2, however it is asked for.
#[track_caller]
fn check_gone(shop: &Shop) {
    for catalog in shop.catalogs() {
        assert_eq!(catalog.get("/query/item/2").status, 404, "{}", catalog.name);
        assert_eq!(catalog.get("/titles/rpcs").list(), Vec::<Value>::new());
        assert!(catalog.dump().iter().all(|book| book["id"] != 2));
        let change = catalog.put("/update/2", r#"{"quantity":9}"#);
        assert_eq!((change.status, remove(catalog, 2)), (404, 404));
    }
    let front_end = shop.front_end();
    assert_eq!(front_end.get("/lookup/2").status, 404);
    assert_eq!(ids(&front_end.get("/search/distributed")), [1]);
    assert_eq!(front_end.get("/titles/rpcs").list(), Vec::<Value>::new());
    assert_eq!(shop.buy(2).status, 404);
    assert_eq!(shop.order(1).put("/buy/2", "").status, 404);
}

#[test]
fn a_book_that_is_removed_is_nowhere() {
    let shop = Shop::started(ShopOptions::default());
    for path in ["/lookup/2", "/search/distributed", "/titles/rpcs"] {
        assert_eq!(shop.front_end().get(path).status, 200);
    }
    assert_eq!(remove(shop.catalog(2), 2), 204);
    check_gone(&shop);
}

#[test]
fn a_catalog_that_was_down_does_not_bring_a_removed_book_back() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(2).kill();
    assert_eq!(remove(shop.catalog(1), 2), 204);
    shop.catalog(2).start();
    shop.catalog(2).await_ready();
    check_gone(&shop);
    shop.catalogs().iter().for_each(Server::kill);
    shop.catalogs().iter().for_each(Server::launch);
    shop.servers().for_each(Server::await_ready);
    check_gone(&shop);
}

#[test]
fn a_purchase_of_a_book_that_was_removed_since_is_still_one() {
    let shop = Shop::started(ShopOptions::default());
    let buy = |server: &Server, key: &str| {
        let headers = [("Idempotency-Key", key)];
        http::call(&server.address, "PUT", "/buy/2", &headers, "").unwrap()
    };
    assert!(buy(shop.front_end(), "before").is_purchase());
    assert_eq!(remove(shop.catalog(1), 2), 204);
    for server in [shop.front_end(), shop.order(1), shop.order(2)] {
        let again = buy(server, "before");
        assert!(again.is_purchase(), "{again:?}");
        assert_eq!(again.header("Idempotent-Replayed"), "true");
        assert_eq!(buy(server, "after").status, 404);
    }
}

#[test]
fn a_book_that_is_added_again_goes_on_where_it_was() {
    let shop = Shop::started(ShopOptions::own());
    assert_eq!(remove(shop.catalog(1), 2), 204);
    check_gone(&shop);
    let new = json!({"id": 2, "title": "RPCs, 2nd edition", "topic": "Distributed Systems",
        "quantity": 1, "price": 60.0});
    let added = shop.catalog(2).call("POST", "/add", &[], &new.to_string());
    assert_eq!(
        (added.status, &added.json()["sequence_number"]),
        (201, &json!(2))
    );
    for catalog in shop.catalogs() {
        assert_eq!(catalog.quantity(2), 1);
    }
    let front_end = shop.front_end();
    assert_eq!(ids(&front_end.get("/search/distributed")), [1, 2]);
    assert_eq!(ids(&front_end.get("/titles/2nd")), [2]);
    assert!(shop.buy(2).is_purchase());
    assert!(!shop.buy(2).is_purchase());
}

#[test]
fn a_cached_search_by_title_is_void_when_any_title_changes() {
    let shop = Shop::started(ShopOptions::default());
    let found = || ids(&shop.front_end().get("/titles/rpc"));
    assert_eq!((found(), found()), (vec![2], vec![2]));
    let set_title = |id: u64, title: &str| {
        let body = json!({ "title": title }).to_string();
        assert_eq!(
            shop.catalog(1).put(&format!("/update/{id}"), &body).status,
            200
        );
    };
    set_title(5, "How to finish RPCs on time");
    assert_eq!(found(), [2, 5]);
    set_title(2, "Calls for Dummies");
    assert_eq!(found(), [5]);
    let new = json!({"title": "New RPCs", "topic": "T", "quantity": 1, "price": 1.0});
    let added = shop.catalog(2).call("POST", "/add", &[], &new.to_string());
    assert_eq!((added.status, found()), (201, vec![5, 8]));
}

#[test]
fn a_topic_is_renamed_in_all_its_books() {
    let shop = Shop::started(ShopOptions::default());
    let found = |text: &str| ids(&shop.front_end().get(&format!("/search/{text}")));
    assert_eq!(
        (found("distributed"), found("networks")),
        (vec![1, 2], vec![])
    );
    let renamed = shop
        .catalog(2)
        .put("/topic/Distributed%20Systems", r#"{"topic":"Networks"}"#);
    assert_eq!((renamed.status, renamed.json()), (200, json!({"books": 2})));
    assert_eq!(
        (found("distributed"), found("networks")),
        (vec![], vec![1, 2])
    );
}

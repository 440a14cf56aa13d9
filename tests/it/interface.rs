//! The interface at a glance: a line for each row of the documentation, in its order, against real
//! processes.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::fake_server::{FakeServer, Reply};
use crate::harness::http::Response;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

// Each row: request, its body, ` + ` its headers | status | body of the response ` + ` some of its
// headers. `says a, b` stands for `{"message": …}` with these words in it.

const FRONT_END: &str = r#"
GET /search/distributed                    | 200 | [{"id":1,"title":"How to get a good grade in DOS in 20 minutes a day","topic":"Distributed Systems"},{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}] + Cache-Status: bazar; fwd=miss + Content-Type: application/json
GET /search/PIONEER                        | 200 | []
GET /search/Developer%20LIFE               | 200 | [{"id":7,"title":"Spring in the Pioneer Valley","topic":"Developer Life"}]
GET /search/%25                            | 200 | []
GET /search/_                              | 200 | []
GET /search/a%2Fb                          | 200 | []
GET /lookup/2                              | 200 | {"price":50.0,"quantity":5,"title":"RPCs for Dummies"} + Cache-Status: bazar; fwd=miss + Content-Type: application/json
GET /lookup/002                            | 200 | {"price":50.0,"quantity":5,"title":"RPCs for Dummies"} + Cache-Status: bazar; hit
GET /lookup/2?any=thing                    | 200 | {"price":50.0,"quantity":5,"title":"RPCs for Dummies"}
HEAD /lookup/2                             | 200 |
PUT /buy/2                                 | 200 | {"message":"Book with the specified ID purchased","success":true}
GET /lookup/2                              | 200 | {"price":50.0,"quantity":4,"title":"RPCs for Dummies"} + Cache-Status: bazar; fwd=miss
GET /lookup/two                            | 422 | {"message":"Book ID must be a number"}
GET /lookup/1.5                            | 422 | {"message":"Book ID must be a number"}
GET /lookup/-1                             | 422 | {"message":"Book ID must be a number"}
GET /lookup/%C2%B2                         | 422 | {"message":"Book ID must be a number"}
GET /lookup/%201                           | 422 | {"message":"Book ID must be a number"}
PUT /buy/two                               | 422 | {"message":"Book ID must be a number"}
GET /lookup/99                             | 404 | {"message":"Book with the specified ID does not exist"}
GET /lookup/99999999999999999999999        | 404 | {"message":"Book with the specified ID does not exist"}
PUT /buy/99                                | 404 | {"message":"Book with the specified ID does not exist"}
DELETE /invalidate/item/2                  | 204 |
DELETE /invalidate/item/two                | 422 | {"message":"Book ID must be a number"}
DELETE /invalidate/item/                   | 204 |
DELETE /invalidate/topic/Graduate%20School | 204 |
DELETE /invalidate/topic/                  | 204 |
GET /dump/                                 | 200 | {"lookup":[],"search":[]}
"#;

const ORDER: &str = r#"
PUT /buy/1   | 200 | {"message":"Book with the specified ID purchased","success":true}
PUT /buy/one | 422 | {"message":"Book ID must be a number"}
PUT /buy/99  | 404 | {"message":"Book with the specified ID does not exist"}
GET /buy/1   | 405 | {"message":"The method is not allowed for the requested URL."} + Allow: PUT
"#;

const CATALOG: &str = r#"
GET /query/item/3                                            | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School"} + ETag: "0-0"
GET /query/item/99                                           | 404 | {"message":"Not found"}
GET /query/item/three                                        | 404 | {"message":"Not found"}
GET /query/topic/developer                                   | 200 | [{"id":7,"title":"Spring in the Pioneer Valley","topic":"Developer Life"}]
GET /query/author/x                                          | 404 | {"message":"Invalid query method","supportedQueryMethods":["item","topic"]}
PUT /update/3 {}                                             | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
PUT /update/3                                                | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
PUT /update/3 {"quantity":null}                              | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
# None of these made a new version.
PUT /update/3 {"quantity":9,"price":14.5} + If-Match: "7-7", "0-0" | 200 | {"price":14.5,"quantity":9,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
PUT /update/3 {"quantity":8} + If-Match: "0-0"            | 412 | says If-Match
PUT /update/3 {"quantity":8} + If-Match: 0-0              | 400 | says If-Match
PUT /update/3 {"title":"Xen","topic":"Virtual Machines"} + If-Match: * | 200 | {"price":14.5,"quantity":9,"title":"Xen","topic":"Virtual Machines"}
PUT /update/5 {"quantity":23,"orders":["7.1; open=1","7.2; open=1"]} + If-Match: "0-0" | 200 | {"price":10.0,"quantity":23,"title":"How to finish Project 3 on time","topic":"University Problems"}
PUT /update/5 {"quantity":22,"orders":["7.2; open=1","7.3; open=1"]} + If-Match: * | 409 | {"message":"Some of these orders were applied already","applied":["7.2"]}
PUT /update/5 {"quantity":22} + Bazar-Order: 7.1; open=1 | 200 | {"price":10.0,"quantity":23,"title":"How to finish Project 3 on time","topic":"University Problems"} + Idempotent-Replayed: true
GET /query/item/5 + Bazar-Order: 7.2; open=1              | 200 | {"price":10.0,"quantity":23,"title":"How to finish Project 3 on time"} + Bazar-Applied: 7.2
PUT /update/5 {"quantity":22,"orders":["7.4; open=4"]} + If-Match: * | 200 | {"price":10.0,"quantity":22,"title":"How to finish Project 3 on time","topic":"University Problems"}
PUT /update/5 {"quantity":21} + Bazar-Order: 7.3; open=1 | 409 | {"message":"order is closed","closed":["7.3"]}
PUT /update/5 {"quantity":21,"orders":["7.5; open=5"]}       | 422 | says If-Match
PUT /update/99 {"quantity":8}                                | 404 | {"message":"Not found"}
PUT /update/three {"quantity":8}                             | 404 | {"message":"Not found"}
PUT /update/4 quantity=8                                     | 400 | says line 1
PUT /update/4 {"price":NaN}                                  | 400 | says line 1
PUT /update/4 {"price":1e400}                                | 400 | says line 1
PUT /update/4 []                                             | 422 | says object
PUT /update/4 {"pages":8}                                    | 422 | says pages, quantity
PUT /update/4 {"quantity":-1}                                | 422 | says quantity, -1, 1000000000
PUT /update/4 {"price":-0.5}                                 | 422 | says price, -0.5
PUT /update/4 {"quantity":5.0}                               | 422 | says quantity, 5.0
PUT /update/4 {"quantity":1000000001}                        | 422 | says quantity, 1000000001
PUT /update/4 {"quantity":"5"}                               | 422 | says quantity, 5
PUT /update/4 {"price":true}                                 | 422 | says price, true
PUT /update/4 {"quantity":5,"quantity":5}                    | 422 | says quantity, twice
PUT /update/4 {"title":""}                                   | 422 | says title, 200
# Nothing of all this changed anything.
GET /query/item/4                                            | 200 | {"price":10.0,"quantity":25,"title":"Cooking for the Impatient Graduate Student"} + ETag: "0-0"
"#;

const EVERYWHERE: &str = r#"
GET /nowhere | 404 | {"message":"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."}
PUT /nowhere | 404 | {"message":"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."}
GET /buy/    | 404 | {"message":"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."}
GET /%zz     | 400 | says escape
GET /%ff     | 400 | says UTF-8
POST /livez  | 405 | {"message":"The method is not allowed for the requested URL."} + Allow: GET, HEAD
GET /livez   | 200 | {"live":true}
HEAD /livez  | 200 |
GET /readyz  | 200 | {"ready":true}
"#;

const NOBODY_BEHIND: &str = r#"
GET /search/x   | 504 | {"message":"Could not connect to a server to search"}
GET /lookup/1   | 504 | {"message":"Could not connect to a server to lookup"}
PUT /buy/1      | 504 | {"message":"Could not connect to a server to buy"}
GET /lookup/one | 422 | {"message":"Book ID must be a number"}
GET /livez      | 200 | {"live":true}
"#;

const NO_CATALOG: &str = r#"
PUT /buy/1 | 504 | {"message":"Could not connect to the catalog server"}
"#;

#[test]
fn the_interface_is_the_documented_one() {
    let shop = Shop::started(ShopOptions::default());
    check(shop.front_end(), FRONT_END);
    check(shop.order(1), ORDER);
    check(shop.catalog(1), CATALOG);
    for server in [shop.front_end(), shop.order(2), shop.catalog(2)] {
        check(server, EVERYWHERE);
    }
    let dump = r#"{"id":3,"price":14.5,"quantity":9,"sequence_number":2,"title":"Xen","topic":"Virtual Machines"}"#;
    let third: Value = serde_json::from_str(dump).unwrap();
    for catalog in shop.catalogs() {
        assert_eq!(catalog.get("/dump/").json()[2], third, "{}", catalog.name);
    }
}

#[test]
fn with_nobody_behind_it_a_server_says_so() {
    let shop = Shop::new(ShopOptions::default());
    shop.front_end().launch();
    shop.order(1).launch();
    check(shop.front_end(), NOBODY_BEHIND);
    check(shop.order(1), NO_CATALOG);
    for server in [shop.front_end(), shop.order(1)] {
        assert_eq!(server.get("/readyz").status, 503, "{}", server.name);
    }
}

#[test]
fn a_disk_that_refuses_is_said() {
    let shop = Shop::started(ShopOptions {
        catalogs: 1,
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    let blocker = shop.data_folder(1).join("books-0000000-0000099.json.tmp");
    fs::create_dir(blocker).unwrap();
    check(
        shop.catalog(1),
        r#"PUT /update/2 {"quantity":1} | 507 | says"#,
    );
}

#[test]
fn too_much_competition_is_said_after_three_seconds() {
    let shop = Shop::new(ShopOptions {
        catalogs: 1,
        orders: 1,
        front_ends: 0,
        ..ShopOptions::default()
    });
    let _catalog = FakeServer::start(&shop.catalog(1).address, Arc::new(always_conflicting));
    shop.order(1).start();
    check(shop.order(1), "PUT /buy/1 | 503 | says + Retry-After: 1");
}

#[test]
fn an_update_of_an_outdated_copy_is_refused() {
    let shop = Shop::new(ShopOptions {
        catalogs: 2,
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    });
    let peer = Arc::new(with_a_newer_copy);
    let _peer = FakeServer::live_catalog(&shop.catalog(2).address, peer);
    shop.catalog(1).launch();
    let message =
        r#"{"message":"Update could not be processed because the item is not up to date"}"#;
    check(
        shop.catalog(1),
        &format!(r#"PUT /update/2 {{"quantity":9}} | 409 | {message}"#),
    );
    // It has caught up by then: read again and retry.
    let read = r#"GET /query/item/2 | 200 | {"price":50.0,"quantity":1,"title":"RPCs for Dummies"} + ETag: "4-7""#;
    check(shop.catalog(1), read);
}

/// Shows copies of every book, and sells none: another buyer was always quicker.
fn always_conflicting(request: &str) -> Reply {
    if request.starts_with("GET") {
        Reply::Json(200, json!({"price": 1.0, "quantity": 9, "title": "Wanted"}))
    } else {
        Reply::Json(412, json!({"message": "too late"}))
    }
}

/// Has a newer copy of book 2, but gives no page to catch up with.
fn with_a_newer_copy(request: &str) -> Reply {
    let book = json!({"id": 2, "title": "RPCs for Dummies", "topic": "Distributed Systems",
        "quantity": 1, "price": 50.0, "version": "4-7", "committed": true});
    match request {
        "PUT /rep/check/2" => Reply::Json(409, json!({"book": book, "state": "valid"})),
        _ => Reply::Json(503, json!({})),
    }
}

/// Sends each row's request in turn and compares the response.
#[track_caller]
pub fn check(server: &Server, table: &str) {
    let is_row = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for row in table.lines().filter(is_row) {
        let columns: Vec<&str> = row.split(" |").map(str::trim).collect();
        let [request, status, expected] = columns[..] else {
            panic!("{row:?} has not three columns");
        };
        let response = send(server, request);
        let what = format!("{request} at {}: {response:?}", server.name);
        assert_eq!(response.status.to_string(), status, "{what}");
        let (expected, headers) = split(expected);
        for (name, value) in headers {
            assert_eq!(response.header(name), value, "{what}");
        }
        check_body(&response.body, expected, &what);
    }
}

fn send(server: &Server, request: &str) -> Response {
    let (request, headers) = split(request);
    let (method, rest) = request.split_once(' ').unwrap();
    let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
    server.call(method, path, &headers, body)
}

/// What comes before the first ` + `, and the headers behind it.
fn split(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = text.split("+ ").map(str::trim);
    let first = parts.next().unwrap_or_default();
    (
        first,
        parts.filter_map(|part| part.split_once(": ")).collect(),
    )
}

#[track_caller]
fn check_body(body: &str, expected: &str, what: &str) {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect(what);
    match expected.strip_prefix("says") {
        Some(words) => {
            let body = json(body);
            let message = body["message"].as_str().expect(what);
            assert_eq!(
                body.as_object().map(|fields| fields.len()),
                Some(1),
                "{what}"
            );
            let said = |word: &str| message.contains(word.trim());
            assert!(!message.is_empty() && words.split(',').all(said), "{what}");
        }
        None if expected.is_empty() => assert_eq!(body, "", "{what}"),
        None => assert_eq!(json(body), json(expected), "{what}"),
    }
}

//! With `SERVICE_TOKEN` set, customers' paths are public, and every other path needs the token.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::byzantine::MESSAGES;
use crate::harness::http;
use crate::harness::process::{BAZAR, run};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions, own_folder};

const TOKEN: &str = "open-sesame";
const BEARER: (&str, &str) = ("Authorization", "Bearer open-sesame");

fn shop() -> Shop {
    Shop::started(ShopOptions {
        environment: vec![("SERVICE_TOKEN", TOKEN.into())],
        ..ShopOptions::default()
    })
}

/// The status without a token, with a wrong one, and with the right one.
#[track_caller]
fn check(server: &Server, method: &str, path: &str, expected: [u16; 3]) {
    let wrong = ("Authorization", "Bearer open-sesam");
    let status = |headers: &[(&str, &str)]| server.call(method, path, headers, "").status;
    let got = [status(&[]), status(&[wrong]), status(&[BEARER])];
    assert_eq!(got, expected, "{} {method} {path}", server.name);
}

#[test]
fn customers_paths_are_public_and_the_rest_needs_the_token() {
    let shop = shop();
    for server in [shop.front_end(), shop.order(1), shop.catalog(1)] {
        for path in ["/livez", "/readyz", "/version"] {
            check(server, "GET", path, [200, 200, 200]);
        }
        check(server, "GET", "/metrics", [401, 401, 200]);
        check(server, "GET", "/traces", [401, 401, 200]);
        check(
            server,
            "GET",
            &format!("/traces/{:032x}", 1),
            [401, 401, 200],
        );
        check(server, "GET", "/unknown", [401, 401, 404]);
    }
    let front_end = shop.front_end();
    check(front_end, "GET", "/", [200, 200, 200]);
    check(front_end, "GET", "/page/shop.js", [200, 200, 200]);
    for server in [shop.order(1), shop.catalog(1)] {
        check(server, "GET", "/", [401, 401, 404]);
    }
    check(front_end, "GET", "/search/t", [200, 200, 200]);
    check(front_end, "GET", "/lookup/1", [200, 200, 200]);
    check(front_end, "PUT", "/buy/1", [200, 200, 200]);
    check(front_end, "GET", "/dump/", [401, 401, 200]);
    for path in [
        "/invalidate/item/1",
        "/invalidate/item/",
        "/invalidate/topic/t",
        "/invalidate/topic/",
    ] {
        check(front_end, "DELETE", path, [401, 401, 204]);
    }
    check(shop.order(1), "PUT", "/buy/1", [200, 200, 200]);
    let catalog = shop.catalog(1);
    for path in ["/query/item/1", "/query/topic/t", "/dump/"] {
        check(catalog, "GET", path, [401, 401, 200]);
    }
    check(catalog, "PUT", "/update/1", [401, 401, 200]);
    check(catalog, "POST", "/add", [401, 401, 400]);
    for kind in MESSAGES {
        check(catalog, "PUT", &format!("/rep/{kind}"), [401, 401, 400]);
    }
}

#[test]
fn servers_and_imports_authenticate_to_each_other() {
    let shop = shop();
    let folder = own_folder();
    let books = folder.join("books.jsonl");
    let book = json!({"id": 50, "title": "T", "topic": "Auth", "quantity": 3, "price": 1.0});
    fs::write(&books, format!("{book}\n")).unwrap();
    let import = |token: &str| {
        let mut command = Command::new(BAZAR);
        command
            .env_clear()
            .args(["import", "--catalog", &shop.catalog(1).url()])
            .arg(&books)
            .env("SERVICE_TOKEN", token);
        run(command)
    };
    let (code, _, stderr) = import("another");
    assert_ne!(code, Some(0));
    assert!(!stderr.contains("another"), "{stderr}");
    let (code, _, stderr) = import(TOKEN);
    assert_eq!(code, Some(0), "{stderr}");
    // Through the front-end, an order server, both catalogs, and back into the front-end's cache.
    assert_eq!(shop.quantity(50), 3);
    assert!(shop.buy(50).is_purchase());
    assert_eq!(shop.quantity(50), 2);
    let copy = http::call(
        &shop.catalog(2).address,
        "GET",
        "/query/item/50",
        &[BEARER],
        "",
    )
    .unwrap();
    assert_eq!(copy.json()["quantity"], 2);
    for server in shop.servers() {
        assert!(
            !server.stderr().contains(TOKEN),
            "{} logs the token",
            server.name
        );
    }
    fs::remove_dir_all(&folder).unwrap();
}

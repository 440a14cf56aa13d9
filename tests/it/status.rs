//! `bazar status`: one table of the whole shop, from the address of any server.

use std::process::Command;

use serde_json::Value;

use crate::harness::process::{BAZAR, eventually, run};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// Exit code and text.
fn status(from: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BAZAR);
    let shop = ["status", "--shop", &from.url()].map(str::to_string);
    command.args(shop).args(arguments).env_clear();
    let (code, text, stderr) = run(command);
    assert_eq!(stderr, "");
    (code, text)
}

/// The port at the end of an address, as it is in the default name of a server.
fn port(server: &Server) -> &str {
    server.address.rsplit(':').next().unwrap()
}

#[test]
fn any_server_leads_to_the_whole_shop() {
    let shop = Shop::started(ShopOptions::default());
    for from in [shop.front_end(), shop.order(2), shop.catalog(1)] {
        let (code, text) = status(from, &[]);
        // A front-end and an order server that know only each other's catalogs are found by them.
        for server in shop.catalogs().iter().chain([shop.front_end()]) {
            assert!(text.contains(&server.url()), "{text}");
        }
        assert!(text.ends_with("\n\nAll is well.\n"), "{text}");
        assert_eq!(code, Some(0));
    }
    let (_, text) = status(shop.front_end(), &[]);
    assert_eq!(text.lines().count(), 1 + 5 + 2, "{text}");
    assert!(
        text.contains(&format!("catalog-{}", port(shop.catalog(2)))),
        "{text}"
    );
    assert!(text.contains("7 books valid"), "{text}");
    let line = shop.catalog(1).log("started").remove(0);
    assert_eq!(line["server"], format!("catalog-{}", port(shop.catalog(1))));
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let shop = Shop::started(ShopOptions::default());
    shop.catalog(2).kill();
    let left_out = "goes on without catalog at";
    eventually("catalog 1 goes on without catalog 2", || {
        status(shop.front_end(), &[]).1.contains(left_out)
    });
    let (code, text) = status(shop.front_end(), &["--json"]);
    let shown: Value = serde_json::from_str(&text).unwrap();
    let wrong: Vec<&str> = shown["wrong"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let dead = format!("catalog at {} does not answer: ", shop.catalog(2).url());
    assert!(
        wrong.iter().any(|line| line.starts_with(&dead)),
        "{wrong:?}"
    );
    assert!(
        wrong.iter().any(|line| line.contains(left_out)),
        "{wrong:?}"
    );
    assert_eq!(
        (code, shown["servers"].as_array().unwrap().len()),
        (Some(1), 5)
    );
}

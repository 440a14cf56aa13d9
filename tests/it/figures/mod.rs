//! Figures of the protocol, as `bazar trace` draws them of real processes, without their times.
//!
//! `UPDATE_FIGURES=1 cargo test figures::` writes them anew. With `TEST_STORE=etcd` they are those in
//! `etcd`: the same scenes of a shop whose books are there. `catalogs` is about catalogs that agree
//! among themselves.
//!
//! | figure of the original design (`PROTOCOL.md`, "The figures of the original design") | file |
//! |---|---|
//! | 1, read at a cold start | `read_cold_start` |
//! | 2, read, some outdated | `read_missed_write` |
//! | 3, read after total failure | `total_failure_waits`, `total_failure_read` |
//! | 4, write, all at the same number | `write_unknown`; `write` if marked to begin with |
//! | 5, write, outdated | `write_outdated` |
//! | 6, order, normal; 9, front-end, normal | `buy` |
//! | 7, order, outdated | `buy_changed_meanwhile` |
//! | 8, order, catalog unreachable | `buy_catalog_down` |
//! | 10, front-end, some down | `buy_fail_over` |
//! | 11, front-end, order servers that answer 504 | `buy_fail_over_504` |
//! | 12, front-end, all down | `buy_all_down` |
//! | look-ups and searches in the caches | `lookup_…`, `search_…`, `update_title` |
//!
//! Where the original has five catalogs, here are three: the picture is wide enough.

mod catalogs;
mod fail_over;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::harness::etcd;
use crate::harness::process::{BAZAR, run};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// How often a scene is played until its figures are right.
const PLAYS_MAX: usize = 5;

/// The width of the times in a diagram.
const TIME_WIDTH: usize = 8;

/// What `bazar trace` prints of a request to this server, but for what differs each time.
#[track_caller]
fn traced(server: &Server, arguments: &[&str]) -> String {
    traced_at(&server.address, arguments)
}

#[track_caller]
fn traced_at(address: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(BAZAR);
    let shop = ["trace", "--shop", &format!("http://{address}")].map(str::to_string);
    command.args(shop).args(arguments).env_clear();
    let (code, text, stderr) = run(command);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let (picture, rest) = text.split_once("\n\n").expect("a picture, and the answer");
    let answer = rest.lines().next().expect("the answer");
    let untimed = |line: &str| line.chars().skip(TIME_WIDTH).collect::<String>() + "\n";
    let lines: String = picture.lines().map(untimed).collect();
    let lines = if etcd::is_default() {
        renumbered(&lines)
    } else {
        lines
    };
    format!("bazar trace {}\n\n{lines}\n{answer}\n", arguments.join(" "))
}

/// In etcd a book's number is a revision, which counts what else happened, too. Here the first one
/// in the picture is 1, the next one 2.
fn renumbered(picture: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut parts = picture.split("seq ");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit());
        let (number, rest) = part.split_at(digits.unwrap_or(part.len()));
        if !seen.contains(&number) {
            seen.push(number);
        }
        let place = seen.iter().position(|other| *other == number).unwrap();
        text += &format!("seq {}{rest}", place + 1);
    }
    text
}

/// A figure: the name of its file, and the picture.
type Figure = (&'static str, String);

/// Compares figures with their files. On a busy machine an answer may come so late that a message
/// is sent twice, or that it is not seen: then the scene is played again.
#[track_caller]
fn check(scene: impl Fn() -> Vec<Figure>) {
    let folder = if etcd::is_default() {
        "tests/it/figures/etcd"
    } else {
        "tests/it/figures"
    };
    let file = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        folder.join(format!("{name}.txt"))
    };
    let expected = |name: &str| fs::read_to_string(file(name)).unwrap_or_default();
    if env::var_os("UPDATE_FIGURES").is_some() {
        let figures = scene();
        figures
            .iter()
            .for_each(|(name, picture)| fs::write(file(name), picture).unwrap());
        return;
    }
    let is_right = |(name, picture): &Figure| *picture == expected(name);
    let mut figures = scene();
    for _ in 1..PLAYS_MAX {
        if figures.iter().all(is_right) {
            return;
        }
        figures = scene();
    }
    for (name, picture) in figures {
        let expected = expected(name);
        assert_eq!(
            picture, expected,
            "{name}:\n{picture}\ninstead of\n{expected}"
        );
    }
}

const PRICE: &str = r#"{"price":45}"#;

/// A write as `bazar trace` takes it.
const WRITE: [&str; 4] = ["--body", PRICE, "PUT", "/update/2"];

fn two_catalogs() -> Shop {
    Shop::started(ShopOptions {
        orders: 0,
        front_ends: 0,
        ..ShopOptions::default()
    })
}

/// With one catalog a slow read is not asked of another, too.
fn small_shop() -> Shop {
    Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        ..ShopOptions::default()
    })
}

#[test]
fn a_buy_is_on_every_catalog_and_in_no_cache_before_the_customer_is_told() {
    check(|| {
        let shop = Shop::started(ShopOptions {
            orders: 1,
            ..ShopOptions::default()
        });
        vec![("buy", traced(shop.front_end(), &["PUT", "/buy/2"]))]
    });
}

#[test]
fn a_buy_whose_catalog_cannot_be_reached_is_told_so() {
    check(|| {
        let shop = small_shop();
        shop.catalog(1).kill();
        vec![(
            "buy_catalog_down",
            traced(shop.order(1), &["PUT", "/buy/2"]),
        )]
    });
}

#[test]
fn a_look_up_is_asked_once_and_again_after_a_buy() {
    check(|| {
        let shop = small_shop();
        let look_up = || traced(shop.front_end(), &["GET", "/lookup/2"]);
        let before = [("lookup_miss", look_up()), ("lookup_hit", look_up())];
        assert!(shop.buy(2).is_purchase());
        let after = ("lookup_after_buy", look_up());
        before.into_iter().chain([after]).collect()
    });
}

#[test]
fn a_search_is_cached_until_a_book_of_its_topic_changes() {
    check(|| {
        let shop = small_shop();
        let search = || traced(shop.front_end(), &["GET", "/search/graduate"]);
        let change = ["--body", r#"{"title":"Xen"}"#, "PUT", "/update/3"];
        vec![
            ("search_miss", search()),
            ("search_hit", search()),
            ("update_title", traced(shop.catalog(1), &change)),
            ("search_after_change", search()),
        ]
    });
}

#[test]
fn a_read_at_one_catalog_sees_what_was_written_at_the_other() {
    check(|| {
        let shop = two_catalogs();
        vec![
            ("write", traced(shop.catalog(1), &WRITE)),
            ("read", traced(shop.catalog(2), &["GET", "/query/item/2"])),
        ]
    });
}

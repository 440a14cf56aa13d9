//! `bazar bench`, with a few requests of everything: that it works, not how fast anything is.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::etcd;
use crate::harness::process::{BAZAR, await_end, eventually, run};
use crate::harness::shop::{Shop, ShopOptions, own_folder};

/// A quick run with its temporary files in `folder`.
fn bench(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BAZAR);
    command
        .args(["bench", "--quick"])
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TMPDIR", folder);
    command
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// Two catalogs as a setting.
fn catalogs(shop: &Shop) -> String {
    [shop.catalog(1).url(), shop.catalog(2).url()].join("|")
}

/// Thirteen shops are opened one after the other, and servers stopped until others time out: it
/// takes some seconds.
#[test]
fn a_bench_measures_all_sections_and_finds_every_sale() {
    let (folder, results) = (own_folder(), own_folder());
    let (figures, picture) = (results.join("bench.json"), results.join("bench.svg"));
    let mut command = bench(&folder, &["--local", "--seed", "7"]);
    command.arg("--json").arg(&figures);
    command.arg("--svg").arg(&picture);
    let (code, table, errors) = run(command);
    assert_eq!(code, Some(0), "{table}{errors}");
    check_figures(&json(&figures), &table);
    check_picture(&fs::read_to_string(&picture).unwrap());
    assert!(is_empty(&folder), "the shops' folder stays");
    fs::remove_dir_all(folder).unwrap();
    fs::remove_dir_all(results).unwrap();
}

#[track_caller]
fn check_figures(figures: &Value, table: &str) {
    assert_eq!(figures["seed"], 7);
    let rows = figures["rows"].as_array().unwrap();
    for section in [
        "lookups",
        "invalidations",
        "buys",
        "outages",
        "throughput",
        "yardsticks",
    ] {
        let of_it = |row: &&Value| row["section"] == section;
        assert!(rows.iter().any(|row| of_it(&row)), "{section}");
    }
    for row in rows {
        let name = row["name"].as_str().unwrap();
        assert!(table.contains(name), "{name} is not in the table");
        assert!(0 < row["count"].as_u64().unwrap(), "{row}");
        let ms = |field: &str| row[field].as_f64().unwrap();
        assert!(
            0.0 < ms("p50_ms") && ms("p50_ms") <= ms("p99_ms") && ms("p99_ms") <= ms("max_ms"),
            "{row}"
        );
    }
    let audits = figures["audits"].as_array().unwrap();
    let sold = |audit: &Value| audit["sold"].as_u64().unwrap();
    assert_eq!(audits.len(), 13, "one for each shop");
    assert!(0 < audits.iter().map(sold).sum::<u64>());
}

#[test]
fn a_bench_of_etcd_measures_it_beside_the_own_store_and_finds_every_sale() {
    if !etcd::is_installed() {
        return;
    }
    let folder = own_folder();
    let (code, table, errors) = run(bench(&folder, &["--store", "etcd"]));
    assert_eq!(code, Some(0), "{table}{errors}");
    for row in [
        "flash sale, 4 customers, own store",
        "flash sale, 4 customers, etcd",
        "txns of etcd beside flash sale, 4 at once",
        "look-ups at a catalog, 4 connections, etcd",
        "ranges of etcd, 4 at once",
    ] {
        assert!(table.contains(row), "{row}: {table}");
    }
    assert!(is_empty(&folder), "the shops' folder stays");
    fs::remove_dir_all(folder).unwrap();
}

/// Every element that is opened is closed.
#[track_caller]
fn check_picture(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split(' ').next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => (),
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(svg.contains("<polyline") && svg.contains("buys by one customer, 2 catalogs"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn a_bench_restores_the_stock_of_a_running_shop() {
    let (shop, folder) = (Shop::started(ShopOptions::default()), own_folder());
    let front_end = shop.front_end().url();
    let args = ["--front-end", &front_end, "--catalogs", &catalogs(&shop)];
    let (code, table, errors) = run(bench(&folder, &args));
    assert_eq!(code, Some(0), "{table}{errors}");
    assert!(table.contains("flash sale"));
    assert_eq!([1, 2, 7].map(|id| shop.quantity(id)), [10, 5, 25]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_catalogs_a_bench_only_reads() {
    let (shop, folder) = (Shop::started(ShopOptions::default()), own_folder());
    let before = shop.catalog(1).get("/dump/").json();
    let (code, table, errors) = run(bench(&folder, &["--front-end", &shop.front_end().url()]));
    assert_eq!(code, Some(0), "{table}{errors}");
    assert!(table.contains("cached look-ups"));
    assert_eq!(shop.catalog(1).get("/dump/").json(), before);
    fs::remove_dir_all(folder).unwrap();
}

/// The stock of one shop cannot show what another sold.
#[test]
fn a_bench_fails_when_the_stock_does_not_show_the_sales() {
    let (shop, other) = (
        Shop::started(ShopOptions::default()),
        Shop::started(ShopOptions::default()),
    );
    let folder = own_folder();
    let front_end = shop.front_end().url();
    let elsewhere = catalogs(&other);
    let args = ["--only", "buys", "--front-end", &front_end, "--catalogs"];
    let (code, table, errors) = run(bench(&folder, &[&args[..], &[&elsewhere]].concat()));
    assert_eq!(code, Some(1), "{table}{errors}");
    assert!(table.contains("NO:") && errors.contains("problems"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_killed_bench_leaves_nothing_behind() {
    let folder = own_folder();
    let mut killed = bench(&folder, &["--local"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a shop of its own runs", || 3 <= processes_in(&folder));
    killed.kill().unwrap();
    await_end(&mut killed);
    eventually("its servers are gone", || processes_in(&folder) == 0);
    eventually("its folder is gone", || is_empty(&folder));
    fs::remove_dir_all(folder).unwrap();
}

/// The processes whose stderr is a file in this folder.
fn processes_in(folder: &Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let logs = processes.filter_map(|process| fs::read_link(process.path().join("fd/2")).ok());
    logs.filter(|log| log.starts_with(folder)).count()
}

//! `src/OPERATING.md`, the files that an operator copies, fits to the servers.

use std::collections::BTreeSet;
use std::process::Command;

use crate::harness::process::{BAZAR, eventually, run};
use crate::harness::shop::{Shop, ShopOptions};

const PAGE: &str = include_str!("../../src/OPERATING.md");
const INTERFACE: &str = include_str!("../../src/API.md");

/// The blocks of this kind, such as `nginx`.
fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let blocks = blocks.filter_map(|block| block.strip_prefix(&begin[3..]));
    let blocks: Vec<&str> = blocks.collect();
    assert!(!blocks.is_empty(), "{kind}");
    blocks
}

/// All names in a text that begin so.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let found = words.filter(|word| word.starts_with(prefix));
    found.map(str::to_string).collect()
}

fn help(command: &str) -> String {
    let mut program = Command::new(BAZAR);
    program.args([command, "--help"]);
    let (code, stdout, stderr) = run(program);
    assert_eq!(code, Some(0), "{command}: {stderr}");
    stdout
}

#[test]
fn each_unit_starts_a_server_and_names_its_settings() {
    let units = blocks("ini");
    let command = |unit: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/bazar "));
        line.expect("a unit starts something").to_string()
    };
    let commands: Vec<String> = units.iter().map(|unit| command(unit)).collect();
    assert_eq!(commands, ["catalog", "order", "front-end"]);
    let of_all = ["SERVICE_TOKEN", "HOST", "ADDRESS"];
    let own: [&[&str]; 3] = [
        &["DATA_DIR", "CATALOG_ADDRESSES", "FRONT_END_ADDRESS"],
        &["CATALOG_ADDRESS"],
        &["CATALOG_ADDRESSES", "ORDER_ADDRESSES"],
    ];
    for (command, own) in commands.iter().zip(own) {
        let help = help(command);
        for name in of_all.iter().chain(own) {
            assert!(
                PAGE.contains(name) && help.contains(&format!("env {name},")),
                "{command} {name}"
            );
        }
    }
    for name in ["catalog1", "order1", "front-end1"] {
        assert!(
            PAGE.contains(&format!("EnvironmentFile=/etc/bazar/{name}\n")),
            "{name}"
        );
    }
}

#[test]
fn the_alerts_are_about_metrics_that_there_are() {
    let shop = Shop::started(ShopOptions::default());
    let mut known = BTreeSet::new();
    for server in [shop.catalog(1), shop.order(1), shop.front_end()] {
        // Lost connections are counted by a thread that has just started.
        let mut page = String::new();
        eventually("it has counted them", || {
            page = server.get("/metrics").body;
            page.contains("bazar_http_connections_lost")
        });
        let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        known.extend(
            families
                .filter_map(|line| line.split(' ').next())
                .map(str::to_string),
        );
    }
    for rules in blocks("yaml") {
        for prefix in ["bazar_", "process_"] {
            let unknown: Vec<String> = names(rules, prefix).difference(&known).cloned().collect();
            assert!(unknown.is_empty(), "{unknown:?} of {known:?}");
        }
    }
}

#[test]
fn nginx_passes_every_header_that_customers_send() {
    let nginx = blocks("nginx")[0];
    let section = INTERFACE
        .split("\n## Headers of requests\n")
        .nth(1)
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let names: BTreeSet<&str> = names.filter_map(|name| name.split(':').next()).collect();
    assert!(names.contains("Idempotency-Key"), "{names:?}");
    for name in names {
        let of_servers = ["Authorization", "Bazar-Order", "If-Match"].contains(&name);
        let passed = nginx.contains(&format!("proxy_set_header {name} "));
        assert_ne!(passed, of_servers, "{name}");
    }
}

#[test]
fn proxies_let_through_what_is_for_customers() {
    let shop = Shop::started(ShopOptions::default());
    let (nginx, haproxy) = (blocks("nginx")[0], blocks("haproxy")[0]);
    for path in ["search", "lookup", "buy", "page"] {
        assert!(haproxy.contains(&format!(" /{path}/")), "{path}");
        assert!(nginx.contains(path), "{path}");
    }
    assert!(haproxy.contains("option httpchk GET /readyz\n"));
    // HAProxy asks so.
    let check = "GET /readyz HTTP/1.0\r\n\r\n";
    let mut connection = crate::harness::connection::Connection::open(&shop.front_end().address);
    connection.send(check).unwrap();
    assert_eq!(connection.response().unwrap().status, 200);
}

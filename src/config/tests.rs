//! What may be set, and what is refused in which words.

use super::*;
use crate::config::import::Column;

/// Splits `line` at spaces: words with a capital first letter and `=` are the environment, the
/// others arguments.
fn run(line: &str) -> Result<Command, String> {
    let is_variable = |word: &&str| word.contains('=') && word.starts_with(char::is_uppercase);
    let (variables, args): (Vec<&str>, Vec<&str>) = line.split(' ').partition(is_variable);
    let args: Vec<String> = args.into_iter().map(String::from).collect();
    let env = |name: &str| {
        let mut pairs = variables.iter().filter_map(|word| word.split_once('='));
        pairs
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.to_string())
    };
    parse(&args, &env)
}

#[track_caller]
fn catalog_of(line: &str) -> CatalogSettings {
    match run(format!("catalog DATA_DIR=d {line}").trim_end()) {
        Ok(Command::Catalog(settings)) => settings,
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn refused(line: &str, parts: &[&str]) {
    let message = run(line).expect_err(line);
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "{line}: {message} lacks {part}");
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

#[test]
fn a_catalog_needs_only_its_folder() {
    let settings = catalog_of("");
    assert_eq!(settings.common.address, address("http://127.0.0.1:5000"));
    assert_eq!(settings.common.port, 5000);
    assert_eq!(settings.common.idle, Duration::from_secs(10));
    assert_eq!(settings.common.log, Level::Info);
    assert_eq!(settings.data_dir, PathBuf::from("d"));
    assert_eq!((settings.peers, settings.front_ends), (vec![], vec![]));
    assert_eq!((settings.books, settings.timing), (None, Timing::default()));
    assert_eq!(settings.limits.connect, Duration::from_millis(100));
    assert_eq!(settings.limits.whole, Duration::from_millis(1000));
}

#[test]
fn a_catalog_on_etcd_needs_no_folder() {
    let line = "catalog --store etcd --etcd http://e:2379|http://f:2379";
    let Ok(Command::Catalog(settings)) = run(line) else {
        panic!("refused");
    };
    assert_eq!(
        settings.etcd,
        [address("http://e:2379"), address("http://f:2379")]
    );
    refused(
        "catalog --store etcd",
        &["ETCD is not set", "http://127.0.0.1:2379"],
    );
    refused("catalog --etcd http://e:2379 --data-dir d", &["STORE=etcd"]);
    refused(
        "catalog --store disk --data-dir d",
        &["STORE", "own or etcd"],
    );
}

#[test]
fn an_order_server_has_one_catalog_or_a_list() {
    let catalogs_of = |list: &str| match run(&format!("order CATALOG_ADDRESS={list}")) {
        Ok(Command::Order(settings)) => settings.catalogs,
        other => panic!("{other:?}"),
    };
    let both = [address("http://c:80"), address("http://d:80")];
    assert_eq!(catalogs_of("http://c|http://d"), both);
    assert_eq!(catalogs_of("http://c/"), both[..1]);
    let Ok(Command::Order(settings)) = run("order CATALOG_ADDRESS=http://c/") else {
        panic!("refused");
    };
    assert_eq!(settings.hedge_after, None);
    assert_eq!(settings.common.port, 5001);
    assert_eq!(settings.limits.connect, Duration::from_millis(150));
    assert_eq!(settings.limits.whole, Duration::from_millis(1500));
}

#[test]
fn a_front_end_knows_all_servers_behind_it() {
    let line = "front-end CATALOG_ADDRESSES=http://c1|http://c2 ORDER_ADDRESSES=http://o1 LOOKUP_CACHE_SIZE=0";
    let Ok(Command::FrontEnd(settings)) = run(line) else {
        panic!("refused");
    };
    assert_eq!(
        settings.catalogs,
        [address("http://c1"), address("http://c2")]
    );
    assert_eq!(settings.orders, [address("http://o1")]);
    assert_eq!(
        (settings.lookup_cache_size, settings.search_cache_size),
        (0, 10)
    );
    assert_eq!(settings.common.port, 5002);
    assert_eq!(settings.limits.connect, Duration::from_millis(200));
    assert_eq!(settings.limits.whole, Duration::from_millis(2000));
}

#[test]
fn a_cache_has_a_maximum_that_the_help_states() {
    let Ok(Command::Help(help)) = run("front-end --help") else {
        panic!("no help");
    };
    for (name, max) in [("LOOKUP_CACHE_SIZE", 10_000), ("SEARCH_CACHE_SIZE", 1_000)] {
        let line =
            format!("front-end CATALOG_ADDRESSES=http://c1 ORDER_ADDRESSES=http://o1 {name}=");
        assert!(run(&format!("{line}{max}")).is_ok());
        refused(&format!("{line}{}", max + 1), &[name, &format!("to {max}")]);
        assert!(help.contains(&format!("at most {max}")), "{help}");
    }
}

#[test]
fn an_import_has_a_catalog_and_a_file() {
    let line = "import --skip-bad bad --catalog http://c books.json SERVICE_TOKEN=t \
                --columns isbn=id,by=-";
    let column = |name: &str, field| Column {
        name: name.into(),
        field,
    };
    let expected = ImportSettings {
        catalog: Some(address("http://c")),
        file: "books.json".into(),
        columns: vec![column("isbn", Some("id")), column("by", None)],
        update: false,
        skip_bad: Some("bad".into()),
        batch: 1000,
        from_line: 1,
        token: Some("t".into()),
    };
    assert_eq!(run(line), Ok(Command::Import(expected)));
    refused("import --catalog http://c", &["FILE"]);
    refused("import books.json", &["CATALOG"]);
    refused("import --catalog http://c a b", &["\"b\""]);
    refused(
        "import --catalog http://c --columns isbn a",
        &["COLUMNS", "isbn", "NAME=FIELD"],
    );
    refused("import --update=yes --dry-run a", &["--update"]);
    assert!(run("import --dry-run a").is_ok());
}

#[test]
fn a_bench_measures_local_shops_or_a_running_one() {
    let Ok(Command::Bench(settings)) = run("bench --local --quick --only buys --svg p.svg") else {
        panic!("refused");
    };
    assert_eq!((settings.front_end, settings.seed), (None, 1));
    assert_eq!(settings.only, Some(bench::Section::Buys));
    assert!(settings.quick);
    assert_eq!(run("bench"), run("bench --local"));
    let Ok(Command::Bench(settings)) = run("bench --front-end http://f --catalogs http://c") else {
        panic!("refused");
    };
    assert_eq!(settings.front_end, Some(address("http://f")));
    assert_eq!(settings.catalogs, [address("http://c")]);
    refused(
        "bench --local --front-end http://f",
        &["--local", "FRONT_END"],
    );
    refused("bench --local --catalogs http://c", &["CATALOGS"]);
    refused("bench --catalogs http://c", &["CATALOGS"]);
    let Ok(Command::Bench(settings)) = run("bench --store etcd --etcd-members 3") else {
        panic!("etcd can be measured");
    };
    let expected = (Some(bench::Section::Etcd), 3);
    assert_eq!((settings.only, settings.etcd_members), expected);
    refused("bench --store etcd --only buys", &["STORE", "ONLY"]);
    refused("bench --store etcd --etcd-members 2", &["ETCD_MEMBERS"]);
    refused("bench --only etcd", &["ONLY"]);
    refused(
        "bench --local --only sales",
        &["ONLY", "\"sales\"", "a section"],
    );
}

#[test]
fn a_shop_needs_no_setting_and_refuses_what_its_servers_would() {
    let Ok(Command::Shop(settings)) = run("shop") else {
        panic!("refused");
    };
    let counts = (settings.catalogs, settings.orders, settings.front_ends);
    assert_eq!((counts, settings.cluster_port), ((2, 2, 1), 5003));
    assert_eq!(settings.data, PathBuf::from("data"));
    let Ok(Command::Shop(settings)) = run("shop HOST=[::1] --ports free") else {
        panic!("refused");
    };
    let chosen = (settings.ports, settings.cluster_port);
    assert_eq!((settings.host.as_str(), chosen), ("::1", (None, 0)));
    refused("shop --catalogs 0", &["CATALOGS", "\"0\"", "from 1 to 50"]);
    refused("shop ORDER_PORT=64536", &["ORDER_PORT", "to 64535"]);
    refused("shop --ports any", &["PORTS", "\"any\"", "fixed or free"]);
    refused("shop --go-on-without 6000", &["GO_ON_WITHOUT", "\"6000\""]);
    refused(
        "shop FRONT_END_HOST=0.0.0.0",
        &["FRONT_END_HOST", "--token"],
    );
    assert!(run("shop FRONT_END_HOST=0.0.0.0 --token").is_ok());
}

#[test]
fn an_option_wins_over_the_environment() {
    assert_eq!(catalog_of("PORT=7000 --port 8000").common.port, 8000);
    assert_eq!(catalog_of("PORT=7000 --port=8000").common.port, 8000);
    assert_eq!(catalog_of("PORT=7000 --port=").common.port, 5000);
    assert_eq!(catalog_of("--port 1 --port 2").common.port, 2);
}

#[test]
fn an_empty_variable_is_not_set() {
    assert_eq!(
        catalog_of("PORT= CATALOG_ADDRESSES= BOOKS="),
        catalog_of("")
    );
    refused("catalog DATA_DIR=", &["DATA_DIR", "not set"]);
}

#[test]
fn spelling_of_addresses_does_not_matter() {
    let one = catalog_of("CATALOG_ADDRESSES=http://A:1/|http://b:2");
    let other = catalog_of("CATALOG_ADDRESSES=http://a:1|http://B:2/|");
    assert_eq!(one.peers, other.peers);
}

#[test]
fn origins_are_spelled_as_browsers_do() {
    let origins = |line: &str| catalog_of(line).common.allowed_origins;
    let shop = origins("ALLOWED_ORIGINS=HTTPS://Shop.example:443/|http://a:81");
    assert_eq!(
        shop,
        origins("ALLOWED_ORIGINS=https://shop.example|http://a:81")
    );
    assert_eq!((shop.len(), origins("").len()), (2, 0));
}

#[test]
fn a_server_is_called_by_its_kind_and_port_or_as_the_setting_says() {
    assert_eq!(catalog_of("").common.name, "catalog-5000");
    assert_eq!(catalog_of("PORT=6000").common.name, "catalog-6000");
    assert_eq!(catalog_of("--name=catalog1").common.name, "catalog1");
}

#[test]
fn a_refusal_names_the_setting_what_it_held_and_what_it_should_hold() {
    let catalog = "catalog DATA_DIR=d";
    for (setting, parts) in [
        ("PORT=65536", ["PORT", "\"65536\"", "0 to 65535"]),
        ("PORT=+80", ["PORT", "\"+80\"", "whole number"]),
        ("--port=x", ["PORT", "\"x\"", "whole number"]),
        ("LEASE_MS=0", ["LEASE_MS", "\"0\"", "from 1"]),
        ("LEASE_MS=1.5", ["LEASE_MS", "\"1.5\"", "whole number"]),
        ("LEASE_MS=100", ["LEASE_MS", "100", "HEARTBEAT_EVERY_MS"]),
        ("TIMEOUT_MS=-1", ["TIMEOUT_MS", "\"-1\"", "from 1"]),
        ("NAME=a,b", ["NAME", "\"a,b\"", "letters, digits"]),
        ("LOG=loud", ["LOG", "\"loud\"", "debug, info or warn"]),
        ("HOST=a/b", ["HOST", "\"a/b\"", "a name"]),
        ("ADDRESS=shop", ["ADDRESS", "\"shop\"", "http://"]),
        (
            "CONNECT_PROXY=relay",
            ["CONNECT_PROXY", "\"relay\"", "127.0.0.1:3128"],
        ),
        (
            "FRONT_END_ADDRESS=shop",
            ["FRONT_END_ADDRESS", "\"shop\"", "http://"],
        ),
        (
            "ALLOWED_ORIGINS=https://a|*",
            ["ALLOWED_ORIGINS", "\"*\"", "https://shop.example"],
        ),
        (
            "CATALOG_ADDRESSES=|",
            ["CATALOG_ADDRESSES", "\"|\"", "none"],
        ),
        (
            "CATALOG_ADDRESSES=http://a|http://A:80/",
            ["CATALOG_ADDRESSES", "http://a:80", "twice"],
        ),
    ] {
        refused(&format!("{catalog} {setting}"), &parts);
    }
}

#[test]
fn what_is_needed_must_be_there() {
    refused("catalog", &["DATA_DIR", "not set"]);
    refused("order", &["CATALOG_ADDRESS", "not set"]);
    refused(
        "front-end ORDER_ADDRESSES=http://o",
        &["CATALOG_ADDRESSES", "not set"],
    );
    refused(
        "front-end CATALOG_ADDRESSES=http://c",
        &["ORDER_ADDRESSES", "not set"],
    );
}

#[test]
fn what_nobody_knows_is_refused() {
    refused(
        "catalog DATA_DIR=d --data",
        &["--data", "bazar catalog --help"],
    );
    refused("order --data-dir d", &["--data-dir", "bazar order"]);
    refused(
        "catalog DATA_DIR=d more",
        &["\"more\"", "bazar catalog --help"],
    );
    refused("catalog --data-dir", &["--data-dir", "FOLDER"]);
    refused("store", &["\"store\"", "front-end"]);
    assert!(parse(&[], &|_| None).unwrap_err().contains("bazar --help"));
}

#[test]
fn a_demonstration_is_small_enough_to_be_overlooked() {
    assert!(run("shop --demo CATALOGS=8 ORDERS=8 FRONT_ENDS=4").is_ok());
    refused(
        "shop --demo CATALOGS=9 ORDERS=8 FRONT_ENDS=4",
        &["CATALOGS", "9, 8 and 4", "--demo", "20"],
    );
}

#[test]
fn a_catalog_is_not_its_own_peer() {
    refused(
        "catalog DATA_DIR=d CATALOG_ADDRESSES=http://b|http://127.0.0.1:5000/",
        &[
            "CATALOG_ADDRESSES",
            "http://127.0.0.1:5000",
            "other catalogs",
        ],
    );
}

#[test]
fn beyond_loopback_a_token_is_needed() {
    for host in ["0.0.0.0", "::", "[::]", "192.0.2.1", "shop.example"] {
        let line = format!("catalog DATA_DIR=d HOST={host} ADDRESS=http://a");
        refused(&line, &["SERVICE_TOKEN", "HOST"]);
        catalog_of(&format!("HOST={host} ADDRESS=http://a SERVICE_TOKEN=t"));
    }
    for host in ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "LocalHost"] {
        catalog_of(&format!("HOST={host}"));
    }
}

#[test]
fn a_wildcard_needs_an_address() {
    let line = "catalog DATA_DIR=d SERVICE_TOKEN=t HOST=0.0.0.0";
    refused(line, &["ADDRESS", "0.0.0.0"]);
    let settings = catalog_of("SERVICE_TOKEN=t HOST=0.0.0.0 ADDRESS=http://shop.example");
    assert_eq!(settings.common.address, address("http://shop.example"));
}

#[test]
fn a_token_is_never_shown() {
    let line = format!("catalog DATA_DIR=d SERVICE_TOKEN=secret{}", "x".repeat(256));
    let message = run(&line).unwrap_err();
    assert!(message.contains("SERVICE_TOKEN") && !message.contains("secret"));
}

#[test]
fn help_wins_and_lists_every_setting() {
    let Ok(Command::Help(text)) = run("catalog --nonsense x PORT=x --help") else {
        panic!("no help");
    };
    for setting in Program::Catalog.settings() {
        assert!(
            text.contains(&setting.option()) && (setting.is_flag() || text.contains(setting.name)),
            "{}",
            setting.name
        );
    }
    assert!(text.contains("[env PORT, default 5000]"), "{text}");
}

#[test]
fn help_fits_a_terminal() {
    let Ok(Command::Help(overview)) = run("-h") else {
        panic!("no help");
    };
    assert!(overview.lines().count() <= 24, "{overview}");
    for program in Program::ALL {
        assert!(overview.contains(program.word()), "{overview}");
        let Ok(Command::Help(text)) = run(&format!("{} --help", program.word())) else {
            panic!("no help");
        };
        for line in overview.lines().chain(text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

/// A setting that nothing reads would be a promise that is not kept.
#[test]
fn every_listed_setting_is_read() {
    let lines = [
        (Program::Catalog, "catalog DATA_DIR=d"),
        (Program::Order, "order CATALOG_ADDRESS=http://c"),
        (
            Program::FrontEnd,
            "front-end CATALOG_ADDRESSES=http://c ORDER_ADDRESSES=http://o",
        ),
        (Program::Shop, "shop"),
        (Program::Import, "import CATALOG=http://c FILE"),
        (Program::Bench, "bench --front-end http://f"),
    ];
    for (program, line) in lines {
        let usual = run(line);
        for setting in program.settings().into_iter().filter(|one| !one.is_flag()) {
            let other = run(&format!("{line} {}=ä", setting.option()));
            assert_ne!(usual, other, "{}", setting.name);
        }
    }
}

#[test]
fn the_version_can_be_asked_for() {
    assert_eq!(run("--version"), Ok(Command::Version));
    assert_eq!(run("catalog -V"), Ok(Command::Version));
}

#[test]
fn a_request_to_trace_is_a_method_and_a_path() {
    for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
        let command = run(&format!("trace {method} /update/2"));
        assert!(matches!(command, Ok(Command::Trace(_))), "{command:?}");
    }
    for line in ["GET", "/lookup/2", "HEAD /lookup/2", "GET lookup/2"] {
        let command = run(&format!("trace {line}"));
        assert!(command.is_err(), "{command:?}");
    }
}

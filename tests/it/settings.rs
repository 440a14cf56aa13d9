//! How a server exits on a wrong setting, and what its help shows.

use std::process::Command;

use crate::harness::process::{BAZAR, run};

/// The outcome of `bazar` with these arguments and nothing in its environment: exit code, stdout,
/// stderr.
fn bazar(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(BAZAR);
    command
        .args(args)
        .env_clear()
        .envs(environment.iter().copied());
    run(command)
}

/// Exit code 2 and one line on stderr that has all the words.
#[track_caller]
fn refused(args: &[&str], environment: &[(&str, &str)], words: &[&str]) {
    let (code, stdout, stderr) = bazar(args, environment);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: {stderr} lacks {word}");
    }
}

#[test]
fn a_server_with_a_wrong_setting_does_not_start() {
    refused(&[], &[], &["catalog, order, front-end"]);
    refused(&["store"], &[], &["\"store\""]);
    refused(&["catalog"], &[], &["DATA_DIR", "not set"]);
    refused(&["order"], &[], &["CATALOG_ADDRESS", "not set"]);
    refused(&["front-end"], &[], &["CATALOG_ADDRESSES", "not set"]);
    refused(
        &["catalog", "--data-dir", "d", "--nonsense"],
        &[],
        &["--nonsense"],
    );
    refused(&["catalog", "--data-dir", "d", "more"], &[], &["\"more\""]);
    let folder = ("DATA_DIR", "d");
    refused(
        &["catalog"],
        &[folder, ("PORT", "x")],
        &["PORT", "\"x\"", "whole number"],
    );
    refused(
        &["catalog"],
        &[folder, ("HOST", "0.0.0.0")],
        &["SERVICE_TOKEN", "0.0.0.0"],
    );
    let own = ("CATALOG_ADDRESSES", "http://127.0.0.1:5000/");
    refused(
        &["catalog"],
        &[folder, own],
        &["CATALOG_ADDRESSES", "own address"],
    );
    let tls = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318");
    let words = ["OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector", "TLS"];
    refused(&["catalog"], &[folder, tls], &words);
}

#[test]
fn help_lists_the_settings() {
    for (args, words) in [
        (
            vec!["--help"],
            vec!["catalog", "front-end", "bazar COMMAND --help"],
        ),
        (vec!["catalog", "--help"], vec!["DATA_DIR", "default 5000"]),
        (vec!["order", "-h"], vec!["CATALOG_ADDRESS", "default 5001"]),
        (
            vec!["front-end", "--nonsense", "--help"],
            vec!["LOOKUP_CACHE_SIZE", "default 3"],
        ),
    ] {
        let (code, stdout, stderr) = bazar(&args, &[]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
        for word in words {
            assert!(stdout.contains(word), "{args:?} lacks {word}");
        }
    }
}

#[test]
fn the_version_is_one_line() {
    let version = concat!("bazar ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(
        bazar(&["--version"], &[]),
        (Some(0), version.into(), String::new())
    );
}

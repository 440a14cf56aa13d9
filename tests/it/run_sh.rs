//! `run.sh`, and `bazar shop` behind it, as people and service managers use them: on other ports,
//! without a terminal, from another folder.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::etcd;
use crate::harness::http;
use crate::harness::process::{BAZAR, await_end, eventually, run, signal, stop};
use crate::harness::shop::{PATIENT_TIMES, own_folder, own_host};

const RUN_SH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/run.sh");

/// A `run.sh` that runs, with folders and an address of its own.
pub struct Running {
    child: Child,
    pub host: String,
    pub folder: PathBuf,
}

/// `run.sh` with the binary that is built already, and data elsewhere than in the source folder.
fn run_sh(host: &str, folder: &PathBuf, args: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(RUN_SH)
        .args(args)
        .env_remove("SERVICE_TOKEN")
        .envs([("HOST", host), ("BAZAR_BIN", BAZAR), ("DATA", "data")])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

impl Running {
    /// Starts a shop on a new folder.
    #[track_caller]
    pub fn start(args: &[&str]) -> Running {
        Running::start_on(own_host(), own_folder(), args)
    }

    /// As [`Running::start`]; its servers are as patient as those of all other tests.
    #[track_caller]
    pub fn start_patient(args: &[&str]) -> Running {
        let times = PATIENT_TIMES.into_iter().filter(|(name, _)| *name != "LOG");
        Running::start_with(own_host(), own_folder(), args, &times.collect::<Vec<_>>())
    }

    #[track_caller]
    pub fn start_on(host: String, folder: PathBuf, args: &[&str]) -> Running {
        Running::start_with(host, folder, args, &[])
    }

    /// As [`Running::start_on`], with more in its environment.
    #[track_caller]
    pub fn start_with(
        host: String,
        folder: PathBuf,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Running {
        let running = Running::launch(host, folder, args, environment);
        running.await_log("Ctrl-C stops it");
        running
    }

    /// As [`Running::start_with`], but does not wait until the shop is open.
    fn launch(
        host: String,
        folder: PathBuf,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Running {
        let log = File::create(folder.join("log")).unwrap();
        let mut command = run_sh(&host, &folder, args);
        command.envs(environment.iter().copied());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        // It ends with this process, also when that is killed.
        command.arg("--exit-with-stdin").stdin(Stdio::piped());
        Running {
            child: command.spawn().unwrap(),
            host,
            folder,
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    #[track_caller]
    fn await_log(&self, words: &str) {
        eventually(
            &format!("{words:?} in {}/log", self.folder.display()),
            || self.log().contains(words),
        );
    }

    fn get(&self, port: u16, path: &str) -> io::Result<http::Response> {
        http::call(&format!("{}:{port}", self.host), "GET", path, &[], "")
    }

    /// The processes that have this shop's address in their command line, by number.
    fn processes(&self, word: &str) -> Vec<u32> {
        let numbers = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |number: &u32| {
            let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&format!(" --host {} ", self.host)) && line.contains(&format!(" {word} "))
        };
        numbers.filter(is_ours).collect()
    }

    fn servers(&self) -> usize {
        ["catalog", "order", "front-end"]
            .map(|word| self.processes(word).len())
            .iter()
            .sum()
    }

    /// Sends SIGTERM, checks that every server ends, and removes the folder.
    #[track_caller]
    pub fn stop(mut self) {
        self.end();
        fs::remove_dir_all(&self.folder).unwrap();
    }

    /// As [`Running::stop`], but keeps the folder.
    #[track_caller]
    fn end(&mut self) {
        signal("TERM", self.child.id());
        assert_eq!(await_end(&mut self.child).code(), Some(0), "{}", self.log());
        assert_eq!(self.servers(), 0, "{}", self.log());
        assert!(
            !self.log().contains("line "),
            "bash reports an error: {}",
            self.log()
        );
    }
}

#[test]
fn it_starts_a_shop_and_leaves_no_server_behind() {
    let shop = Running::start(&[]);
    assert_eq!(shop.servers(), 5);
    for port in [5000, 6000, 5001, 6001, 5002] {
        // Each was ready. On a busy machine one may have lost another since.
        eventually(&format!("{port} is ready"), || {
            shop.get(port, "/readyz").unwrap().status == 200
        });
    }
    assert_eq!(shop.get(5002, "/lookup/2").unwrap().json()["quantity"], 5);
    assert!(shop.folder.join("data/catalog2").is_dir());
    shop.stop();
}

#[test]
fn a_server_that_dies_is_restarted_and_one_that_hangs_is_ended() {
    let shop = Running::start(&["--catalogs", "1", "--orders", "3"]);
    assert_eq!(shop.servers(), 5);
    signal("KILL", shop.processes("catalog")[0]);
    shop.await_log("catalog1 ended (signal 9); starting it again");
    eventually("it is back", || {
        shop.get(5000, "/readyz")
            .is_ok_and(|response| response.status == 200)
    });
    stop(shop.processes("order")[0]);
    shop.stop();
}

#[test]
fn a_port_in_use_is_named_and_no_server_is_started() {
    let (host, folder) = (own_host(), own_folder());
    let _taken = TcpListener::bind(format!("{host}:6001")).unwrap();
    let (code, stdout, stderr) = run(run_sh(&host, &folder, &[]));
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(
        stderr.contains("port 6001") && stderr.contains("ORDER_PORT"),
        "{stderr}"
    );
    assert!(!folder.join("data").exists());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn with_a_token_only_public_paths_are_open() {
    let shop = Running::start(&["--token"]);
    let log = shop.log();
    let token = log
        .lines()
        .find_map(|line| line.strip_prefix("shop       SERVICE_TOKEN="))
        .unwrap();
    assert_eq!(token.len(), 32);
    let dump = |headers: &[(&str, &str)]| {
        http::call(&format!("{}:5002", shop.host), "GET", "/dump/", headers, "")
            .unwrap()
            .status
    };
    assert_eq!(dump(&[]), 401);
    assert_eq!(dump(&[("Authorization", &format!("Bearer {token}"))]), 200);
    assert_eq!(shop.get(5002, "/lookup/2").unwrap().status, 200);
    shop.stop();
}

#[test]
fn fresh_starts_with_the_first_stock_again() {
    let (host, folder) = (own_host(), own_folder());
    let old = folder.join("data/catalog1");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("books-0000000-0000199.json"), "no JSON").unwrap();
    let args = ["--catalogs", "1", "--orders", "1"];
    let (code, log, stderr) = run(run_sh(&host, &folder, &args));
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{log}");
    assert!(
        log.contains("catalog1 cannot run as it is set up (exit code 2)"),
        "{log}"
    );

    let shop = Running::start_on(host, folder, &[&args[..], &["--fresh"]].concat());
    shop.await_log("data/catalog1");
    assert_eq!(shop.get(5002, "/lookup/2").unwrap().json()["quantity"], 5);
    shop.stop();
}

/// It is deleted while the shop is down: catalog 2 may have sold alone, as far as catalog 1 knows.
#[test]
fn a_shop_whose_catalog_lost_its_folder_says_what_to_do_and_opens_once_it_is_told() {
    let mut shop = Running::start(&[]);
    let (host, folder) = (shop.host.clone(), shop.folder.clone());
    // The two end together: neither leaves the other out for having ended first.
    let [catalog1] = shop.processes("--port 5000")[..] else {
        panic!("{}", shop.log());
    };
    signal("STOP", catalog1);
    shop.end();
    fs::remove_dir_all(folder.join("data/catalog2")).unwrap();

    let lost = format!("http://{host}:6000");
    let mut closed = Running::launch(host.clone(), folder.clone(), &[], &[]);
    let waits = format!("waiting for catalog1: This catalog waits for {lost}");
    closed.await_log(&waits);
    let log = closed.log();
    assert!(log.contains("put that one back"), "{log}");
    closed.end();

    let other = ["--go-on-without", "http://127.0.0.1:1"];
    let (code, _, stderr) = run(run_sh(&host, &folder, &other));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("a catalog of this shop"), "{stderr}");

    let shop = Running::start_on(host, folder, &["--go-on-without", &lost]);
    assert_eq!(shop.get(5002, "/lookup/2").unwrap().json()["quantity"], 5);
    // One that is started again waits for the other one as ever.
    let [told] = shop.processes("--go-on-without")[..] else {
        panic!("{}", shop.log());
    };
    signal("KILL", told);
    eventually("it is started again", || {
        shop.processes("--go-on-without").is_empty() && shop.servers() == 5
    });
    shop.stop();
}

#[test]
fn malformed_options_are_refused() {
    let (host, folder) = (own_host(), own_folder());
    for (args, words) in [
        (["--catalogs", "none"], "\"none\""),
        (["--nonsense", ""], "--nonsense"),
    ] {
        let (code, _, stderr) = run(run_sh(&host, &folder, &args));
        assert_eq!(code, Some(2));
        assert!(stderr.contains(words), "{stderr}");
    }
    let (code, stdout, _) = run(run_sh(&host, &folder, &["--help"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--fresh") && stdout.contains("FRONT_END_PORT"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_second_shop_says_that_one_runs_here_and_how_to_stop_it() {
    let shop = Running::start(&[]);
    let (code, stdout, stderr) = run(run_sh(&shop.host, &shop.folder, &[]));
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    let stop = format!("kill {}", shop.child.id());
    let server = shop.processes("catalog")[0].to_string();
    for words in ["a shop is running here already", &stop, &server] {
        assert!(stderr.contains(words), "{stderr} lacks {words}");
    }
    shop.stop();
}

#[test]
fn no_server_outlives_a_killed_shop_not_even_a_stopped_one() {
    let mut shop = Running::start(&[]);
    stop(shop.processes("order")[0]);
    shop.child.kill().unwrap();
    await_end(&mut shop.child);
    eventually("its servers are gone", || shop.servers() == 0);
    fs::remove_dir_all(&shop.folder).unwrap();
}

#[test]
fn a_shop_stops_when_the_program_that_started_it_is_gone() {
    let mut shop = Running::start(&["--catalogs", "1", "--orders", "1"]);
    // The system closes it, too, when this process is killed.
    drop(shop.child.stdin.take());
    assert_eq!(await_end(&mut shop.child).code(), Some(0), "{}", shop.log());
    assert_eq!(shop.servers(), 0);
    fs::remove_dir_all(&shop.folder).unwrap();
}

#[test]
fn two_shops_with_free_ports_run_side_by_side() {
    let host = own_host();
    let args = ["--ports", "free", "--catalogs", "1", "--orders", "1"];
    let shops = [own_folder(), own_folder()].map(|it| Running::start_on(host.clone(), it, &args));
    for shop in &shops {
        let log = shop.log();
        let open = log
            .lines()
            .find_map(|line| line.split_once("the shop is open at http://"));
        let (_, address) = open.expect("it opens");
        let response = http::call(address, "GET", "/lookup/2", &[], "").unwrap();
        assert_eq!(response.json()["quantity"], 5);
    }
    let [mut one, other] = shops;
    signal("INT", one.child.id());
    assert_eq!(await_end(&mut one.child).code(), Some(0));
    fs::remove_dir_all(&one.folder).unwrap();
    assert_eq!(other.servers(), 3);
    other.stop();
}

#[test]
fn a_shop_on_ipv6_sells() {
    let args = ["--ports", "free", "--catalogs", "2", "--orders", "1"];
    let shop = Running::start_on("::1".into(), own_folder(), &args);
    let log = shop.log();
    let open = log
        .lines()
        .find_map(|line| line.split_once("the shop is open at http://"));
    let (_, address) = open.expect("it opens");
    let response = http::call(address, "PUT", "/buy/2", &[], "").unwrap();
    assert!(response.is_purchase(), "{response:?}");
    shop.stop();
}

#[test]
fn a_shop_with_an_etcd_beside_it_keeps_its_books_there_and_ends_with_it() {
    if !etcd::is_installed() {
        return;
    }
    let (host, folder) = (own_host(), own_folder());
    let shop = Running::start_on(
        host.clone(),
        folder.clone(),
        &["--etcd", "--etcd-members", "3"],
    );
    let front_end = format!("{host}:5002");
    let bought = http::call(&front_end, "PUT", "/buy/2", &[], "").unwrap();
    assert!(bought.is_purchase(), "{bought:?}");
    assert!(!folder.join("data/catalog1").exists());
    shop.stop();
    let member = format!("{host}:5004");
    eventually("etcd has ended, too", || {
        http::call(&member, "POST", "/v3/kv/range", &[], "{}").is_err()
    });
}

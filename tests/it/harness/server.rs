//! One server as a real process: started, killed, stopped, continued, started again.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs};

use bazar::supervisor::process::{Process, Spec};
use serde_json::Value;

use crate::harness::http::{self, Response};
use crate::harness::process::{self, BAZAR, eventually, signal};

/// Among a server's settings: how many descriptors its process may have.
pub const DESCRIPTORS: &str = "DESCRIPTORS";

/// A server of a shop. It keeps its address, settings and data folder however often it is started.
/// It ends with this process, also when that is killed.
#[derive(Debug)]
pub struct Server {
    pub name: String,
    /// `127.a.b.c:port`.
    pub address: String,
    command: &'static str,
    settings: Vec<(&'static str, String)>,
    /// Where its stderr goes, over all its starts.
    stderr: PathBuf,
    /// `None` while it does not run.
    process: Mutex<Option<Process>>,
    /// It is no longer the first start.
    is_again: AtomicBool,
}

impl Server {
    /// A server that is not running yet.
    pub fn new(
        command: &'static str,
        name: &str,
        address: &str,
        settings: Vec<(&'static str, String)>,
        folder: &Path,
    ) -> Server {
        Server {
            name: name.to_string(),
            address: address.to_string(),
            command,
            settings,
            stderr: folder.join(format!("{name}.stderr")),
            process: Mutex::new(None),
            is_again: AtomicBool::new(false),
        }
    }

    /// `http://127.a.b.c:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the process and waits until it listens and is ready.
    #[track_caller]
    pub fn start(&self) {
        self.launch();
        self.await_ready();
    }

    /// Starts the process and waits until it listens.
    #[track_caller]
    pub fn launch(&self) {
        self.launch_with(&[]);
    }

    /// As [`Server::launch`], with more options for this start only.
    #[track_caller]
    pub fn launch_with(&self, options: &[&str]) {
        let process = Process::logging_to(self.stderr.clone(), self.spec(options));
        assert_eq!(process.start(), Ok(self.url()), "{}", self.name);
        let earlier = self.process.lock().unwrap().replace(process);
        assert!(earlier.is_none(), "{} runs", self.name);
    }

    fn spec(&self, options: &[&str]) -> Spec {
        let (host, port) = self.address.split_once(':').expect("an address has a port");
        let own = [("HOST", host.to_string()), ("PORT", port.to_string())];
        // An upgrade begins with an older one: see `upgrade.rs`.
        let old = env::var("OLD_BAZAR").ok();
        let old = old.filter(|_| !self.is_again.swap(true, Ordering::Relaxed));
        let bazar = old.as_deref().unwrap_or(BAZAR);
        let mut args = [&[self.command, "--exit-with-stdin"], options].concat();
        let limit = self.settings.iter().find(|(name, _)| *name == DESCRIPTORS);
        let limit = limit.map(|(_, limit)| format!("ulimit -n {limit}; exec \"$0\" \"$@\""));
        if let Some(script) = &limit {
            args.splice(..0, ["-c", script, bazar]);
        }
        Spec {
            name: self.name.clone(),
            program: Some(limit.as_ref().map_or(bazar, |_| "/bin/sh").into()),
            args: args.iter().map(ToString::to_string).collect(),
            environment: own.into_iter().chain(self.settings.clone()).collect(),
            inherits: false,
        }
    }

    /// Waits until `/readyz` answers 200.
    #[track_caller]
    pub fn await_ready(&self) {
        let what = format!("{} is ready", self.name);
        eventually(&what, || {
            self.try_get("/readyz")
                .is_ok_and(|response| response.status == 200)
        });
    }

    /// SIGKILL, as in a power failure. Returns when the process is gone.
    #[track_caller]
    pub fn kill(&self) {
        let process = self.process.lock().unwrap().take();
        process.expect("it runs").kill();
    }

    /// SIGTERM, as an operator stops it. Returns when the process has ended.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("TERM");
        eventually("the process has ended", || self.exit_code().is_some());
    }

    /// SIGSTOP: it accepts connections, but answers nothing. Returns when it has stopped.
    #[track_caller]
    pub fn stop(&self) {
        process::stop(self.id());
    }

    /// SIGCONT.
    #[track_caller]
    pub fn cont(&self) {
        self.signal("CONT");
    }

    #[track_caller]
    fn signal(&self, name: &str) {
        signal(name, self.id());
    }

    /// The process's id.
    #[track_caller]
    pub fn id(&self) -> u32 {
        let process = self.process.lock().unwrap();
        process.as_ref().and_then(Process::id).expect("it runs")
    }

    /// The exit code, if the process has ended by itself. Then it can be started again.
    pub fn exit_code(&self) -> Option<i32> {
        let mut process = self.process.lock().unwrap();
        let ended = process.as_ref()?.ended()?;
        *process = None;
        Some(ended.code().unwrap_or(-1))
    }

    pub fn is_running(&self) -> bool {
        self.process.lock().unwrap().is_some()
    }

    /// What it has written to stderr, over all its starts.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// The lines of its log with this message.
    #[track_caller]
    pub fn log(&self, message: &str) -> Vec<Value> {
        let line = |line: &str| -> Value {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
        };
        let mut lines: Vec<Value> = self.stderr().lines().map(line).collect();
        lines.retain(|line| line["message"] == message);
        lines
    }

    /// The value of a series of its `/metrics`, such as `bazar_books{state="valid"}`.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.get("/metrics").body;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        let value = page.lines().find_map(value);
        value.unwrap_or_else(|| panic!("{} lacks {series}: {page}", self.name))
    }

    /// Whether this catalog counts every other one as live.
    #[track_caller]
    pub fn counts_peers_as_live(&self) -> bool {
        let page = self.get("/metrics").body;
        let mut peers = page
            .lines()
            .filter(|line| line.starts_with("bazar_peer_live{"));
        peers.all(|line| line.ends_with(" 1"))
    }

    /// The memory of its process, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.expect("Linux has VmRSS").trim();
        resident.trim_end_matches(" kB").parse().unwrap()
    }

    /// A catalog's books, by id.
    #[track_caller]
    pub fn dump(&self) -> Vec<Value> {
        self.get("/dump/").list()
    }

    /// How many copies of a book are left, according to a catalog.
    #[track_caller]
    pub fn quantity(&self, book: u64) -> u64 {
        let response = self.get(&format!("/query/item/{book}"));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["quantity"].as_u64().unwrap()
    }

    /// The same, if the catalog serves.
    pub fn find(&self, book: u64) -> Option<u64> {
        let response = self.get(&format!("/query/item/{book}"));
        (response.status != 503).then(|| response.json()["quantity"].as_u64().unwrap())
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.call("GET", path, &[], "")
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &str) -> Response {
        self.call("PUT", path, &[], body)
    }

    #[track_caller]
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let response = http::call(&self.address, method, path, headers, body);
        response
            .unwrap_or_else(|e| panic!("{method} {path} at {}: {e}\n{}", self.name, self.stderr()))
    }

    /// As [`Server::get`], where no response at all is possible.
    pub fn try_get(&self, path: &str) -> std::io::Result<Response> {
        http::call(&self.address, "GET", path, &[], "")
    }
}

//! etcd as real processes, for catalogs that keep their books there.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, Once};
use std::{env, fs};

use serde_json::{Value, json};

use crate::harness::http;
use crate::harness::process::{self, eventually, signal};
use crate::harness::shop::{own_folder, own_host};

/// Set by `.ci/run`: without etcd the tests fail there instead of being skipped.
const REQUIRED: &str = "ETCD_TESTS_REQUIRED";

/// A setting of the tests: shops that do not say which store they have then keep their books in
/// etcd.
const STORE: &str = "TEST_STORE";

/// A cluster of its own.
pub struct Etcd {
    members: Vec<Member>,
    folder: PathBuf,
}

pub struct Member {
    name: String,
    host: String,
    args: Vec<String>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

/// Whether shops keep their books in etcd, unless they say otherwise.
pub fn is_default() -> bool {
    match env::var(STORE).as_deref() {
        Ok("etcd") => true,
        Ok("own") | Err(_) => false,
        Ok(other) => panic!("{STORE}={other}: it must be own or etcd"),
    }
}

/// Whether etcd is installed. If it is not, a line on stderr says so once.
pub fn is_installed() -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    let installed = env::split_paths(&paths).any(|path| path.join("etcd").is_file());
    if !installed {
        assert!(env::var_os(REQUIRED).is_none(), "etcd is needed");
        static SAID: Once = Once::new();
        // Not `eprintln`, which `cargo test` hides.
        SAID.call_once(|| {
            let line =
                "tests with etcd are skipped: etcd is missing (apt-get install etcd-server)\n";
            io::stderr().write_all(line.as_bytes()).unwrap();
        });
    }
    installed
}

impl Etcd {
    /// So many members that have a leader; `None` if etcd is not installed.
    #[track_caller]
    pub fn started(count: usize) -> Option<Etcd> {
        Etcd::with_peer_urls(count, |_, host| format!("http://{host}:2380"))
    }

    /// As [`Etcd::started`]; members reach member `n`, from 0, at the URL that is given.
    #[track_caller]
    pub fn with_peer_urls(count: usize, url: impl Fn(usize, &str) -> String) -> Option<Etcd> {
        if !is_installed() {
            return None;
        }
        let folder = own_folder();
        let hosts: Vec<String> = (0..count).map(|_| own_host()).collect();
        let urls = hosts.iter().enumerate().map(|(n, host)| url(n, host));
        let urls: Vec<String> = urls.collect();
        let all = urls
            .iter()
            .enumerate()
            .map(|(n, url)| format!("m{}={url}", n + 1));
        let cluster = all.collect::<Vec<_>>().join(",");
        let member =
            |(n, host): (usize, &String)| Member::new(n, host, &urls[n], &cluster, &folder);
        let members = hosts.iter().enumerate().map(member).collect();
        let etcd = Etcd { members, folder };
        etcd.members.iter().for_each(Member::launch);
        etcd.members.iter().for_each(Member::await_ready);
        Some(etcd)
    }

    /// The members as a setting.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.members.iter().map(Member::url).collect();
        urls.join("|")
    }

    /// Member `n`, from 0.
    pub fn member(&self, n: usize) -> &Member {
        &self.members[n]
    }

    /// The number of the member that leads.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let mut leader = None;
        eventually("etcd has a leader", || {
            let leads = |member: &Member| {
                let status = member.status();
                !status["leader"].is_null() && status["leader"] == status["header"]["member_id"]
            };
            leader = self.members.iter().position(leads);
            leader.is_some()
        });
        leader.unwrap()
    }
}

impl Member {
    fn new(n: usize, host: &str, peer_url: &str, cluster: &str, folder: &Path) -> Member {
        let name = format!("m{}", n + 1);
        let client_url = format!("http://{host}:2379");
        let data = folder.join(&name).display().to_string();
        let listen = format!("http://{host}:2380");
        let args = [
            ("--name", name.as_str()),
            ("--data-dir", &data),
            ("--listen-client-urls", &client_url),
            ("--advertise-client-urls", &client_url),
            ("--listen-peer-urls", &listen),
            ("--initial-advertise-peer-urls", peer_url),
            ("--initial-cluster", cluster),
            ("--auto-compaction-mode", "revision"),
            ("--auto-compaction-retention", "1000"),
            ("--logger", "zap"),
        ];
        let args = args
            .iter()
            .flat_map(|(name, value)| [name.to_string(), value.to_string()]);
        Member {
            args: args.collect(),
            log: folder.join(format!("{name}.log")),
            host: host.to_string(),
            name,
            child: Mutex::new(None),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}:2379", self.host)
    }

    #[track_caller]
    pub fn launch(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let child = Command::new("etcd")
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.child.lock().unwrap() = Some(child);
    }

    /// Waits until it answers reads, so that there is a leader.
    #[track_caller]
    pub fn await_ready(&self) {
        let what = format!("etcd {} is ready", self.name);
        eventually(&what, || {
            self.call("/v3/kv/range", &json!({"key": "YQ=="})).is_some()
        });
    }

    fn status(&self) -> Value {
        self.call("/v3/maintenance/status", &json!({}))
            .unwrap_or_default()
    }

    /// Its id, as it names itself to other members.
    #[track_caller]
    pub fn id_in_hex(&self) -> String {
        let status = self.status();
        let id = status["header"]["member_id"].as_str().expect("it has one");
        format!("{:x}", id.parse::<u64>().unwrap())
    }

    /// The answer's body, if it was 200.
    pub fn call(&self, path: &str, body: &Value) -> Option<Value> {
        let address = format!("{}:2379", self.host);
        let answer = http::call(&address, "POST", path, &[], &body.to_string());
        let answer = answer.ok().filter(|answer| answer.status == 200)?;
        Some(answer.json())
    }

    fn id(&self) -> u32 {
        self.child.lock().unwrap().as_ref().expect("it runs").id()
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP.
    #[track_caller]
    pub fn stop(&self) {
        process::stop(self.id());
    }

    /// SIGCONT.
    #[track_caller]
    pub fn cont(&self) {
        signal("CONT", self.id());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.members.iter().for_each(Member::kill);
        if std::thread::panicking() {
            eprintln!("etcd's folder, with its logs: {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

//! An etcd beside the shop, for `bazar shop --etcd` and `bazar bench`: one member, or three. They are started again
//! when they end, and end with this program, however that ends.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::config::shop::PORT_STEP;
use crate::runtime::sync::lock;
use crate::supervisor::events::Events;
use crate::supervisor::ports;
use crate::supervisor::process::{Output, Process, Spec};

/// The folder of all members, in the folder of the shop's data.
pub(super) const FOLDER: &str = "etcd";

/// The pause before a member that has ended is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// etcd does not notice that the program which started it is gone. A shell does: its standard input
/// ends then. On SIGTERM it ends etcd, too.
const SCRIPT: &str = r#"
trap 'kill $pid 2>/dev/null' TERM
exec 3<&0
etcd "$@" </dev/null 3<&- &
pid=$!
{ cat <&3 >/dev/null; kill $pid 2>/dev/null; } &
exec 3<&-
wait $pid
wait $pid
"#;

#[derive(Debug)]
pub(crate) struct Etcd {
    members: Vec<Member>,
    /// Its members, as the setting of a catalog.
    pub(crate) addresses: String,
}

#[derive(Debug)]
struct Member {
    process: Process,
    /// When it is started. `None`: it runs.
    due: Mutex<Option<Instant>>,
}

impl Etcd {
    /// So many members with data in this folder, which [`Etcd::look_after`] starts. `local` is where
    /// they listen: at ports from the first one on, or at ports that the system chooses.
    ///
    /// Fails when etcd is not installed.
    pub(crate) fn new(
        members: usize,
        first_port: Option<u16>,
        folder: &Path,
        local: &str,
    ) -> Result<Etcd, String> {
        let paths = env::var_os("PATH").unwrap_or_default();
        if !env::split_paths(&paths).any(|path| path.join("etcd").is_file()) {
            return Err("etcd is not installed: apt-get install etcd-server".into());
        }
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let ports = ports_of(members, first_port, local, folder)?;
        let urls: Vec<(String, String)> = ports
            .iter()
            .map(|(client, peer)| {
                let host = if local.contains(':') {
                    format!("[{local}]")
                } else {
                    local.into()
                };
                (
                    format!("http://{host}:{client}"),
                    format!("http://{host}:{peer}"),
                )
            })
            .collect();
        let peers = urls.iter().enumerate();
        let peers: Vec<String> = peers
            .map(|(n, (_, peer))| format!("m{}={peer}", n + 1))
            .collect();
        let member = |(n, (client, peer)): (usize, &(String, String))| {
            let name = format!("m{}", n + 1);
            let args = args(&name, client, peer, &peers.join(","), folder);
            let spec = Spec {
                name: format!("etcd {name}"),
                program: Some(PathBuf::from("sh")),
                args,
                environment: vec![("PATH", paths.to_string_lossy().into_owned())],
                inherits: false,
            };
            Member {
                process: Process::new(spec, Output::File(folder.join(format!("{name}.log")))),
                due: Mutex::new(Some(Instant::now())),
            }
        };
        let addresses: Vec<&str> = urls.iter().map(|(client, _)| client.as_str()).collect();
        Ok(Etcd {
            members: urls.iter().enumerate().map(member).collect(),
            addresses: addresses.join("|"),
        })
    }

    /// Starts what is due, and says what has ended.
    pub(crate) fn look_after(&self, events: &Events) {
        for member in &self.members {
            let name = &member.process.spec.name;
            if let Some(end) = member.process.ended() {
                events.say(&format!("{name} ended ({end}); starting it again in 1 s"));
                *lock(&member.due) = Some(Instant::now() + PAUSE);
            }
            let mut due = lock(&member.due);
            if due.is_some_and(|due| due <= Instant::now()) {
                *due = None;
                if let Err(error) = member.process.launch() {
                    events.say(&error);
                    *due = Some(Instant::now() + PAUSE);
                }
            }
        }
    }

    /// Ends all members. What they acknowledged is on disk.
    pub(crate) fn stop(&self) {
        for member in &self.members {
            // It may have ended by itself.
            let _ = member.process.terminate();
        }
    }
}

/// The arguments of the shell.
fn args(name: &str, client: &str, peer: &str, peers: &str, folder: &Path) -> Vec<String> {
    let data = folder.join(name).display().to_string();
    let args = [
        ("--name", name),
        ("--data-dir", &data),
        ("--listen-client-urls", client),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", peers),
        ("--auto-compaction-mode", "revision"),
        ("--auto-compaction-retention", "1000"),
    ];
    let args = args.iter().flat_map(|(name, value)| [*name, *value]);
    ["-c", SCRIPT, "etcd"]
        .into_iter()
        .chain(args)
        .map(str::to_string)
        .collect()
}

/// The two ports of each member, for catalogs and for other members. Members remember where the
/// others are. So ports that the system chose are chosen once, and kept in a file.
fn ports_of(
    count: usize,
    first: Option<u16>,
    local: &str,
    folder: &Path,
) -> Result<Vec<(u16, u16)>, String> {
    if let Some(first) = first {
        let nth = |n: usize| first + PORT_STEP * n as u16;
        return Ok((0..count).map(|n| (nth(n), nth(n) + 1)).collect());
    }
    let file = folder.join("ports");
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let kept: Vec<u16> = kept
        .split_whitespace()
        .filter_map(|port| port.parse().ok())
        .collect();
    let all = if kept.len() == 2 * count {
        kept
    } else {
        ports::free(local, 2 * count)?
    };
    let text: Vec<String> = all.iter().map(u16::to_string).collect();
    fs::write(&file, text.join(" "))
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(all.chunks(2).map(|pair| (pair[0], pair[1])).collect())
}
